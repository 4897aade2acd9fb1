"""Slurm: names of a study's jobs, which of them live, how orphans end and pre-empted jobs go back to the queue."""

import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import FrameType

from regbench.system.errors import RegbenchError
from regbench.system.files import digest

LOG = logging.getLogger(__name__)
LONGEST = 50  # of a job name's prefix, in characters: the executor plugin refuses more
ANSWER = 30  # seconds that the controller has for its answer
LISTED = 5  # seconds that a list of this user's jobs serves all who ask for one of them
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PENDING", "PREEMPTED",
    "TIMEOUT",
})  # fmt: skip


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
    ended = jobs(prefix)
    if ended:
        _ask("scancel", "--quiet", *ended)
    return ended


def holder_lives(job: str) -> bool | None:
    """Whether Slurm still has `job` on a node; None if it cannot say."""
    if shutil.which("squeue") is None or (own := _own_jobs(int(time.monotonic() // LISTED))) is None:
        return None
    if job in own:
        return own[job] not in ENDED
    try:
        listed = _ask("squeue", "--noheader", "--format=%T", f"--jobs={job}", "--states=all")
    except RegbenchError as error:
        return False if "Invalid job id" in str(error) else None
    return not set(listed.split()) <= ENDED


@lru_cache(maxsize=1)
def _own_jobs(moment: int) -> Mapping[str, str] | None:
    """State of each of this user's jobs, asked for once a `moment`, for hundreds of questions; None if Slurm is silent.

    Args:
        moment: number of the `LISTED` seconds in which the answer serves.
    """
    try:
        listed = _ask("squeue", "--me", "--noheader", "--format=%A|%T")
    except RegbenchError:
        return None
    return dict(line.split("|", 1) for line in listed.splitlines() if "|" in line)


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


def summary(states_of: Mapping[str, str]) -> str:
    """`2 running, 1 pending`."""
    states: dict[str, int] = {}
    for state in states_of.values():
        states[state.lower()] = states.get(state.lower(), 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items(), reverse=True))
