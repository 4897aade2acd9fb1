"""Landmark, endpoint and inverse-consistency errors: values by hand, loops, SimpleITK."""

import numpy as np
import plain_forms
import pytest
import torch
from data_files import shared
from hypothesis import given, settings
from hypothesis import strategies as st

from regbench.metrics import (
    displacement_mm,
    endpoint_error_mm,
    inverse_consistency_mm,
    landmark_errors_mm,
    tre_l2r_mm,
    tre_metrics,
    tre_mm,
)

CASES = [((9, 6), (1.7, 0.6)), ((7, 9, 6), (1.7, 0.6, 2.3))]


@pytest.fixture(params=CASES, ids=["2d", "3d"])
def case(request):
    shape, spacing = request.param
    return np.random.default_rng(0).normal(size=(len(shape), *shape)), np.array(spacing)


def loop_linear(field, point):
    """The field at one point, by the weights of its 2**d neighbours."""
    low = np.minimum(np.floor(point).astype(int), np.array(field.shape[1:]) - 2)
    weight = point - low
    value = np.zeros(len(field))
    for corner in np.ndindex(*[2] * len(point)):
        share = np.prod(np.where(corner, weight, 1 - weight))
        value += share * field[(slice(None), *(low + corner))]
    return value


def test_tre_follows_the_displacement_and_its_direction(case):
    _, spacing = case
    dims = len(spacing)
    step = np.array([2.0, -1.0, 0.5][:dims])
    u = np.ones((dims, *[8] * dims)) * step.reshape(-1, *[1] * dims)
    fixed = np.array([[3.0] * dims, [4.25] * dims])
    # Pull: what is at p in the fixed image lies at p + u in the moving one.
    assert tre_mm(u, fixed, fixed + step, spacing) == 0
    assert tre_mm(u, fixed, fixed - step, spacing) == pytest.approx(np.linalg.norm(2 * step * spacing))
    assert tre_mm(u, fixed, fixed, spacing) == pytest.approx(np.linalg.norm(step * spacing))


def test_beside_the_mean_stand_median_70th_percentile_and_share_of_the_diagonal():
    """Eleven landmarks, 0 to 10 voxels of 0.5 mm apart along the first axis: 0, 0.5 ... 5 mm."""
    fixed = np.zeros((11, 2))
    moving = np.stack([np.arange(11.0), np.zeros(11)], axis=1)
    moving[-1, 0] = 100  # a tail: 50 mm
    found = tre_metrics(np.zeros((2, 4, 4)), fixed, moving, (0.5, 3.0), diagonal_mm=200.0)
    mean = (0.5 * sum(range(10)) + 50) / 11
    assert found == pytest.approx(
        {"tre_mm": mean, "tre_median_mm": 2.5, "tre70_mm": 3.5, "rtre_percent": 100 * mean / 200}
    )
    nothing = tre_metrics(np.zeros((2, 4, 4)), fixed[:0], moving[:0], (0.5, 3.0), diagonal_mm=200.0)
    assert all(np.isnan(value) for value in nothing.values())


def test_the_published_initial_row_of_lung250m():
    """Falta et al. 2023: no registration on cases 104 to 113, 300 landmarks each, has 16.25; 10.14, 15.94, 21.76 mm."""
    rows = np.genfromtxt(shared("lung250m_landmarks") / "landmarks.csv", delimiter=",", skip_header=1)
    rows = rows[(rows[:, 0] >= 104) & (rows[:, 0] <= 113)]
    still, sides = np.zeros((3, 8, 8, 8)), (1.0, 1.0, 1.0)
    by_case = [rows[rows[:, 0] == case] for case in np.unique(rows[:, 0])]
    assert [len(case) for case in by_case] == [300] * 10
    errors = np.concatenate([landmark_errors_mm(still, case[:, 2:5], case[:, 5:8], sides) for case in by_case])
    assert round(float(errors.mean()), 2) == 16.25
    assert [round(float(value), 2) for value in np.quantile(errors, [0.25, 0.5, 0.75])] == [10.14, 15.94, 21.76]
    means = [tre_mm(still, case[:, 2:5], case[:, 5:8], sides) for case in by_case]
    assert np.mean(means) == pytest.approx(errors.mean())  # the mean over pairs of a table, as all have as many


def test_tre_samples_linearly(case):
    u, spacing = case
    generator = np.random.default_rng(1)
    fixed, moving = (generator.uniform(0, np.array(u.shape[1:]) - 1, (11, len(u))) for _ in range(2))
    expected = [np.linalg.norm((p + loop_linear(u, p) - q) * spacing) for p, q in zip(fixed, moving, strict=True)]
    np.testing.assert_allclose(landmark_errors_mm(u, fixed, moving, spacing), expected, rtol=1e-9)
    assert tre_mm(u, fixed, moving, spacing) == pytest.approx(np.mean(expected))
    tensors = [torch.from_numpy(value) for value in (u, fixed, moving, spacing)]
    assert tre_mm(*tensors) == tre_mm(u, fixed, moving, spacing)


@pytest.mark.parametrize("dims", [2, 3])
def test_learn2reg_samples_by_cubic_splines_and_has_nothing_outside(dims):
    """A parabola between two voxels: a cubic spline is on it, a straight line h^2/8 times its curvature above."""
    shape = (41, *[4] * (dims - 1))
    u = np.zeros((dims, *shape))
    u[0] = (np.arange(41.0) ** 2 / 50).reshape(-1, *[1] * (dims - 1))
    point, spacing = np.array([[20.5, *[1.0] * (dims - 1)]]), (3.0, *[1.0] * (dims - 1))
    assert tre_l2r_mm(u, point, point, spacing) == pytest.approx(3 * 20.5**2 / 50, abs=1e-6)
    assert tre_mm(u, point, point, spacing) == pytest.approx(3 * (20.5**2 + 0.25) / 50, abs=1e-6)
    whole = np.floor(point)
    assert tre_l2r_mm(u, whole, whole, spacing) == pytest.approx(tre_mm(u, whole, whole, spacing), rel=1e-12)
    outside = np.array([[42.0, *[1.0] * (dims - 1)]])
    assert tre_l2r_mm(u, outside, outside, spacing) == 0
    assert tre_mm(u, outside, outside, spacing) == pytest.approx(3 * 40**2 / 50)
    with pytest.raises(ValueError, match="pair up"):
        tre_l2r_mm(u, point, np.zeros((2, dims)), spacing)
    assert np.isnan(tre_l2r_mm(u, np.zeros((0, dims)), np.zeros((0, dims)), spacing))


def test_both_samplings_follow_the_displacement_and_its_direction(case):
    u, spacing = case
    fixed = np.array([[3.0] * len(u), [4.0] * len(u)])
    moving = fixed + [u[(slice(None), *map(int, p))] for p in fixed]
    assert tre_l2r_mm(u, fixed, moving, spacing) == pytest.approx(0, abs=1e-12)
    assert tre_l2r_mm(u, fixed, fixed, spacing) == pytest.approx(tre_mm(u, fixed, fixed, spacing), rel=1e-9)


def test_tre_agrees_with_a_simpleitk_transform(case):
    sitk = pytest.importorskip("SimpleITK")
    u, spacing = case
    millimetres = np.moveaxis(u * spacing.reshape(-1, *[1] * len(u)), 0, -1)[..., ::-1].copy()
    image = sitk.GetImageFromArray(millimetres, isVector=True)
    image.SetSpacing(spacing[::-1].tolist())
    transform = sitk.DisplacementFieldTransform(image)
    generator = np.random.default_rng(2)
    fixed, moving = (generator.uniform(0.1, np.array(u.shape[1:]) - 1.1, (9, len(u))) for _ in range(2))
    sent = [transform.TransformPoint((p * spacing)[::-1].tolist())[::-1] for p in fixed]
    expected = np.linalg.norm(np.array(sent) - moving * spacing, axis=1).mean()
    assert tre_mm(u, fixed, moving, spacing) == pytest.approx(expected, rel=1e-5)


def test_tre_needs_pairs_of_points(case):
    u, spacing = case
    with pytest.raises(ValueError, match="pair up"):
        tre_mm(u, np.zeros((4, len(u))), np.zeros((3, len(u))), spacing)
    with pytest.raises(ValueError, match="pair up"):
        tre_mm(u, np.zeros((4, len(u) + 1)), np.zeros((4, len(u) + 1)), spacing)
    assert np.isnan(tre_mm(u, np.zeros((0, len(u))), np.zeros((0, len(u))), spacing))


def test_endpoint_error_voxel_by_voxel(case):
    u, spacing = case
    truth = np.random.default_rng(3).normal(size=u.shape)
    mask = np.random.default_rng(4).random(u.shape[1:]) < 0.4
    each = {p: np.linalg.norm((u - truth)[(slice(None), *p)] * spacing) for p in np.ndindex(*u.shape[1:])}
    assert endpoint_error_mm(u, truth, spacing) == pytest.approx(np.mean(list(each.values())))
    masked = np.mean([error for p, error in each.items() if mask[p]])
    assert endpoint_error_mm(u, truth, spacing, mask=mask) == pytest.approx(masked)
    assert masked != pytest.approx(np.mean(list(each.values())))
    assert endpoint_error_mm(u, u, spacing) == 0
    assert np.isnan(endpoint_error_mm(u, truth, spacing, mask=np.zeros(mask.shape, bool)))


def test_endpoint_error_of_a_translation_by_hand():
    truth = np.zeros((2, 5, 4))
    truth[0], truth[1] = 3, 4
    assert endpoint_error_mm(np.zeros_like(truth), truth, (2, 0.5)) == pytest.approx(np.hypot(6, 2))


def test_endpoint_error_needs_one_shape():
    with pytest.raises(ValueError, match="one shape"):
        endpoint_error_mm(np.zeros((2, 5, 4)), np.zeros((2, 4, 5)), (1.5, 1.5))


def test_the_length_of_a_displacement_is_its_error_against_none(case):
    field, spacing = case
    length = np.sqrt(((field * spacing.reshape(-1, *[1] * len(spacing))) ** 2).sum(0)).mean()
    assert displacement_mm(field, spacing) == pytest.approx(length)
    assert displacement_mm(field, spacing) == pytest.approx(endpoint_error_mm(field, field * 0, spacing))
    assert displacement_mm(field * 0, spacing) == 0


def test_inverse_consistency_of_a_translation(case):
    _, spacing = case
    dims = len(spacing)
    there = np.zeros((dims, *[9, 7, 8][:dims]))
    there[0] = 2
    assert inverse_consistency_mm(there, -there, spacing) == 0
    assert inverse_consistency_mm(there, there, spacing) == pytest.approx(4 * spacing[0])
    # Everything is sent off the image: there is no way back.
    assert np.isnan(inverse_consistency_mm(there + 20, -there, spacing))


def test_inverse_consistency_voxel_by_voxel(case, monkeypatch):
    u, spacing = case
    back = np.random.default_rng(5).normal(size=(len(u), *[n + 2 for n in u.shape[1:]]))
    mask = np.random.default_rng(6).random(u.shape[1:]) < 0.6
    last = np.array(back.shape[1:]) - 1
    errors = []
    for p in np.ndindex(*u.shape[1:]):
        landed = p + u[(slice(None), *p)]
        if mask[p] and (landed >= 0).all() and (landed <= last).all():
            errors.append(np.linalg.norm((landed + loop_linear(back, landed) - p) * spacing))
    monkeypatch.setattr("regbench.metrics.determinants.SLAB_VOXELS", 100)
    assert inverse_consistency_mm(u, back, spacing, mask=mask) == pytest.approx(np.mean(errors), rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    sides=st.tuples(*[st.integers(1, 8)] * 3),
    size=st.sampled_from([0.0, 0.3, 2.0]),
    seed=st.integers(0, 10**6),
    order=st.sampled_from("CF"),
)
def test_the_compiled_loops_give_the_same_bits(sides, size, seed, order):
    random, spacing = np.random.default_rng(seed), (1.1, 0.7, 2.3)
    u, truth = (random.normal(scale=size, size=(3, *sides)).astype(np.float32, order=order) for _ in range(2))
    back = random.normal(scale=size, size=(3, *(n + 1 for n in sides))).astype(np.float32)
    u[:, 0, 0, 0] = 0.5  # half way, and on the last voxel
    masks = None, random.random(sides) < 0.6, np.zeros(sides, bool)

    def values():
        return [
            (
                inverse_consistency_mm(u, back, spacing, mask=mask),
                endpoint_error_mm(u, truth, spacing, mask=mask),
                displacement_mm(u, spacing, mask=mask),
            )
            for mask in masks
        ]

    by_loops = values()
    with plain_forms.without_loops():
        assert repr(values()) == repr(by_loops)
    assert np.isfinite(by_loops[0][1:]).all()
