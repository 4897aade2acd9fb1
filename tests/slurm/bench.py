"""A study on the test cluster, and the same study without one: what the drills start, watch, hurt and compare."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from cluster import slurm

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from drilling import StudyFolder, must, wait
from tiny_study import ROOT, TINY

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


class Bench(StudyFolder):
    """A study on the test cluster."""

    def __init__(self, folder: Path, study: dict, *, begun: Path | None = None, results: str | None = None) -> None:
        super().__init__(folder, study, begun=begun, results=results)
        self.site = folder / "site.yaml"
        self.set_site({})
        self.environment["REGBENCH_SITE"] = str(self.site)

    def set_site(self, more: dict) -> None:
        self.site.write_text(yaml.safe_dump({**SITE, **more}))

    def local(self, *arguments: str) -> None:
        """Run without Slurm, to the end."""
        must(super().head(*arguments).wait() == 0, f"the local run failed:\n{self.output()[-3000:]}")

    def head(self, *arguments: str) -> subprocess.Popen:
        """Start the study on the cluster."""
        return self.start("--workflow-profile", str(ROOT / "workflow/profiles/slurm"), "--jobs", "6",
                          "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
                          "--latency-wait", "20", *arguments)  # fmt: skip

    def run(self, *arguments: str) -> int:
        """Run the study on the cluster to its end."""
        return self.head(*arguments).wait()

    def partial(self) -> str:
        """The table of what there is, as CSV."""
        self.regbench("report", "--partial", str(self.config))
        return (self.root / "partial/partial.csv").read_text()

    def end(self) -> None:
        """End what of this folder still runs: heads, and jobs in the queue."""
        super().end()
        left = [job["JobId"] for job in self.jobs() if job["JobState"] in ("RUNNING", "PENDING", "SUSPENDED")]
        if left:
            slurm("scancel", *left)

    def jobs(self) -> list[dict[str, str]]:
        """Slurm's record of every job of this folder, ended ones too."""
        found = []
        for line in slurm("scontrol", "show", "job", "-o", "-d").splitlines():
            fields = re.findall(r"(?:^| )([A-Za-z/:]+)=((?:[^= ]| (?![A-Za-z/:]+=))*)", line)
            job = {name: value.strip() for name, value in fields}
            if job.get("WorkDir") == str(self.folder):
                found.append(job)
        return found

    def running_jobs(self, rule: str) -> list[dict[str, str]]:
        return [
            job for job in self.jobs() if job["JobState"] == "RUNNING" and job["Comment"].startswith(f"rule_{rule}")
        ]

    def wait_for_training(self, seconds: float = 400) -> dict[str, str]:
        """A training job whose training has begun."""

        def begun() -> dict[str, str] | None:
            owners = " ".join(path.read_text() for path in (self.root / "state/training").rglob("*.owner"))
            for job in self.running_jobs("train"):
                if f'"job": "{job["JobId"]}"' in owners:
                    time.sleep(5)  # past the start and into the steps
                    return job
            return None

        return wait(seconds, begun, "no training began")


def kill_head(head: subprocess.Popen) -> None:
    os.kill(head.pid, signal.SIGKILL)
    head.wait()
