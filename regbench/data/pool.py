"""Work on several threads whose results come in order, a few at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """``map(work, items)``, on `threads` threads; no more than that many results exist before they are asked for."""
    if threads == 1:
        yield from map(work, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(work, item) for item in islice(rest, threads))
        try:
            while waiting:
                done = [waiting.popleft().result()]
                waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
                yield done.pop()  # nothing here holds on to it
        finally:
            for future in waiting:
                future.cancel()
