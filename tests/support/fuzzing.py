"""How hostile inputs are drawn: few in the default tests, as many as FUZZ_EXAMPLES says in `make fuzz`."""

import functools
import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

Test = Any  # a function that `given` made, with what hypothesis adds to it
SECONDS = float(os.environ.get("FUZZ_SECONDS", "inf"))
# Of a file: bytes that are changed, and the part of it that is left.
EDITS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8)
CUT = st.one_of(st.just(1.0), st.floats(0, 1))


def fuzz(default: int = 30, *more: Phase) -> Callable[[Test], Test]:
    """Makes a test draw its inputs.

    Args:
        default: examples without FUZZ_EXAMPLES.
        more: phases beside the drawing: files that were found bad are too many to shrink.

    Returns:
        A decorator of what `given` made; with FUZZ_SECONDS, a test (each of its parameters) does no more than that.
    """
    chosen = settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", default)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate, *more],
    )

    def drawing(test: Test) -> Test:
        test.hypothesis.inner_test = _for_a_time(test.hypothesis.inner_test)
        return chosen(test)

    return drawing


def _for_a_time(test: Test) -> Test:
    """The test, which passes at once when its time is over: a slow machine tries all tests, each with fewer inputs."""
    began: dict[str, float] = {}

    @functools.wraps(test)
    def timed(*drawn: Any, **named: Any) -> None:
        start = began.setdefault(os.environ.get("PYTEST_CURRENT_TEST", ""), time.monotonic())
        if time.monotonic() - start < SECONDS:
            test(*drawn, **named)

    return timed


FUZZ = fuzz()


def damaged(content: bytes, edits: list[tuple[int, int]], cut: float, head: int = 400) -> bytes:
    """Bytes changed, most of them in the header, and the end cut off."""
    left = bytearray(content[: int(len(content) * cut)])
    for number, (place, value) in enumerate(edits):
        if left:
            left[place % (min(head, len(left)) if number % 4 else len(left))] = value
    return bytes(left)
