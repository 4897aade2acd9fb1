"""SimpleITK's registrations. An optional extra: ``pip install simpleitk``."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.system.errors import RegbenchError, UsageError

Array = NDArray[Any]


def sitk_affine(
    pair: Pair,
    fixed: str,
    moving: str,
    /,
    *,
    metric: Literal["correlation", "mi"] = "correlation",
    levels: int = 3,
    iterations: int = 100,
) -> Array:
    """Affine registration by SimpleITK: gradient descent, multi-resolution.

    Args:
        pair: the two images.
        fixed: id of the fixed subject.
        moving: id of the moving subject.
        levels: of the pyramid; each halves the resolution.
        metric: ``correlation``, or Mattes mutual information (32 bins) for images of different modalities, whose
            optimum lies up to half a voxel beside the true one where interpolation smooths.
        iterations: at most so many on each level.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        RegbenchError: if SimpleITK is not installed, or fails on this pair.

    Reference:
        Mattes et al. 2003, doi:10.1109/TMI.2003.809072; Lowekamp et al. 2013, doi:10.3389/fninf.2013.00045.
    """
    sitk = simple_itk()
    still, other = image_of(pair.fixed, pair.spacing_mm), image_of(pair.moving, pair.spacing_mm)
    return _displacement(sitk, _affine(sitk, still, other, metric=metric, levels=levels, iterations=iterations), still)


def sitk_demons(
    pair: Pair, fixed: str, moving: str, /, *, levels: int = 3, iterations: int = 60, sigma: float = 1.5
) -> Array:
    """Symmetric demons by SimpleITK after its affine registration, multi-resolution, histograms matched.

    Args:
        pair: the two images.
        fixed: id of the fixed subject.
        moving: id of the moving subject.
        levels: of the pyramid; each halves the resolution.
        iterations: on each level.
        sigma: of the Gaussian that smooths the displacement, in voxels.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        RegbenchError: if SimpleITK is not installed, or fails on this pair.

    Reference:
        Vercauteren et al. 2009, doi:10.1016/j.neuroimage.2008.10.040.
    """
    sitk = simple_itk()
    still, other = image_of(pair.fixed, pair.spacing_mm), image_of(pair.moving, pair.spacing_mm)
    other = sitk.HistogramMatching(other, still, numberOfHistogramLevels=256, numberOfMatchPoints=7)
    field = _vectors(sitk, _affine(sitk, still, other, metric="correlation", levels=levels, iterations=100), still)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(iterations)
    demons.SetStandardDeviations(sigma)
    for level in reversed(range(levels)):
        factors = [min(2**level, max(n // 16, 1)) for n in still.GetSize()]
        fixed_here, moving_here = (_shrunk(sitk, image, factors) for image in (still, other))
        field = demons.Execute(fixed_here, moving_here, sitk.Resample(field, fixed_here))
    return in_voxels(sitk, sitk.Resample(field, still), pair.spacing_mm)


def simple_itk() -> Any:
    """The package, or an error that says how to get it."""
    try:
        import SimpleITK as sitk  # noqa: N813  as everybody calls it
    except ImportError as error:
        raise UsageError("SimpleITK is needed for this baseline: pip install simpleitk.") from error
    package: Any = sitk  # it has types for some functions only
    package.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # the order of sums, and so the last bit, depends on it
    return package


def image_of(values: Array, spacing_mm: tuple[float, ...]) -> Any:
    """ITK lists axes the other way round; an identity direction keeps mm along each axis."""
    sitk = simple_itk()
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T.astype(np.float32)))
    image.SetSpacing([float(side) for side in spacing_mm])
    return image


def _affine(sitk: Any, still: Any, other: Any, *, metric: str, levels: int, iterations: int) -> Any:
    dims = still.GetDimension()
    method = sitk.ImageRegistrationMethod()
    if metric == "mi":
        method.SetMetricAsMattesMutualInformation(32)
    else:
        method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=iterations, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2**level for level in reversed(range(levels))])
    method.SetSmoothingSigmasPerLevel([float(level) for level in reversed(range(levels))])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    start = sitk.CenteredTransformInitializer(
        still, other, sitk.AffineTransform(dims), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method.SetInitialTransform(start, inPlace=False)
    try:
        return method.Execute(still, other)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise RegbenchError(f"SimpleITK's affine registration failed: {reason}") from error


def _shrunk(sitk: Any, image: Any, factors: list[int]) -> Any:
    sigmas = [0.5 * factor * side for factor, side in zip(factors, image.GetSpacing(), strict=True)]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigmas), factors) if max(factors) > 1 else image


def _vectors(sitk: Any, transform: Any, like: Any) -> Any:
    return sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, like.GetSize(), like.GetOrigin(), like.GetSpacing(), like.GetDirection()
    )


def _displacement(sitk: Any, transform: Any, like: Any) -> Array:
    return in_voxels(sitk, _vectors(sitk, transform, like), like.GetSpacing())


def in_voxels(sitk: Any, field: Any, spacing_mm: Any) -> Array:
    """An ITK image of vectors in mm as ``(d, *S)`` in voxels."""
    vectors = sitk.GetArrayFromImage(field)
    axes_first = vectors.transpose(*reversed(range(vectors.ndim)))  # components first, then x, y, z
    scale = np.array(spacing_mm, dtype=np.float64).reshape(-1, *[1] * (vectors.ndim - 1))
    return np.ascontiguousarray(axes_first / scale, dtype=np.float32)
