"""Sets with landmarks and no labels, with neither, and with both: read, prepared, told; and what contradicts."""

import numpy as np
import pytest
from data_files import brain, folder_of, nifti, spec

from regbench.data.cache import load
from regbench.data.inspect import inspect
from regbench.data.prepare import prepare
from regbench.evaluation.measure import Measured, Registered, measure, metric_names
from regbench.orchestration.registries import check_component
from regbench.study.job_specs import trial_spec
from regbench.study.load import load as load_config
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.training.validation import scoring
from regbench.tuning.rehearsal import first_look

SPLITS = {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": ["s4", "s5"]}


def points(count=4):
    return np.random.default_rng(count).uniform(1, 6, (count, 3))


def bare_folder(root, *, landmarks=range(6)):
    """`images/` alone, and `landmarks/` of some of them."""
    for number in range(6):
        nifti(root / "images" / f"s{number}.nii.gz", brain(number)[0], np.diag([1.0, 2.0, 0.5, 1.0]))
    for number in landmarks:
        (root / "landmarks").mkdir(exist_ok=True)
        np.savetxt(root / "landmarks" / f"s{number}.csv", points() + number / 10, delimiter=",")
    return root


def made_arrays(root, **arrays):
    images = np.stack([brain(number)[0] for number in range(6)])
    ids = np.array([f"s{number}" for number in range(6)])
    np.savez(root / "a.npz", images=images, subjects=ids, **arrays)
    return spec("arrays", {"path": str(root / "a.npz")}, splits=SPLITS)


def opened(made, root):
    prepare(made, root / "cache")
    return load(root / "cache")


def test_a_folder_without_labels(tmp_path):
    made = spec("folder", {"path": str(bare_folder(tmp_path))}, splits=SPLITS)
    data = opened(made, tmp_path)
    assert data.labels == {}
    assert (data.references("validation"), data.references("test")) == (("landmarks",), ("landmarks",))
    pair = data.pair("s4", "s5")
    rows = measure(Registered("s4", "s5", pair, np.zeros((3, *pair.fixed.shape), np.float32)), Measured.of(data))
    assert rows["tre_mm"] == pytest.approx(np.linalg.norm([0.1, 0.2, 0.05]))
    assert rows["rtre_percent"] == pytest.approx(100 * rows["tre_mm"] / np.linalg.norm([9.0, 24.0, 3.5]))
    assert not [name for name in metric_names(data) if name.startswith(("dice", "hd95", "assd", "nsd", "labels"))]
    words = inspect(made)
    assert "no labels" in words
    assert "landmarks: 4 in each of 6 of 6 subjects" in words
    assert "TRE before registration, test: mean 0.23 mm, from 0.23 to 0.23 mm (2 of 2 pairs)" in words
    assert "Dice" not in words


def test_a_table_without_a_column_of_labels(tmp_path):
    bare_folder(tmp_path)
    lines = [f"s{k},images/s{k}.nii.gz,landmarks/s{k}.csv" for k in range(6)]
    (tmp_path / "all.csv").write_text("\n".join(["subject,image,landmarks", *lines]))
    data = opened(spec("table", {"path": str(tmp_path / "all.csv")}, splits=SPLITS), tmp_path)
    assert (data.labels, data.references("test")) == ({}, ("landmarks",))


def test_arrays_with_landmarks(tmp_path):
    given = np.stack([points() + k / 10 for k in range(6)])
    given[0] = np.nan  # a training subject without any
    data = opened(made_arrays(tmp_path, landmarks=given), tmp_path)
    assert (data.labels, data.references("test"), data.landmarks("s0")) == ({}, ("landmarks",), None)
    space = data.space("s4")
    np.testing.assert_allclose(data.landmarks("s4"), space.to_prepared(given[4]))


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        (np.zeros((6, 4, 2)), r"`landmarks` must be numbers of shape \(6, points, 3\), but got float64 \(6, 4, 2\)"),
        (np.zeros((5, 4, 3)), r"must be numbers of shape \(6, points, 3\)"),
        (np.where(np.arange(72).reshape(6, 4, 3) == 40, np.nan, 1.0), r"subject `s3`, point 1: must be finite"),
    ],
)
def test_arrays_of_landmarks_that_are_none(tmp_path, landmarks, words):
    with pytest.raises(RegbenchError, match=words):
        opened(made_arrays(tmp_path, landmarks=landmarks), tmp_path)


def test_labels_of_a_name_of_your_own_must_be_there(tmp_path):
    made_arrays(tmp_path)
    with pytest.raises(RegbenchError, match=r"no array `segs`"):
        opened(spec("arrays", {"path": str(tmp_path / "a.npz"), "labels": "segs"}, splits=SPLITS), tmp_path)
    with pytest.raises(RegbenchError, match=r"segs` must be a folder, as labels are in it"):
        opened(spec("folder", {"path": str(bare_folder(tmp_path)), "labels": "segs"}, splits=SPLITS), tmp_path)


def test_neither_labels_nor_landmarks(tmp_path):
    data = opened(made_arrays(tmp_path), tmp_path)
    assert (data.labels, data.references("validation")) == ({}, ())
    assert "ndv_percent" in metric_names(data)


def test_landmarks_of_the_test_alone(tmp_path):
    """As the public lung sets have it: training and validation have none."""
    made = spec("folder", {"path": str(bare_folder(tmp_path, landmarks=(4, 5)))}, splits=SPLITS)
    data = opened(made, tmp_path)
    assert (data.references("validation"), data.references("test")) == ((), ("landmarks",))


def test_landmarks_that_lie_nowhere_in_their_image_are_refused_with_file_and_point(tmp_path):
    """Another unit, another order of axes: nothing else could score these pairs."""
    bare_folder(tmp_path)
    np.savetxt(tmp_path / "landmarks" / "s5.csv", points() * 40, delimiter=",")
    with pytest.raises(RegbenchError, match=r"pairs of test must have labels.*of `s5` 4 of 4 lie far outside, such as "
                                            r"point \d of `s5.csv`, \(.*\), in an image of"):  # fmt: skip
        opened(spec("folder", {"path": str(tmp_path)}, splits=SPLITS), tmp_path)


def test_a_pair_with_neither_among_others_that_have_is_refused(tmp_path):
    folder_of(tmp_path, 7)
    lines = [f"s{k},images/s{k}.nii.gz,{'' if k in (3, 4) else f'labels/s{k}.nii.gz'}" for k in range(7)]
    (tmp_path / "all.csv").write_text("\n".join(["subject,image,label", *lines]))

    def made(train, validation, test):
        splits = {"train": train, "validation": validation, "test": test}
        return opened(spec("table", {"path": str(tmp_path / "all.csv")}, splits=splits), tmp_path)

    with pytest.raises(RegbenchError, match=r"subjects of test must have labels or landmarks"):
        made(["s0", "s5"], ["s1", "s2"], ["s3", "s4"])
    assert made(["s3", "s4"], ["s1", "s2"], ["s0", "s5"]).references("test") == ("labels",)
    with pytest.raises(RegbenchError, match=r"subjects of test must have labels or landmarks.*`s4` has no labels"):
        made(["s3", "s6"], ["s1", "s2"], ["s0", "s5", "s4"])


@pytest.fixture
def study_of(tiny, tmp_path):
    def make(root, **tuning):
        tiny["datasets"] = [{"id": "brains", "source": "folder", "parameters": {"path": str(root)}, "splits": SPLITS}]
        tiny["results"] = str(tmp_path / "results")
        tiny["tuning"] |= tuning
        return Study(load_config(tiny, check_component))

    return make


def test_goals_that_the_files_cannot_give_are_refused_before_any_is_read(study_of, tmp_path):
    root = bare_folder(tmp_path / "landmarked")
    assert first_look(study_of(root), "brains") == []
    with pytest.raises(RegbenchError, match=r"`dice` needs labels, which they have not. Write `objective: tre_mm`"):
        first_look(study_of(root, objective="dice"), "brains")
    labelled = folder_of(tmp_path / "labelled")
    with pytest.raises(
        RegbenchError, match=r"`tre70_mm` needs landmarks, which they have not. Write `objective: dice`"
    ):
        first_look(study_of(labelled, objective="tre70_mm"), "brains")


def test_with_neither_the_config_must_name_a_similarity(study_of, tmp_path):
    root = bare_folder(tmp_path / "bare", landmarks=())
    with pytest.raises(RegbenchError, match=r"tuning.objective must be given.*neither labels nor landmarks"):
        first_look(study_of(root), "brains")
    assert first_look(study_of(root, objective="similarity.mse"), "brains") == []


def test_a_training_by_hand_is_refused_too(study_of, tmp_path):
    study = study_of(bare_folder(tmp_path / "landmarked"), objective="dice")
    made = spec("folder", {"path": str(tmp_path / "landmarked")}, splits=SPLITS)
    with pytest.raises(RegbenchError, match=r"`dice` needs labels"):
        scoring(trial_spec(study, "voxelmorph.mse.grad_l2"), opened(made, tmp_path))


def test_soft_dice_needs_labels(study_of, tiny, tmp_path):
    tiny["training"]["dice_weight"] = 0.1
    with pytest.raises(
        RegbenchError, match=r"training.dice_weight: `dice` must have labels of the training .*`brains`"
    ):
        first_look(study_of(bare_folder(tmp_path / "landmarked")), "brains")
