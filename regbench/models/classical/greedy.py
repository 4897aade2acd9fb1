"""Greedy, of the Penn Image Computing and Science Laboratory; an extra: ``pip install picsl-greedy``."""

import io
from typing import Any

from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.models.classical.simple_itk import image_of, in_voxels, simple_itk
from regbench.system.errors import RegbenchError, UsageError

Array = NDArray[Any]


def greedy_ncc(
    pair: Pair,
    fixed: str,
    moving: str,
    /,
    *,
    radius: int = 4,
    iterations: tuple[int, ...] = (100, 60, 30),
    sigma_update: float = 1.7,
    sigma_total: float = 0.7,
) -> Array:
    """Greedy diffeomorphic registration by patch correlation, multi-resolution.

    Args:
        pair: the two images.
        fixed: id of the fixed subject.
        moving: id of the moving subject.
        radius: of the patch, in voxels.
        iterations: on each level, the coarsest first.
        sigma_update: smoothing of the update, in voxels.
        sigma_total: smoothing of the field, in voxels.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        RegbenchError: if picsl-greedy or SimpleITK is not installed (`UsageError`), or it fails on this pair.

    Reference:
        Yushkevich et al. 2016, doi:10.1016/j.jalz.2016.06.205.
    """
    sitk = simple_itk()
    try:
        from picsl_greedy import Greedy2D, Greedy3D
    except ImportError as error:
        raise UsageError("picsl-greedy is needed for this baseline: pip install picsl-greedy.") from error
    dims = pair.fixed.ndim
    engine = (Greedy2D if dims == 2 else Greedy3D)()
    steps = "x".join(map(str, iterations))
    command = (
        f"-d {dims} -threads 1 -i still other -o field -n {steps} -m NCC {'x'.join([str(radius)] * dims)} "
        f"-s {sigma_update}vox {sigma_total}vox -wp 0 -noise 0 -V 0"  # whole numbers, no dice, no chatter
    )
    images = {"still": image_of(pair.fixed, pair.spacing_mm), "other": image_of(pair.moving, pair.spacing_mm)}
    try:
        engine.execute(command, out=io.StringIO(), err=io.StringIO(), field=None, **images)
    except Exception as error:
        raise RegbenchError(f"greedy failed: {error}") from error
    return in_voxels(sitk, engine["field"], pair.spacing_mm)
