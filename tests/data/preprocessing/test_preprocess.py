"""One grid for all: against SimpleITK, nibabel and scipy, and undone exactly."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from data_files import brain, nifti, spec
from scipy.ndimage import map_coordinates

from regbench.data.cache import load
from regbench.data.native import Header
from regbench.data.prepare import prepare
from regbench.data.preprocessing.intensity import normalise
from regbench.data.preprocessing.labels import Labelling, names_by_id
from regbench.data.preprocessing.preprocess import mistakes, on_grid
from regbench.data.preprocessing.resample import place, resample
from regbench.data.readers.folder import folder
from regbench.data.space import Space, displacement_to_native
from regbench.orchestration.registries import check_component
from regbench.study.load import load as load_config
from regbench.system.errors import RegbenchError, UsageError

CASES = [((9, 14), (1.0, 2.0)), ((9, 12, 7), (1.5, 1.0, 2.0)), ((17, 10), (0.5, 0.7)), ((8, 8, 11), (1.0, 1.0, 1.0))]
CODES = ["RAS", "LPS", "LIA", "PSR"]


def header(shape, spacing):
    return Header(shape, np.diag([*spacing, *[1.0] * (4 - len(shape))]), tuple(range(len(shape))))


def smooth(shape, seed=0):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(seed).random(shape), 1.5).astype(np.float32)


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("order", [0, 1])
def test_resampling_is_simpleitks(shape, spacing, order):
    """The grid is centred on the array; SimpleITK is told so in mm, with its axes reversed."""
    array, new = smooth(shape), tuple(0.9 * side for side in spacing)  # finer: no smoothing
    size = tuple(n + 3 for n in shape)
    space = place(header(shape, spacing), [(k, 1) for k in range(len(shape))], size, new)
    found = resample(array, space, order=order)
    image = SimpleITK.GetImageFromArray(array.T.copy())
    image.SetSpacing(spacing)
    origin = [(n - 1) / 2 * s - (m - 1) / 2 * t for n, s, m, t in zip(shape, spacing, size, new, strict=True)]
    wanted = SimpleITK.Resample(
        image, size, SimpleITK.Transform(len(shape), SimpleITK.sitkIdentity),
        SimpleITK.sitkNearestNeighbor if order == 0 else SimpleITK.sitkLinear,
        origin, new, np.eye(len(shape)).ravel().tolist(),
    )  # fmt: skip
    wanted = SimpleITK.GetArrayFromImage(wanted).T
    inner = tuple(slice(3, -3) for _ in shape)  # the two differ on what lies half a voxel outside
    if order:
        np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-5)
    else:
        assert (found[inner] == wanted[inner]).mean() > 0.97  # ties go either way


@pytest.mark.parametrize("code", CODES)
def test_axes_run_right_front_top_as_nibabel_says(tmp_path, code):
    image, labels = brain(1, (9, 12, 7))
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(code))
    for kind, values in (("images", image), ("labels", labels)):
        stored = nib.Nifti1Image(values, np.diag([1, 2, 3, 1])).as_reoriented(turn)
        nifti(tmp_path / kind / "a.nii.gz", np.asarray(stored.dataobj), stored.affine)
    raw = folder(path=str(tmp_path))
    source = on_grid(raw, {"intensity": "none", "multiple_of": 1})
    subject = next(iter(source))
    upright = nib.as_closest_canonical(nib.load(tmp_path / "images" / "a.nii.gz"))
    np.testing.assert_array_equal(subject.image, np.asarray(upright.dataobj))
    np.testing.assert_array_equal(subject.labels, labels)
    assert source.spacing_mm == (1, 2, 3)
    kept = next(iter(on_grid(raw, {"intensity": "none", "multiple_of": 1, "orientation": "keep"})))
    np.testing.assert_array_equal(kept.image, np.asarray(nib.load(tmp_path / "images" / "a.nii.gz").dataobj))


@pytest.mark.parametrize("multiple", [1, 8, 16])
@pytest.mark.parametrize("shape", [(9, 14), (9, 12, 7)])
def test_the_shape_is_what_the_model_needs(tmp_path, multiple, shape):
    for number in range(3):
        image, labels = brain(number, tuple(n + number for n in shape))
        nifti(tmp_path / "images" / f"s{number}.nii.gz", image)
        nifti(tmp_path / "labels" / f"s{number}.nii.gz", labels)
    source = on_grid(folder(path=str(tmp_path)), {"multiple_of": multiple})
    assert source.shape == tuple(multiple * -(-(n + 2) // multiple) for n in shape)
    for number, subject in enumerate(source):
        values = brain(number, tuple(n + number for n in shape))[1]
        assert np.bincount(subject.labels.ravel())[1:].tolist() == np.bincount(values.ravel())[1:].tolist()


def spaces(shape, spacing, code_seed):
    """A space with permuted, flipped and scaled axes."""
    random = np.random.default_rng(code_seed)
    dims = len(shape)
    axes = [(int(a), int(random.choice([-1, 1]))) for a in random.permutation(dims)]
    return axes, place(header(shape, spacing), axes, tuple(8 + 2 * k for k in range(dims)), (1.0,) * dims)


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_landmarks_go_there_and_back(shape, spacing, seed):
    _, space = spaces(shape, spacing, seed)
    points = np.random.default_rng(seed).random((20, len(shape))) * 9
    np.testing.assert_allclose(space.to_native(space.to_prepared(points)), points, atol=1e-12)
    turned = np.eye(len(shape) + 1)
    turned[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    np.testing.assert_allclose(space.after(turned).to_native(space.after(turned).to_prepared(points)), points)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_field_is_written_back_exactly_where_voxels_coincide(dims):
    """Fixed and moving lie flipped, permuted and shifted; moved images of both spaces are equal, to the bit."""
    shape, spacing = (11, 9, 10)[:dims], (1.0,) * dims
    fixed_axes, fixed = spaces(shape, spacing, 2)
    _, moving = spaces(shape, spacing, 4)
    random = np.random.default_rng(0)
    field = random.integers(-2, 3, (dims, *fixed.shape)).astype(np.float32)
    native_moving = random.integers(0, 99, shape).astype(np.int32)
    prepared_moving = resample(native_moving, moving, order=0)
    grid = np.stack(np.meshgrid(*map(np.arange, fixed.shape), indexing="ij"))
    moved = map_coordinates(prepared_moving, grid + field, order=0, mode="constant")
    native_field = displacement_to_native(field, fixed, moving)
    native_grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    native_moved = map_coordinates(native_moving, native_grid + native_field, order=0, mode="constant")
    inner = resample(np.ones(shape, np.uint8), fixed, order=0) > 0  # prepared voxels that are native ones
    stays = np.all([(c >= 0) & (c < n) for c, n in zip(grid + field, moving.shape, strict=True)], axis=0)
    back = resample(native_moved, fixed, order=0)
    assert (inner & stays).sum() > 50
    np.testing.assert_array_equal(back[inner & stays], moved[inner & stays])
    assert fixed_axes != [(k, 1) for k in range(dims)]


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_a_field_in_mm_is_the_same_in_both_spaces(shape, spacing):
    """Resampled axes: one shift of 2 mm along x, worked by hand."""
    dims = len(shape)
    space = place(header(shape, spacing), [(k, 1) for k in range(dims)], (16,) * dims, (1.0,) * dims)
    field = np.zeros((dims, *space.shape), np.float32)
    field[0] = 2
    native = displacement_to_native(field, space, space)
    np.testing.assert_allclose(native[0], 2 / spacing[0], atol=1e-5)
    np.testing.assert_allclose(native[1:], 0, atol=1e-5)


def test_a_study_on_anisotropic_files_is_undone_from_its_manifest(tmp_path):
    """From files through cache and manifest back to files, landmarks as the witness."""
    for number in range(6):
        image, labels = brain(number, (9, 12, 7))
        affine = np.diag([-1.0, 1, 2, 1])
        nifti(tmp_path / "images" / f"s{number}.nii.gz", image, affine)
        nifti(tmp_path / "labels" / f"s{number}.nii.gz", labels, affine)
    prepare(spec("folder", {"path": str(tmp_path)}, preprocessing={"spacing_mm": 1.0}), tmp_path / "cache")
    data = load(tmp_path / "cache")
    space = data.space("s2")
    assert space.native_shape == (9, 12, 7)
    corners = np.array([[0, 0, 0], [8, 11, 6]])
    voxels = space.to_prepared(corners)
    np.testing.assert_allclose(voxels[1] - voxels[0], [-8, 11, 12])  # flipped; 2 mm become 1 mm
    np.testing.assert_allclose(data.record("s2")["native_affine"], np.diag([-1.0, 1, 2, 1]))


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("percentile", 0, 1), ("minmax", 0, 1), ("window", 0, 1), ("zscore", -20, 20)]
)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1.7e6])
def test_intensities_are_of_order_one_whatever_the_scanner(kind, low, high, scale):
    image = (smooth((20, 21)) * scale).astype(np.float32)
    window = (float(image.min()), float(image.max()))
    found = normalise(image, kind, percentiles=(1, 99), window=window)
    assert found.dtype == np.float32
    assert low <= found.min() < found.max() <= high
    if kind == "zscore":
        np.testing.assert_allclose([found.mean(), found.std()], [0, 1], atol=1e-4)
    wanted = np.clip((image - window[0]) / (window[1] - window[0]), 0, 1)
    if kind in ("minmax", "window"):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_percentiles_are_numpys_and_clip():
    image = np.arange(101, dtype=np.float32).reshape(1, -1)
    found = normalise(image, "percentile", percentiles=(10, 90), window=None)
    np.testing.assert_allclose(found[0], np.clip((np.arange(101) - 10) / 80, 0, 1), atol=1e-6)


@pytest.mark.parametrize("kind", ["percentile", "minmax", "zscore"])
def test_a_constant_image_has_no_range(kind):
    with pytest.raises(ValueError, match="must vary"):
        normalise(np.ones((4, 4), np.float32), kind, percentiles=(1, 99), window=None)


def test_a_window_is_needed():
    with pytest.raises(ValueError, match="needs `window"):
        normalise(np.ones((4, 4), np.float32), "window", percentiles=(1, 99), window=None)


@pytest.mark.parametrize("big", [0, 70_000])
def test_labels_are_merged_chosen_and_counted(big):
    """Left and right become one; below and above the size of a table."""
    labels = np.array([[0, 3, 42], [3, 7, 9 + big]], np.int32)
    labelling = Labelling({"1": [3, 42]}, (1, 7), refuse_others=False)
    found, left_out = labelling.apply(labels, "s")
    np.testing.assert_array_equal(found, [[0, 1, 1], [1, 7, 0]])
    assert left_out == {str(9 + big): 1}
    assert labelling.final({1: "cortex"}) == {1: "cortex", 7: "label 7"}


@pytest.mark.parametrize(
    ("merge", "keep", "words"),
    [
        ({"1": [3], "2": [3]}, None, "3 goes to two"),
        ({"x": [3]}, None, "new ids must be integers"),
        (None, (0, 1), "distinct ids from 1"),
        (None, (1, 1), "distinct ids from 1"),
    ],
)
def test_impossible_labelling_is_named(merge, keep, words):
    with pytest.raises(RegbenchError, match=words):
        Labelling(merge, keep, refuse_others=False)


def test_names_need_ids():
    assert names_by_id({"3": "a", 4: "b"}) == {3: "a", 4: "b"}
    with pytest.raises(RegbenchError, match="label ids must be integers"):
        names_by_id({"left": "x"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": [4, 4]}, "shape must be 3 numbers"),
        ({"spacing_mm": -1.0}, "spacing_mm must be 3 numbers above 0"),
        ({"multiple_of": 0}, "multiple_of must be at least 1"),
        ({"stored_as": "XYZ"}, "three directions such as LIA"),
        ({"percentiles": [90.0, 10.0]}, "must rise"),
        ({"align_to": "s9"}, "no subject `s9`"),
    ],
)
def test_impossible_settings_are_named(tmp_path, settings, words):
    image, labels = brain(0)
    nifti(tmp_path / "images" / "s0.nii.gz", image)
    nifti(tmp_path / "labels" / "s0.nii.gz", labels)
    with pytest.raises(RegbenchError, match=words):
        list(on_grid(folder(path=str(tmp_path)), settings))


def test_a_coarser_grid_does_not_alias():
    """A checkerboard at a third of the resolution is grey."""
    board = (np.indices((48, 48)).sum(0) % 2).astype(np.float32)
    space = Space((16, 16), (48, 48), np.array([[3.0, 0, 1], [0, 3, 1], [0, 0, 1]]))
    assert np.ptp(resample(board, space, order=1)) < 0.2


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"percentiles": [99.0, 1.0]}, "percentiles"),
        ({"percentiles": [-1.0, 50.0]}, "percentiles"),
        ({"intensity": "window", "window": [5.0, 5.0]}, "window"),
    ],
)
def test_a_scale_that_does_not_rise_is_a_mistake_of_the_config(settings, key):
    assert [name for name, _ in mistakes({"folder": folder}, "folder", settings)] == [key]


def test_two_labels_with_one_name_are_refused(tmp_path):
    """Tables and figures show names; of two rows `hippocampus` nobody knows which is which."""
    labelling = Labelling(None, None, refuse_others=False)
    labelling.apply(np.array([[0, 1], [2, 7]]), "s0")
    with pytest.raises(RegbenchError, match="1 and 2 are both `a`; for one label of two ids, merge them"):
        labelling.final({1: "a", 2: "a"})
    with pytest.raises(RegbenchError, match="1 and 7 are both `label 7`"):
        labelling.final({1: "label 7"})
    assert labelling.final({1: "a", 2: "A", 3: "a"}) == {1: "a", 2: "A", 7: "label 7"}


def test_a_config_that_gives_two_labels_one_name_is_refused_by_check(tiny):
    entry = {"id": "d", "source": "folder", "parameters": {"path": "x"}}
    entry["splits"] = {"train": 2, "validation": 2, "test": 2}
    for names in ({1: "left", 2: "left"}, {"1": "caf\u00e9", "2": "cafe\u0301"}):  # two forms of one text
        raw = {**tiny, "datasets": [{**entry, "preprocessing": {"names": names}}]}
        with pytest.raises(UsageError, match=r"datasets\[0\]\.preprocessing\.names.*1 and 2 are both `"):
            load_config(raw, check_component)
