"""Scaling every image to order one, by itself: scanners agree on no unit."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regbench.data.preprocessing.percentile import percentiles as at_shares

Kind = Literal["percentile", "minmax", "zscore", "window", "none"]


def normalise(
    image: NDArray[np.float32],
    kind: Kind,
    percentiles: tuple[float, float],
    window: tuple[float, float] | None,
    *,
    overwrite: bool = False,
) -> NDArray[np.float32]:
    """The image, scaled: a new array.

    Args:
        image: finite values.
        kind: ``percentile`` clips at two percentiles and scales to [0, 1]; ``minmax`` scales to [0, 1]; ``zscore``
            subtracts the mean and divides by the standard deviation; ``window`` clips at two fixed values (CT) and
            scales to [0, 1]; ``none`` leaves the values.
        percentiles: for ``percentile``.
        window: for ``window``.
        overwrite: scale in the image's own memory where that is possible.

    Raises:
        ValueError: if the values have no range to scale, or `kind` is ``window`` and there is none.
    """
    if kind in ("none", "zscore"):
        _check(float(image.min()), float(image.max()), "range")
    if kind == "none":
        return image.astype(np.float32)
    if kind == "zscore":
        mean, deviation = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
        return ((image - np.float32(mean)) / np.float32(deviation)).astype(np.float32)
    if kind == "window" and window is None:
        raise ValueError("`intensity: window` needs `window: [low, high]`")
    if kind == "window" and window and not -np.inf < window[0] < window[1] < np.inf:
        raise ValueError(f"`window` must be two finite numbers that rise, but got {list(window)}")
    low, high = window if kind == "window" and window else _range(image, kind, percentiles)
    if kind == "percentile" and not low < high:
        low, high = float(image.min()), float(image.max())  # nearly all voxels are equal: the rest still differ
    _check(low, high, "range")
    own = overwrite and image.dtype == np.float32 and image.flags.writeable
    scaled = np.subtract(image, np.float32(low), out=image if own else None)
    scaled /= np.float32(high - low)
    np.clip(scaled, 0, 1, out=scaled)
    if kind == "window":
        _check(float(scaled.min()), float(scaled.max()), f"range within {low:g} to {high:g}")
    return scaled


def _range(image: NDArray[np.float32], kind: Kind, percentiles: tuple[float, float]) -> tuple[float, float]:
    if kind == "minmax":
        return float(image.min()), float(image.max())
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise ValueError(f"`percentiles` must rise within 0 to 100, but got {list(percentiles)}")
    low, high = at_shares(image, percentiles)
    return low, high


def _check(low: float, high: float, what: str) -> None:
    if not low < high:
        raise ValueError(f"the image must vary, but its {what} is 0 (every voxel has the same value)")
