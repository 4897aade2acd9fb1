"""A study on the test cluster, and the same study without one: what the drills start, watch, hurt and compare."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from cluster import slurm

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from tiny_study import ROOT, TINY

BIN = Path(sys.executable).parent
# `auto` asks the cluster for a GPU for each training, which on a node without CUDA then runs on the CPU, as here.
STUDY = {
    **TINY,
    "study": "drill",
    "results": "results",
    "tuning": {"trials": 4, "round_size": 2, "steps": 3, "trials_per_job": 2},
    "training": {"steps": 3000, "batch": 2, "device": "auto"},
    "seeds": [0],
}
SITE = {"cpu": {"partition": "cpu"}, "gpu": {"partition": "gpu"}}
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # else a server that is down is waited for, 4 minutes an attempt
}


class FailedDrillError(Exception):
    """A drill did not end as it must."""


def must(holds: object, words: str) -> None:
    if not holds:
        raise FailedDrillError(words)


def say(words: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {words}", flush=True)


class Bench:
    """A folder with a study; its results may be begun already (`begun`: copied from there)."""

    def __init__(self, folder: Path, study: dict, *, begun: Path | None = None, results: str | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.study = {**study, **({"results": results} if results else {})}
        self.config, self.site = folder / "study.yaml", folder / "site.yaml"
        self.config.write_text(yaml.safe_dump(self.study))
        self.set_site({})
        self.root = folder / self.study["results"] / self.study["study"]
        if begun is not None:
            shutil.copytree(begun, self.root.parent, dirs_exist_ok=True)  # with the times that Snakemake compares
        self.started: list[subprocess.Popen] = []

    def set_site(self, more: dict) -> None:
        self.site.write_text(yaml.safe_dump({**SITE, **more}))

    def local(self, *arguments: str) -> None:
        """Run without Slurm, to the end."""
        done = self._start("--cores", "2", *arguments)
        must(done.wait() == 0, f"the local run failed:\n{self.output()[-3000:]}")

    def head(self, *arguments: str) -> subprocess.Popen:
        """Start the study on the cluster."""
        return self._start("--workflow-profile", str(ROOT / "workflow/profiles/slurm"), "--jobs", "6",
                           "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
                           "--latency-wait", "20", *arguments)  # fmt: skip

    def run(self, *arguments: str) -> int:
        """Run the study on the cluster to its end."""
        return self.head(*arguments).wait()

    def regbench(self, *words: str) -> str:
        command = [BIN / "regbench", *words]
        done = subprocess.run(command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def partial(self) -> str:
        """The table of what there is, as CSV."""
        self.regbench("report", "--partial", str(self.config))
        return (self.root / "partial/partial.csv").read_text()

    def _start(self, *arguments: str) -> subprocess.Popen:
        with (self.folder / f"head{len(self.started) + 1}.log").open("wb") as log:
            head = subprocess.Popen(
                [BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", self.config, *arguments],
                cwd=self.folder, env={**ENVIRONMENT, "REGBENCH_SITE": str(self.site)}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.started.append(head)
        return head

    def end(self) -> None:
        """End what of this folder still runs: heads, and jobs in the queue."""
        for head in self.started:
            if head.poll() is None:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()
        left = [job["JobId"] for job in self.jobs() if job["JobState"] in ("RUNNING", "PENDING", "SUSPENDED")]
        if left:
            slurm("scancel", *left)

    def output(self, head: int | None = None) -> str:
        """What the last head (or the one of this number) said."""
        return (self.folder / f"head{head or len(self.started)}.log").read_text()

    def jobs(self) -> list[dict[str, str]]:
        """Slurm's record of every job of this folder, ended ones too."""
        found = []
        for line in slurm("scontrol", "show", "job", "-o", "-d").splitlines():
            fields = re.findall(r"(?:^| )([A-Za-z/:]+)=((?:[^= ]| (?![A-Za-z/:]+=))*)", line)
            job = {name: value.strip() for name, value in fields}
            if job.get("WorkDir") == str(self.folder):
                found.append(job)
        return found

    def running(self, rule: str) -> list[dict[str, str]]:
        return [
            job for job in self.jobs() if job["JobState"] == "RUNNING" and job["Comment"].startswith(f"rule_{rule}")
        ]

    def wait_for_training(self, seconds: float = 400) -> dict[str, str]:
        """A training job whose training has begun."""

        def begun() -> dict[str, str] | None:
            owners = " ".join(path.read_text() for path in (self.root / "state/training").rglob("*.owner"))
            for job in self.running("train"):
                if f'"job": "{job["JobId"]}"' in owners:
                    time.sleep(5)  # past the start and into the steps
                    return job
            return None

        return wait(seconds, begun, "no training began")

    def tables(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.root / "tables").glob("main*"))
                if path.suffix in (".csv", ".md", ".tex", ".html")}  # fmt: skip

    def runs(self) -> dict[str, bytes]:
        """The weights of every run."""
        found = sorted((self.root / "runs").rglob("checkpoint.pt"))
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}


def wait(seconds: float, ready: Callable, words: str):
    """What `ready` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        must(time.monotonic() < end, words)
        time.sleep(0.5)
    return found


def kill_head(head: subprocess.Popen) -> None:
    os.kill(head.pid, signal.SIGKILL)
    head.wait()
