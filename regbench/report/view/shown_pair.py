"""What is shown of a registered pair: its views, their slices, how they lie in the body, and how well it fits."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from regbench.data.cache import Dataset
from regbench.evaluation.measure import Registered
from regbench.metrics import dice, mean_over_labels, ndv_percent
from regbench.metrics.determinants import central_determinant
from regbench.system.errors import RegbenchError

Array = NDArray[Any]
Ends = tuple[tuple[str, str], ...]  # of each axis: the letter where it begins, and that where it ends
BODY: Ends = (("L", "R"), ("P", "A"), ("I", "S"))
ACROSS = {"I": "axial", "S": "axial", "P": "coronal", "A": "coronal", "L": "sagittal", "R": "sagittal"}
UNSAID = "does not say where it lies"  # in the notes of readers


class View(NamedTuple):
    """A plane of the grid.

    Attributes:
        name: ``axial`` where the axes are known.
        right: axis of the grid that runs to the right.
        up: axis that runs upwards.
        across: axis that the plane is a slice of; None in 2D.
    """

    name: str
    right: int
    up: int
    across: int | None


class Slices(NamedTuple):
    """A plane of a pair at a share of its displacement; images ``(right, up)``.

    Attributes:
        fixed, moving, moved: the images; the moved one at that share.
        lines: ``(2, right, up)``: where ``p + share u(p)`` lies in the plane, in voxels.
        folds: where the whole displacement folds.
    """

    fixed: Array
    moving: Array
    moved: Array
    lines: Array
    folds: Array


@dataclass(frozen=True)
class ShownPair:
    """A registered pair with what pictures say of it.

    Attributes:
        registered: the pair and its displacement, finite.
        ends: anatomical letters of the axes; None where no header tells them.
        labels: that Dice is the mean of.
        title: the run.
    """

    registered: Registered
    ends: Ends | None
    labels: tuple[int, ...]
    title: str

    def __post_init__(self) -> None:
        if not np.isfinite(self.registered.displacement).all():
            raise RegbenchError(f"the displacement of {self.names} must be finite to be drawn, but is not.")

    @property
    def names(self) -> str:
        return f"fixed {self.registered.fixed}, moving {self.registered.moving}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.registered.pair.fixed.shape

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return self.registered.pair.spacing_mm

    @cached_property
    def determinant(self) -> Array:
        """``(*S)``, by central differences."""
        return central_determinant(self.registered.displacement)

    @cached_property
    def centre(self) -> tuple[int, ...]:
        """Where the planes meet: along each axis the slice with most labelled voxels, the middle one without labels."""
        labelled, axes = self.registered.pair.foreground, range(len(self.shape))
        if not labelled.any():
            return tuple(n // 2 for n in self.shape)
        return tuple(int(np.argmax(labelled.sum(tuple(k for k in axes if k != axis)))) for axis in axes)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The one plane of a 2D grid, the three of a 3D one."""
        if len(self.shape) == 2:
            return (View("slice", 0, 1, None),)
        planes = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
        return tuple(View(self._view_name(across), right, up, across) for right, up, across in planes)

    def _view_name(self, across: int) -> str:
        return f"across axis {across}" if self.ends is None else ACROSS[self.ends[across][0]]

    def slices(self, view: View, share: float = 1.0) -> Slices:
        """A plane through `centre`, with `share` (0 to 1) of the displacement applied."""
        pair, field = self.registered.pair, self.registered.displacement
        plane = tuple(self.centre[axis] if axis == view.across else slice(None) for axis in range(len(self.shape)))
        points = np.indices(self.shape)[(slice(None), *plane)] + share * field[(slice(None), *plane)].astype(np.float64)
        moved = map_coordinates(pair.moving.astype(np.float64), points, order=1, mode="nearest")
        lines = points[[view.right, view.up]]
        return Slices(pair.fixed[plane], pair.moving[plane], moved, lines, self.determinant[plane] <= 0)

    @cached_property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of the fixed and the moving image: their black and white."""
        pair = self.registered.pair
        return {
            name: (float(image.min()), float(image.max()))
            for name, image in (("fixed", pair.fixed), ("moving", pair.moving))
        }

    @property
    def bar_mm(self) -> float:
        """Length of the scale bar of all planes."""
        return bar_mm(min(self.shape[view.right] * self.spacing_mm[view.right] for view in self.views))

    @cached_property
    def facts(self) -> dict[str, str]:
        """What can be measured of the pair, as words."""
        folded = 100 * float((self.determinant <= 0).mean())
        facts = dict(self._overlap())
        lengths = np.linalg.norm(
            self.registered.displacement * np.reshape(self.spacing_mm, (-1, *[1] * len(self.shape))), axis=0
        )
        facts["displacement"] = f"mean {lengths.mean():.2f} mm, at most {lengths.max():.2f} mm"
        facts["folds (determinant <= 0)"] = f"{folded:.3g} % of the voxels"
        if min(self.shape) >= 3:
            facts["NDV"] = f"{ndv_percent(self.registered.displacement):.3g} %"
        grid = " x ".join(map(str, self.shape)), " x ".join(f"{side:g}" for side in self.spacing_mm)
        return facts | {"grid": f"{grid[0]} voxels of {grid[1]} mm"}

    def _overlap(self) -> Iterator[tuple[str, str]]:
        pair = self.registered.pair
        if self.labels:
            before, after = (
                mean_over_labels(dice(pair.fixed_labels, labels, list(self.labels), moving=pair.moving_labels))
                for labels in (pair.moving_labels, self.registered.moved_labels)
            )
            yield "Dice", f"{before:.3f} before, {after:.3f} after"


def anatomical_ends(data: Dataset, subject: str) -> Ends | None:
    """Where the axes of the prepared grid begin and end in the body, as the header of a subject's file tells it.

    Args:
        data: prepared dataset.
        subject: the fixed one of a pair.

    Returns:
        A pair of letters of each axis; None of made data, of files that do not say where they lie, and of planes so
        oblique that two axes run along one of the body.
    """
    record, dims = data.record(subject), len(data.shape)
    if "native_affine" not in record:
        return None
    chosen = data.spec.preprocessing
    if chosen.get("stored_as") is not None and chosen.get("orientation", "RAS") == "RAS":
        return BODY if dims == 3 else None
    if any(UNSAID in note for note in record["read_as"]):
        return None
    steps = np.array(record["native_affine"])[:3, :dims] @ np.array(record["prepared_to_native"])[:dims, :dims]
    along = np.abs(steps / np.linalg.norm(steps, axis=0)).argmax(0)
    if len(set(along.tolist())) < dims:
        return None
    return tuple(BODY[axis] if steps[axis, k] > 0 else BODY[axis][::-1] for k, axis in enumerate(along))


def bar_mm(width_mm: float) -> float:
    """The length of a scale bar: 1, 2 or 5 times a power of ten, the longest up to a third of the width."""
    power = 10.0 ** np.floor(np.log10(width_mm / 3))
    return float(max((step * power for step in (1, 2, 5) if step * power <= width_mm / 3), default=power))
