"""Surface distances: hand-worked cases, brute force, and MONAI, SimpleITK and surface-distance as second opinions."""

from itertools import product

import numpy as np
import plain_forms
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from scipy.spatial.distance import cdist

from regbench.metrics import assd_mm, dice, hd95_l2r, hd95_mm, label_metrics, nsd, surface, surface_metrics
from regbench.metrics.surface import surface_distances, surface_voxels
from regbench.metrics.surface_l2r import cell_codes, element_areas

CASES = [((23, 18), (1.7, 0.6)), ((15, 18, 13), (1.7, 0.6, 2.3))]
LABELS = [1, 2, 3]
LABEL_VALUES = ((1, 2, 3), (1000, 2000, 3000), (10**12, -(10**12), 2 * 10**12))
# The published surface-distance 0.1 calls scipy by a name that scipy is about to drop.
OLD_SCIPY = pytest.mark.filterwarnings("ignore:Please (import|use).*scipy.ndimage:DeprecationWarning")


def maps(shape, seed=0):
    """Four smooth structures (with isolated voxels and edges of the image) and the same shifted and roughened."""
    generator = np.random.default_rng(seed)
    scores = gaussian_filter(generator.normal(size=(4, *shape)), (0, *[2] * len(shape)))
    rough = scores + gaussian_filter(generator.normal(size=(4, *shape)), (0, *[1] * len(shape))) * 0.3
    found = scores.argmax(0), np.roll(rough, 1, axis=1).argmax(0)
    for part in found:
        part.flags.writeable = False  # no metric may write to what it was given
    return found


@pytest.fixture(params=CASES, ids=["2d", "3d"])
def case(request):
    shape, spacing = request.param
    return (*maps(shape), spacing)


def brute_force(fixed, moved, label, spacing):
    points = []
    for found in (fixed == label, moved == label):
        points.append(np.argwhere(found & ~binary_erosion(found)) * np.array(spacing))
    distances = cdist(*points)
    return distances.min(1), distances.min(0)


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_nsd_agrees_with_brute_force_and_monai(case, tolerance):
    from monai.metrics import compute_surface_dice

    fixed, moved, spacing = case
    found = nsd(fixed, moved, LABELS, spacing, tolerance_mm=tolerance)
    for label in LABELS:
        both = np.concatenate(brute_force(fixed, moved, label, spacing))
        assert found[label] == pytest.approx((both <= tolerance + 1e-9).mean(), rel=1e-12)
    one_hot = [torch.tensor(np.stack([values == label for label in LABELS]))[None] for values in (moved, fixed)]
    theirs = compute_surface_dice(
        *one_hot, class_thresholds=[tolerance] * len(LABELS), include_background=True, spacing=spacing
    )
    assert list(found.values()) == pytest.approx(theirs[0].tolist(), abs=1e-6)


def test_nsd_by_hand():
    """Two squares of 3 x 3 voxels, 2 mm apart along an axis of 2 mm: of each surface of 8 voxels, 2 x 3 are shared."""
    fixed, moved = np.zeros((2, 9, 9), np.int32)
    fixed[2:5, 3:6] = moved[3:6, 3:6] = 1
    spacing = (2.0, 0.5)
    # Within 0 mm: of the 8 border voxels of each, those that are border voxels of the other.
    borders = [{(x, y) for x in range(a, a + 3) for y in range(3, 6) if (x, y) != (a + 1, 4)} for a in (2, 3)]
    shared = len(borders[0] & borders[1]) / 8
    assert nsd(fixed, moved, [1], spacing, tolerance_mm=0)[1] == shared == 0.5
    assert nsd(fixed, moved, [1], spacing, tolerance_mm=0.5)[1] == pytest.approx(10 / 16)  # each centre is one step off
    assert nsd(fixed, moved, [1], spacing, tolerance_mm=2)[1] == 1
    assert nsd(fixed, np.zeros_like(fixed), [1], spacing, moving=moved)[1] == 0  # vanished
    assert np.isnan(nsd(fixed, fixed * 0, [1], spacing, moving=fixed * 0)[1])  # absent
    with pytest.raises(ValueError, match="tolerance_mm must be 0 or more"):
        nsd(fixed, moved, [1], spacing, tolerance_mm=-1)


def test_agrees_with_brute_force(case):
    fixed, moved, spacing = case
    hd95, assd = hd95_mm(fixed, moved, LABELS, spacing), assd_mm(fixed, moved, LABELS, spacing)
    for label in LABELS:
        ours, theirs = brute_force(fixed, moved, label, spacing)
        assert hd95[label] == pytest.approx(max(np.percentile(ours, 95), np.percentile(theirs, 95)), rel=1e-9)
        assert assd[label] == pytest.approx((ours.sum() + theirs.sum()) / (len(ours) + len(theirs)), rel=1e-9)
    assert surface_metrics(fixed, moved, LABELS, spacing) == {
        "hd95_mm": hd95, "assd_mm": assd, "nsd": nsd(fixed, moved, LABELS, spacing)
    }  # fmt: skip
    assert hd95_mm(torch.tensor(fixed), torch.tensor(moved), LABELS, spacing) == hd95


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
def test_agrees_with_monai(case):
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
    from monai.networks import one_hot

    fixed, moved, spacing = case
    hot = [one_hot(torch.tensor(part)[None, None], 4) for part in (moved, fixed)]
    options = {"include_background": False, "spacing": list(spacing)}
    for metric, expected in (
        (hd95_mm, compute_hausdorff_distance(*hot, percentile=95, **options)),
        (assd_mm, compute_average_surface_distance(*hot, symmetric=True, **options)),
    ):
        found = metric(fixed, moved, LABELS, spacing)
        np.testing.assert_allclose([found[label] for label in LABELS], expected[0], rtol=1e-5)


def test_largest_distance_agrees_with_simpleitk(case):
    sitk = pytest.importorskip("SimpleITK")
    fixed, moved, spacing = case
    for label in LABELS:
        images = []
        for part in (fixed, moved):
            # Contours, since ITK measures to the nearest voxel of the filled structure.
            inside = part == label
            image = sitk.GetImageFromArray((inside & ~binary_erosion(inside)).astype(np.uint8))
            image.SetSpacing(spacing[::-1])
            images.append(image)
        expected = sitk.HausdorffDistanceImageFilter()
        expected.Execute(*images)
        ours, theirs = surface_distances(fixed, moved, LABELS, spacing)[label]
        assert max(ours.max(), theirs.max()) == pytest.approx(expected.GetHausdorffDistance(), rel=1e-5)


@OLD_SCIPY
def test_l2r_agrees_with_surface_distance(case):
    surface_distance = pytest.importorskip("surface_distance")
    fixed, moved, _ = case
    found = hd95_l2r(fixed, moved, LABELS)
    for label in LABELS:
        distances = surface_distance.compute_surface_distances(fixed == label, moved == label, np.ones(fixed.ndim))
        assert found[label] == pytest.approx(surface_distance.compute_robust_hausdorff(distances, 95.0), rel=1e-9)


@OLD_SCIPY
@pytest.mark.parametrize("dims", [2, 3])
def test_element_areas_agree_with_the_table_of_surface_distance(dims):
    tables = pytest.importorskip("surface_distance.lookup_tables")
    table = {2: "contour_length", 3: "surface_area"}[dims]
    expected = getattr(tables, f"create_table_neighbour_code_to_{table}")([1] * dims)
    np.testing.assert_allclose(element_areas(dims), expected, rtol=1e-9)


@pytest.mark.parametrize("dims", [2, 3])
def test_element_areas_by_geometry(dims):
    areas = element_areas(dims)
    # A flat face has area 1, whichever way it looks; nothing and everything have none.
    for axis, side in product(range(dims), (0, 1)):
        half = np.zeros((2,) * dims, bool)
        half[(slice(None),) * axis + (side,)] = True
        code = cell_codes(half)[(1,) * dims]
        assert areas[code] == 1
    assert areas[0] == areas[-1] == 0
    assert areas[1] == pytest.approx({2: np.sqrt(0.5), 3: np.sqrt(3) / 8}[dims])
    np.testing.assert_allclose(areas, areas[::-1])


def test_element_areas_by_hand():
    def area(*corners):
        cell = np.zeros((2, 2, 2), bool)
        cell[tuple(zip(*corners, strict=True))] = True
        return element_areas(3)[cell_codes(cell)[1, 1, 1]]

    assert area((0, 0, 0), (0, 0, 1)) == pytest.approx(np.sqrt(0.5))  # a strip one long
    assert area((0, 0, 0), (1, 1, 1)) == pytest.approx(2 * area((0, 1, 0)))  # two triangles
    hexagon = 3 * np.sqrt(3) / 2 * 0.5  # of side sqrt(1/2), through six edges
    assert area((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)) == pytest.approx(hexagon)
    assert area((0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 0)) == pytest.approx(4 * area((0, 0, 0)))


def test_l2r_weighs_elements_by_their_area():
    # A bar of 17 pixels grows by one. Its outline has 34 unit sides and 4 corners of sqrt(1/2): 36.8 in all. Only the
    # two corners at the new end are off the old outline: 5.3 % of the elements, but 3.8 % of the length.
    fixed = np.zeros((9, 30), int)
    fixed[4, 3:20] = 1
    moved = fixed.copy()
    moved[4, 20] = 1
    assert hd95_l2r(fixed, moved, [1]) == {1: 0.0}
    # By three: 38 sides; two corners 3 away, then pairs of sides: 3.5 %, 8.4 % of the length are farther than 2, 1.
    moved[4, 21:23] = 1
    assert hd95_l2r(fixed, moved, [1]) == {1: 2.0}


def test_shifted_square_by_hand():
    # A 3 x 3 square shifted by one row of 2 mm: both outer rows are 2 mm from the other surface, the centre
    # of the old square lies inside the new one's ring.
    fixed, moved = np.zeros((9, 9), int), np.zeros((9, 9), int)
    fixed[2:5, 3:6], moved[3:6, 3:6] = 1, 1
    # Ring of 8: the upper row of 3 is 2 mm away; the middle row's two are shared; of the lower row the middle one is
    # inside the new square, 0.5 mm from its side.
    assert assd_mm(fixed, moved, [1], (2.0, 0.5)) == {1: pytest.approx((3 * 2.0 + 0.5) / 8)}
    assert hd95_mm(fixed, moved, [1], (2.0, 0.5)) == {1: pytest.approx(2.0)}
    assert hd95_mm(fixed, moved, [1], (0.5, 2.0)) == {1: pytest.approx(0.5)}
    assert hd95_l2r(fixed, moved, [1]) == {1: pytest.approx(1.0)}


@pytest.mark.parametrize("metric", [hd95_mm, assd_mm, hd95_l2r])
def test_no_labels_no_numbers(metric):
    assert metric(np.ones((4, 5), int), np.ones((4, 5), int), [], *(() if metric is hd95_l2r else ((1.5, 0.8),))) == {}


def test_one_voxel_and_the_edge_of_the_image():
    fixed, moved = np.zeros((6, 5, 7), int), np.zeros((6, 5, 7), int)
    fixed[0, 0, 0], moved[5, 4, 6] = 1, 1
    far = np.sqrt((5 * 2) ** 2 + (4 * 3) ** 2 + (6 * 0.5) ** 2)
    assert hd95_mm(fixed, moved, [1], (2, 3, 0.5)) == {1: pytest.approx(far)}
    assert assd_mm(fixed, moved, [1], (2, 3, 0.5)) == {1: pytest.approx(far)}
    assert assd_mm(np.ones((4, 5), int), np.ones((4, 5), int), [1], (2, 3)) == {1: 0.0}


def test_surface_includes_the_border_between_structures_and_of_the_image():
    labels = np.array([[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2]])
    assert surface_voxels(labels, [1, 2, 9])[1].tolist() == [0, 1, 2, 4, 6, 8, 10, 12, 13, 14]
    assert surface_voxels(labels, [2])[2].tolist() == [3, 7, 11, 15]
    assert surface_voxels(labels, [9])[9].size == 0


@pytest.mark.parametrize("metric", [hd95_mm, assd_mm, hd95_l2r])
def test_absent_and_vanished_labels_are_two_things(metric):
    spacing = () if metric is hd95_l2r else ((1.5, 0.8),)
    fixed = np.array([[1, 1, 2, 0], [2, 2, 3, 0]])
    moved = np.array([[1, 1, 0, 0], [0, 4, 4, 0]])
    moving = np.array([[1, 1, 2, 0], [4, 4, 0, 0]])
    found = metric(fixed, moved, [1, 2, 3, 4, 5], *spacing, moving=moving)
    assert found[1] == 0
    assert found[2] == np.inf
    assert np.isnan([found[3], found[4], found[5]]).all()
    assert metric(fixed, moved, [3], *spacing) == {3: np.inf}


@pytest.mark.parametrize("metric", [hd95_mm, assd_mm, hd95_l2r])
def test_wrong_input_is_refused(metric):
    spacing = () if metric is hd95_l2r else ((1.5, 0.8),)
    ones = np.ones((4, 5), int)
    with pytest.raises(ValueError, match="must not contain 0"):
        metric(ones, ones, [0], *spacing)
    with pytest.raises(ValueError, match="one shape"):
        metric(ones, ones.T, [1], *spacing)
    with pytest.raises(ValueError, match="integers"):
        metric(ones, ones / 2, [1], *spacing)


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, -1.0), (1.0, np.nan), (1.0, 1.0, 1.0), 2.0])
def test_spacing_must_be_one_positive_number_an_axis(spacing):
    with pytest.raises(ValueError, match="spacing must be 2 positive numbers"):
        hd95_mm(np.ones((4, 5), int), np.ones((4, 5), int), [1], spacing)


def test_few_points_are_compared_each_with_each_to_the_same_bits(monkeypatch):
    random = np.random.default_rng(0)
    for number in range(60):
        shape, scale = ((40, 50), [0.7, 1.3]) if number % 2 else ((12, 14, 10), [2.1, 1.0, 0.8])
        ours, theirs = (np.unique(random.integers(0, np.prod(shape), random.integers(1, 120))) for _ in range(2))
        theirs = np.unique(np.concatenate([theirs, ours[::3]]))
        each = surface.directed(ours, theirs, shape, np.array(scale))
        with monkeypatch.context() as patch:
            patch.setattr(surface, "FEW", 0)
            tree = surface.directed(ours, theirs, shape, np.array(scale))
        for one, other in zip(each, tree, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.any() or len(one) < 2


def test_the_percentile_is_numpys_to_the_bit():
    random = np.random.default_rng(0)
    for size in (*range(1, 45), 200, 1001):
        values = np.sqrt(random.integers(0, 30, size) * 1.21)
        assert surface.hd95_of((values, values)) == np.percentile(values, 95)


@st.composite
def label_pairs(draw):
    """Structures that touch, with single voxels and the border of the image; one may have gone or lie far away."""
    shape = draw(st.sampled_from([(7, 9), (17, 13), (4, 5, 6), (12, 9, 10), (1, 5, 6)]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    smooth = draw(st.sampled_from([0.5, 1.5, 3.0]))
    scores = gaussian_filter(random.normal(size=(4, *shape)), (0, *[smooth] * len(shape)))
    rough = scores + draw(st.sampled_from([0.0, 0.05])) * random.normal(size=scores.shape)
    values = np.array([0, *draw(st.sampled_from(LABEL_VALUES))])
    fixed, moved = values[scores.argmax(0)], values[np.roll(rough, draw(st.integers(0, 6)), axis=-1).argmax(0)]
    if draw(st.booleans()):
        moved[moved == values[2]] = 0
        moved.flat[random.integers(0, moved.size)] = values[2]  # one voxel, maybe far
    spacing = draw(st.sampled_from([(1.0, 1.0, 1.0), (1.1, 0.7, 2.3), (1.0, 1.2, 0.9), (1.0, 1.0, 5.0)]))
    return fixed, moved, [*values[1:].tolist(), 77], spacing[: len(shape)]


@settings(deadline=None, max_examples=40)
@given(pair=label_pairs())
def test_compiled_surfaces_and_distances_have_the_bits_of_the_tree(pair):
    fixed, moved, labels, spacing = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface, "FEW", 0)
        by_loops = surface_distances(fixed, moved, labels, spacing, moving=fixed), hd95_l2r(fixed, moved, labels)
        with plain_forms.without_loops():
            plain = surface_distances(fixed, moved, labels, spacing, moving=fixed), hd95_l2r(fixed, moved, labels)
    assert repr(by_loops[1]) == repr(plain[1])
    for label in labels:
        one, other = by_loops[0][label], plain[0][label]
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))


@settings(deadline=None, max_examples=40)
@given(pair=label_pairs())
def test_distances_are_those_of_scipys_transform(pair):
    fixed, moved, labels, spacing = pair
    found = surface_distances(fixed, moved, labels, spacing)
    for label in labels:
        edges = [part & ~binary_erosion(part) for part in (fixed == label, moved == label)]
        if found[label] is None or not all(edge.any() for edge in edges):
            continue
        away = [distance_transform_edt(~edge, sampling=spacing) for edge in edges]
        for mine, edge, distance in zip(found[label], edges, away[::-1], strict=True):
            np.testing.assert_allclose(mine, distance[edge], rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(pair=label_pairs(), tolerance=st.sampled_from([0.0, 1.0]))
def test_all_metrics_of_labels_at_once_are_each_alone(pair, tolerance):
    fixed, moved, labels, spacing = pair
    at_once = label_metrics(fixed, moved, labels, spacing, tolerance_mm=tolerance, moving=fixed)
    surfaces = surface_metrics(fixed, moved, labels, spacing, tolerance_mm=tolerance, moving=fixed)
    alone = {
        "dice": dice(fixed, moved, labels, moving=fixed),
        **surfaces,
        "hd95_l2r": hd95_l2r(fixed, moved, labels, moving=fixed),
    }
    assert repr(at_once) == repr(alone)
