"""What drills have in common: a folder with a study, its head and its jobs as processes, and what must come of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from tiny_study import ROOT

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # else a server that is down is waited for, 4 minutes an attempt
}


class FailedDrillError(Exception):
    """A drill did not end as it must."""


class SkippedDrillError(Exception):
    """This machine lacks what a drill needs."""


def must(holds: object, words: str) -> None:
    if not holds:
        raise FailedDrillError(words)


def say(words: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {words}", flush=True)


def wait(seconds: float, ready: Callable, words: str, every: float = 0.5):
    """What `ready` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        must(time.monotonic() < end, words)
        time.sleep(every)
    return answer


class StudyFolder:
    """A folder with a study; its results may be begun already (`begun`: copied from there)."""

    def __init__(
        self, folder: Path, study: Mapping[str, Any], *, begun: Path | None = None, results: str | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.study = {**study, **({"results": results} if results else {})}
        self.config = folder / "study.yaml"
        self.config.write_text(yaml.safe_dump(self.study))
        self.root = folder / self.study["results"] / self.study["study"]
        if begun is not None:
            shutil.copytree(begun, self.root.parent, dirs_exist_ok=True)  # with the times that Snakemake compares
        self.started: list[subprocess.Popen] = []
        self.environment = dict(ENVIRONMENT)

    def head(self, *arguments: str) -> subprocess.Popen:
        """Start the study here, on two cores."""
        return self.start("--cores", "2", *arguments)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake over the study."""
        with (self.folder / f"head{len(self.started) + 1}.log").open("wb") as log:
            head = subprocess.Popen(
                [BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", self.config, *arguments],
                cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.started.append(head)
        return head

    def finish(self) -> None:
        """The command that goes on from whatever happened, to the end."""
        must(self.head().wait() == 0, f"the same command must finish the study, but: {self.output()[-3000:]}")

    def regbench(self, *words: str) -> str:
        """What a verb prints, errors included."""
        done = self.verb(*words)
        return done.stdout + done.stderr

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A verb, run to its end."""
        return subprocess.run(
            [BIN / "regbench", *words], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    def running(self, verb: str) -> list[int]:
        """Processes of a verb in this folder, its follower apart."""
        return [
            pid for pid, words in processes(self.folder)
            if any(word.endswith("/regbench") and after == verb for word, after in pairwise(words))
            and "--follow" not in words and "python" in words[0]
        ]  # fmt: skip

    def end(self) -> None:
        """End what of this folder still runs."""
        for head in self.started:
            if head.poll() is None:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()
        for pid, _ in processes(self.folder):  # followers have a session of their own
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)

    def output(self, head: int | None = None) -> str:
        """What the last head (or the one of this number) said."""
        return (self.folder / f"head{head or len(self.started)}.log").read_text()

    def tables(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.root / "tables").glob("main*"))
                if path.suffix in (".csv", ".md", ".tex", ".html")}  # fmt: skip

    def runs(self) -> dict[str, bytes]:
        """The weights of every run."""
        paths = sorted((self.root / "runs").rglob("checkpoint.pt"))
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


def processes(folder: Path) -> list[tuple[int, list[str]]]:
    """Process ids and command lines of what runs in a folder."""
    known = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                known.append((int(entry.name), (entry / "cmdline").read_text(errors="replace").split("\0")))
        except OSError:  # ended meanwhile, or of another user
            continue
    return known


def same(bench: StudyFolder, reference: StudyFolder) -> str:
    """Tables and weights are those of the undisturbed study, to the byte; nothing half written is left."""
    for name, ours, theirs in (
        ("tables", bench.tables(), reference.tables()),
        ("weights", bench.runs(), reference.runs()),
    ):
        must(theirs and ours.keys() == theirs.keys(), f"{name}: {sorted(ours)} instead of {sorted(theirs)}")
        differing = [key for key in theirs if ours[key] != theirs[key]]
        must(not differing, f"{name} differ from the undisturbed run: {differing}")
    left = [path for path in bench.root.rglob("*") if path.suffix == ".owner" or path.name.startswith(".")]
    must(not left, f"files were left behind: {left}")
    return f"same {len(reference.tables())} tables and {len(reference.runs())} checkpoints, byte for byte"
