"""Pushing a study while it runs, from a process that no training knows of."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regbench.orchestration import progress
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.ownership import process_lives
from regbench.tracking import mlflow_views
from regbench.tracking.push import KINDS, Changes, Sink, describe
from regbench.tracking.records import study_items
from regbench.tracking.store import UnreachableError, finished, opened, track

LOG = logging.getLogger(__name__)
LONGEST = 300.0  # seconds between two tries while the store does not answer
LOOK = 1.0  # seconds between two looks at the head
OFTEN, SHARE, SELDOM = 10.0, 0.02, 30.0  # seconds between two sweeps: at least; of a core that they take; at most


def follow(study: Study, *, interval: float | None = None, head: int | None = None) -> Changes:
    """Push what changes until the study is finished, SIGTERM comes or the head is gone; then once more, all of it.

    The last push is left to the workflow's own, where that has come meanwhile: nothing changes after it.

    Args:
        study: to push.
        interval: seconds between two looks at the files; None: ten, and up to thirty where looking takes more than two
            per cent of a core, which on a small machine is missing where it trains.
        head: process that runs the study. With it, only its end or SIGTERM ends the following: files of an earlier
            analysis may lie there.

    Returns:
        What the last push changed; nothing where it was the workflow's.

    Raises:
        UnreachableError: if the store does not answer at the end; `track` catches up later.
    """
    before = _version(study.layout.tracked)
    with _stop_on_signal() as stop:
        _sweep_until(stop, study, interval, head)
    if head is not None and _version(study.layout.tracked) not in (None, before):
        LOG.info("`%s` is of this run: all is pushed", study.layout.tracked)
        return {kind: {} for kind in KINDS}
    return track(study)


def _version(path: Path) -> tuple[int, int] | None:
    """Of a file that is replaced whole; None without it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _sweep_until(stop: threading.Event, study: Study, interval: float | None, head: int | None) -> None:
    sink: Sink | None = None
    failed_since, pause, warned = 0.0, interval or OFTEN, ""
    while True:
        began, first = time.process_time(), sink is None
        try:
            with opened(study, sink) as sink:
                done = sink.push(study_items(study), full=not sink.seen)
                mlflow_views.publish(sink.client, sink.experiment, study, sink.ids)
            if failed_since:
                LOG.warning("MLflow is back after %.0f s; nothing was lost", time.monotonic() - failed_since)
            failed_since, pause = 0.0, interval or (OFTEN if first else _rest(time.process_time() - began))
            if any(keys for kind, keys in done.items() if kind != "kept"):
                LOG.info("%s", describe(done).partition("\n")[0])
        except UnreachableError as error:
            sink = None  # whatever comes back may be another store: look at every run again
            if not failed_since:  # once for each outage
                LOG.warning(
                    "%s Meanwhile the study goes on, and this tries again.", str(error).partition(". ")[0] + "."
                )
                failed_since = time.monotonic()
            pause = min(2 * pause, LONGEST)
        except RegbenchError as error:
            if str(error) != warned:  # a file that is just being written anew, or a run that the store refuses
                LOG.warning("%s", error)
            warned = str(error)
        if _wait(stop, pause, lambda: head is not None and not process_lives(head)) or (head is None and _done(study)):
            return


def _rest(cpu: float) -> float:
    """Seconds to wait after a sweep that took so many of CPU."""
    return min(max(cpu / SHARE, OFTEN), SELDOM)


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Set by SIGTERM or Ctrl-C: the push that runs is finished first. The last push may be ended by either."""
    stop = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _wait(stop: threading.Event, seconds: float, over: Callable[[], bool]) -> bool:
    """Wait; whether to end."""
    until = time.monotonic() + seconds
    while not stop.is_set() and not over():
        left = until - time.monotonic()
        if left <= 0:
            return False
        stop.wait(min(left, LOOK))
    return True


def _done(study: Study) -> bool:
    return finished(study) and all(cell.state == "done" for cell in progress.progress(study).cells)
