"""Values of a file as labels: integers, which a format or a program may have moved off by rounding."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regbench.data.subject import slabs
from regbench.system.errors import RegbenchError

LEAST = 1e-3  # what programs that calculate in single precision leave beside an integer
MOST = 0.25  # half of a step from which on a stored value no longer tells which integer was meant
ROUNDED = "labels that rounding moved off integers (scl_slope, or a float type) were rounded back"


class Labels(NamedTuple):
    """Integers, and whether they were rounded."""

    values: NDArray[Any]
    rounded: bool


def whole_numbers(values: NDArray[Any], where: str, step: float = 0.0) -> Labels:
    """Labels as integers: as they are where they have up to four bytes, which takes no memory, else as int32.

    Args:
        values: as read.
        where: file, or file and array, for messages.
        step: between two values that the file can store, where it stores scaled integers.

    Raises:
        RegbenchError: if a value is no integer from 0 to 2**31 - 1 within rounding; names `where` and one such value.
    """
    if values.dtype.kind not in "iufb":
        raise RegbenchError(f"`{where}`: labels must be integers, but have type {values.dtype}.")
    integers, rounded = _rounded(values, where, step) if values.dtype.kind == "f" else Labels(values, False)
    if integers.size and (integers.min() < 0 or integers.max() >= 2**31):
        bad = integers.min() if integers.min() < 0 else integers.max()
        raise RegbenchError(f"`{where}`: labels must be 0 to 2147483647, but one is {int(bad)}.")
    small = integers.dtype.kind in "iu" and integers.dtype.itemsize <= 4 and integers.dtype.isnative
    return Labels(integers if small else integers.astype(np.int32), rounded)


def _rounded(values: NDArray[Any], where: str, step: float) -> Labels:
    """Floats as the integers that they are nearly."""
    near, rounded = max(LEAST, step / 2 * 1.01) if step < 2 * MOST else LEAST, False
    integers = np.rint(values)
    digits = 4 * float(np.finfo(np.float32).eps) if values.dtype == np.float32 else 0.0  # that large ids have left
    for part, whole in zip(slabs(values), slabs(integers), strict=True):
        with np.errstate(invalid="ignore"):
            off = np.abs(whole - part)
            wrong = ~(off <= np.clip(whole * digits, near, max(near, MOST)))
        if wrong.any():
            raise RegbenchError(
                f"`{where}`: labels must be integers, but one is {part[wrong][0]!s}, more than {near:g} off. It may "
                "have been resampled with interpolation, or be a probability map: resample with nearest neighbours, or "
                "threshold."
            )
        rounded = rounded or bool(off.any())
    return Labels(integers, rounded)
