"""How hostile inputs are drawn: few in the default tests, as many as FUZZ_EXAMPLES says in `make fuzz`."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

# Of a file: bytes that are changed, and the part of it that is left.
EDITS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8)
CUT = st.one_of(st.just(1.0), st.floats(0, 1))


def fuzz(default: int = 30, *more: Phase) -> settings:
    """Settings of a test that draws its inputs.

    Args:
        default: examples without FUZZ_EXAMPLES.
        more: phases beside the drawing: files that were found bad are too many to shrink.
    """
    return settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", default)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate, *more],
    )


FUZZ = fuzz()


def damaged(content: bytes, edits: list[tuple[int, int]], cut: float, head: int = 400) -> bytes:
    """Bytes changed, most of them in the header, and the end cut off."""
    left = bytearray(content[: int(len(content) * cut)])
    for number, (place, value) in enumerate(edits):
        if left:
            left[place % (min(head, len(left)) if number % 4 else len(left))] = value
    return bytes(left)
