"""What a job took: said in the last line of its log, and what its stages took in lines before; read from there."""

import logging
import os
import re
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from regbench.system import gpu_usage

LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
STAGE = re.compile(r"clock: (\w+) ([\d.]+) s, ([\d.]+) s of CPU$", re.MULTILINE)
LINE = re.compile(r"took ([\d.]+) s, [\d.]+ s of CPU, at most \d+ MiB(?:, GPU ([\d.]+) % busy)?$")
LAST = 4096  # bytes of a log that are looked at


def took(seconds: float) -> str:
    """The line: wall time as given, CPU time with that of child processes, memory of the largest process.

    And of a job that holds a GPU the share of the time that this was busy, as far as the driver says it.
    """
    mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(each.ru_utime + each.ru_stime for each in (mine, children))
    peak = max(_peak() or mine.ru_maxrss, children.ru_maxrss) // (2**20 if sys.platform == "darwin" else 2**10)
    busy = gpu_usage.busy_percent()
    return f"took {seconds:.1f} s, {cpu:.1f} s of CPU, at most {peak} MiB" + (
        "" if busy is None else f", GPU {busy:.1f} % busy"
    )


def status_kib(process: Path, name: str) -> float:
    """A size in KiB that Linux tells of a process (``/proc/<pid>``), ``VmHWM`` say; 0 where it does not.

    Raises:
        OSError: if there is no such process or no such folder.
    """
    match = re.search(rf"{name}:\s+(\d+) kB", (process / "status").read_text())
    return float(match[1]) if match else 0.0


def _peak() -> int:
    """KiB that this program had at most (Linux; else 0); `getrusage` counts what forked it too."""
    try:
        return int(status_kib(Path("/proc/self"), "VmHWM"))
    except OSError:
        return 0


@contextmanager
def clocked(stage: str) -> Iterator[None]:
    """Say in the log what the block took. Times stand in no file of results: those are the same in each repetition."""
    began, cpu = time.monotonic(), time.process_time()
    yield
    _say(stage, time.monotonic() - began, time.process_time() - cpu)


def clocked_items(stage: str, items: Iterable[Item]) -> Iterator[Item]:
    """The same items; say at the end what it took to make them, without what was done with them."""
    seconds = cpu_seconds = 0.0
    began, cpu = time.monotonic(), time.process_time()
    for item in items:
        seconds, cpu_seconds = seconds + time.monotonic() - began, cpu_seconds + time.process_time() - cpu
        yield item
        began, cpu = time.monotonic(), time.process_time()
    _say(stage, seconds, cpu_seconds)


def _say(stage: str, seconds: float, cpu: float) -> None:
    LOG.info("clock: %s %.3f s, %.3f s of CPU", stage, seconds, cpu)


def stages_in(log: Path) -> dict[str, tuple[float, float]]:
    """Stage to seconds, by the clock and of CPU, summed over all that a log says; empty where there is none."""
    stages: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    for stage, seconds, cpu in STAGE.findall(text):
        stages[stage] = (stages[stage][0] + float(seconds), stages[stage][1] + float(cpu))
    return dict(stages)


def seconds_in(log: Path) -> float | None:
    """Wall time of a finished job; None where its log does not say it."""
    lines = last_lines(log)
    match = LINE.search(lines[-1]) if lines else None
    return float(match[1]) if match else None


def busy_in(log: Path) -> float | None:
    """Percent of its time that the GPU of a finished job was busy; None where its log does not say it."""
    lines = last_lines(log)
    match = LINE.search(lines[-1]) if lines else None
    return float(match[2]) if match and match[2] else None


def last_lines(log: Path) -> list[str]:
    """The lines at the end of a log that say something; none where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - LAST, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
