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
from regbench.data.readers.subject_files import labels_on_image
from regbench.data.space import Space, displacement_to_native
from regbench.evaluation.file_pair import Placed, plane, read_pair, spaces
from regbench.losses.objective import objective
from regbench.models import AFFINE_MODELS
from regbench.models.predict import build_model, mask_use, register
from regbench.models.refined import refined
from regbench.spatial.determinant import jacobian_determinant
from regbench.spatial.itk import ras_to_lps, to_mm
from regbench.study.config import Refine
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


PLAIN_OUTPUT = Output()


def model_for(
    name: str, fixed: Path, similarity: str, regularizer: str, lam: float, *, refine: Refine | None = None
) -> tuple[nn.Module, Preparation]:
    """The model that `name` means, and how it wants its images.

    Args:
        name: a checkpoint, the folder of a run, or ``instance``.
        fixed: the fixed image, whose dimensions the model must have.
        similarity: of `instance`.
        regularizer: of `instance`.
        lam: of `instance`.
        refine: how the displacement of a network is refined, by the objective that it was trained with.

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
        return build_model(ComponentSpec(name=name, parameters={}), dims, objective(compare, penalise, lam)), PLAIN
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
    labels: Path | None = None,
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
        labels: label map of the moving image, on its grid, warped by nearest neighbour.
        output: how the files are written.

    Returns:
        The files: displacement (Learn2Reg form: voxels, ``(*S, d)``), moved image, Jacobian determinant (volume in the
        moving image per volume in the fixed one), and those that were asked for.

    Raises:
        RegbenchError: if a file cannot be read or written, or they do not fit together; names it.
        UsageError: if files are in the way.
    """
    if (use := mask_use(model)) != "none":
        raise RegbenchError(
            f"`register` takes no masks, but the model optimises each pair by masks (`training.mask: {use}`). Register "
            "the pair in a study, or give a model that counts by none."
        )
    scalings = preparation.scalings()
    target, source = read_pair(fixed, moving, by, preparation.colour)
    label_map = None if labels is None else labels_on_image(labels, moving, source.header)[0]
    inputs = [fixed, moving, *([] if labels is None else [labels])]
    written = _outputs(out, target, source, labels=labels is not None, itk=output.itk)
    _check_outputs(out, written, inputs, target)
    check_free(out, written, overwrite=output.overwrite)
    places = spaces((target, source), preparation)
    parts = zip((target, source), places, scalings, strict=True)
    images = [_prepared(part, place, scaling) for part, place, scaling in parts]
    try:
        found = register(model, images[0], images[1])
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


def _write(path: Path, values: Array, header: Header) -> None:
    """On the array of the file of `header`; axes of one voxel at its end are left out."""
    sizes = dict(zip(header.axes, values.shape, strict=True))
    write_nifti(path, values.reshape([sizes.get(axis, 1) for axis in range(max(header.axes) + 1)]), header.affine)
