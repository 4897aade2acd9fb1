"""The cache and the splits: what is wrong is named, and nothing half-made is taken for whole."""

import os

import numpy as np
import pytest

from regbench import data
from regbench.data import prepare as module
from regbench.data.cache import load
from regbench.data.prepare import prepare
from regbench.data.splits import split
from regbench.data.subject import Source, Subject
from regbench.study.data_config import SplitConfig
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import file_sha256, read_sealed, write_sealed

IDS = [f"s{number}" for number in range(8)]


def source(broken=None, more=None):
    """Eight subjects of 8 x 8; `broken` changes the third, `more` are further arrays of each."""

    def make():
        for number, name in enumerate(IDS):
            image = np.full((8, 8), number / 8, np.float32)
            labels = np.ones((8, 8), np.uint8)
            if number == 2 and broken:
                image, labels = broken(image, labels)
            yield Subject(name, image, labels, **(more or {}))

    return Source(tuple(IDS), (8, 8), (1.0, 2.0), {1: "all"}, "made up", (), make)


def build(folder, monkeypatch, broken=None, more=None, **changes):
    monkeypatch.setattr(module, "DATASETS", {**data.DATASETS, "made": lambda: source(broken, more)})
    spec = {
        "id": "d",
        "source": "made",
        "parameters": {},
        "splits": {"train": 3, "validation": 2, "test": 3},
        "pairs": {},
    }
    prepare(PrepareSpec(**{**spec, **changes, "code": ""}), folder)


def nan(image, labels):
    image[3, 4] = np.nan
    return image, labels


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (nan, "dataset `d`, subject `s2`: the image has 1 NaN"),
        (lambda image, labels: (image, labels[:5]), r"subject `s2`: labels must have shape \(8, 8\), but got \(5, 8\)"),
        (lambda image, labels: (image[:, :3], labels), "subject `s2`: image must have shape"),
    ],
)
def test_a_bad_subject_is_named_and_leaves_no_manifest(tmp_path, monkeypatch, broken, expected):
    with pytest.raises(RegbenchError, match=expected):
        build(tmp_path, monkeypatch, broken)
    assert not (tmp_path / "manifest.json").exists()


def test_what_was_written_is_read(tmp_path, monkeypatch):
    build(tmp_path, monkeypatch)
    dataset = load(tmp_path, verify=True)
    assert (dataset.shape, dataset.spacing_mm, dataset.labels) == ((8, 8), (1.0, 2.0), {1: "all"})
    fixed, moving = dataset.pairs("test")[0]
    pair = dataset.pair(fixed, moving)
    assert pair.fixed[0, 0] == IDS.index(fixed) / 8
    assert pair.moving[0, 0] == IDS.index(moving) / 8
    assert pair.truth is None
    assert pair.foreground.all()


@pytest.mark.parametrize("kept", [0, 5, 9, 60, 128, -100])
def test_a_truncated_array_is_named(tmp_path, monkeypatch, kept):
    build(tmp_path, monkeypatch)
    path = tmp_path / "images.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RegbenchError, match=r"images\.npy.*whole"):
        load(tmp_path)


def test_an_altered_array_is_found_by_its_checksum(tmp_path, monkeypatch):
    build(tmp_path, monkeypatch)
    path = tmp_path / "labels.npy"
    path.write_bytes(path.read_bytes()[:-4] + b"\x07\0\0\0")
    load(tmp_path)
    with pytest.raises(RegbenchError, match=r"labels\.npy.*altered"):
        load(tmp_path, verify=True)


def test_an_array_of_another_type_is_refused(tmp_path, monkeypatch):
    build(tmp_path, monkeypatch)
    np.save(tmp_path / "images.npy", np.zeros((8, 8, 8)))
    with pytest.raises(RegbenchError, match=r"images\.npy.*altered"):
        load(tmp_path)


def test_a_missing_cache_is_named(tmp_path):
    with pytest.raises(RegbenchError, match=r"manifest\.json"):
        load(tmp_path)


def test_a_pickle_is_refused(tmp_path, monkeypatch):
    build(tmp_path, monkeypatch)
    np.save(tmp_path / "images.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(RegbenchError, match=r"images\.npy"):
        load(tmp_path)


@pytest.mark.parametrize("early", [1, module.EARLY])
@pytest.mark.parametrize("fails_at", [1, 2, 5])
def test_the_manifest_is_written_last(tmp_path, monkeypatch, fails_at, early):
    """A disk that fails at any moment, also while more is being read, leaves a folder that nobody takes for a cache."""
    build(tmp_path, monkeypatch)
    (tmp_path / "manifest.json").rename(tmp_path / "before.json")
    monkeypatch.setattr(module, "EARLY", early)
    real, calls = os.fsync, []

    def fsync(number):
        calls.append(number)
        if len(calls) == fails_at:  # once: the kernel tells of it to the first who asks, and then all seems well
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr(module.os, "fsync", fsync)
    with pytest.raises(RegbenchError, match="No space left on device"):
        build(tmp_path, monkeypatch)
    assert not (tmp_path / "manifest.json").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_manifest_describes_what_lies_on_the_disk(tmp_path, monkeypatch):
    build(tmp_path, monkeypatch)
    files = read_sealed(tmp_path / "manifest.json")["files"]
    assert {"images.npy", "labels.npy"} <= files.keys()
    for name, described in files.items():
        values = np.load(tmp_path / name)
        assert described["sha256"] == file_sha256(tmp_path / name)
        assert (described["shape"], described["dtype"]) == (list(values.shape), str(values.dtype))


def test_splits_share_no_subject():
    found = split(IDS, SplitConfig(train=3, validation=2, test=3), "d")
    names = [name for part in found.values() for name in part]
    assert sorted(names) == IDS
    assert found == split(IDS, SplitConfig(train=3, validation=2, test=3), "d")


def test_splits_by_name():
    found = split(IDS, SplitConfig(train=2, validation=("s0", "s1"), test=("s7", "s6")), "d")
    assert (found["validation"], found["test"]) == (["s0", "s1"], ["s7", "s6"])
    assert set(found["train"]) <= {"s2", "s3", "s4", "s5"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"train": 3, "validation": 2}, r"splits\.test must have subjects"),
        ({"train": 5, "validation": 2, "test": 2}, r"splits\.test asks for 2 subjects, but 1 of 8 are left"),
        ({"train": 3, "validation": ["s0", "s9"], "test": 2}, "no subject `s9`"),
        ({"train": 3, "validation": ["s0", "s1"], "test": ["s1", "s2"]}, "`s1` stands twice"),
        ({"train": 3, "validation": 1, "test": 2}, "at least 2 subjects"),
    ],
)
def test_impossible_splits_are_named(wanted, expected):
    with pytest.raises(RegbenchError, match=expected):
        split(IDS, SplitConfig.model_validate(wanted), "d")


@pytest.mark.parametrize("name", ["images", "labels"])
def test_a_flipped_byte_is_found_by_the_first_reader_of_its_subject(tmp_path, monkeypatch, name):
    """At random places: the subject is refused, and the others are as they were."""
    build(tmp_path, monkeypatch)
    path, random = tmp_path / f"{name}.npy", np.random.default_rng(0)
    whole = path.read_bytes()
    size = (len(whole) - 128) // len(IDS)
    for place in random.integers(128, len(whole), 20):
        content = bytearray(whole)
        content[place] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        data = load(tmp_path)
        hit = IDS[(place - 128) // size]
        for subject in IDS:
            read, given = (data.images, (subject,)) if name == "images" else (data.label_map, subject)
            if subject != hit:
                read(given)
                continue
            with pytest.raises(RegbenchError, match=rf"{name}\.npy`, subject `{hit}`.*altered or damaged. Delete"):
                read(given)


@pytest.mark.parametrize("name", ["forward", "inverse", "landmarks"])
def test_a_flipped_byte_changes_no_truth_and_no_landmark(tmp_path, monkeypatch, name):
    """A true displacement is read with its pair, landmarks with the dataset: each pair is refused, or as it was."""
    field = np.random.default_rng(1).normal(size=(2, 8, 8)).astype(np.float32) * 0.1
    more = {"forward": field, "inverse": -field, "landmarks": np.array([[1.0, 2.0], [3.0, 4.5]])}
    build(tmp_path, monkeypatch, more=more, pairs={"test": 6})
    sound = load(tmp_path)
    right = {pair: sound.pair(*pair) for pair in sound.pairs("test")}
    path, random, refused = tmp_path / f"{name}.npy", np.random.default_rng(0), 0
    whole = path.read_bytes()
    for place in random.integers(128, len(whole), 30):
        content = bytearray(whole)
        content[place] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        for pair, wanted in right.items():
            try:
                found = load(tmp_path).pair(*pair)
            except RegbenchError as error:
                assert f"{name}.npy" in str(error)  # noqa: PT017 - some pairs do not need what was flipped
                refused += 1
                continue
            assert np.array_equal(found.truth, wanted.truth)
            assert np.array_equal(found.fixed_landmarks, wanted.fixed_landmarks)
    assert refused == 180 if name == "landmarks" else refused >= 10, "three of eight subjects are tested"


def test_a_manifest_of_other_splits_or_pairs_is_refused(tmp_path, monkeypatch):
    build(tmp_path, monkeypatch)
    manifest = read_sealed(tmp_path / "manifest.json")
    for change in ({"splits": {}}, {"pairs": {}}, {"files": {}}, {"subjects_sha256": None}):
        write_sealed(tmp_path / "manifest.json", manifest | change)
        with pytest.raises(RegbenchError, match=r"manifest\.json` must be as `prepare` of this regbench wrote it"):
            load(tmp_path)
