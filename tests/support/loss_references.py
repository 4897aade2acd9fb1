"""The formulas of the losses written out independently: loops over voxels, or two passes in float64."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from math import inf, log
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from regbench.losses import SIMILARITIES
from regbench.study import components

Array = NDArray[np.float64]
components.allow(["loss_references"])


def images(shape: tuple[int, ...], case: str = "unit", seed: int = 0) -> tuple[Tensor, Tensor]:
    """A pair of smooth, noisy float32 images ``(1, 1, *S)`` that correlate."""
    generator = torch.Generator().manual_seed(seed)
    dims = len(shape)
    smooth = F.interpolate(torch.rand((1, 1) + (4,) * dims, generator=generator), size=shape, mode=MODES[dims])
    other = F.interpolate(torch.rand((1, 1) + (4,) * dims, generator=generator), size=shape, mode=MODES[dims])
    pair = []
    for share in (0.2, 0.5):
        noise = torch.rand(smooth.shape, generator=generator)
        pair.append((1 - share) * (0.8 * smooth + 0.2 * noise) + share * other)
    if case == "zero background":
        outside = torch.linspace(-1, 1, shape[0]).abs().view(-1, *(1,) * (dims - 1)) > 0.5
        pair = [torch.where(outside, 0, x) for x in pair]
    if case == "raw CT":
        air = torch.linspace(-1, 1, shape[-1]).abs() > 0.8
        pair = [torch.where(air, -1000, 4000 * x - 1000) for x in pair]
    change = {"low contrast": lambda x: 0.01 * x, "offset 1000": lambda x: x + 1000}.get(case, lambda x: x)
    return change(pair[0]), change(pair[1])


MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
CASES = ("unit", "zero background", "low contrast", "offset 1000", "raw CT")


def lcc_two_pass(
    fixed: Tensor, moved: Tensor, side: int, *, eps: float = 1e-5, zero: bool = False, signed: bool = False
) -> Tensor:
    """Every window cut out, centred, then multiplied; differentiable."""
    pads = (side // 2,) * (2 * (fixed.ndim - 2))
    inside = F.pad(torch.ones_like(fixed), pads)
    if zero:
        inside = torch.ones_like(inside)

    def windows(x: Tensor) -> Tensor:
        for axis in range(2, fixed.ndim):
            x = x.unfold(axis, side, 1)
        return x.flatten(fixed.ndim)

    w = windows(inside)
    centred = []
    for image in (fixed, moved):
        x = windows(F.pad(image, pads))
        mean = (x * w).sum(-1, keepdim=True) / w.sum(-1, keepdim=True)
        centred.append((x - mean) * w)
    a, b = centred
    covariance, variances = (a * b).sum(-1), (a * a).sum(-1) * (b * b).sum(-1)
    ratio = covariance / (variances + eps).sqrt() if signed else covariance**2 / (variances + eps)
    return 1 - ratio.mean()


def box(_: int, __: int) -> float:
    return 1.0


def triangle(d: int, radius: int) -> float:
    return 1 - abs(d) / (radius + 1)


def gaussian(sigma: float) -> Callable[[int, int], float]:
    return lambda d, _: float(np.exp(-0.5 * (d / sigma) ** 2))


def lcc_weighted_loops(
    f: Array, m: Array, *, side: int, eps: float, zero: bool, line: Callable[[int, int], float], signed: bool = False
) -> float:
    """Voxel by voxel, window by window, each voxel of a window by its weight."""
    r, total = side // 2, 0.0
    for p in np.ndindex(f.shape):
        a, b, w = [], [], []
        for offset in product(range(-r, r + 1), repeat=f.ndim):
            q = tuple(i + o for i, o in zip(p, offset, strict=True))
            inside = all(0 <= i < n for i, n in zip(q, f.shape, strict=True))
            if inside or zero:
                a.append(f[q] if inside else 0.0)
                b.append(m[q] if inside else 0.0)
                w.append(np.prod([line(o, r) for o in offset]))
        x, y, weights = np.array(a) - np.average(a, weights=w), np.array(b) - np.average(b, weights=w), np.array(w)
        c = float((weights * x * y).sum())
        v = float((weights * x * x).sum()) * float((weights * y * y).sum()) + eps
        total += c / v**0.5 if signed else c * c / v
    return 1 - total / f.size


def lcc_loops(f: Array, m: Array, *, side: int, eps: float, zero: bool, signed: bool) -> float:
    """Voxel by voxel, window by window."""
    r, total = side // 2, 0.0
    for p in np.ndindex(f.shape):
        a, b = [], []
        for offset in product(range(-r, r + 1), repeat=f.ndim):
            q = tuple(i + o for i, o in zip(p, offset, strict=True))
            if all(0 <= i < n for i, n in zip(q, f.shape, strict=True)):
                a.append(f[q])
                b.append(m[q])
            elif zero:
                a.append(0.0)
                b.append(0.0)
        a, b = np.array(a) - np.mean(a), np.array(b) - np.mean(b)
        c, v = float(a @ b), float(a @ a) * float(b @ b) + eps
        total += c / v**0.5 if signed else c * c / v
    return 1 - total / f.size


def gcc_two_pass(fixed: Tensor, moved: Tensor) -> Tensor:
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (fixed, moved))
    return 1 - F.cosine_similarity(a, b, dim=1, eps=0).mean()


def mse_plain(fixed: Tensor, moved: Tensor) -> Tensor:
    return ((fixed - moved) ** 2).mean()


def joint_loops(f: Array, m: Array, bins: int, sigma: float, ends: tuple[float, float] | None) -> Array:
    """Histogram, each voxel spread over all pairs of bins."""
    joint = np.zeros((bins, bins))
    for x, y in zip(f.ravel(), m.ravel(), strict=True):
        shares = []
        for value, image in ((x, f), (y, m)):
            low, high = ends or (image.min(), image.max())
            place = min(max((value - low) / (high - low) * (bins - 1), 0), bins - 1)
            share = np.exp(-((place - np.arange(bins)) ** 2) / (2 * sigma**2))
            shares.append(share / share.sum())
        joint += np.outer(*shares) / f.size
    return joint


def entropy(p: Array) -> float:
    return -sum(x * log(x) for x in p.ravel() if x > 0)


def mi_loops(f: Array, m: Array, bins: int = 32, sigma: float = 0.5) -> float:
    joint = joint_loops(f, m, bins, sigma, None)
    return entropy(joint) - entropy(joint.sum(0)) - entropy(joint.sum(1))


def nmi_loops(f: Array, m: Array, bins: int = 32, sigma: float = 0.5) -> float:
    joint = joint_loops(f, m, bins, sigma, None)
    return 2 - (entropy(joint.sum(0)) + entropy(joint.sum(1))) / entropy(joint)


def correlation_ratio_of(joint: Array) -> float:
    """One minus the share of the variance along the last axis that the bins of the first explain."""
    place = np.arange(joint.shape[1])
    whole = (joint.sum(0) * place).sum()
    variance = (joint.sum(0) * (place - whole) ** 2).sum()
    within = sum(row.sum() * np.average((place - np.average(place, weights=row)) ** 2, weights=row) for row in joint)
    return float(within / variance)


def correlation_ratio_loops(f: Array, m: Array, bins: int = 32, sigma: float = 0.5) -> float:
    return correlation_ratio_of(joint_loops(f, m, bins, sigma, None))


def ssim_loops(
    f: Array, m: Array, w: Array | None = None, *, side: int = 3, line: Callable[[int, int], float] | None = None
) -> float:
    """Window by window, of those that lie in the image."""
    r, total, weight = side // 2, 0.0, 0.0
    fall = line or gaussian(1.5)
    for p in np.ndindex(f.shape):
        if any(i < r or i + r >= n for i, n in zip(p, f.shape, strict=True)):
            continue
        a, b, k = [], [], []
        for offset in product(range(-r, r + 1), repeat=f.ndim):
            q = tuple(i + o for i, o in zip(p, offset, strict=True))
            a.append(f[q])
            b.append(m[q])
            k.append(np.prod([fall(o, r) for o in offset]) * (1.0 if w is None else w[q]))
        own = 1.0 if w is None else w[p]
        if own == 0:
            continue
        ma, mb = np.average(a, weights=k), np.average(b, weights=k)
        va, vb = np.average((a - ma) ** 2, weights=k), np.average((b - mb) ** 2, weights=k)
        c = np.average((a - ma) * (b - mb), weights=k)
        score = (2 * ma * mb + 1e-4) * (2 * c + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
        total, weight = total + own * score, weight + own
    return float(1 - total / weight)


def huber_loops(f: Array, m: Array, w: Array | None = None, delta: float = 0.1) -> float:
    x = np.abs(f - m)
    return float(np.average(np.where(x <= delta, x**2 / 2, delta * (x - delta / 2)), weights=w))


def ngf_loops(f: Array, m: Array, edge: float = 0.01) -> float:
    a, b = np.stack(np.gradient(f)), np.stack(np.gradient(m))
    total = 0.0
    for p in np.ndindex(f.shape):
        u, v = a[(slice(None), *p)], b[(slice(None), *p)]
        total += (u @ v) ** 2 / ((u @ u + edge**2) * (v @ v + edge**2))
    return 1 - total / f.size


def mind_loops(f: Array, m: Array, radius: int = 2, dilation: int = 2) -> float:
    """Patch by patch; the edge repeated for the neighbours, left out of the patches."""

    def descriptors(x: Array) -> Array:
        def at(p: tuple[int, ...]) -> float:
            return float(x[tuple(min(max(i, 0), n - 1) for i, n in zip(p, x.shape, strict=True))])

        steps = [tuple(s * dilation * (k == axis) for k in range(x.ndim)) for axis in range(x.ndim) for s in (1, -1)]
        pairs = [(s, t) for i, s in enumerate(steps) for t in steps[:i] if tuple(-k for k in s) != t]
        distances = np.zeros((*x.shape, len(pairs)))
        for p in np.ndindex(x.shape):
            for index, (s, t) in enumerate(pairs):
                values = []
                for offset in product(range(-radius, radius + 1), repeat=x.ndim):
                    q = tuple(i + o for i, o in zip(p, offset, strict=True))
                    if all(0 <= i < n for i, n in zip(q, x.shape, strict=True)):
                        one = at(tuple(i + k for i, k in zip(q, s, strict=True)))
                        two = at(tuple(i + k for i, k in zip(q, t, strict=True)))
                        values.append((one - two) ** 2)
                distances[(*p, index)] = np.mean(values)
        distances -= distances.min(-1, keepdims=True)
        mean = distances.mean(-1)
        scale = np.clip(mean, 0.001 * mean.mean(), 1000 * mean.mean())
        return np.exp(-distances / scale[..., None])

    return float(np.mean((descriptors(f) - descriptors(m)) ** 2))


def grad_loops(u: Array, power: int) -> float:
    """``u`` is ``(d, *S)``."""
    means = []
    for axis in range(1, u.ndim):
        found = []
        for p in np.ndindex(u.shape):
            if p[axis] + 1 < u.shape[axis]:
                q = tuple(i + (k == axis) for k, i in enumerate(p))
                found.append(abs(u[q] - u[p]) ** power)
        means.append(np.mean(found))
    return float(np.mean(means))


def bending_loops(u: Array) -> float:
    total = 0.0
    for i, j in product(range(1, u.ndim), repeat=2):
        found = []
        for p in np.ndindex(u.shape):

            def at(a: int, b: int, p: tuple[int, ...] = p, i: int = i, j: int = j) -> float:
                return float(u[tuple(n + a * (k == i) + b * (k == j) for k, n in enumerate(p))])

            if all(p[k] + (k == i) + (k == j) < u.shape[k] for k in range(u.ndim)):
                found.append((at(1, 1) - at(1, 0) - at(0, 1) + at(0, 0)) ** 2)
        total += np.mean(found)
    return float(total)


def cell_slopes(u: Array, p: tuple[int, ...], steps: Array) -> Array | None:
    """``[component, axis]`` forward differences of ``(d, *S)`` at a voxel, of mm by mm; None where one is missing."""
    d = len(u)
    if any(i + 1 >= n for i, n in zip(p, u.shape[1:], strict=True)):
        return None
    slopes = np.zeros((d, d))
    for k, j in product(range(d), repeat=2):
        q = tuple(i + (a == j) for a, i in enumerate(p))
        slopes[k, j] = (u[(k, *q)] - u[(k, *p)]) * steps[k] / steps[j]
    return slopes


def of_cells(u: Array, w: Array | None, energy: Callable[[Array], float], steps: Array | None = None) -> float:
    """Mean over voxels of an energy of the slopes there, by the weights of a voxel and of those ahead of it."""
    values, weights = [], []
    for p in np.ndindex(u.shape[1:]):
        slopes = cell_slopes(u, p, np.ones(len(u)) if steps is None else steps)
        if slopes is not None:
            values.append(energy(slopes))
            ahead = [tuple(i + (a == j) for a, i in enumerate(p)) for j in range(len(u))]
            weights.append(1.0 if w is None else w[p] * np.prod([w[q] for q in ahead]))
    return float(np.average(values, weights=weights))


def elastic_energy(slopes: Array, mu: float = 1.0, lam: float = 1.0) -> float:
    """Of one matrix, as the textbook has it."""
    strain = (slopes + slopes.T) / 2
    return float(mu * (strain * strain).sum() + lam / 2 * np.trace(strain) ** 2)


def curvature_loops(u: Array, w: Array | None = None, steps: Array | None = None) -> float:
    values, weights = [], []
    h = np.ones(len(u)) if steps is None else steps
    for p in np.ndindex(u.shape[1:]):
        if any(i in (0, n - 1) for i, n in zip(p, u.shape[1:], strict=True)):
            continue
        around = [[tuple(i + s * (a == j) for a, i in enumerate(p)) for s in (-1, 1)] for j in range(len(u))]
        for k in range(len(u)):
            laplacian = sum((u[(k, *a)] + u[(k, *b)] - 2 * u[(k, *p)]) / h[j] ** 2 for j, (a, b) in enumerate(around))
            values.append((h[k] * laplacian) ** 2)
            weights.append(1.0 if w is None else w[p] * np.prod([w[a] * w[b] for a, b in around]))
    return float(np.average(values, weights=weights))


def determinant_numpy(u: Array) -> Array:
    """``u`` is ``(d, *S)``."""
    d = len(u)
    gradient = np.stack([np.stack([np.gradient(u[k], axis=j) for j in range(d)], -1) for k in range(d)], -2)
    return np.linalg.det(gradient + np.eye(d))


def edges(image: Tensor, /) -> Tensor:
    """An encoder: means of neighbours and rectified differences along each axis, on the grid of the image."""
    parts = [image]
    for axis in range(2, image.ndim):
        step = image - image.roll(1, axis)
        parts += [torch.tanh(step), (image + image.roll(1, axis)) / 2]
    return torch.cat(parts, 1)


def features_loops(f: Array, m: Array, w: Array | None = None) -> float:
    """Of `edges`; voxel by voxel, each with its neighbour before, around the end."""
    total = weight = 0.0
    f, m = (x if w is None else np.where(w > 0, x, 0) for x in (f, m))
    for p in np.ndindex(f.shape):
        seen = []
        for x in (f, m):
            parts = [x[p]]
            for axis in range(x.ndim):
                q = tuple(i - (k == axis) for k, i in enumerate(p))
                parts += [np.tanh(x[p] - x[q]), (x[p] + x[q]) / 2]
            seen.append(np.array(parts))
        own = 1.0 if w is None else w[p]
        total, weight = total + own * ((seen[0] - seen[1]) ** 2).mean(), weight + own
    return float(total / weight)


def blocks(x: Array, factor: int, w: Array) -> tuple[Array, Array]:
    """Means of blocks by weights, and the mean weight of each."""
    shape = [-(-n // factor) for n in x.shape]
    means, weights = np.zeros(shape), np.zeros(shape)
    for p in np.ndindex(*shape):
        part = tuple(slice(factor * i, factor * (i + 1)) for i in p)
        weights[p] = w[part].mean()
        means[p] = np.average(x[part], weights=w[part]) if w[part].sum() > 0 else 0
    return means, weights


def multi_scale_loops(f: Array, m: Array, w: Array | None = None) -> float:
    """Of squared differences, on three grids."""
    inner, total = np.ones(f.shape) if w is None else w, 0.0
    for factor in (1, 2, 4):
        (one, weights), (two, _) = (blocks(x, factor, inner) for x in (f, m))
        total += np.average((one - two) ** 2, weights=weights) / 3
    return float(total)


class Row(NamedTuple):
    """What the table tests know of one similarity; by default they ask what every similarity must do.

    Attributes:
        loops: the formula for two images ``(*S)``, voxel by voxel; without it, that test is skipped.
        low: end of the range.
        high: end of the range.
        constant: value where an image is constant, with gradient 0; None: any finite one.
        limit: error of float32 against float64, relative.
        small: parameters with which it is defined on images of 5 x 6 voxels.
        needs: parameters that it has no default for.
    """

    loops: Callable[[Array, Array], float] | None = None
    low: float = -inf
    high: float = inf
    constant: float | None = None
    limit: float = 1e-5
    small: Mapping[str, Any] = {}
    needs: Mapping[str, Any] = {}


SIMILARITY_ROWS = {
    "lcc": Row(partial(lcc_loops, side=3, eps=1e-5, zero=False, signed=False), 0, 1, 1, 1e-6, {"window": 3}),
    "gcc": Row(lambda f, m: 1 - np.corrcoef(f.ravel(), m.ravel())[0, 1], 0, 2, 1, 1e-6),
    "mse": Row(lambda f, m: float(np.mean((f - m) ** 2)), 0, limit=1e-6),
    "mae": Row(lambda f, m: float(np.mean(np.abs(f - m))), 0, limit=1e-6),
    "huber": Row(huber_loops, 0, limit=1e-6),
    "mi": Row(mi_loops, -log(32), 0, 0, 3e-6),
    "nmi": Row(nmi_loops, 0, 1, 1, 3e-6),
    "correlation_ratio": Row(correlation_ratio_loops, 0, 1, 1, 3e-6),
    "ngf": Row(ngf_loops, 0, 1, 1),
    # Its ratios see the rounding of the images themselves, not of the sums.
    "mind": Row(partial(mind_loops, radius=1, dilation=1), 0, 1, limit=2e-2, small={"radius": 1, "dilation": 1}),
    "multi_scale": Row(multi_scale_loops, 0, limit=1e-6, needs={"similarity": "mse"}),
    # Its encoder adds neighbours in float32.
    "features": Row(features_loops, 0, limit=2e-4, needs={"encoder": "loss_references:edges"}),
    "ssim": Row(ssim_loops, 0, 2, small={"window": 3}),
}


# With a joint histogram, whose ends are constants in the gradient.
HISTOGRAMS = {"mi", "nmi", "correlation_ratio"}


def row_of(name: str) -> Row:
    return SIMILARITY_ROWS.get(name, Row())


def complete(name: str, **more: Any) -> Callable[..., Tensor]:
    """A similarity by its defaults, with what it has none for."""
    return partial(SIMILARITIES[name], **row_of(name).needs, **more)


def small(name: str, **more: Any) -> Callable[..., Tensor]:
    """The same for small images."""
    return complete(name, **{**row_of(name).small, **more})
