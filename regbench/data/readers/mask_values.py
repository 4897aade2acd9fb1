"""Values of a file as a mask: what lies inside, and what outside."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.readers.label_values import whole_numbers
from regbench.system.errors import RegbenchError


def mask_of(values: NDArray[Any], where: str, step: float = 0.0) -> NDArray[np.uint8]:
    """1 inside, 0 outside, of an array that is 0 outside and has one other integer inside (1, or 255, ...).

    Args:
        values: as read.
        where: file, or file and array, for messages.
        step: see `whole_numbers`.

    Raises:
        RegbenchError: if it has no voxel inside, or values of more than two kinds; names `where` and the values.
    """
    try:
        integers = whole_numbers(values, where, step).values
    except RegbenchError as error:
        raise RegbenchError(f"a mask has 0 outside and one other integer inside. {error}") from error
    present = np.unique(integers)
    inner = present[present != 0]
    if not len(inner):
        raise RegbenchError(f"`{where}`: a mask must have voxels inside, but all are 0. Draw it, or leave it out.")
    if len(inner) > 1:
        few = ", ".join(str(value) for value in present[:5]) + (", ..." if len(present) > 5 else "")
        raise RegbenchError(
            f"`{where}`: a mask must have 0 outside and one other integer inside, but has {len(present)} values "
            f"({few}). Threshold it: 1 inside, 0 outside."
        )
    return np.asarray(integers != 0).astype(np.uint8)
