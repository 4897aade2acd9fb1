"""One process owns a state folder, on whichever host: an orphan and the job that was sent after it never both write.

`flock` frees itself when its holder dies and excludes on one host, and between hosts where NFS passes locks on. Where
it does not, the record in the file decides: host, process and Slurm job of the holder, and a count that the holder
raises every `BEAT` seconds. A holder elsewhere is dead when Slurm says that its job is over, or when the count has
stood still for `STALE` seconds of this process's own clock (no two hosts' clocks are compared).

`owned` and `owning` take a folder; `alive` only looks.
"""

import atexit
import errno
import fcntl
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypedDict

from regbench.system.errors import RegbenchError
from regbench.system.slurm import holder_lives

LOG = logging.getLogger(__name__)
BEAT = 20.0
STALE = 90.0
POLL = 2.0
LENGTH = 512  # bytes of the record, so that a new one covers the old one in one write
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # file systems without flock
State = Literal["alive", "dead", "unknown"]


class Watch:
    """A holder on another host, whom this host's kernel cannot speak for, from one look at its record to the next."""

    def __init__(self) -> None:
        self.text, self.since = "", 0.0  # the record at the last look, and since when it has stood still

    def look(self, text: str, job: str) -> State:
        """What the record says now.

        Args:
            text: the record as it stands in the file.
            job: the holder's Slurm job; empty where it has none, or the same one as this process.
        """
        now, first = time.monotonic(), not self.text
        if text != self.text:
            self.text, self.since = text, now
            if not first:
                return "alive"
        if job and holder_lives(job) is False:
            return "dead"
        return "dead" if now - self.since >= STALE else "unknown"


class Holder(TypedDict):
    """What the file of an owner says of its process."""

    host: str
    pid: int
    job: str  # of Slurm; empty outside of it
    beat: int


class Owner:
    """What holds `path` from `take` to `release`."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.descriptor = -1
        self.record: Holder = {
            "host": platform.node(),
            "pid": os.getpid(),
            "job": _own_job(),
            "beat": 0,
        }
        self.over = threading.Event()
        self.watch = Watch()

    def take(self, *, wait: bool) -> bool:
        """Become the owner; whether another one had to end first.

        Raises:
            RegbenchError: if another one lives and we are not to `wait` (says which), or the folder is not writable.
        """
        waited = False
        while (other := self._try()) is not None:
            state, holder = other
            if state == "alive" and not wait:
                raise RegbenchError(f"{self.what} is being run by {holder}. Wait until it ends, or stop it.")
            if not waited:
                LOG.warning("%s may still be run by %s; waiting for its end", self.what, holder)
            waited = True
            time.sleep(POLL)
        self._write()
        threading.Thread(target=self._beat, daemon=True, name="owner").start()
        return waited

    def release(self) -> None:
        """Make room for the next one. The file goes while it is still locked, so that nobody locks a dead one."""
        self.over.set()
        if self.descriptor >= 0:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            os.close(self.descriptor)
            self.descriptor = -1

    def _try(self) -> tuple[State, str] | None:
        """None once the file is ours; else whether its holder is `alive` or `unknown`, and who it is."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RegbenchError(
                f"`{self.path}` must be writable, but got: {error.strerror}. {run_by(self.path)}"
                "Change `results` in the config, or permissions."
            ) from error
        locks = True
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._leave("alive")
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            locks = False
        if not self._same_file():
            return self._leave("unknown")
        text = self._read()
        record = _parse(text)
        if record is None or (locks and record["host"] == self.record["host"]):
            return None
        state = self.watch.look(text, _other_job(record))
        return None if state == "dead" else self._leave(state)

    def _leave(self, state: State) -> tuple[State, str]:
        holder = _parse(self._read())
        os.close(self.descriptor)
        self.descriptor = -1
        if holder is None:
            return state, "another process"
        job = f" (Slurm job {holder['job']})" if holder["job"] else ""
        return state, f"process {holder['pid']} on {holder['host']}{job}"

    def _same_file(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except OSError:
            return False

    def _read(self) -> str:
        return os.pread(self.descriptor, LENGTH, 0).decode(errors="replace")

    def _write(self) -> None:
        os.pwrite(self.descriptor, json.dumps(self.record).ljust(LENGTH).encode(), 0)  # never shorter for a moment
        os.fsync(self.descriptor)

    def _beat(self) -> None:
        while not self.over.wait(BEAT):
            self.record["beat"] += 1
            with suppress(OSError):  # a full disk must not end the work; the lock itself holds
                self._write()


def _parse(text: str) -> Holder | None:
    """The record; None where a holder left, or died before it had written one."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or "host" not in record or not isinstance(record.get("pid"), int):
        return None
    return Holder(
        host=str(record["host"]), pid=record["pid"], job=str(record.get("job") or ""), beat=record.get("beat", 0)
    )


def _own_job() -> str:
    return os.environ.get("SLURM_JOB_ID", "")


def _other_job(record: Holder) -> str:
    """The Slurm job of a holder, if it is another one than ours: a requeued job must not take itself for dead."""
    return "" if record["job"] == _own_job() else record["job"]


WATCHED: dict[Path, Watch] = {}  # what `alive` has seen of holders on other hosts


def alive(path: Path) -> bool:
    """Whether somebody owns `path`, by the record in the file; takes no lock, so it disturbs nobody.

    On this host the kernel knows the process. Elsewhere the rule is that of an owner: a holder is dead when Slurm says
    so, or when its count stood still for `STALE` seconds between looks of this process. Before that it counts as alive:
    whoever ends in peace takes the file along.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    record = _parse(text)
    if record is None or record["host"] == platform.node():
        WATCHED.pop(path, None)
        return record is not None and process_lives(record["pid"])
    return WATCHED.setdefault(path, Watch()).look(text, _other_job(record)) != "dead"


def process_lives(pid: int) -> bool:
    """Whether a process of this host lives, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def run_by(path: Path) -> str:
    """Who holds `path`, for one who may not write there: a sentence, or nothing where it is free or hidden."""
    try:
        record, user = _parse(path.read_text(encoding="utf-8")), path.owner()
    except (OSError, KeyError, ValueError):
        return ""
    return f"User {user} runs it: process {record['pid']} on {record['host']}. " if record else ""


@contextmanager
def owning(path: Path, what: str) -> Iterator[bool]:
    """Own `path` for the block; wait for an owner that lives. Yields whether there was one."""
    owner = Owner(path, what)
    waited = owner.take(wait=True)
    try:
        yield waited
    finally:
        owner.release()


def owned(path: Path, what: str) -> Owner:
    """Own `path` until this process ends.

    Raises:
        RegbenchError: if another process owns it (says which), or the folder is not writable.
    """
    owner = Owner(path, what)
    owner.take(wait=False)
    atexit.register(owner.release)
    return owner
