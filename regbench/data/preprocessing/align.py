"""Rigid or affine pre-alignment of a subject with a reference, by SimpleITK."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.system.errors import RegbenchError

Kind = Literal["none", "rigid", "affine"]
SMALLEST = 12  # voxels that a coarse level keeps along its shortest axis
WIDE = 40  # voxels from which a still coarser level, of 8 or 16, comes first: a large picture may have to move far
MICROSCOPIC = 0.05  # mm: smaller voxels are the unit of length themselves, for a step of the optimiser is 1
SAMPLES = 20_000  # voxels a level looks at; more cost time and change no millimetre


def align(
    image: NDArray[np.float32], reference: NDArray[np.float32], spacing_mm: tuple[float, ...], kind: Kind
) -> NDArray[np.float64]:
    """The map that brings `image` onto `reference`: Mattes mutual information, from coarse to fine, on one thread.

    Args:
        image: ``(*S)``, on the prepared grid.
        reference: the same grid.
        spacing_mm: of the grid.
        kind: ``rigid`` or ``affine`` (which starts from the rigid result).

    Returns:
        ``(d + 1, d + 1)``: a voxel of `reference` to the voxel of `image` that lies there.

    Raises:
        RegbenchError: if SimpleITK is missing or finds no map.

    Reference:
        Mattes et al. 2003, doi:10.1109/TMI.2003.809072.
    """
    try:
        import SimpleITK
    except ImportError as error:
        raise RegbenchError(
            "preprocessing.align needs SimpleITK, which is not installed. Install it: pip install simpleitk"
        ) from error
    sitk: Any = SimpleITK
    least = min(spacing_mm)
    spacing = spacing_mm if least >= MICROSCOPIC else tuple(side / least for side in spacing_mm)
    fixed, moving = (_itk(sitk, array, spacing) for array in (reference, image))
    euler, affine = (
        (sitk.Euler2DTransform(), sitk.AffineTransform(2))
        if image.ndim == 2
        else (sitk.Euler3DTransform(), sitk.AffineTransform(3))
    )
    try:
        start = sitk.CenteredTransformInitializer(fixed, moving, euler, sitk.CenteredTransformInitializerFilter.MOMENTS)
        wide = [factor for factor in (16, 8) if min(fixed.GetSize()) // factor >= WIDE]
        if wide:
            start = _optimise(sitk, fixed, moving, start, wide, step=wide[0] / 2)
        shrink = [factor for factor in (4, 2) if min(fixed.GetSize()) // factor >= SMALLEST] or [1]
        best = _optimise(sitk, fixed, moving, start, shrink)
        if kind == "affine":
            rigid = best
            affine.SetCenter(rigid.GetCenter())
            affine.SetMatrix(rigid.GetMatrix())
            affine.SetTranslation(rigid.GetTranslation())
            best = _optimise(sitk, fixed, moving, affine, shrink)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise RegbenchError(f"pre-alignment must find a map, but SimpleITK says: {reason}") from error
    return _in_voxels(best, spacing)


def _itk(sitk: Any, array: NDArray[np.float32], spacing_mm: tuple[float, ...]) -> Any:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))  # ITK's first axis is numpy's last
    image.SetSpacing(spacing_mm)
    return image


def _optimise(sitk: Any, fixed: Any, moving: Any, start: Any, shrink: list[int], *, step: float = 1.0) -> Any:
    """The optimised copy of `start`, on levels that are shrunk by some factors; `step` is the longest, in mm."""
    voxels = [fixed.GetNumberOfPixels() / factor ** fixed.GetDimension() for factor in shrink]
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums of several threads differ in the last bit
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel([min(1.0, SAMPLES / count) for count in voxels], 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(step, 1e-3, 100, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0 for factor in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start


def _in_voxels(transform: Any, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """The transform of mm as a matrix of voxels, from what it does to the origin and to a step along each axis."""
    dims = len(spacing_mm)
    origin = np.array(transform.TransformPoint((0.0,) * dims))
    matrix = np.eye(dims + 1)
    for axis, side in enumerate(spacing_mm):
        step = np.zeros(dims)
        step[axis] = side
        matrix[:dims, axis] = (np.array(transform.TransformPoint(tuple(step))) - origin) / spacing_mm
    matrix[:dims, dims] = origin / spacing_mm
    return matrix
