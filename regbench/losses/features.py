"""Distance of the features that an encoder sees."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from regbench.losses.checks import broadcast, check_unmatched, covered, image_pair, lacking, mean_weights
from regbench.spatial.fixed_order import along_axes
from regbench.study import components
from regbench.system.errors import UsageError, one_of
from regbench.system.files import file_sha256
from regbench.system.names import given_path

Encoder = Callable[[Tensor], Tensor]


def features(
    fixed: Tensor,
    moved: Tensor,
    /,
    *,
    mask: Tensor | None = None,
    expected: Tensor | None = None,
    encoder: str,
    sha256: str | None = None,
    measure: Literal["squared", "cosine"] = "squared",
    unmatched: float = 1.0,
) -> Tensor:
    """Mean difference of the features that a frozen encoder sees in the two images.

    The encoder maps ``(B, C, *S)`` to ``(B, F, *R)``, on a grid of its own. Gradients pass through it to the images;
    its weights have none, and it is in the state of evaluation.

    Args:
        fixed: ``(B, C, *S)``, in the intensities that the encoder knows.
        moved: warped moving image, same shape.
        mask: mean over the features by the mean weight of their voxels. The encoder sees 0 at voxels of weight 0, in
            both images, so that nothing there changes the value.
        expected: ``(B,)`` weight that the mask should have; what it lacks counts `unmatched`.
        encoder: a TorchScript file, or ``file.py:function``, where the function is the encoder, ``(image, /)``,
            or makes one, ``() -> torch.nn.Module``. Both are code: a config of your own may name them, anything else
            needs ``regbench.study.components.allow``.
        sha256: checksum of the file, which must be that. A study writes it into what its jobs depend on.
        measure: ``squared``: mean over features of their squared difference. ``cosine``: one minus the cosine of the
            two feature vectors, in [0, 2]; a vector of zeros has cosine 0.
        unmatched: what a feature counts whose voxels have left the moving mask.

    Returns:
        Scalar; 0 for identical images (``cosine``: where no vector is zero).

    Raises:
        ValueError: if the shapes differ, the encoder cannot be had or has another checksum, or gives anything but
            finite features ``(B, F, *R)`` with as many axes as the image.
        RuntimeError: if the encoder raises an error of its own.

    Reference:
        Zhang et al. 2018, doi:10.1109/CVPR.2018.00068.
    """
    fixed, moved = image_pair(fixed, moved)
    one_of("measure", measure, "squared", "cosine")
    check_unmatched(unmatched)
    loaded = _encoder(_Wanted(encoder, sha256, fixed.device, fixed.dtype))
    inner = None if mask is None else broadcast(mask, fixed)
    pair = [image if inner is None else torch.where(inner > 0, image, 0) for image in (fixed, moved)]
    with _in_full(fixed.device.type):
        one, two = (_encoded(encoder, loaded, image) for image in pair)
    local = _squared(one, two) if measure == "squared" else _cosine(one, two)
    if inner is None:
        return local.mean().to(fixed.dtype)
    weights, samples = mean_weights(_on_grid(inner[:, :1], local), local)
    assert weights is not None  # of a mask
    means, share = (local * weights).flatten(1).sum(1), covered(mask, fixed, expected)
    value = (means if share is None else means * share).sum() / samples
    return value.to(fixed.dtype) + unmatched * lacking(mask, fixed, expected)


class _Wanted(NamedTuple):
    """An encoder, on a device and for a type."""

    name: str
    sha256: str | None
    device: torch.device
    dtype: torch.dtype


def _in_full(device: str) -> AbstractContextManager[None]:
    """Whatever autocast says around it: as of every loss, the value is that of float32."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _squared(one: Tensor, two: Tensor) -> Tensor:
    return (one - two).square().mean(1, keepdim=True)


def _cosine(one: Tensor, two: Tensor) -> Tensor:
    product = (one * two).sum(1, keepdim=True)
    powers = [x.square().sum(1, keepdim=True) for x in (one, two)]
    nothing = (powers[0] == 0) | (powers[1] == 0)
    lengths = [torch.where(nothing, 1, power).sqrt() for power in powers]
    return 1 - torch.where(nothing, 0, product / (lengths[0] * lengths[1]))


def _on_grid(weights: Tensor, local: Tensor) -> Tensor:
    """Weights ``(B, 1, *S)`` on the grid of the features: the mean over the voxels of each."""
    pool = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[local.ndim - 2]
    if weights.shape == local.shape:
        return weights
    sides = list(local.shape[2:])
    return along_axes(
        lambda values: pool(values, sides),  # type: ignore[arg-type]
        lambda line, axis: F.adaptive_avg_pool1d(line, sides[axis]),
        weights,
    )


def _encoded(name: str, encoder: Encoder, image: Tensor) -> Tensor:
    try:
        given = encoder(image.clone())  # it may write into it
    except Exception as error:  # whatever an encoder does
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise RuntimeError(f"encoder `{name}` must take images {tuple(image.shape)}, but raised {words}") from error
    fits = isinstance(given, Tensor) and given.ndim == image.ndim and given.shape[0] == image.shape[0]
    if not fits or not given.numel():
        got = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(
            f"encoder `{name}` must give features (B, F, *R) with B = {image.shape[0]} and {image.ndim - 2} axes, "
            f"but gave {got} for an image {tuple(image.shape)}."
        )
    if not given.is_floating_point():
        raise ValueError(f"encoder `{name}` must give floating-point features, but gave {given.dtype}.")
    look = (name, tuple(image.shape))
    if look not in _seen and _has_values(given) and bool(image.isfinite().all()):
        if not bool(given.isfinite().all()):
            raise ValueError(f"encoder `{name}` must give finite features, but gave NaN or inf for a finite image.")
        _seen.add(look)
    return given


_seen: set[tuple[str, tuple[int, ...]]] = set()  # shapes whose features were looked at: later ones wait for no device


def _has_values(tensor: Tensor) -> bool:
    """Whether a tensor can be looked at: it is no fake one, nor one that stands for many."""
    if torch.compiler.is_compiling() or isinstance(tensor, FakeTensor) or tensor.device.type == "meta":
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def _encoder(wanted: _Wanted) -> Encoder:
    if ":" in wanted.name:
        if wanted.sha256 is not None:
            raise ValueError(f"sha256 must be left out where encoder is a function, but `{wanted.name}` is one.")
        return _of_function(wanted.name, wanted.device, wanted.dtype)
    if not components.allowed(wanted.name):
        raise ValueError(
            f"encoder `{wanted.name}` must be allowed before it is loaded, because TorchScript is code. If you trust "
            f"it: --allow {wanted.name}, or regbench.study.components.allow."
        )
    file = given_path(wanted.name)
    try:
        stamp = file.stat()
    except OSError as error:
        raise ValueError(f"encoder must be a TorchScript file, or file.py:function, but got: {error}") from error
    return _of_file(file, stamp.st_mtime_ns, stamp.st_size, wanted)


@lru_cache(maxsize=8)
def _of_file(file: Path, _: int, __: int, wanted: _Wanted) -> Encoder:
    """Once for each state of a file."""
    try:
        digest = file_sha256(file)
        if wanted.sha256 is not None and digest != wanted.sha256:
            raise ValueError(
                f"sha256 of encoder `{wanted.name}` must be {wanted.sha256}, but is {digest}: the file has changed. "
                "Restore it, or run the study anew with this one."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of TorchScript as such
            module = torch.jit.load(file, map_location=wanted.device)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"encoder `{wanted.name}` must be a TorchScript file, but got: {words[:300]}") from error
    return _frozen(module, wanted.device, wanted.dtype)


@cache
def _of_function(name: str, device: torch.device, dtype: torch.dtype) -> Encoder:
    try:
        function = components.find({"encoder": _of_image}, name)
    except UsageError as error:
        try:
            maker = components.find({"encoder": _of_nothing}, name)
        except UsageError:
            raise ValueError(f"encoder: {error}") from error
        module = maker()
        if not isinstance(module, nn.Module):
            raise ValueError(
                f"encoder `{name}` must make a torch.nn.Module, but made {type(module).__name__}."
            ) from None
        return _frozen(module, device, dtype)
    return function


def _frozen(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Encoder:
    module = module.to(device, dtype).eval()
    for weights in module.parameters():
        weights.requires_grad_(False)
    return module


def _of_image(image: Tensor, /) -> Tensor:
    """The form of a function that is an encoder."""
    return image


def _of_nothing() -> nn.Module:
    """The form of a function that makes one."""
    return nn.Identity()
