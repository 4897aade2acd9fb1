"""Folding: values worked by hand, and slow or foreign code as a second opinion."""

from itertools import product
from math import factorial

import numpy as np
import plain_forms
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regbench.metrics import determinants as determinants_module
from regbench.metrics import (
    digital_percent,
    fold_backward_percent,
    fold_central_percent,
    fold_forward_percent,
    folding_metrics,
    nd_points_percent,
    ndv_percent,
    sdlogj,
    sdlogj_l2r,
)
from regbench.metrics.determinants import central_determinant, forward_determinant

SHAPES = [(9, 6), (7, 9, 6)]
COUNTS = (fold_central_percent, fold_forward_percent, fold_backward_percent, nd_points_percent)
ALL = (*COUNTS, ndv_percent, sdlogj, sdlogj_l2r)


def grid(shape):
    return np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in shape], indexing="ij"))


def noise(shape, size=1.0, seed=0):
    return np.random.default_rng(seed).normal(scale=size, size=(len(shape), *shape))


@pytest.fixture(params=SHAPES, ids=["2d", "3d"])
def shape(request):
    return request.param


@pytest.fixture(params=[1, 1 << 17], ids=["one row a slab", "one slab"])
def slab(request, monkeypatch):
    monkeypatch.setattr(determinants_module, "SLAB_VOXELS", request.param)


@pytest.mark.parametrize("metric", ALL)
def test_identity_and_translation_are_perfect(metric, shape):
    assert metric(np.zeros((len(shape), *shape))) == pytest.approx(0, abs=1e-12)
    moved = np.ones((len(shape), *shape)) * np.array([3.25, -1.5, 2.0][: len(shape)]).reshape(-1, *[1] * len(shape))
    assert metric(moved) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("s", [0.25, 1.75])
def test_scaling_has_the_power_of_its_factor(shape, s):
    u = (s - 1) * grid(shape)
    np.testing.assert_allclose(central_determinant(u), s ** len(shape))
    np.testing.assert_allclose(forward_determinant(u), s ** len(shape))
    assert all(metric(u) == pytest.approx(0, abs=1e-12) for metric in ALL)


def test_determinant_is_not_that_of_swapped_components(shape):
    # Stretch axis 0 by 3 and shear the last into it: components and axes confused give another number.
    u = np.zeros((len(shape), *shape))
    u[0] = 2 * grid(shape)[0] + 5 * grid(shape)[-1]
    np.testing.assert_allclose(central_determinant(u), 3)
    np.testing.assert_allclose(forward_determinant(u), 3)


@pytest.mark.parametrize("metric", COUNTS)
@pytest.mark.parametrize("axis", [0, 1])
def test_mirror_folds_everywhere(metric, axis, shape):
    u = np.zeros((len(shape), *shape))
    u[axis] = shape[axis] - 1 - 2 * grid(shape)[axis]
    assert metric(u) == 100
    assert ndv_percent(u) == pytest.approx(100)


@pytest.mark.parametrize("metric", COUNTS)
def test_collapse_to_a_plane_is_folding(metric, shape):
    u = np.zeros((len(shape), *shape))
    u[0] = -grid(shape)[0]
    assert metric(u) == 100
    assert ndv_percent(u) == 0  # nothing is turned over, everything is flattened


def test_two_planes_in_reversed_order(shape):
    # Along the first axis the planes stand at 0 1 2 4 3 5 6 ...: one interval of 6 (3D) or 8 (2D) is reversed.
    u = np.zeros((len(shape), *shape))
    u[0, 3], u[0, 4] = 1, -1
    planes = shape[0]
    assert fold_central_percent(u) == 0  # (3 - 2) / 2 and (5 - 4) / 2 are positive
    assert fold_forward_percent(u) == pytest.approx(100 / (planes - 1))
    assert fold_backward_percent(u) == pytest.approx(100 / (planes - 1))
    assert nd_points_percent(u) == pytest.approx(200 / (planes - 2))
    assert ndv_percent(u) == pytest.approx(100 / (planes - 2))


def test_one_pixel_pushed_past_its_neighbour():
    # (2, 2) goes to (3.5, 2): the triangles towards (3, 2) have determinant -1/2: two at (2, 2), two at (3, 2).
    u = np.zeros((2, 5, 5))
    u[0, 2, 2] = 1.5
    assert fold_central_percent(u) == 0
    assert fold_forward_percent(u) == pytest.approx(100 / 16)
    assert fold_backward_percent(u) == pytest.approx(100 / 16)
    assert nd_points_percent(u) == pytest.approx(100 * 2 / 9)
    assert ndv_percent(u) == pytest.approx(100 * (4 * 0.5 / 2 / 2) / 9)


def test_checkerboard_folds_everywhere_and_central_differences_see_nothing(shape):
    u = np.zeros((len(shape), *shape))
    inner = (slice(None), *[slice(1, -1)] * len(shape))
    u[inner] = (0.6 * (-1) ** grid(shape).sum(0))[inner[1:]]
    assert fold_central_percent(u) == 0
    assert nd_points_percent(u) == 100
    assert ndv_percent(u) > 20


def slow_digital(u):
    """Every simplex by its corners, signed volume relative to where it was."""
    dims, shape = len(u), u.shape[1:]
    simplices = [[tuple(s * (k == axis) for k in range(dims)) for axis, s in enumerate(signs)]
                 for signs in product((1, -1), repeat=dims)]  # fmt: skip
    if dims == 3:
        simplices += [[(s, s, 0), (s, 0, s), (0, s, s)] for s in (1, -1)]
    volume, bad, points = 0.0, 0, 0
    for p in product(*(range(1, n - 1) for n in shape)):
        folded = False
        for corners in simplices:
            before = np.linalg.det(np.array(corners, float))
            there = [u[(slice(None), *np.add(p, c))] + c - u[(slice(None), *p)] for c in corners]
            signed = np.linalg.det(np.array(there)) * np.sign(before) / factorial(dims)
            folded |= signed <= 0
            volume += max(-signed, 0) / 2
        bad, points = bad + folded, points + 1
    return 100 * volume / points, 100 * bad / points


@pytest.mark.parametrize("size", [0.15, 0.3, 2.0])
@pytest.mark.usefixtures("slab")
def test_digital_agrees_with_simplices_one_by_one(shape, size):
    u = noise(shape, size)
    found = digital_percent(u)
    assert found == pytest.approx(slow_digital(u), rel=1e-9)
    assert found == (ndv_percent(u), nd_points_percent(u))


@pytest.mark.usefixtures("slab")
def test_digital_counts_only_the_mask(shape):
    u, mask = noise(shape, 0.4), np.random.default_rng(3).random(shape) < 0.5
    whole, inside, outside = (digital_percent(u, m) for m in (None, mask, ~mask))
    points = [m[(slice(1, -1),) * len(shape)].sum() for m in (mask, ~mask)]
    for k in range(2):
        assert inside[k] != pytest.approx(whole[k])
        assert whole[k] == pytest.approx(np.average([inside[k], outside[k]], weights=points))


def numpy_determinant(u):
    jacobian = np.stack([np.stack(np.gradient(component)) for component in u])
    return np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)) + np.eye(len(u)))


@pytest.mark.usefixtures("slab")
def test_central_agrees_with_numpy_gradient(shape):
    u, mask = noise(shape), np.random.default_rng(1).random(shape) < 0.3
    expected = numpy_determinant(u)
    np.testing.assert_allclose(central_determinant(u), expected, atol=1e-12)
    assert fold_central_percent(u) == pytest.approx(100 * (expected <= 0).mean())
    assert fold_central_percent(u, mask) == pytest.approx(100 * (expected[mask] <= 0).mean())
    assert fold_central_percent(u, mask) != pytest.approx(fold_central_percent(u))


@pytest.mark.usefixtures("slab")
def test_forward_and_backward_agree_with_loops(shape):
    u, mask, dims = noise(shape, 0.6), np.random.default_rng(2).random(shape) < 0.4, len(shape)
    for metric, sign in ((fold_forward_percent, 1), (fold_backward_percent, -1)):
        counted = {True: [], False: []}
        for p in product(*((range(n - 1) if sign > 0 else range(1, n)) for n in shape)):
            steps = np.eye(dims, dtype=int) * sign
            edges = [(u[(slice(None), *(p + e))] - u[(slice(None), *p)] + e) * sign for e in steps]
            counted[bool(mask[p])].append(np.linalg.det(np.array(edges)) <= 0)
        assert metric(u, mask) == pytest.approx(100 * np.mean(counted[True]))
        assert metric(u) == pytest.approx(100 * np.mean(counted[True] + counted[False]))


def test_central_agrees_with_simpleitk_whatever_the_spacing(shape):
    sitk = pytest.importorskip("SimpleITK")
    u, spacing = noise(shape, 0.3), np.array([1.7, 0.6, 2.3][: len(shape)])
    millimetres = np.moveaxis(u * spacing.reshape(-1, *[1] * len(shape)), 0, -1)
    # ITK counts axes from the fastest: both the components and the spacing are reversed.
    field = sitk.GetImageFromArray(millimetres[..., ::-1].copy(), isVector=True)
    field.SetSpacing(spacing[::-1].tolist())
    found = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    inner = (slice(1, -1),) * len(shape)
    np.testing.assert_allclose(central_determinant(u)[inner], found[inner], rtol=1e-5, atol=1e-5)


def test_sdlogj_by_its_definition(shape):
    u, mask = noise(shape, 0.7), np.random.default_rng(4).random(shape) < 0.5
    logs = np.log(np.clip(numpy_determinant(u), 1e-9, None))
    assert (numpy_determinant(u) <= 0).any()
    assert sdlogj(u) == pytest.approx(np.sqrt(((logs - logs.mean()) ** 2).sum() / logs.size), rel=1e-9)
    assert sdlogj(u, mask) == pytest.approx(logs[mask].std(), rel=1e-9)


def test_sdlogj_l2r_as_the_evaluator_computes_it(shape):
    from scipy.ndimage import correlate1d

    u, dims = noise(shape, 0.8), len(shape)
    gradients = [[correlate1d(part, [-0.5, 0, 0.5], axis=axis, mode="constant") for axis in range(dims)] for part in u]
    jacobian = np.moveaxis(np.array(gradients), (0, 1), (-2, -1))[(slice(2, -2),) * dims] + np.eye(dims)
    expected = np.log((np.linalg.det(jacobian) + 3).clip(1e-9, 1e9)).std()
    assert sdlogj_l2r(u) == pytest.approx(expected, rel=1e-9)
    assert sdlogj_l2r(u) != pytest.approx(sdlogj(u), rel=0.1)


def test_all_at_once_is_each_alone(shape):
    u, mask = noise(shape, 0.4), np.random.default_rng(5).random(shape) < 0.5
    alone = {metric.__name__: metric(u) for metric in ALL}
    assert folding_metrics(u) == alone
    assert folding_metrics(u, mask) == alone | {"fold_foreground_percent": fold_central_percent(u, mask)}


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_field_has_no_number(metric, bad, shape):
    u = np.zeros((len(shape), *shape))
    u[(0, *[4] * len(shape))] = bad
    assert np.isnan(metric(u))
    assert np.isnan(folding_metrics(u, np.ones(shape, bool))[metric.__name__])


@pytest.mark.parametrize("metric", [*COUNTS, ndv_percent, sdlogj])
def test_an_empty_mask_has_no_number(metric, shape):
    assert np.isnan(metric(noise(shape), np.zeros(shape, bool)))


@pytest.mark.parametrize("metric", ALL)
def test_tensors_and_single_precision_give_the_same_and_nothing_is_written_to(metric, shape):
    u = noise(shape, 0.4).astype(np.float32)
    kept = u.copy()
    assert metric(torch.from_numpy(u).requires_grad_()) == metric(u) == metric(u.astype(np.float64))
    np.testing.assert_array_equal(u, kept)


@pytest.mark.parametrize("metric", ALL)
def test_wrong_shapes_say_what_is_expected(metric):
    with pytest.raises(ValueError, match=r"must be \(d, \*S\)"):
        metric(np.zeros((7, 7, 2)))
    with pytest.raises(ValueError, match="at least"):
        metric(np.zeros((2, 9, 1)))


@pytest.mark.parametrize("metric", [*COUNTS, ndv_percent, sdlogj])
def test_a_mask_of_another_grid_is_refused(metric):
    with pytest.raises(ValueError, match="mask must have the shape"):
        metric(np.zeros((2, 7, 6)), np.ones((6, 7), bool))


@given(seed=st.integers(0, 10**6), size=st.floats(0.05, 1.5))
def test_a_digital_diffeomorphism_has_positive_central_determinants(seed, size):
    # Proposition 5 of Liu et al.: the central matrix is an average over the corners' matrices.
    u = noise((6, 5), size, seed)
    inner = (slice(1, -1), slice(1, -1))
    central = central_determinant(u)[inner]
    for p in np.ndindex(*central.shape):
        mask = np.zeros((6, 5), bool)
        mask[p[0] + 1, p[1] + 1] = True
        if nd_points_percent(u, mask) == 0:
            assert central[p] > 0
            assert ndv_percent(u, mask) == 0


@settings(deadline=None, max_examples=40)
@given(
    sides=st.tuples(*[st.integers(2, 9)] * 3),
    size=st.sampled_from([0.0, 0.1, 0.4, 3.0]),
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([1, 1 << 17]),
)
def test_the_compiled_pass_gives_the_same_bits(sides, size, seed, rows):
    random = np.random.default_rng(seed)
    u = noise(sides, size, seed).astype(np.float32)
    u[(slice(None), *(n // 2 for n in sides))] = np.round(u[(slice(None), *(n // 2 for n in sides))])
    masks = [None, random.random(sides) < 0.6, random.random(sides) < 0.5]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(determinants_module, "SLAB_VOXELS", rows)
        for foreground, mask in ((None, None), (masks[1], None), (masks[1], masks[2]), (masks[1], masks[1] & False)):
            by_loops = [folding_metrics(u, foreground, mask)]
            with plain_forms.without_loops():
                plain = [folding_metrics(u, foreground, mask)]
            if min(sides) >= 3:
                by_loops.append(digital_percent(u, mask)._asdict())
                with plain_forms.without_loops():
                    plain.append(digital_percent(u, mask)._asdict())
            assert repr(by_loops) == repr(plain)  # NaN is NaN


def test_the_compiled_pass_reads_any_order_of_memory_and_writes_to_nothing():
    u = noise((6, 7, 5), 0.5).astype(np.float32)
    kept = u.copy()
    assert folding_metrics(np.asfortranarray(u)) == folding_metrics(u)
    assert folding_metrics(u)["nd_points_percent"] > 0
    np.testing.assert_array_equal(u, kept)
