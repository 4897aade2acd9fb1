"""A careless caller of the metrics gets the right number, NaN, or an error that says why; never a wrong number."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, generate_binary_structure

from regbench.data.cache import Pair
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.metrics import (
    assd_mm,
    dice,
    displacement_mm,
    endpoint_error_mm,
    fold_backward_percent,
    folding_metrics,
    hd95_l2r,
    hd95_mm,
    inverse_consistency_mm,
    surface_metrics,
    tre_l2r_mm,
    tre_mm,
)
from regbench.spatial import warp_labels

CASES = [((13, 17), (0.7, 2.3)), ((9, 11, 13), (0.5, 1.7, 3.1))]
THIN = [
    ((11, 1, 9), (0.5, 1.7, 3.1)),
    ((1, 12), (2.0, 0.3)),
    ((7, 8, 1), (1.0, 2.0, 0.3)),
    ((3, 1, 1), (1.0, 2.0, 3.0)),
]


def maps(shape, seed=0, sigma=1.5):
    noise = np.random.default_rng(seed).normal(size=(2, 4, *shape))
    return gaussian_filter(noise, (0, 0, *[sigma] * len(shape))).argmax(1)


def field(shape, seed=0):
    noise = np.random.default_rng(seed).normal(size=(len(shape), *shape))
    return gaussian_filter(noise, (0, *[1] * len(shape))) * 4


def distances(fixed, moved, label, spacing):
    """By distance transforms of scipy, both ways."""
    faces = generate_binary_structure(fixed.ndim, 1)
    edges = [(each == label) & ~binary_erosion(each == label, faces, border_value=0) for each in (fixed, moved)]
    return [distance_transform_edt(~b, sampling=spacing)[a] for a, b in (edges, edges[::-1])]


@pytest.mark.parametrize(("shape", "spacing"), CASES + THIN)
@pytest.mark.parametrize("single", [False, True])
def test_surfaces_of_thin_images_and_single_voxels(shape, spacing, single):
    compared = 0
    for seed in range(5):
        fixed, moved = maps(shape, seed)
        if single:
            fixed = np.zeros_like(fixed)
            fixed[tuple(np.array(shape) // 2)] = 1
        found = surface_metrics(fixed, moved, [1, 2, 3], spacing)
        for label in (1, 2, 3):
            if not (fixed == label).any():
                assert np.isnan(found["hd95_mm"][label])
                continue
            if not (moved == label).any():
                assert found["assd_mm"][label] == np.inf
                continue
            there, back = distances(fixed, moved, label, spacing)
            expected = max(np.percentile(there, 95), np.percentile(back, 95))
            assert found["hd95_mm"][label] == pytest.approx(expected, abs=1e-5)
            assert found["assd_mm"][label] == pytest.approx(np.concatenate([there, back]).mean(), abs=1e-5)
            compared += 1
    assert compared > 0


LABEL_FORMS = {
    **{name: lambda x, name=name: x.astype(name) for name in ("uint8", "int8", "uint16", "uint32", "int32", "uint64")},
    "Fortran order": np.asfortranarray,
    "not contiguous": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "big endian": lambda x: x.astype(">i2"),
    "torch uint8": lambda x: torch.from_numpy(x.astype(np.uint8)),
    "torch uint16": lambda x: torch.from_numpy(x.astype(np.uint16)),
    "torch int64": torch.from_numpy,
}


def all_of_labels(fixed, moved, labels, spacing):
    found = surface_metrics(fixed, moved, labels, spacing, moving=moved)
    return [
        *dice(fixed, moved, labels, moving=moved).values(),
        *found["hd95_mm"].values(),
        *found["assd_mm"].values(),
        *hd95_l2r(fixed, moved, labels, moving=moved).values(),
    ]


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("form", LABEL_FORMS)
def test_the_form_of_a_label_map_changes_nothing(shape, spacing, form):
    fixed, moved = maps(shape)
    expected = all_of_labels(fixed, moved, [1, 2, 3], spacing)
    convert = LABEL_FORMS[form]
    np.testing.assert_array_equal(all_of_labels(convert(fixed), convert(moved), [1, 2, 3], spacing), expected)


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize(("add", "sign", "dtype"), [(60000, 1, np.uint16), (0, -1, np.int16), (2**40, 1, np.int64)])
def test_any_integer_is_a_label(shape, spacing, add, sign, dtype):
    fixed, moved = maps(shape)
    named = [np.where(each > 0, sign * (each + add), 0).astype(dtype) for each in (fixed, moved)]
    expected = all_of_labels(fixed, moved, [1, 2, 3], spacing)
    labels = [sign * (label + add) for label in (1, 2, 3)]
    np.testing.assert_array_equal(all_of_labels(*named, labels, spacing), expected)
    zero = np.zeros((len(shape), *shape))
    np.testing.assert_array_equal(warp_labels(named[0], zero), named[0])


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_a_mask_is_a_label_map_of_ones(shape, spacing):
    fixed, moved = (each > 0 for each in maps(shape))
    expected = all_of_labels(fixed.astype(int), moved.astype(int), [1], spacing)
    np.testing.assert_array_equal(all_of_labels(fixed, moved, [1], spacing), expected)
    np.testing.assert_array_equal(
        all_of_labels(torch.from_numpy(fixed), torch.from_numpy(moved), [1], spacing), expected
    )


def test_labels_that_a_type_cannot_hold_are_absent():
    fixed, moved = (each.astype(np.uint8) for each in maps((9, 10)))
    for found in (dice(fixed, moved, [1, 257, -255]), hd95_l2r(fixed, moved, [1, 257, -255])):
        assert found[1] >= 0
        assert np.isnan([found[257], found[-255]]).all()  # both are 1 in eight bits


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, m: dice(f, m, [1.5]), "labels must be whole numbers"),
        (lambda f, m: dice(f, m, [1], moving=m.astype(float)), "must hold integers, but got float64"),
        (lambda f, m: hd95_mm(f, m, [1], (1, 1), moving=m.astype(float)), "must hold integers, but got float64"),
        (lambda f, m: assd_mm(f[:0], m[:0], [1], (1, 1)), "must have voxels"),
        (lambda f, m: hd95_l2r(f[0], m[0], [1]), "2 or 3 dimensions"),
        (lambda f, m: hd95_l2r(f[None, None], m[None, None], [1]), "2 or 3 dimensions"),
        (lambda f, m: hd95_mm(f, m, [1], (1, 1, 1)), "spacing must be 2 positive numbers"),
        (lambda f, m: warp_labels(f, np.zeros((3, 9, 10, 4))), "2D labels must be"),
        (lambda f, m: warp_labels(f[None], np.zeros((2, 9, 10))), "3D labels must be"),
        (lambda f, m: warp_labels(f, np.zeros((9, 10, 2))), "2D labels must be"),
        (lambda f, m: warp_labels(torch.from_numpy(f), torch.zeros(1, 2, 9, 10)), "2D labels must be"),
        (lambda f, m: folding_metrics(np.zeros((2, 9, 10), complex)), "must hold real numbers"),
        (lambda f, m: folding_metrics(np.zeros((2, 9, 10), object)), "must hold real numbers"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(call, message):
    with pytest.raises(ValueError, match=message):
        call(*maps((9, 10)))


FIELD_FORMS = {
    **{
        name: lambda u, name=name: u.astype(name)
        for name in ("float32", "float16", "longdouble", ">f8", "int8", "uint8")
    },
    "Fortran order": np.asfortranarray,
    "not contiguous": lambda u: np.repeat(u, 2, axis=2)[:, :, ::2],
    "read only": lambda u: np.lib.stride_tricks.as_strided(u, writeable=False),
    "torch half": lambda u: torch.from_numpy(u).half(),
    "torch bfloat16": lambda u: torch.from_numpy(u).bfloat16(),
    "torch with gradient": lambda u: torch.from_numpy(u).requires_grad_(),
}


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("form", FIELD_FORMS)
def test_the_form_of_a_displacement_changes_nothing(shape, spacing, form):
    """Whole numbers, which every type holds, against float64."""
    whole = np.abs(np.round(field(shape)))
    given, points = FIELD_FORMS[form](whole), np.random.default_rng(1).uniform(1, 7, (2, 5, len(shape)))
    labels = maps(shape)[0]

    def every(u):
        return [
            *folding_metrics(u, labels > 0).values(),
            fold_backward_percent(u),
            endpoint_error_mm(u, u * 0, spacing),
            displacement_mm(u, spacing),
            inverse_consistency_mm(u, u, spacing),
            tre_mm(u, *points, spacing),
            tre_l2r_mm(u, *points, spacing),
        ]

    np.testing.assert_allclose(every(given), every(whole), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(warp_labels(labels, given), warp_labels(labels, whole))


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_displacement_that_is_not_finite_has_no_number(shape, spacing, broken):
    good = np.zeros((len(shape), *shape))
    bad = good.copy()
    bad[(0, *[3] * len(shape))] = broken
    everything = np.ones(shape, bool)
    assert np.isnan(list(folding_metrics(bad, everything).values())).all()
    assert np.isnan(displacement_mm(bad, spacing))
    assert np.isnan(endpoint_error_mm(bad, good, spacing))
    assert np.isnan(endpoint_error_mm(good, bad, spacing))
    assert np.isnan(inverse_consistency_mm(bad, good, spacing))
    assert np.isnan(inverse_consistency_mm(good, bad, spacing))


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_thin_image_has_the_metrics_that_it_has_room_for(dims, thickness):
    shape = (thickness, *[9] * (dims - 1))
    labels = maps(shape)[0].astype(np.int32)
    image = np.zeros(shape, np.float32)
    found = measure(
        Registered("a", "b", Pair(image, image, labels, labels, None, (2.0,) * dims), np.zeros((dims, *shape))),
        Measured([1, 2, 3], landmarks=False),
    )
    assert found["dice"] == 1
    assert found["hd95_mm"] == found["hd95_l2r"] == 0
    for name, needed in (
        ("fold_central_percent", 2),
        ("fold_foreground_percent", 2),
        ("ndv_percent", 3),
        ("sdlogj_l2r", 5),
    ):
        assert found[name] == pytest.approx(0, abs=1e-12) if thickness >= needed else np.isnan(found[name]), name
