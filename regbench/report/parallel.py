"""Independent pieces of a report on several cores: drawing is most of the work, and no figure waits for another."""

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

_PIECES: list[Callable[[], Any]] = []


def in_parallel(pieces: Sequence[Callable[[], Any]], processes: int) -> list[Any]:
    """Run the pieces; their results in the same order.

    On Linux each process is a copy of this one, which has loaded and read everything. Elsewhere one after the other.

    Args:
        pieces: functions without arguments; what they return must be picklable.
        processes: at most this many at once; with one, nothing is started.
    """
    if processes == 1 or sys.platform != "linux":
        return [piece() for piece in pieces]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, _inherit, (list(pieces),)) as pool:
        return list(pool.map(_do, range(len(pieces))))


def _inherit(pieces: list[Callable[[], Any]]) -> None:
    _PIECES[:] = pieces


def _do(number: int) -> Any:
    return _PIECES[number]()
