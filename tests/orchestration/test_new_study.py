"""`regbench new`: the config that it writes for a folder passes the check, and says what was seen."""

import shutil

import numpy as np
import pytest
import yaml
from data_files import folder_of, learn2reg_folder, nifti

from regbench.cli.main import main
from regbench.orchestration.new_study import write_new
from regbench.system.errors import RegbenchError, UsageError

SHAPE = (16, 16, 16)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(path) -> dict:
    """What the file says, once `regbench check` accepted it."""
    main(["check", str(path)])
    return yaml.safe_load(path.read_text())


def test_without_data_the_embedded_brains(here):
    path, _ = write_new("mine", None)
    assert str(path) == "mine.yaml"
    assert checked(path)["datasets"][0]["source"] == "mni152"


def test_a_folder_of_images_and_labels_is_six_lines(here):
    folder_of(here / "my brains", count=12, shape=SHAPE)
    path, seen = write_new("mine.yaml", "my brains")
    assert seen == "12 subjects of `my brains`, 16 x 16 x 16 voxels (folder), labels"
    content = checked(path)
    assert content["data"] == "my brains"
    assert {"study", "data", "models", "similarities", "regularizers", "steps"} <= set(content)
    assert f"# {seen}.\n" in path.read_text()


def test_folders_of_other_names_are_found(here):
    made = folder_of(here / "set", count=12, shape=SHAPE)
    (made / "images").rename(made / "scans")
    (made / "labels").rename(made / "Segmentations")
    path, _ = write_new("mine", "set")
    given = checked(path)["datasets"][0]["parameters"]
    assert given == {"path": "set", "images": "scans", "labels": "Segmentations"}


def test_an_image_without_labels_is_named_in_a_folder_of_any_name(here):
    made = folder_of(here / "set", count=12, shape=SHAPE)
    (made / "labels").rename(made / "seg")
    next(iter(sorted((made / "seg").iterdir()))).unlink()
    with pytest.raises(RegbenchError, match=r"labels of the same name in `set/seg`, but 1 have none"):
        write_new("mine", "set")


def test_masks_are_no_labels(here):
    made = folder_of(here / "set", count=12, shape=SHAPE)
    shutil.copytree(made / "labels", made / "masks")
    assert "labels, masks of 12" in write_new("both", "set")[1]
    shutil.rmtree(made / "labels")
    _, seen = write_new("masked", "set")
    assert "no labels, masks of 12" in seen


@pytest.mark.parametrize("name", ["no", "12", "a: b #c", "- x", "'q\"", "{y}"])
def test_a_folder_of_any_name_is_yaml(here, name):
    folder_of(here / name, count=12, shape=SHAPE)
    assert checked(write_new("mine", name)[0])["data"] == name


def test_folders_that_could_be_either_are_named(here):
    made = folder_of(here / "set", count=4, shape=SHAPE)
    (made / "images").rename(made / "a")
    shutil.copytree(made / "a", made / "b")
    with pytest.raises(UsageError, match=r"its folders of images are: `a` \(4\), `b` \(4\), `labels` \(4\)"):
        write_new("mine", "set")
    assert not (here / "mine.yaml").exists()


def test_learn2reg_and_arrays(here):
    learn2reg_folder(here / "l2r", cases=12)
    assert checked(write_new("one", "l2r")[0])["data"] == "l2r"
    random = np.random.default_rng(0)
    images = random.random((12, 24, 20)).astype(np.float32)
    np.savez(here / "all.npz", images=images, labels=(images > 0.5).astype(np.uint8))
    path, seen = write_new("two", "all.npz")
    assert seen == "12 subjects of `all.npz`, 32 x 32 voxels (arrays), labels"
    assert checked(path)["data"] == "all.npz"


def test_images_alone_are_scored_by_a_similarity(here):
    shutil.rmtree(folder_of(here / "set", count=12, shape=SHAPE) / "labels")
    path, seen = write_new("mine", "set")
    assert seen.endswith("no labels")
    assert checked(path)["tuning"]["objective"] == "similarity.lcc"


def test_two_modalities_get_losses_for_two(here):
    for modality in ("CT", "MR"):
        for number in range(12):
            image = np.random.default_rng(number).random(SHAPE).astype(np.float32)
            nifti(here / "set/images" / modality / f"s{number}.nii.gz", image)
            nifti(here / "set/labels" / modality / f"s{number}.nii.gz", (image > 0.5).astype(np.uint8))
    path, seen = write_new("mine", "set")
    assert seen.endswith("labels, modalities CT, MR")
    assert checked(path)["similarities"] == ["nmi", "mind"]


@pytest.mark.parametrize(("count", "model"), [(7, "voxelmorph"), (6, "voxelmorph"), (5, "instance"), (4, "instance")])
def test_few_subjects_are_divided_by_number(here, count, model):
    folder_of(here / "set", count=count, shape=SHAPE)
    path, _ = write_new("mine", "set")
    assert checked(path)["models"] == [model]


def test_too_few_are_refused(here):
    folder_of(here / "set", count=3, shape=SHAPE)
    with pytest.raises(UsageError, match=r"`set` must have 4 subjects or more, but has 3"):
        write_new("mine", "set")


def test_no_file_is_replaced_and_no_folder_left(here):
    (here / "mine.yaml").write_text("precious")
    with pytest.raises(UsageError, match=r"`mine.yaml` must not exist yet"):
        write_new("mine", None)
    assert (here / "mine.yaml").read_text() == "precious"
    with pytest.raises(UsageError, match="study: string should match"):
        write_new("../mine", None)
    with pytest.raises(UsageError, match=r"there is no `.*/nowhere`"):
        write_new("other", "nowhere")
