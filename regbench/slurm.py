"""Slurm: how jobs of a study are called, what they ask for, how orphans are ended and pre-empted jobs go back."""

import logging
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regbench.config import read_yaml
from regbench.errors import RegbenchError, UsageError
from regbench.files import digest

LOG = logging.getLogger(__name__)
LONGEST = 50  # of a job name's prefix, in characters: the executor plugin refuses more
ANSWER = 30  # seconds that the controller has for its answer

# The rules whose work is done on the GPU, where the study uses one.
ON_GPU = ("trial", "train", "cell", "untrained", "evaluate", "runtime")
# What the first attempt of a job asks for: MB and minutes. Attempt n asks for n times as much.
FIRST = {
    "prepare": (4000, 60), "propose": (2000, 10), "trial": (8000, 720), "select": (1000, 10), "train": (8000, 1440),
    "cell": (8000, 1440), "untrained": (8000, 720), "evaluate": (8000, 240), "runtime": (8000, 240),
    "analyze": (4000, 30), "report": (4000, 30), "track": (4000, 60),
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Strict):
    """Where jobs go; what is left out is not asked for, and the cluster's default holds."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    extra: str = ""


class Needs(_Strict):
    """What a rule, or every job of a dataset, asks for at its first attempt; left out: as it stands."""

    mem_mb: int | None = Field(default=None, gt=0)
    runtime: int | None = Field(default=None, gt=0)
    gpu: int | None = Field(default=None, ge=0)
    gpu_model: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.]+$")


class Site(_Strict):
    """The file of a user about the cluster."""

    cpu: Place = Place()
    gpu: Place = Place()
    rules: dict[str, Needs] = {}
    datasets: dict[str, Needs] = {}


def read_site(path: Path) -> Site:
    """The site file.

    Raises:
        UsageError: if it is unreadable or says what does not exist; every mistake at once.
    """
    raw = read_yaml(path)
    try:
        site = Site.model_validate(raw)
    except ValidationError as error:
        wrong = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise UsageError(f"`{path}` must describe the cluster, but got: {'; '.join(wrong)}.") from None
    if unknown := sorted(set(site.rules) - set(FIRST)):
        raise UsageError(f"rules of `{path}` must be {', '.join(FIRST)}, but got {', '.join(unknown)}.")
    return site


def resources(path: Path) -> dict[str, dict[str, str]]:
    """Snakemake's `set-resources` of every rule: expressions of the attempt and of the job's dataset."""
    site = read_site(path)
    return {rule: _resources(rule, site) for rule in FIRST}


def _resources(rule: str, site: Site) -> dict[str, str]:
    place = site.gpu if rule in ON_GPU else site.cpu
    mine = site.rules.get(rule, Needs())
    told = {
        name: value
        for name, value in (
            ("slurm_partition", place.partition), ("slurm_account", place.account),
            ("qos", place.qos), ("constraint", place.constraint),
        )
        if value is not None
    }  # fmt: skip
    # A measurement shares its node with nothing, whoever's it is.
    extra = " ".join(word for word in (place.extra, "--exclusive" if rule == "runtime" else "") if word)
    if extra:
        told["slurm_extra"] = extra
    found = {name: repr(value) for name, value in told.items()}
    for name, first in zip(("mem_mb", "runtime"), FIRST[rule], strict=True):
        found[name] = f"{_by_dataset(rule, site, name, getattr(mine, name) or first)} * attempt"
    if rule in ON_GPU:
        for name, otherwise in (("gpu", 1), ("gpu_model", "")):
            if any(getattr(needs, name) is not None for needs in (mine, *site.datasets.values())):
                told_here = getattr(mine, name)
                found[name] = _by_dataset(rule, site, name, otherwise if told_here is None else told_here)
    return found


def _by_dataset(rule: str, site: Site, name: str, otherwise: int | str) -> str:
    values = {dataset: value for dataset, needs in site.datasets.items() if (value := getattr(needs, name)) is not None}
    if not values or rule in ("analyze", "report", "track"):
        return repr(otherwise)
    return f"{values!r}.get(wildcards.dataset, {otherwise!r})"


def job_prefix(study: str, root: Path) -> str:
    """How the names of the jobs of the study in folder `root` begin: of this folder only, whoever runs it."""
    here = digest(str(root.absolute().resolve()))[:8]
    return f"regbench-{re.sub('[^A-Za-z0-9-]', '-', study)[: LONGEST - 18]}-{here}"


def jobs(prefix: str) -> dict[str, str]:
    """This user's jobs of `prefix` that wait or run: job id to state; none where there is no Slurm.

    Raises:
        RegbenchError: if Slurm is there and does not answer.
    """
    if shutil.which("squeue") is None:
        return {}
    listed = _ask("squeue", "--me", "--noheader", "--format=%i|%T|%j")
    fields = (line.split("|", 2) for line in listed.splitlines())
    return {job: state for job, state, name in fields if name.startswith(f"{prefix}_")}


def cancel(prefix: str) -> Mapping[str, str]:
    """End this user's jobs of `prefix`; a training that runs gets SIGTERM and keeps its state.

    Returns:
        The jobs, with the state that each was in.
    """
    found = jobs(prefix)
    if found:
        _ask("scancel", "--quiet", *found)
    return found


def holder_lives(job: str) -> bool | None:
    """Whether Slurm still has `job` on a node; None if it cannot say."""
    if shutil.which("squeue") is None:
        return None
    try:
        listed = _ask("squeue", "--noheader", "--format=%T", f"--jobs={job}", "--states=all")
    except RegbenchError as error:
        return False if "Invalid job id" in str(error) else None
    ended = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PENDING",
             "PREEMPTED", "TIMEOUT"}  # fmt: skip
    return not set(listed.split()) <= ended


def go_back_when_preempted() -> None:
    """From now on, SIGTERM puts a job that Slurm pre-empts back into the queue before it ends this process."""
    if "SLURM_JOB_ID" in os.environ and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    requeue_preempted()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def requeue_preempted() -> bool:
    """Put this process's job back into the queue if Slurm is pre-empting it; whether it was put there.

    Slurm does so itself with a job that it has to kill after the grace time. One that ends within it has failed in
    Slurm's eyes, and would cost an attempt; one that waits to be killed would hold up the job that needs the node. A
    job that was cancelled or has come to its time limit gets the same SIGTERM, but is no longer RUNNING in the record.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    if not job or shutil.which("scontrol") is None:
        return False
    try:
        record = dict(re.findall(r"(\w+)=(\S*)", _ask("scontrol", "show", "job", "--oneliner", job)))
        told = record.get("PreemptTime", "None")
        now = told[:1].isdigit() and told >= record.get("StartTime", "")  # not that of an earlier start
        if not (now and record.get("JobState") == "RUNNING" and record.get("Requeue") == "1"):
            return False
        _ask("scontrol", "requeue", job)
    except RegbenchError as error:
        LOG.warning("the pre-empted job %s could not be put back into the queue: %s", job, error)
        return False
    LOG.info("Slurm pre-empts job %s, which goes back into the queue", job)
    return True


def _ask(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER, check=False)
    except subprocess.TimeoutExpired:
        raise RegbenchError(f"`{words[0]}` must answer in {ANSWER} s, but did not. Is Slurm's controller up?") from None
    if done.returncode:
        raise RegbenchError(f"`{words[0]}` must work, but got: {' '.join(done.stderr.split())}. Is Slurm up?")
    return done.stdout


def summary(found: Mapping[str, str]) -> str:
    """`2 running, 1 pending`."""
    states: dict[str, Any] = {}
    for state in found.values():
        states[state.lower()] = states.get(state.lower(), 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items(), reverse=True))
