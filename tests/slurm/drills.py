"""What a cluster does to a study, done on purpose on a real Slurm; after each, the table must be the undisturbed one.

    python tests/slurm/drills.py NAME... [--folder DIR] [--config CONFIG]      names: study, or all, or one drill's

`study` runs a whole study (CONFIG, else a small one) through Slurm; the other drills start where its tuning ended.
"""

import argparse
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import datetime
from pathlib import Path

import cluster
import yaml
from bench import ROOT, STUDY, Bench, kill_head
from drilling import BIN, ENVIRONMENT, FailedDrillError, must, say, wait
from drilling import same as compared

from regbench.orchestration.site import ON_GPU
from regbench.system.job_usage import seconds_in

DRILLS = {}


def drill(function):
    DRILLS[function.__name__] = function
    return function


@drill
def study(new, reference) -> None:
    """A whole study through Slurm: the local table, jobs on several nodes, GPUs where they were asked for."""
    bench = new(begun=False)
    began = time.monotonic()
    must(bench.run() == 0, bench.output()[-3000:])
    jobs = bench.jobs()
    got = cluster.started()
    for job in jobs:
        rule, (node, gpus, _) = job["Comment"].split("_")[1], got[job["JobId"]]
        wanted = rule in ON_GPU
        count = 0 if gpus == "-" else len(gpus.split(","))
        right = count == cluster.GPUS if rule == "runtime" else count == wanted  # alone on its node, it gets all of it
        must(right, f"{job['Comment']} got GPUs {gpus} on {node}")
        must(node.startswith("g" if wanted else "c"), f"{job['Comment']} ran on {node}")
        must(("gpu:1" in job.get("TresPerJob", "")) == wanted, f"{job['Comment']} asked for {job.get('TresPerJob')}")
        if rule == "runtime":
            must(job["OverSubscribe"] == "NO", "the timing shared its node")
    nodes = {got[job["JobId"]][0] for job in jobs}
    must(len(nodes) >= 3, f"all jobs ran on {nodes}")
    say(f"{len(jobs)} jobs on {', '.join(sorted(nodes))} in {time.monotonic() - began:.0f} s")
    same(bench, reference)


@drill
def overhead(new, reference) -> None:
    """No fault: what a training costs as a Slurm job beside its steps, one job at a time."""
    bench = new()
    must(bench.run("--jobs", "1", "--until", "train") == 0, bench.output()[-3000:])
    for job in bench.jobs():
        began = float(cluster.started()[job["JobId"]][-1])
        ended = datetime.fromisoformat(job["EndTime"]).timestamp()
        log = log_of(bench, job)
        run = bench.root / "runs" / log.relative_to(bench.root / "logs/train").with_suffix("")
        steps, seconds = json.loads((run / "run.json").read_text())["seconds"], seconds_in(log)
        verb = log.stat().st_mtime - seconds
        say(f"{ended - began:.1f} s on its node: {verb - began:.1f} until `regbench train` starts (Snakemake, twice), "
            f"{seconds - steps:.1f} around {steps:.1f} of steps, {ended - verb - seconds:.1f} after it")  # fmt: skip
        others = ended - began - steps
        shares = ", ".join(f"{minutes} min {100 * others / (60 * minutes + others):.1f} %" for minutes in (1, 10, 60))
        say(f"{others:.1f} s beside the steps; share at trainings of {shares}")


@drill
def scancel(new, reference) -> None:
    """`scancel` of a training that runs: it keeps its state, and the next attempt goes on from there."""
    bench = new()
    head = bench.head()
    job = bench.wait_for_training()
    cluster.slurm("scancel", job["JobId"])
    say(f"cancelled {job['JobId']} ({job['Comment']})")
    must(head.wait() == 0, bench.output()[-3000:])
    must(len(attempts(bench, job)) == 2, "the training must have been sent twice")
    say(resumed(bench, job))
    same(bench, reference)


@drill
def node(new, reference) -> None:
    """A node dies with a training on it: the training runs again elsewhere."""
    bench = new()
    head = bench.head()
    job = bench.wait_for_training()
    cluster.fail(job["NodeList"])
    say(f"killed node {job['NodeList']} under {job['JobId']} ({job['Comment']})")
    try:
        must(head.wait() == 0, bench.output()[-3000:])
    finally:
        cluster.back(job["NodeList"])
    must(any(int(one["Restarts"]) for one in attempts(bench, job)) or len(attempts(bench, job)) > 1, "it ran once only")
    same(bench, reference)


@drill
def preempt(new, reference) -> None:
    """A job of higher priority takes the node; five seconds of grace, then back into the queue: no attempt is lost."""
    bench = new()
    head = bench.head()
    job = bench.wait_for_training()
    subprocess.run(["sbatch", "--quiet", "-p", "urgent", "--exclusive", "-w", job["NodeList"], "--comment=urgent",
                    "--output=/dev/null", "--wrap=sleep 10"], check=True, cwd="/")  # fmt: skip
    say(f"an urgent job wants node {job['NodeList']} of {job['JobId']} ({job['Comment']})")
    kept = wait(60, lambda: list((bench.root / "state/training").rglob("*.pt")), "no state was kept")
    say(f"kept {kept[0].name} of {kept[0].stat().st_size} bytes")
    must(head.wait() == 0, bench.output()[-3000:])
    found = attempts(bench, job)
    say(f"attempts: {', '.join(one['JobState'] + ' restarts ' + one['Restarts'] for one in found)}")
    must(len(found) == 1 and found[0]["Restarts"] == "1", "Slurm itself must have run the same job again")
    say(resumed(bench, job))
    same(bench, reference)


@drill
def memory(new, reference) -> None:
    """Trainings with too little memory are killed; the partial table says so; they are sent again with more."""
    bench = new()
    bench.set_site({"rules": {"train": {"mem_mb": 420}}})
    must(bench.run("--retries", "0") == 1, "420 MB must be too little")
    lost = [line for line in bench.regbench("status", str(bench.config)).splitlines() if line.startswith("failed: ")]
    say("; ".join(lost))
    must(
        len(lost) == 2 and all("out of memory" in line and "mem_mb" in line for line in lost), "it must say what to do"
    )
    must(bench.run() == 0, bench.output()[-3000:])
    asked = [
        (job["JobState"], job["Comment"], job.get("MinMemoryNode")) for job in bench.jobs() if "train" in job["Comment"]
    ]
    for line in asked:
        say(" ".join(map(str, line)))
    must([state for state, *_ in asked].count("FAILED") >= 3, "no training ran out of memory and was sent again")
    same(bench, reference)


@drill
def limit(new, reference) -> None:
    """A training of more than its minute is ended; its state is kept, and the next attempt has two minutes."""
    bench = new()
    bench.set_site({"rules": {"train": {"runtime": 1}}})
    # A minute is Slurm's shortest limit; the training is made to need more by stopping it on its way.
    head = bench.head()
    job = bench.wait_for_training()
    stopped = regbench_of(job)
    for pid in stopped:
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
    say(f"stopped the processes of {job['JobId']} ({job['Comment']}) until its time is up")
    wait(120, lambda: state(bench, job) != "RUNNING", "the limit did not come")
    say(f"{job['JobId']} is {state(bench, job)}")
    must(head.wait() == 0, bench.output()[-3000:])
    found = attempts(bench, job)
    say(f"limits: {', '.join(one['TimeLimit'] + ' ' + one['JobState'] for one in found)}")
    must([one["TimeLimit"] for one in found] == ["00:01:00", "00:02:00"], "the second attempt must have more time")
    same(bench, reference)


@drill
def lost_cell(new, reference) -> None:
    """A cell that fails at every attempt: the others finish; the same command completes the table later."""
    bench = new()
    head = bench.head()
    job = bench.wait_for_training()
    doomed, row = job["Comment"], ""
    while head.poll() is None:
        for one in bench.running_jobs("train"):
            if one["Comment"] == doomed:
                cluster.slurm("scancel", one["JobId"])
        if not row and len(attempts(bench, job)) == 3 and " cancelled in Slurm" in (table := bench.partial()):
            row = next(line for line in table.splitlines() if "cancelled in Slurm" in line)
            must(head.poll() is None, "the head must still run")
            say(f"meanwhile, `report --partial`: {row}")
        time.sleep(1)
    must(row, f"no row says that the cell was cancelled, while the head ran: {bench.partial()}")
    must(head.returncode == 1, f"the head must end with 1, but got {head.returncode}")
    must(len(attempts(bench, job)) == 3, "it must have been tried three times")
    done = sorted(path.parent.parent.name for path in bench.root.rglob("pairs.parquet"))
    say(f"{doomed} failed three times; evaluated meanwhile: {', '.join(done)}")
    must(len(done) == 2, "identity and the other method must be evaluated")
    must(bench.run() == 0, bench.output()[-3000:])
    same(bench, reference)


@drill
def head(new, reference) -> None:
    """The head is killed with -9: its jobs live on. The same command ends them, and goes on from their state."""
    bench = new()
    first = bench.head()
    job = bench.wait_for_training()
    kill_head(first)
    say(f"killed the head; {len(bench.running_jobs('train'))} trainings live on")
    must(state(bench, job) == "RUNNING", "the orphan must live")
    must(bench.run() == 0, bench.output()[-3000:])
    must("of an earlier run of this study that was killed" in bench.output(), "the new head must tell")
    say(next(line for line in bench.output().splitlines() if "earlier run" in line))
    must(state(bench, job) != "COMPLETED", "the orphan must not have gone on beside its successor")
    same(bench, reference)


@drill
def cancel(new, reference) -> None:
    """`regbench cancel` ends what a killed head left, and no job of another study; not while the head lives."""
    bench, other = new(), Bench(Path(tempfile.mkdtemp(dir=new.folder)), STUDY)
    first = bench.head()
    job = bench.wait_for_training()
    must("is being run by process" in (said := bench.regbench("cancel", str(bench.config))), said)
    must(state(bench, job) == "RUNNING", "a living head's jobs must stay")
    must("no job of this study" in (said := other.regbench("cancel", str(other.config))), said)
    kill_head(first)
    must("no job of this study" in (said := other.regbench("cancel", str(other.config))), said)
    must(state(bench, job) == "RUNNING", "another folder's cancel must leave it")
    said = bench.regbench("cancel", str(bench.config))
    say(said.strip())
    must(said.startswith("ended: "), said)
    wait(60, lambda: not bench.running_jobs("train"), "the orphans must end")
    must(bench.run() == 0, bench.output()[-3000:])
    same(bench, reference)


@drill
def twice(new, reference) -> None:
    """A second head of the same study, also another user's, is refused with a clear message, and harms nothing."""
    bench = new()
    first = bench.head()
    bench.wait_for_training()
    for shared in (False, True):  # another user's results, and those of a group
        if shared:
            for path in (bench.root.parent, bench.root, bench.root / "state"):
                path.chmod(0o777)
        said = as_nobody(bench)
        line = next((line for line in said.splitlines() if f"User root runs it: process {first.pid} on" in line), "")
        must(line, f"another user must be told who runs it, but got: {said[-1000:]}")
        say(f"to user nobody: {line.strip()}")
    must(bench.run() == 1, "the second head must be refused")
    line = next(line for line in bench.output().splitlines() if "is being run by" in line)
    say(line.strip())
    must(first.wait() == 0, bench.output(1)[-3000:])
    must(not [job for job in bench.jobs() if job["JobState"] == "CANCELLED"], "no job may have been ended")
    same(bench, reference)


@drill
def mlflow(new, reference) -> None:
    """No MLflow server: the tables stand, only the push fails; with the server, the same command pushes all."""
    (port,) = cluster._free_ports(1)
    bench = new(tracking={"uri": f"http://127.0.0.1:{port}"})
    must(bench.run() == 1, "the push must fail")
    failed = {job["Comment"].split("_")[1] for job in bench.jobs() if job["JobState"] == "FAILED"}
    must(failed == {"track"}, f"only the push may fail, but {failed} did")
    same(bench, reference)
    say("tables complete without the server")
    with (bench.folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(
            [Path(sys.executable).parent / "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1",
             f"--backend-store-uri=sqlite:///{bench.folder}/server.db", f"--artifacts-destination={bench.folder}/kept"],
            stdout=log, stderr=log, cwd=bench.folder, start_new_session=True,
        )  # fmt: skip
    try:
        wait(90, lambda: b"Application startup complete" in (bench.folder / "mlflow.log").read_bytes(), "no server")
        must(bench.run() == 0, bench.output()[-3000:])
        pushed, all_runs = ((one.root / "state/tracked.json").read_text() for one in (bench, reference))
        say(f"pushed: {' '.join(pushed.split())}")
        must(pushed == all_runs, f"the push must be complete: {all_runs}")
    finally:
        for pid in cluster.tree(server.pid):
            cluster._kill(pid, 15)
        server.wait()


@drill
def full_disk(new, reference) -> None:
    """The disk of the results fills up in the trainings: clear errors, no half file; with room, the same command."""
    mount = new.folder / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", mount], check=True)
    try:
        bench = new(results=str(mount))
        running = bench.head("--retries", "0")
        bench.wait_for_training()
        ballast = mount / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError as error:
                say(f"{error.strerror}, with both trainings under way")
        must(running.wait() == 1, "the study must fail")
        logs = "".join(path.read_text() for path in bench.root.rglob("*.log"))
        words = next((line for line in (logs + bench.output()).splitlines() if "No space left" in line), None)
        must(words, "no message names the full disk")
        say(words[:200])
        ballast.unlink()
        must(bench.run() == 0, bench.output()[-3000:])
        same(bench, reference)
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


@drill
def slow_mount(new, reference) -> None:
    """The results lie on a second mount where each operation takes 20 ms (FUSE)."""
    if shutil.which("fusermount") is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "fuse", "libfuse2"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    database = new.folder / "slow.db"  # no database on such a mount
    database.unlink(missing_ok=True)
    bench = new(results="slow", tracking={"uri": f"sqlite:///{database}"})
    mount, below = bench.folder / "slow", bench.folder / "below"
    mount.rename(below)
    mount.mkdir()
    server = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "slow_mount.py", below, mount, "0.02"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait(10, mount.is_mount, "the mount did not come up (pip install fusepy)")
        began = time.monotonic()
        must(bench.run() == 0, bench.output()[-3000:])
        say(f"{time.monotonic() - began:.0f} s; {len(bench.jobs())} jobs")
        same(bench, reference)
        subprocess.run(["fusermount", "-u", mount], check=True)  # refuses while a file is held
        count = json.loads(server.communicate(timeout=30)[0])
        say(f"{sum(count.values())} operations: {', '.join(f'{n} {name}' for name, n in list(count.items())[:6])}")
    finally:
        subprocess.run(["fusermount", "-u", "-z", mount], check=False, stderr=subprocess.DEVNULL)
        server.kill()  # else it serves for as long as somebody holds a file
        server.wait()


def as_nobody(bench: Bench) -> str:
    """What the user `nobody` is told who starts the same study, with the same results, from a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="regbench-nobody-", dir="/tmp"))
    account = pwd.getpwnam("nobody")
    config = folder / "study.yaml"
    config.write_text(yaml.safe_dump({**bench.study, "results": str(bench.root.parent)}))
    for path in (bench.folder.parent, bench.folder):
        path.chmod(0o755)  # a temporary folder is its user's own
    for path in (folder, config):
        os.chown(path, account.pw_uid, account.pw_gid)
    try:
        # May read all, for Python may lie in a home folder of root's; writes as nobody.
        rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--clear-groups")
        done = subprocess.run(
            ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", *rights, BIN / "snakemake",
             "--snakefile", ROOT / "Snakefile", "--configfile", config, "--cores", "1"],
            cwd=folder, env={**ENVIRONMENT, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    must(done.returncode == 1, f"another user must be refused, but got {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout + done.stderr


def attempts(bench: Bench, job: dict[str, str]) -> list[dict[str, str]]:
    return sorted((one for one in bench.jobs() if one["Comment"] == job["Comment"]), key=lambda one: int(one["JobId"]))


def log_of(bench: Bench, job: dict[str, str]) -> Path:
    """The log of a training."""
    method, seed = job["Comment"].removeprefix("rule_train_wildcards_").split("_", 1)[1].rsplit("_", 1)
    return next((bench.root / "logs/train").rglob(f"{method}/seed{seed}.log"))


def resumed(bench: Bench, job: dict[str, str]) -> str:
    """What the training's last attempt says of the state that it went on from."""
    log = log_of(bench, job).read_text()
    line = next((line for line in log.splitlines() if "goes on from step" in line), "")
    must(line, f"the training must go on from its state, but its log says: {log[-500:]}")
    return line.partition(": ")[2].partition(", kept")[0]


def state(bench: Bench, job: dict[str, str]) -> str:
    return next(one["JobState"] for one in bench.jobs() if one["JobId"] == job["JobId"])


def regbench_of(job: dict[str, str]) -> list[int]:
    """The processes of the stage that a job runs."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURM_JOB_ID={job['JobId']}".encode() in environment and any(
            part.endswith(b"bin/regbench") for part in command
        ):
            found.append(int(entry.name))
    return found


def same(bench: Bench, reference: Bench) -> None:
    say(f"{compared(bench, reference)}, as undisturbed")


class New:
    """Makes the folder of a drill, tuned already unless `begun` is False."""

    def __init__(self, folder: Path, study: dict, tuned: Path) -> None:
        self.folder, self.study, self.tuned, self.name = folder, study, tuned, ""
        self.made: list[Bench] = []

    def __call__(self, *, begun: bool = True, results: str | None = None, **changes) -> Bench:
        place = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.folder))
        self.made.append(Bench(place, {**self.study, **changes}, begun=self.tuned if begun else None, results=results))
        return self.made[-1]

    def end(self) -> None:
        """End the heads and jobs that a drill which went wrong has left."""
        for bench in self.made:
            bench.end()
        self.made.clear()


def prepare(folder: Path, reference: Bench) -> New:
    """Run the undisturbed study; what it was after its tuning is where the drills begin."""
    tuned = folder / "tuned"
    if not tuned.exists():
        reference.local("--until", "select")
        shutil.copytree(reference.root.parent, tuned)
    if not reference.tables():
        reference.local()
    return New(folder, reference.study, tuned)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=[*DRILLS, "all"])
    parser.add_argument("--folder", type=Path, help="kept; default: a new one that is deleted where all went well")
    parser.add_argument("--config", type=Path, help="the study instead of the small one")
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="regbench-drills-"))).resolve()
    config = {**yaml.safe_load(options.config.read_text()), "results": "results"} if options.config else STUDY
    began, failed = time.monotonic(), []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    reference = Bench(folder / "reference", config)
    started = cluster.up()
    try:
        say("the study without Slurm, undisturbed")
        new = prepare(folder, reference)
        for name in DRILLS if "all" in options.names else options.names:
            since, new.name = time.monotonic(), name
            print(f"{name}: {DRILLS[name].__doc__}", flush=True)
            try:
                DRILLS[name](new, reference)
                print(f"  ok, {time.monotonic() - since:.0f} s", flush=True)
            except FailedDrillError as error:
                failed.append(name)
                print(f"  FAILED: {error}", flush=True)
            except (OSError, subprocess.SubprocessError, LookupError, ValueError, StopIteration):
                failed.append(name)
                print(f"  FAILED: {traceback.format_exc()}", flush=True)
            finally:
                new.end()
    finally:
        reference.end()
        if started:  # one that ran before is left as it was
            cluster.down()
    print(
        f"{'FAILED: ' + ', '.join(failed) if failed else 'all well'}, {time.monotonic() - began:.0f} s; folder {folder}"
    )
    if not failed and options.folder is None:
        shutil.rmtree(folder)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
