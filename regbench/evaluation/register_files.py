"""Registering two image files with a trained model or by optimising the pair itself."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import nn

from regbench.data.native import Header
from regbench.data.nifti import displacement_name, write_displacement, write_nifti, write_vectors
from regbench.data.preprocessing.intensity import normalise
from regbench.data.preprocessing.preparation import Preparation, StoredScaling
from regbench.data.preprocessing.resample import resample
from regbench.data.readers.image_file import ImageFile, stem
from regbench.data.readers.subject_files import labels_on_image, mask_on_image
from regbench.data.space import Space, displacement_to_native
from regbench.evaluation.file_pair import Placed, plane, read_pair, spaces
from regbench.losses.objective import MaskRule, objective
from regbench.models import AFFINE_MODELS
from regbench.models.predict import build_model, mask_use, register
from regbench.models.refined import refined
from regbench.spatial.determinant import jacobian_determinant
from regbench.spatial.itk import ras_to_lps, to_mm
from regbench.study.config import MaskUse
from regbench.study.grid_config import Refine
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import CHECKPOINT, check_folder, check_free
from regbench.system.names import file_name
from regbench.training.checkpoint import model_of, objective_of, read_checkpoint

Array = NDArray[Any]
PLAIN = Preparation()
LONGEST = 32767  # voxels along an axis of a NIfTI-1 file


class Output(NamedTuple):
    """How the results of a registration are written.

    Attributes:
        itk: write the displacement for ITK too: mm, LPS.
        overwrite: whether files that are there are replaced.
    """

    itk: bool = False
    overwrite: bool = False


class Beside(NamedTuple):
    """Files beside the two images, each on the grid of its image; None of what there is not.

    Attributes:
        labels: of the moving image, warped by nearest neighbour.
        fixed_mask: for a model that optimises each pair by it.
        moving_mask: the same.
    """

    labels: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None

    @property
    def mask_use(self) -> MaskUse:
        """Which masks there are."""
        uses: dict[tuple[bool, bool], MaskUse] = {(True, True): "both", (True, False): "fixed", (False, True): "moving"}
        return uses.get((self.fixed_mask is not None, self.moving_mask is not None), "none")


PLAIN_OUTPUT = Output()
NOTHING = Beside()


def model_for(
    name: str,
    fixed: Path,
    similarity: str,
    regularizer: str,
    lam: float,
    *,
    refine: Refine | None = None,
    masks: MaskUse = "none",
) -> tuple[nn.Module, Preparation]:
    """The model that `name` means, and how it wants its images.

    Args:
        name: a checkpoint, the folder of a run, or ``instance``.
        fixed: the fixed image, whose dimensions the model must have.
        similarity: of `instance`.
        regularizer: of `instance`.
        lam: of `instance`.
        refine: how the displacement of a network is refined, by the objective that it was trained with.
        masks: by which the similarity of `instance` counts.

    Raises:
        RegbenchError: if there is no such model, or it has other dimensions, or no displacement to refine.
        UsageError: if `instance` should be refined.
    """
    dims = len(ImageFile(fixed).header.shape)
    if name == "instance":
        if refine is not None:
            raise UsageError(
                "--refine must go with a trained network, but `instance` is optimised anyway; leave it out"
            )
        compare, penalise = (ComponentSpec(name=part, parameters={}) for part in (similarity, regularizer))
        terms = objective(compare, penalise, lam, MaskRule(masks))
        return build_model(ComponentSpec(name=name, parameters={}), dims, terms), PLAIN
    path = Path(name) / CHECKPOINT if Path(name).is_dir() else Path(name)
    stored = read_checkpoint(path)
    model = model_of(stored, path)
    if model is None:
        raise RegbenchError(f"`{path}` must hold weights, but its training failed. Give another.")
    if stored.dims != dims:
        raise RegbenchError(f"`{fixed}` must have the {stored.dims} dimensions of `{path}`, but has {dims}.")
    if refine is None:
        return model, stored.preparation
    if stored.model.name in AFFINE_MODELS:
        raise RegbenchError(f"`{path}` must give displacements to be refined, but is of model `{stored.model.name}`.")
    return refined(model, stored.model, objective_of(stored), refine), stored.preparation


def register_files(
    model: nn.Module,
    fixed: Path,
    moving: Path,
    out: Path,
    *,
    preparation: Preparation = PLAIN,
    by: Literal["header", "centre"] = "header",
    beside: Beside = NOTHING,
    output: Output = PLAIN_OUTPUT,
) -> list[Path]:
    """Register two image files of any size and spacing.

    Both are brought onto one grid over the fixed image, scaled in intensity, registered, and the displacement is
    brought back to the fixed image's own array. All that could be refused is refused before the registration.

    Args:
        model: fixed, moving ``(1, 1, *S)`` -> displacement.
        fixed: NIfTI, MGH or picture.
        moving: the same; its array may have another shape, spacing and orientation.
        out: folder of the files.
        preparation: how the images become what the model sees.
        by: how the images lie to each other: as their headers say, or middle on middle where headers mean nothing.
        beside: labels and masks of the images; masks for a model that optimises each pair by them, and no other.
        output: how the files are written.

    Returns:
        The files: displacement (Learn2Reg form: voxels, ``(*S, d)``), moved image, Jacobian determinant (volume in the
        moving image per volume in the fixed one), and those that were asked for.

    Raises:
        RegbenchError: if a file cannot be read or written, or they do not fit together; names it.
        UsageError: if files are in the way, or masks are not those that the model counts by.
    """
    _check_masks(mask_use(model), beside)
    scalings = preparation.scalings()
    target, source = read_pair(fixed, moving, by, preparation.colour)
    labels = beside.labels
    label_map = None if labels is None else labels_on_image(labels, moving, source.header)[0]
    inside = [
        None if path is None else mask_on_image(path, part.path, part.header)
        for path, part in ((beside.fixed_mask, target), (beside.moving_mask, source))
    ]
    inputs = [fixed, moving, *(path for path in beside if path is not None)]
    written = _outputs(out, target, source, labels=labels is not None, itk=output.itk)
    _check_outputs(out, written, inputs, target)
    check_free(out, written, overwrite=output.overwrite)
    places = spaces((target, source), preparation)
    parts = zip((target, source), places, scalings, strict=True)
    images = [_prepared(part, place, scaling) for part, place, scaling in parts]
    masks = [_mask_on_grid(*part) for part in zip(inside, beside[1:], places, strict=True)]
    try:
        found = register(model, images[0], images[1], (masks[0], masks[1]))
    except (ValueError, RegbenchError) as error:  # of a loss or a model that needs larger images
        raise RegbenchError(
            f"`{fixed}` must be large enough for the model and its losses, but on its grid of {images[0].shape}: "
            f"{str(error).rstrip('.')}. Give larger images, or another `--similarity` or `--regularizer`."
        ) from error
    field = displacement_to_native(found, *places)

    header = target.header
    moved_at = field + np.indices(field.shape[1:], dtype=np.float64)
    moved = map_coordinates(source.array.astype(np.float64), moved_at, order=1, mode="nearest")
    determinant = jacobian_determinant(torch.from_numpy(field)[None].double())[0].numpy()
    determinant = determinant * np.linalg.det(source.affine) / np.linalg.det(target.affine)
    write_displacement(written[0], field, header.array_affine)
    _write(written[1], moved.astype(np.float32), header)
    _write(written[2], determinant.astype(np.float32), header)
    if label_map is not None:
        warped = map_coordinates(label_map, np.floor(moved_at + 0.5), order=0, mode="constant", cval=0)
        _write(written[3], warped.astype(label_map.dtype), header)
    if output.itk:
        write_vectors(written[-1], ras_to_lps(to_mm(field, target.affine, source.affine)), header.affine)
    return written


def _outputs(out: Path, target: Placed, source: Placed, *, labels: bool, itk: bool) -> list[Path]:
    """The files in the order in which they are returned.

    Raises:
        RegbenchError: if ITK has no image such as the fixed one.
    """
    names = [stem(part.path) for part in (target, source)]
    displacement, of_moving = displacement_name(*names), file_name(names[1])
    written = [displacement, f"moved_{of_moving}.nii.gz", f"jacobian_{of_moving}.nii.gz"]
    if labels:
        written.append(f"moved_labels_{of_moving}.nii.gz")
    if itk:
        # ITK's 2D images lie in the plane of its first two axes.
        flat = target.array.ndim == 2
        if flat and (target.header.axes != (0, 1) or np.abs(plane(target.header)[:, 2]).max() > 1e-3):
            raise RegbenchError(
                f"`{target.path}` must have its axis of one voxel last and run right and front for `--itk`, but has "
                f"{target.header}. Leave `--itk` out, or store it so."
            )
        written.append(f"itk_{displacement}")
    return [out / name for name in written]


def _check_outputs(out: Path, written: list[Path], inputs: list[Path], target: Placed) -> None:
    """Raise RegbenchError if a file could not be written, or would take the place of one that is read."""
    check_folder(out, advice="Give another `--out`, or change the permissions.")
    read = {path.resolve() for path in inputs}
    for path in written:
        if path.resolve() in read or path.is_dir():
            kind = "a folder" if path.is_dir() else "an image that is read"
            raise RegbenchError(f"`{path}` must be free for a result, but is {kind}. Give another `--out`.")
    if max(target.array.shape) > LONGEST:
        raise RegbenchError(
            f"`{target.path}` must have at most {LONGEST} voxels along each axis, as the NIfTI of a result may have, "
            f"but its shape is {target.array.shape}. Resample or crop it."
        )


def _prepared(part: Placed, space: Space, scaling: StoredScaling) -> Array:
    """What the model sees of an image; beside it, its least value, as in `regbench.data.preprocessing.preprocess`."""
    try:
        image = normalise(part.array, *scaling)
    except ValueError as error:
        raise RegbenchError(f"`{part.path}`: {error}.") from error
    return resample(image, space, order=1, fill=float(image.min()))


def _check_masks(use: MaskUse, beside: Beside) -> None:
    """Whether the masks are those that a model counts by.

    Raises:
        UsageError: if one is missing, or would have no effect; names the option.
    """
    for role, path in (("fixed", beside.fixed_mask), ("moving", beside.moving_mask)):
        counts = use in (role, "both")
        if counts and path is None:
            raise UsageError(
                f"the model optimises each pair by masks (`training.mask: {use}`), so that of the {role} image must be "
                f"known, but is not. Give `--{role}-mask`."
            )
        if path is not None and not counts:
            why = "networks see masks in their training alone" if use == "none" else f"the model counts by `{use}`"
            raise UsageError(f"`--{role}-mask` must be of a mask that counts, but {why}. Leave it out.")


def _mask_on_grid(inside: Array | None, path: Path | None, space: Space) -> Array | None:
    """A mask as the model sees it."""
    if inside is None:
        return None
    mask: Array = resample(inside, space, order=0)
    if not mask.any():
        raise RegbenchError(
            f"`{path}`: the mask must have voxels where the fixed image lies, but all {int(inside.sum())} lie outside. "
            "Check the headers, or leave the mask out."
        )
    return mask


def _write(path: Path, values: Array, header: Header) -> None:
    """On the array of the file of `header`; axes of one voxel at its end are left out."""
    sizes = dict(zip(header.axes, values.shape, strict=True))
    write_nifti(path, values.reshape([sizes.get(axis, 1) for axis in range(max(header.axes) + 1)]), header.affine)
