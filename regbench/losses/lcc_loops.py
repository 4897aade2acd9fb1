"""Local cross-correlation and its gradients, compiled.

A sweep through the planes keeps, for each row and column, the sums over the window's planes, adds the plane that enters
and subtracts the one that leaves; the same again from row to row; along a row, windows grow by threes. The cost hardly
depends on the window. Running sums in float32 would lose their digits on the way; these are of float64, in which a
product of two float32 is exact.

With window sums S, means m = S / n, variances v and covariance c, the squared correlation is ``c t`` with
``t = c / (v_I v_J + eps)``, and its gradient with respect to the image J is
``2 (I B[t] - J B[b] - B[t m_I - b m_J])``, where ``b = t^2 v_I`` and B sums over the window. The signed one has
``t = 1 / sqrt(v_I v_J + eps)``, ``b = c t^3 v_I`` and no factor 2.

Shapes: an image is ``(M, A, Y, Z)``; a window reaches ``r = side // 2`` voxels along Z on either side. A row of voxels
is ``(Z,)``; a padded row of Q quantities is ``(Q * P,)``, ``P = Z + 2 r``: each quantity in P values, with r zeros on
either side, so that one loop serves them all. Q is 5 for the sums I, J, I^2, J^2 and I J; it is 1 + 2 G for the factors
t, and b and the term of the means for each of G gradients. The inner loops are functions of their own, of whole rows:
so they become vectors.
"""

from functools import partial
from math import inf, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.losses.windows import FLAT
from regbench.system.numba_loops import in_parts, jit

Doubles = NDArray[np.float64]

f64 = np.float64


def value_and_gradients(
    fixed: Tensor,
    moved: Tensor,
    wanted: tuple[bool, ...],
    sides: tuple[int, int, int],
    *,
    eps: float,
    zero_border: bool,
    signed: bool,
    clamp: bool,
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """Sum of the local correlations in float64, and its gradients (half of them where squared).

    Args:
        fixed: ``(B, C, *S)`` float32.
        moved: ``(B, C, *S)`` float32.
        wanted: whether the fixed and the moved image need a gradient.
        sides: of the window, along the axes of a volume.
        eps: of the denominator.
        zero_border: whether windows are padded with zeros.
        signed: correlation instead of its square.
        clamp: raise the variances to `eps` instead of adding it to their product.
    """
    pair = [x.detach().contiguous() for x in (fixed, moved)]
    # (M, A, Y, Z): 2D images are the planes of one volume whose window is one plane thick; 1D ones likewise.
    shape = (1, -1, *(1, *fixed.shape[2:])[-2:]) if fixed.ndim < 5 else (-1, *fixed.shape[2:])
    volumes = tuple(x.numpy().reshape(shape) for x in pair)
    planes = volumes[0].shape[:2]
    maps = [x.flatten(2) for x in pair]
    means = [x.mean(2) for x in maps]
    largest = [torch.maximum(x.amax(2) - c, c - x.amin(2)).double() for x, c in zip(maps, means, strict=True)]
    centres, rests = (
        tuple(x.view((1, -1) if fixed.ndim < 5 else (-1, 1)).expand(planes).contiguous().numpy() for x in numbers)
        for numbers in (means, [_REST * prod(sides) * x**2 for x in largest])
    )
    nothing = np.zeros((1, 1, 1, 1), np.float32)
    gradients = tuple(torch.empty(fixed.shape, dtype=fixed.dtype) if want else None for want in wanted)
    targets = tuple(nothing if gradient is None else gradient.numpy().reshape(shape) for gradient in gradients)
    totals = np.zeros(prod(planes))
    options = (f64(0 if clamp else eps), f64(eps if clamp else -inf))
    depth, rows, columns = volumes[0].shape[1:]
    counts = tuple(_counts(size, side) for size, side in zip((depth, rows, columns), sides, strict=True))
    factors, pitch = 1 + 2 * sum(wanted), columns + 2 * (sides[2] // 2)

    def scratch() -> tuple[Any, ...]:
        return (
            np.zeros((rows + _EXTRA_ROWS, 5 * pitch)),
            np.zeros((rows + 1, factors * pitch)),
            np.zeros((sides[0], rows, factors * pitch)),
            np.zeros((2, factors * pitch)),
            np.zeros(columns, np.float32),
        )

    in_parts(
        _lcc, totals.size, volumes[0].size, scratch, volumes, centres, rests, targets, totals, tuple(sides),
        (*counts, 1 / counts[2]), options, (zero_border, signed, *wanted),
    )  # fmt: skip
    return torch.tensor(totals.sum()), gradients


def _counts(size: int, side: int) -> Doubles:
    """How many voxels of the window around each voxel of an axis lie in the image."""
    place = np.arange(size)
    return (np.minimum(place, side // 2) + np.minimum(size - 1 - place, side // 2) + 1).astype(np.float64)


# What running sums have at most left of the largest sum of squares that passed, where the true one is zero.
_REST = 1e-14


@jit
def _slide(i, j, old_i, old_j, c, d, old_c, old_d, sums, pitch):
    """Add to the `sums` over planes what enters the window less what leaves it.

    Args:
        i, j: rows ``(Z,)`` float32 of the two images on the plane that enters; `c`, `d` the numbers to subtract.
        old_i, old_j: rows ``(Z,)`` of the plane that leaves; `old_c`, `old_d` likewise.
        sums: ``(5 * P - r,)``: a padded row from its first voxel on; I, J, I^2, J^2 and I J, `pitch` apart.
        pitch: P.
    """
    columns = len(i)
    i_sum, j_sum = sums[:columns], sums[pitch : pitch + columns]
    i_power, j_power = sums[2 * pitch : 2 * pitch + columns], sums[3 * pitch : 3 * pitch + columns]
    cross = sums[4 * pitch : 4 * pitch + columns]
    for x in range(columns):
        one, two, gone, other = f64(i[x]) - c, f64(j[x]) - d, f64(old_i[x]) - old_c, f64(old_j[x]) - old_d
        i_sum[x] += one - gone
        j_sum[x] += two - other
        i_power[x] += one * one - gone * gone
        j_power[x] += two * two - other * other
        cross[x] += one * two - gone * other


@jit
def _move(planes, newest, side, out):
    """Move a window of rows on by one: a row enters, and one leaves, where they exist.

    Args:
        planes: ``(Y, Q * P)``.
        newest: row that enters.
        side: rows in the window.
        out: ``(Q * P,)``, the sum over the window's rows.
    """
    if newest < len(planes):
        entering = planes[newest]
        for x in range(len(out)):
            out[x] += entering[x]
    if newest >= side:
        leaving = planes[newest - side]
        for x in range(len(out)):
            out[x] -= leaving[x]


@jit
def _swap(entering, leaving, out):
    """Replace a row by a newer one, in the ring of the last planes and in the sum over them.

    Args:
        entering: ``(Q * P,)``.
        leaving: ``(Q * P,)``; becomes `entering`.
        out: ``(Q * P,)``, the sum.
    """
    for x in range(len(out)):
        out[x] += f64(entering[x]) - f64(leaving[x])
        leaving[x] = entering[x]


@jit
def _copy(values, out):
    """Both ``(n,)``."""
    for x in range(len(out)):
        out[x] = values[x]


@jit
def _multiple(values, factor, out):
    """Both ``(n,)``."""
    for x in range(len(out)):
        out[x] = factor * values[x]


@jit
def _add_multiple(values, factor, out):
    """Both ``(n,)``."""
    for x in range(len(out)):
        out[x] += factor * values[x]


@jit
def _three(sums, reach, line, more, out):
    """A window of three times `reach` voxels, and so many `more`, from one of `reach`.

    Args:
        sums: ``(n + 2 * reach,)`` or longer: windows of `reach` voxels.
        reach: voxels of those windows.
        line: the voxels themselves, as long as `sums` or longer.
        more: 0, 1 or 2.
        out: ``(n,)``.
    """
    # Slices, for an index that is a sum might be negative, which would have to be looked at for each voxel.
    count = len(out)
    one, two, three = sums[:count], sums[reach : reach + count], sums[2 * reach : 2 * reach + count]
    if more == 0:
        for x in range(count):
            out[x] = one[x] + two[x] + three[x]
        return
    four = line[3 * reach : 3 * reach + count]
    if more == 1:
        for x in range(count):
            out[x] = one[x] + two[x] + (three[x] + four[x])
        return
    five = line[3 * reach + 1 : 3 * reach + 1 + count]
    for x in range(count):
        out[x] = one[x] + two[x] + three[x] + (four[x] + five[x])


@jit
def _along_row(line, side, spare, out):
    """Window sums of a line; the digits of `side` to base three say how to grow a window.

    Args:
        line: ``(n,)``, a padded row of any quantities.
        side: voxels in the window.
        spare: ``(2, n)`` or wider; overwritten.
        out: ``(n - side + 1,)``.
    """
    top = 1
    while 3 * top <= side:
        top *= 3
    length, current, turn = side // top, line, 0
    if length == 2:
        target = spare[0, : len(line) - 1] if side > 2 else out
        after = line[1:]
        for x in range(len(target)):
            target[x] = line[x] + after[x]
        current, turn = target, 1
    while top > 1:
        top //= 3
        more = side // top % 3
        reached = 3 * length + more
        target = out if top == 1 else spare[turn % 2, : len(line) - reached + 1]
        _three(current, length, line, more, target)
        current, length, turn = target, reached, turn + 1
    if side == 1:
        _copy(line, out)


@jit
def _correlate(i_sum, j_sum, i_power, j_power, cross, inverse, i_rest, j_rest, options, signed, ratio, square):
    """From window sums to the factor t and its share t^2 or c t^3 of b; both are 0 where either image is flat.

    Args:
        i_sum, j_sum: ``(Z,)``.
        i_power, j_power: ``(Z,)`` sums of squares; become variances, with a minus where `options` raised them.
        cross: ``(Z,)`` sum of products; becomes the local correlation.
        inverse: ``(Z,)``, one over the number of voxels in each window.
        i_rest, j_rest: numbers: what running sums may have left of a brighter region.
        options: eps, and the number below which a variance is raised to it.
        signed: correlation instead of its square.
        ratio: ``(Z,)`` for t.
        square: ``(Z,)`` for the share.
    """
    eps, low = options
    for x in range(len(ratio)):
        i_var = i_power[x] - i_sum[x] * i_sum[x] * inverse[x]
        j_var = j_power[x] - j_sum[x] * j_sum[x] * inverse[x]
        covariance = cross[x] - i_sum[x] * j_sum[x] * inverse[x]
        still = i_var <= FLAT * i_power[x] + i_rest or j_var <= FLAT * j_power[x] + j_rest
        i_raised, j_raised = max(i_var, low), max(j_var, low)
        product = i_raised * j_raised + eps
        factor = 1 / np.sqrt(product) if signed else covariance / product
        factor = 0.0 if still else factor
        local = covariance * factor
        ratio[x] = factor
        square[x] = factor * factor * (local if signed else 1.0)
        cross[x] = local
        i_power[x] = i_raised if i_var > low else -i_raised
        j_power[x] = j_raised if j_var > low else -j_raised


@jit
def _factors(ratio, square, own_var, other_var, own_sum, other_sum, inverse, pull, rest):
    """The factor b of the image itself, to `pull`, and the term of the means, to `rest`; all ``(Z,)``."""
    for x in range(len(pull)):
        own_factor = square[x] * abs(other_var[x]) if own_var[x] > 0 else 0.0
        pull[x] = own_factor
        rest[x] = (ratio[x] * other_sum[x] - own_factor * own_sum[x]) * inverse[x]


@jit
def _write(own, other, centre, other_centre, cross, pull, rest, out):
    """A row of the gradient; all arrays ``(Z,)``, the centres numbers, `cross`, `pull` and `rest` window sums."""
    for x in range(len(out)):
        out[x] = (f64(other[x]) - other_centre) * cross[x] - (f64(own[x]) - centre) * pull[x] - rest[x]


@partial(jit, reorder=True)
def _total(values):
    """Sum of ``(n,)``."""
    total = 0.0
    for x in range(len(values)):
        total += values[x]
    return total


# Arrays of a thread:
# - planes: (Y + _EXTRA_ROWS, 5 * P): I, J, I^2, J^2 and I J of each row, summed over the window's planes; single rows;
# - factor_planes: (Y + 1, Q * P): the factors of each row, summed likewise; one row for their sum over rows;
# - ring: (planes in the window, Y, Q * P): the factors of the last planes, which will leave the window;
# - lines: (2, Q * P): a row of factors, and one of zeros;
# - blank: (Z,) float32, zeros.
_EXTRA_ROWS = 8


@jit
def _slide_plane(images, centres, n, newest, oldest, sides, blank, planes):
    """A plane enters the sums over planes, and one leaves, where they exist.

    Args:
        images: fixed and moved, ``(M, A, Y, Z)``.
        centres: of each image, ``(M, A)``.
        n: which volume.
        newest: plane that enters.
        oldest: first plane that entered.
        sides: of the window.
        blank: zeros ``(Z,)``.
        planes: ``(Y + _EXTRA_ROWS, 5 * P)``.
    """
    f, m = images
    depth, rows, columns = f.shape[1:]
    reach, old = sides[2] // 2, newest - sides[0]
    enters, leaves = newest < depth, old >= oldest and sides[0] > 1
    c, d = (f64(centres[0][n, newest]), f64(centres[1][n, newest])) if enters else (0.0, 0.0)
    old_c, old_d = (f64(centres[0][n, old]), f64(centres[1][n, old])) if leaves else (0.0, 0.0)
    for y in range(rows):
        if sides[0] == 1:  # planes are images of their own, and their sums must not meet
            planes[y] = 0
        i, j = (f[n, newest, y], m[n, newest, y]) if enters else (blank, blank)
        old_i, old_j = (f[n, old, y], m[n, old, y]) if leaves else (blank, blank)
        _slide(i, j, old_i, old_j, c, d, old_c, old_d, planes[y, reach:], columns + 2 * reach)


@jit
def _correlate_plane(n, z, planes, factor_planes, slot, fresh, centres, rests, sides, counts, options, flags):
    """Sum of the correlations of plane `z`; its factors enter the sums over planes, and those in `slot` leave.

    Args:
        n, z: volume and plane.
        planes: ``(Y + _EXTRA_ROWS, 5 * P)``, window sums over planes.
        factor_planes: ``(Y + 1, Q * P)``.
        slot: ``(Y, Q * P)``, a plane of the ring.
        fresh: ``(Q * P,)``, a row of factors.
        centres: of each image, ``(M, A)``.
        rests: of each image, ``(M, A)``.
        sides: of the window.
        counts: voxels of the window inside the image along each axis, ``(A,)``, ``(Y,)``, ``(Z,)``, and one over the
            last.
        options: as in `_correlate`.
        flags: zero_border, signed, and whether each gradient is wanted.
    """
    zero_border, signed, f_wanted, m_wanted = flags
    rows, columns, reach = len(counts[1]), len(counts[2]), sides[2] // 2
    pitch, total = columns + 2 * reach, 0.0
    over_rows, sums, spare = planes[rows], planes[rows + 1], planes[rows + 2 : rows + 4]
    inverse, outside = planes[rows + 4, :columns], planes[rows + 5, :columns]
    ratio, square = planes[rows + 6, :columns], planes[rows + 7, :columns]
    f_sum, m_sum = sums[:columns], sums[pitch : pitch + columns]
    f_var, m_var = sums[2 * pitch : 2 * pitch + columns], sums[3 * pitch : 3 * pitch + columns]
    cross = sums[4 * pitch : 4 * pitch + columns]
    over_rows[:] = 0
    for newest in range(rows + sides[1] // 2):
        _move(planes[:rows], newest, sides[1], over_rows)
        y = newest - sides[1] // 2
        if y < 0:
            continue
        _along_row(over_rows, sides[2], spare, sums[: len(sums) - 2 * reach])
        count = counts[0][z] * counts[1][y]
        if zero_border:
            # A zero outside the image is minus the mean after centring.
            c, d = -f64(centres[0][n, z]), -f64(centres[1][n, z])
            full = f64(sides[0] * sides[1] * sides[2])
            inverse[:], outside[:] = 1 / full, full
            _add_multiple(counts[2], -count, outside)
            for k, value in enumerate((c, d, c * c, d * d, c * d)):
                _add_multiple(outside, value, sums[k * pitch : k * pitch + columns])
        else:
            _multiple(counts[3], 1 / count, inverse)
        f_rest, m_rest = rests[0][n, z], rests[1][n, z]
        _correlate(f_sum, m_sum, f_var, m_var, cross, inverse, f_rest, m_rest, options, signed, ratio, square)
        total += _total(cross)
        if not (f_wanted or m_wanted):
            continue
        _copy(ratio, fresh[reach : reach + columns])
        at = pitch + reach
        if f_wanted:
            pull, rest = fresh[at : at + columns], fresh[at + pitch : at + pitch + columns]
            _factors(ratio, square, f_var, m_var, f_sum, m_sum, inverse, pull, rest)
            at += 2 * pitch
        if m_wanted:
            pull, rest = fresh[at : at + columns], fresh[at + pitch : at + pitch + columns]
            _factors(ratio, square, m_var, f_var, m_sum, f_sum, inverse, pull, rest)
        _swap(fresh, slot[y], factor_planes[y])
    return total


@jit
def _write_plane(n, z, planes, factor_planes, images, centres, gradients, sides, flags):
    """The gradients on plane `z`; arrays as in `_correlate_plane`, gradients as the images."""
    rows, columns, reach = images[0].shape[2], images[0].shape[3], sides[2] // 2
    pitch, over_rows = columns + 2 * reach, factor_planes[rows]
    sums, spare = planes[rows + 1, : len(over_rows) - 2 * reach], planes[rows + 2 : rows + 4]
    over_rows[:] = 0
    for newest in range(rows + sides[1] // 2):
        _move(factor_planes[:rows], newest, sides[1], over_rows)
        y = newest - sides[1] // 2
        if y < 0:
            continue
        _along_row(over_rows, sides[2], spare, sums)
        at = pitch
        for k in range(2):
            if flags[2 + k]:
                pull, rest = sums[at : at + columns], sums[at + pitch : at + pitch + columns]
                c, d = f64(centres[k][n, z]), f64(centres[1 - k][n, z])
                _write(
                    images[k][n, z, y], images[1 - k][n, z, y], c, d, sums[:columns], pull, rest, gradients[k][n, z, y]
                )
                at += 2 * pitch


@jit
def _lcc(
    start, stop, planes, factor_planes, ring, lines, blank, images, centres, rests, gradients, totals, sides, counts,
    options, flags,
):  # fmt: skip
    """Planes `start` .. `stop` of all volumes, ``M * A``: their correlations to `totals`, and the gradients on them.

    Args:
        planes, factor_planes, ring, lines, blank: arrays of this thread, see above.
        images: fixed and moved, ``(M, A, Y, Z)`` float32.
        centres, rests: of each image, ``(M, A)``.
        gradients: to each image, ``(M, A, Y, Z)`` float32; ``(1, 1, 1, 1)`` where none is wanted.
        totals: ``(M * A,)``.
        sides, counts, options, flags: as in `_correlate_plane`.
    """
    depth, reach = images[0].shape[1], sides[0] // 2
    some = flags[2] or flags[3]
    for n in range(start // depth, (stop - 1) // depth + 1):
        first, last = max(start - n * depth, 0), min(stop - n * depth, depth)
        # The gradient of a plane needs the correlations of all planes that its windows reach.
        begin, end = (max(first - reach, 0), last + reach) if some else (first, last)
        oldest = max(begin - reach, 0)
        planes[:], factor_planes[:], ring[:] = 0, 0, 0
        for newest in range(oldest, end + reach):
            _slide_plane(images, centres, n, newest, oldest, sides, blank, planes)
            z = newest - reach  # where the window is whole
            if z < begin:
                continue
            slot = ring[z % sides[0]]
            if z < depth:
                total = _correlate_plane(
                    n, z, planes, factor_planes, slot, lines[0], centres, rests, sides, counts, options, flags
                )
                if first <= z < last:
                    totals[n * depth + z] = total
            elif some:
                for y in range(len(slot)):
                    _swap(lines[1], slot[y], factor_planes[y])
            if some and first <= z - reach < last:
                _write_plane(n, z - reach, planes, factor_planes, images, centres, gradients, sides, flags)
