"""A training's own log, for whoever looks on: its curve so far, and what it takes of the machine.

One line of JSON at a time is appended while the training runs, and nothing waits for it: no flush to disk, a disk that
is full costs a warning. The first line says which training it is. A training that is taken up again goes on in it.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import psutil
from pydantic import JsonValue

from regbench.system.errors import RegbenchError
from regbench.system.files import HISTORY, LIVE, digest, write_text
from regbench.system.parquet import read_attributes
from regbench.system.provenance import Environment

LOG = logging.getLogger(__name__)
POINTS = 1000  # of a curve at most: enough for a plot of any width
FIRST, SHARE = 5.0, 1 / 200  # seconds between two lines: the first, or this share of the time since the start
MIB = 1 << 20


Line = dict[str, Any]  # JSON: the step reached, the time, the curve since the line before, the state of the process


class LogHeader(TypedDict):
    """The first line: which training it is, and where it runs."""

    training: str  # digest of its spec and data
    lam: float | None
    seed: int
    steps: int
    terms: list[str]
    data_sha256: str
    environment: Environment
    started: NotRequired[float]  # seconds since 1970; added when the file is begun


def stride(steps: int, points: int = POINTS) -> int:
    """Every how many steps a curve has a point, the first step included: fixed by the steps that are planned, so that
    the points of half a training are among those of the whole."""
    return max(-(-steps // points), 1)


def training_digest(spec: Mapping[str, JsonValue], data_sha256: str) -> str:
    """Digest that links a log to its training, by the JSON of its spec (`run.json` holds it as `job`)."""
    return digest([dict(spec), data_sha256])


class LogWriter:
    """Writes the file of one training."""

    def __init__(self, path: Path, header: LogHeader, *, step: int = 0, points: int = POINTS) -> None:
        """Begin the file, or go on in it where it is of this very training.

        Args:
            path: of the file.
            header: which training it is; ``training`` (a digest of it), ``steps`` and ``terms`` must be in it, and
                ``started`` is added.
            step: that the training goes on from; what the file has of later ones is dropped.
            points: of a curve at most.
        """
        self.path, self.terms = path, tuple(header["terms"])
        self.stride, self.written, self.broken = stride(header["steps"], points), 0, False
        self.pending: dict[str, list[Any]] = {name: [] for name in ("step", *self.terms)}
        self.process = psutil.Process()
        self.process.cpu_percent()  # the first answer is always 0: from here on it is counted
        self.began = self.wrote = time.monotonic()
        earlier = read(path) if step else None
        lines: list[Line] = [{**header, "started": time.time()}]
        if earlier is not None and earlier.header["training"] == header["training"]:
            lines = [{**earlier.header}, *(_until(line, step) for line in earlier.lines)]
            self.written = max((min(line["at"], step) for line in earlier.lines), default=0)
        try:
            write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines))
        except RegbenchError as error:
            self._warn(error)

    def add(self, step: int, values: Sequence[Sequence[float]]) -> None:
        """The terms of the steps that end with `step`; those that were added before are skipped."""
        for number, row in enumerate(values, step - len(values) + 1):
            if number > self.written and (number - 1) % self.stride == 0:
                for name, value in zip(("step", *self.terms), (number, *row), strict=True):
                    self.pending[name].append(value)
        self.written = max(self.written, step)

    def due(self) -> bool:
        """Whether the next line should be written."""
        now = time.monotonic()
        return now - self.wrote > max(FIRST, SHARE * (now - self.began))

    def write(self, gpu_mib: float | None = None) -> None:
        """Append what was added, and the state of the process.

        Args:
            gpu_mib: memory held on the GPU; None where there is none.
        """
        line = {
            "time": time.time(),
            "at": self.written,
            "rss_mib": self.process.memory_info().rss / MIB,
            "cpu_percent": self.process.cpu_percent(),
            **({} if gpu_mib is None else {"gpu_mib": gpu_mib}),
            **self.pending,
        }
        self.wrote, self.pending = time.monotonic(), {name: [] for name in self.pending}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line)}\n")
        except OSError as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self.broken:
            LOG.warning("`%s` cannot be written (%s); the training goes on without it", self.path, error)
        self.broken = True


class Log:
    """What a file holds: which training, and its lines."""

    def __init__(self, header: LogHeader, lines: list[Line]) -> None:
        self.header, self.lines = header, lines

    @property
    def curve(self) -> dict[str, list[Any]]:
        """Step, and the value of each term."""
        names = ("step", *self.header["terms"])
        return {name: [value for line in self.lines for value in line[name]] for name in names}


def head(path: Path) -> LogHeader | None:
    """Which training a file is of; None where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return head_of(file.readline())
    except OSError:
        return None


def head_of(text: str) -> LogHeader | None:
    """The same of what a file says, or of its first line."""
    try:
        header = json.loads(text.partition("\n")[0])
    except ValueError:
        return None
    whole = isinstance(header, dict) and {"training", "started", "terms", "steps"} <= set(header)
    return header if whole else None


def read(path: Path) -> Log | None:
    """The file as far as it is whole: the last line of a killed training may be torn. None where there is none."""
    try:
        return parsed(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def parsed(text: str) -> Log | None:
    """The same of what a file says."""
    first = head_of(text)
    if first is None:
        return None
    entries = []
    for line in text.splitlines()[1:]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    names = {"step", "at", "time", *first["terms"]}
    return Log(first, [line for line in entries if names <= set(line)])


def _until(line: Line, step: int) -> Line:
    """A line without the points of steps after `step`; what it says of the machine stays true."""
    count = sum(number <= step for number in line["step"])
    return {name: value[:count] if isinstance(value, list) else value for name, value in line.items()}


def run_log(folder: Path) -> str:
    """The log of a final training as text, while it grows and afterwards; empty if there is none."""
    try:
        return (folder / LIVE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass
    path = folder / HISTORY
    return read_attributes(path).get(LIVE, "") if path.exists() else ""
