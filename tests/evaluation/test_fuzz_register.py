"""`register` against files whose headers and voxels say odd things: all its results, or an error and none of them.

`make fuzz` runs the same with more examples.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import torch
from fuzzing import FUZZ
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch import nn

from regbench.evaluation.register_files import Beside, register_files
from regbench.system.errors import RegbenchError

STEPS = st.sampled_from([1.0, 1.0, 1.0, 2.0, 0.5])
SHAPES = st.sampled_from(
    [(6, 7, 5), (5, 5, 5), (6, 7, 1), (1, 6, 7), (6, 1, 7), (6, 7), (6, 7, 5, 1), (6, 7, 5, 2), (2, 2, 2)]
)


class Still(nn.Module):
    """Moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, fixed, moving):
        return torch.zeros(1, fixed.ndim - 2, *fixed.shape[2:])


@st.composite
def affines(draw, odd):
    """Axes in any order and direction, some turned, sheared, of no length, or off."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(draw(st.tuples(STEPS, STEPS, STEPS)))[:, list(draw(st.permutations(range(3))))]
    matrix[:3, :3] *= draw(st.tuples(*[st.sampled_from([1, -1])] * 3))
    matrix[:3, 3] = draw(st.tuples(*[st.sampled_from([0, 0, 0, 0.01, 1, -2])] * 3))
    if odd:
        matrix[draw(st.integers(0, 2)), draw(st.integers(0, 3))] += draw(st.sampled_from([0.3, 0.01, np.nan, -1]))
    return matrix


@st.composite
def files(draw):
    """Values and header of a NIfTI file; one in four is odd in one way."""
    odd = draw(
        st.sampled_from([*[""] * 24, "intent", "complex", "unit", "value", "affine", "affine", "code", "offset"])
    )
    kind = "c8" if odd == "complex" else draw(st.sampled_from(["u1", "i2", "i4", "i8", "u8", "f4", "f8"]))
    shape = draw(SHAPES) if draw(st.integers(0, 2)) == 0 else (6, 7, 5)
    values = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 4, shape).astype(kind)
    if odd == "value":
        values.flat[0] = draw(st.sampled_from([0.4, np.nan, -1, 1e20])) if kind in ("f4", "f8") else 3
    unit = draw(st.sampled_from([1, 3, 7])) if odd == "unit" else draw(st.sampled_from([2, 2, 2, 0]))
    affine = draw(affines(odd == "affine"))
    return values, affine, unit, 0 if odd == "code" else 2, 1007 if odd == "intent" else 0, odd != "offset"


def write(path, file):
    values, affine, unit, code, intent, offset = file
    image = nib.Nifti1Image(values, None, dtype=values.dtype)
    image.header["xyzt_units"], image.header["intent_code"] = unit, intent
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = affine[:3]
    image.header["pixdim"][1:4] = np.abs(np.nan_to_num(affine[:3, :3])).max(0)
    image.header["sform_code"], image.header["qform_code"] = code, 0
    image.header["magic"], image.header["vox_offset"] = ("n+1", 352) if offset else ("ni1", 0)
    content = image.header.binaryblock + bytes(4) + values.tobytes(order="F")
    path.write_bytes(content)


def expected_labels(folder):
    """Labels of the moving file on the fixed array where nothing moves: nibabel's affines alone, in mm."""
    scale = {0: 1, 1: 1000, 2: 1, 3: 1e-3}
    loaded = {name: nib.load(folder / f"{name}.nii") for name in ("fixed", "labels")}
    mm = {
        name: np.diag([*[scale[int(image.header["xyzt_units"]) & 7]] * 3, 1.0]) @ image.affine
        for name, image in loaded.items()
    }
    # An axis of one voxel may have any direction: only the others count.
    shape = loaded["fixed"].shape[:3] + (1,) * (3 - len(loaded["fixed"].shape[:3]))
    points = np.indices(shape).reshape(3, -1)
    labels = np.asarray(loaded["labels"].dataobj)
    labels = labels.reshape(labels.shape[:3] + (1,) * (3 - len(labels.shape[:3])))
    kept = [axis for axis, n in enumerate(labels.shape) if n > 1]
    at = mm["fixed"][:3, :3] @ points + mm["fixed"][:3, 3:] - mm["labels"][:3, 3:]
    voxels = np.zeros(points.shape)
    voxels[kept] = np.linalg.lstsq(mm["labels"][:3, kept], at, rcond=None)[0]
    near = np.abs(voxels - np.rint(voxels)).max() < 0.02  # else two ways of rounding may differ
    values = map_coordinates(np.rint(labels.astype(float)), np.rint(voxels), order=0, mode="constant", cval=0)
    return values.reshape([n for n in shape if n > 1]), near


@FUZZ
@given(fixed=files(), moving=st.none() | files(), labels=st.none() | files(), turn=st.permutations(range(3)))
def test_register(fixed, moving, labels, turn):
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, given_file in (("fixed", fixed), ("moving", moving or fixed), ("labels", labels or moving or fixed)):
            write(folder / f"{file}.nii", given_file)
        if labels is None and (moving or fixed)[0].ndim == 3:  # the same grid with its axes in another order
            values, affine, *rest = moving or fixed
            columns = affine[:, [*turn, 3]]
            write(folder / "labels.nii", (values.transpose(turn), columns, *rest))
        paths = [folder / f"{file}.nii" for file in ("fixed", "moving")]
        try:
            written = register_files(Still(), *paths, folder / "out", beside=Beside(folder / "labels.nii"))
        except RegbenchError as error:
            assert any(f"{file}.nii" in str(error) for file in ("fixed", "moving", "labels"))  # noqa: PT017
            assert not (folder / "out").exists()
            return
        assert len(written) == 4
        moved = [np.asarray(nib.load(path).dataobj) for path in written]
        assert all(np.isfinite(values).all() for values in moved)
        expected, near = expected_labels(folder)
        if near:
            np.testing.assert_array_equal(moved[3].squeeze(), expected)
