"""Work on several threads whose results come in order, a few at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, *, held: int | None = None
) -> Iterator[Result]:
    """``map(work, items)``, on `threads` threads.

    Args:
        work: done for each item.
        items: in the order of the results.
        threads: 1 for none but the caller's.
        held: items that may have begun while the caller still has what came of the first of them; default: as many as
            threads, for large results.
    """
    if threads == 1:
        yield from map(work, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(work, item) for item in islice(rest, held or threads))
        try:
            while waiting:
                done = [waiting.popleft().result()]
                yield done.pop()  # nothing here holds on to it
                waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
        finally:
            for future in waiting:
                future.cancel()
