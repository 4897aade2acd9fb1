"""Images, displacements and matrices that an audit looks through; the same ones in each run."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]
MODES = {2: "bilinear", 3: "trilinear"}
# The smallest shape that a function takes is audited: odd sizes first, then large ones, then powers of two.
SHAPES: dict[int, tuple[Shape, ...]] = {
    2: ((40, 43), (96, 97), (128, 128)),
    3: ((20, 21, 22), (44, 45, 46), (64, 64, 64)),
}


def random(seed: int) -> torch.Generator:
    """Random numbers of a seed."""
    return torch.Generator().manual_seed(seed)


def texture(shape: Shape, seed: int, *, rough: float = 0.2, cells: int = 5) -> Tensor:
    """An image ``(1, 1, *S)`` of float64 in [0, 1]: smooth, with a share of noise."""
    numbers = random(seed)
    coarse = torch.rand((1, 1, *(cells,) * len(shape)), generator=numbers, dtype=torch.double)
    smooth = F.interpolate(coarse, size=shape, mode=MODES[len(shape)], align_corners=True)
    return (1 - rough) * smooth + rough * torch.rand(smooth.shape, generator=numbers, dtype=torch.double)


def pair(shape: Shape, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two images of order one that correlate."""
    same = texture(shape, 2 * seed, rough=0.1)
    images = []
    for number, share in enumerate((0.2, 0.45)):
        images.append((1 - share) * same + share * texture(shape, 2 * seed + 1 + 100 * number, rough=0.4))
    return images[0], images[1]


def _background(images: tuple[Tensor, Tensor], level: float) -> tuple[Tensor, Tensor]:
    """A third of the image of one value, to within the rounding of float32 that an interpolation leaves."""
    size, rounding = images[0].shape[-1], torch.finfo(torch.float32).eps
    outside = torch.arange(size) >= size - size // 3
    grounds = [
        level * (1 + rounding * torch.randn(image.shape, generator=random(9 + k))) for k, image in enumerate(images)
    ]
    fixed, moved = (torch.where(outside, ground, image) for ground, image in zip(grounds, images, strict=True))
    return fixed, moved


Case = Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]
ORDER_ONE: dict[str, Case] = {
    "[0, 1]": lambda images: images,
    "zero background": lambda images: _background(images, 0.0),
    "0..0.01": lambda images: (0.01 * images[0], 0.01 * images[1]),
    "contrast x 0.01": lambda images: (0.495 + 0.01 * images[0], 0.495 + 0.01 * images[1]),
}
UNSCALED: dict[str, Case] = {
    "0..255": lambda images: (255 * images[0], 255 * images[1]),
    "offset +1000": lambda images: (images[0] + 1000, images[1] + 1000),
    "raw CT (-1000..3000)": lambda images: _background((4000 * images[0] - 1000, 4000 * images[1] - 1000), -1000.0),
}
CONSTANT: dict[str, Case] = {
    "both images constant": lambda images: (torch.full_like(images[0], 0.7), torch.full_like(images[1], 0.3)),
    "moved image constant": lambda images: (images[0], torch.full_like(images[1], 0.3)),
    "fixed image constant": lambda images: (torch.full_like(images[0], 0.7), images[1]),
}


def single(tensors: Sequence[Tensor]) -> list[Tensor]:
    """In float32."""
    return [tensor.float() for tensor in tensors]


def shifted(shape: Shape, axis: int, voxels: int, *, along: bool = False, seed: int = 3) -> Tensor:
    """A texture seen through a window that is moved along an axis.

    Args:
        shape: of the window.
        axis: of the shift.
        voxels: of the shift.
        along: a profile that varies along that axis alone, with no texture along the others.
        seed: of the texture.
    """
    large = tuple(size + 8 for size in shape)
    image = texture(large, seed, rough=0.1)
    if along:
        profile = texture((large[axis], 4), seed, rough=0.1, cells=7)[..., 0]
        image = profile.view([1, 1, *(large[k] if k == axis else 1 for k in range(len(shape)))]).expand(1, 1, *large)
    for k, size in enumerate(shape):
        image = image.narrow(2 + k, voxels if k == axis else 0, size)
    return image.contiguous()


def coordinates(shape: Shape) -> list[Tensor]:
    """The index of each voxel along each axis, ``(*S)`` each."""
    return list(torch.meshgrid(*(torch.arange(size, dtype=torch.double) for size in shape), indexing="ij"))


def field(shape: Shape, seed: int, *, rough: float = 0.2, size: float = 2.0, cells: int = 5) -> Tensor:
    """A displacement ``(1, d, *S)`` in voxels; its components differ in size, and its axes in smoothness."""
    numbers, dims = random(seed), len(shape)
    counts = [cells + (seed + axis) % dims for axis in range(dims)]
    coarse = torch.randn((1, dims, *counts), generator=numbers, dtype=torch.double)
    smooth = F.interpolate(coarse, size=shape, mode=MODES[dims], align_corners=True)
    noise = torch.randn(smooth.shape, generator=numbers, dtype=torch.double)
    sizes = 0.5 + torch.rand((1, dims, *(1,) * dims), generator=numbers, dtype=torch.double)
    return size * sizes * ((1 - rough) * smooth + rough * noise)


def translation(shape: Shape, component: int, voxels: float = 3.0) -> Tensor:
    """A constant displacement along one axis."""
    moved = torch.zeros((1, len(shape), *shape), dtype=torch.double)
    moved[:, component] = voxels
    return moved


def ripple(shape: Shape, component: int, axis: int, size: float = 2.0) -> Tensor:
    """A displacement of one component that varies along one axis alone, and folds where both are the same."""
    moved = torch.zeros((1, len(shape), *shape), dtype=torch.double)
    moved[:, component] = size * torch.sin(2 * torch.pi * coordinates(shape)[axis] / 7 + 0.4)
    return moved


def wave(shape: Shape, refined: int, voxels: float = 1.0) -> Tensor:
    """One smooth motion of a box, on its grid or on one of half, a quarter, ... of the spacing; in voxels of that grid.

    Args:
        shape: of the coarsest grid.
        refined: how often the spacing is halved.
        voxels: size of the motion on the coarsest grid.
    """
    step, places = 0.5**refined, _angles(shape, refined)
    moves = [torch.sin(places[k] + 0.3) * torch.cos(places[k - 1] + k) for k in range(len(shape))]
    return voxels / step * torch.stack(moves)[None]


def _angles(shape: Shape, refined: int) -> list[Tensor]:
    """Once around the circle along each axis of a box, at the centres of its voxels."""
    fine = tuple(size * 2**refined for size in shape)
    return [
        (index + 0.5) * 0.5**refined * (2 * torch.pi / size)
        for index, size in zip(coordinates(fine), shape, strict=True)
    ]


def wave_pair(shape: Shape, refined: int) -> tuple[Tensor, Tensor]:
    """Two smooth images of one scene, on a grid or on one of half, ... of the spacing."""
    places, images = _angles(shape, refined), []
    for shift in (0.0, 0.5):
        image = torch.zeros_like(places[0])
        for number, waves in enumerate(product(range(1, 4), repeat=len(shape))):
            angle = torch.stack([k * place for k, place in zip(waves, places, strict=True)]).sum(0)
            image += torch.sin(angle + number + shift * sum(waves)) / sum(waves)
        images.append((0.5 + image / 8)[None, None])
    return images[0], images[1]


def matrix(dims: int, seed: int, size: float = 0.3) -> Tensor:
    """An affine map ``(1, d, d + 1)`` near the identity."""
    return identity(dims) + size * torch.randn((1, dims, dims + 1), generator=random(seed), dtype=torch.double)


def identity(dims: int) -> Tensor:
    """The affine map that changes nothing."""
    return torch.eye(dims, dims + 1, dtype=torch.double)[None]
