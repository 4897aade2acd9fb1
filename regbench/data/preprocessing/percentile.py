"""Percentiles of a volume without sorting or copying it; that was a third of the time of preparing one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regbench.data.subject import slabs

LARGE = 2**20  # values below which a copy costs less than looking
SAMPLE = 2**15  # values that say where to look
SLACK = 6  # standard deviations of a rank estimated from the sample, on both sides


def percentiles(values: NDArray[np.float32], shares: Sequence[float]) -> list[float]:
    """`numpy.percentile` (linear between ranks), the same to the bit.

    Of a large volume, a sample brackets the two ranks of each; one pass counts what is below and takes what is inside.

    Args:
        values: finite float32, any shape, at least one.
        shares: each 0 to 100.
    """
    if values.size < LARGE:
        return [float(each) for each in np.percentile(values, shares)]
    return [_percentile(values, share) for share in shares]


def _percentile(values: NDArray[np.float32], share: float) -> float:
    place = (values.size - 1) * (share / 100)
    first = int(place)
    ranks = _ranks(values, first, min(first + 1, values.size - 1), share / 100)
    if ranks is None:
        return float(np.percentile(values, [share])[0])
    low, high = ranks
    step, part = float(high - low), place - first  # numpy rounds the step to the type of the values, and no more
    return float(high) - step * (1 - part) if part >= 0.5 else float(low) + step * part


def _ranks(values: NDArray[np.float32], first: int, second: int, share: float) -> tuple[np.float32, np.float32] | None:
    """The values of two neighbouring ranks; None if the sample misled."""
    flat = values.reshape(-1) if values.flags.c_contiguous else values.T.reshape(-1)
    sample = np.sort(flat[:: max(flat.size // SAMPLE, 1)])
    margin = SLACK * np.sqrt(share * (1 - share) * sample.size) + 2
    middle = share * (sample.size - 1)
    low = sample[max(int(middle - margin), 0)] if middle > margin else flat.dtype.type(-np.inf)
    high = sample[int(middle + margin)] if middle + margin < sample.size - 1 else flat.dtype.type(np.inf)
    below = at_low = at_high = 0
    inside = []
    for part in slabs(flat):
        below += int(np.count_nonzero(part < low))
        at_low += int(np.count_nonzero(part == low))
        at_high += int(np.count_nonzero(part == high))
        inside.append(part[(part > low) & (part < high)])
    between = np.sort(np.concatenate(inside))
    if low == high:
        at_high = 0
    at = []
    for rank in (first, second):
        place = rank - below
        if not 0 <= place < at_low + between.size + at_high:
            return None
        at.append(low if place < at_low else high if place - at_low >= between.size else between[place - at_low])
    return at[0], at[1]
