"""Two files become a displacement, whatever their sizes, spacings and orientations."""

import re

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from data_files import read_displacement
from made_images import Constant
from scipy.ndimage import gaussian_filter

from regbench.cli.main import main
from regbench.data.preprocessing.preparation import Preparation
from regbench.evaluation.file_pair import read_pair
from regbench.evaluation.register_files import Beside, Output, model_for, register_files
from regbench.losses.masks import Masks
from regbench.losses.objective import MaskRule, objective
from regbench.models.predict import build_model
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.training.checkpoint import FORMAT, load_checkpoint, read_checkpoint

SHIFT = 3.0  # mm
PARTS = {"similarity": "mse", "regularizer": "grad_l2"}


def picture(shape, seed=0):
    return gaussian_filter(np.random.default_rng(seed).random(shape), 3).astype(np.float32) * 100


def save(path, array, affine):
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def files(tmp_path):
    """One scene in two files: the moving one flipped, coarser, of another shape, and 3 mm to the right."""
    scene = picture((44, 31, 26))
    fixed = save(tmp_path / "f.nii.gz", scene[2:42], np.diag([1.0, 1, 1, 1]) @ _shift(2, 0, 0))
    moving = np.flip(scene[::2], 0)  # voxel i lies at x = 42 - 2 i, then 3 mm to the right
    affine = np.array([[-2.0, 0, 0, 42 + SHIFT], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    labels = (moving > np.median(moving)).astype(np.int16)
    return fixed, save(tmp_path / "m.nii.gz", moving, affine), save(tmp_path / "l.nii.gz", labels, affine)


def _shift(*mm):
    affine = np.eye(4)
    affine[:3, 3] = mm
    return affine


def test_headers_are_kept_and_the_moved_image_lies_on_the_fixed_one(files, tmp_path):
    fixed, moving, labels = files
    written = register_files(Constant(SHIFT), fixed, moving, tmp_path / "out", beside=Beside(labels))
    names = [path.name for path in written]
    assert names == ["disp_f_m.nii.gz", "moved_m.nii.gz", "jacobian_m.nii.gz", "moved_labels_m.nii.gz"]
    for path in written:
        assert np.allclose(nib.load(path).affine, nib.load(fixed).affine)
    moved, target = nib.load(written[1]).get_fdata(), nib.load(fixed).get_fdata()
    assert moved.shape == target.shape
    # Every second plane is a plane of the coarse image: there, the scene itself.
    assert np.allclose(moved[::2][:-1], target[::2][:-1], atol=1e-3)
    # Without the shift, the header alone would leave the scene 3 mm off.
    (_, still, *_) = register_files(Constant(0.0), fixed, moving, tmp_path / "still")
    assert np.abs(nib.load(still).get_fdata()[4:-4] - target[4:-4]).mean() > 0.3
    assert np.allclose(nib.load(written[2]).get_fdata()[2:-2, 2:-2, 2:-2], 1, atol=1e-4)
    warped = nib.load(written[3])
    assert warped.get_data_dtype() == np.int16
    assert set(np.unique(np.asarray(warped.dataobj))) <= {0, 1}


def test_the_displacement_is_in_voxels_of_the_fixed_array(tmp_path):
    """The Learn2Reg form, where both images share a grid of 2 mm voxels that run to the left."""
    affine = np.diag([-2.0, 2, 2, 1])
    fixed, moving = (save(tmp_path / f"{n}.nii.gz", picture((19, 22, 17), k), affine) for k, n in enumerate("fm"))
    first, *_ = register_files(Constant(1.5), fixed, moving, tmp_path)
    # The model's first axis runs right, the array's runs left.
    assert np.allclose(read_displacement(first)[0], -1.5, atol=1e-5)
    assert np.allclose(read_displacement(first)[1:], 0, atol=1e-5)


def test_itk_moves_the_image_alike(files, tmp_path):
    fixed, moving, _ = files
    *_, field = register_files(Constant(SHIFT), fixed, moving, tmp_path / "out", output=Output(itk=True))
    transform = SimpleITK.DisplacementFieldTransform(SimpleITK.ReadImage(str(field), SimpleITK.sitkVectorFloat64))
    target, source = (SimpleITK.Cast(SimpleITK.ReadImage(str(path)), SimpleITK.sitkFloat32) for path in (fixed, moving))
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.Resample(source, target, transform, SimpleITK.sitkLinear)).transpose(
        2, 1, 0
    )
    ours = nib.load(tmp_path / "out" / "moved_m.nii.gz").get_fdata()
    assert np.allclose(theirs[2:-4, 1:-1, 1:-1], ours[2:-4, 1:-1, 1:-1], atol=1e-2)


@pytest.mark.parametrize("shape", [(37, 45), (21, 26, 19)])
def test_instance_registers_files_of_any_size(tmp_path, shape, capsys):
    image = picture(shape)
    affine = np.diag([1.5, 1.5, 1.5, 1])
    fixed, moving = (
        save(tmp_path / f"{name}.nii.gz", np.roll(image, step, 0), affine) for name, step in (("f", 0), ("m", 2))
    )
    places = ["--fixed", str(fixed), "--moving", str(moving), "--out", str(tmp_path)]
    main(["register", "--model", "instance", *places, "--similarity", "mse", "--lam", "0.001"])
    first = tmp_path / "disp_f_m.nii.gz"
    assert str(first) in capsys.readouterr().out
    inner = (slice(5, -5),) * len(shape)
    found = read_displacement(first)[0][inner]
    assert found.shape == tuple(n - 10 for n in shape)
    assert abs(float(np.median(found)) - 2) < 0.4


def test_a_broken_or_foreign_checkpoint_has_a_clear_error(tmp_path):
    broken, foreign = tmp_path / "a.pt", tmp_path / "b.pt"
    broken.write_bytes(b"PK nothing")
    torch.save({"state_dict": {}}, foreign)
    for path in (broken, foreign, tmp_path / "missing.pt"):
        with pytest.raises(RegbenchError, match=path.name):
            load_checkpoint(path)
    torch.save({"format": FORMAT, "weights": None}, foreign)
    with pytest.raises(RegbenchError, match=r"b\.pt` must be a checkpoint .* model: Field required; similarity"):
        read_checkpoint(foreign)


@pytest.mark.parametrize("shape", [(5,), (4, 4, 4, 2)])
def test_what_is_no_image_is_refused(tmp_path, shape):
    fixed = save(tmp_path / "f.nii.gz", picture((9, 8, 7)), np.eye(4))
    with pytest.raises(RegbenchError, match=r"x\.nii\.gz` must be one 2D or 3D image"):
        read_pair(fixed, save(tmp_path / "x.nii.gz", np.zeros(shape, np.float32), np.eye(4)), "header")
    (tmp_path / "y.nii.gz").write_bytes(b"no image")
    with pytest.raises(RegbenchError, match=r"y\.nii\.gz.*not compressed by gzip"):
        read_pair(fixed, tmp_path / "y.nii.gz", "header")


def checkpoint(path, **preparation):
    """An untrained 2D network, stored as `regbench train` stores one."""
    model = {"name": "voxelmorph", "parameters": {"encoder": [4, 4], "decoder": [4, 4, 4]}}
    method = {"model": model, **{kind: {"name": name, "parameters": {}} for kind, name in PARTS.items()}}
    weights = build_model(ComponentSpec.from_json(model), 2).state_dict()
    stored = {"format": FORMAT, **method, "lam": 1.0, "dims": 2, "preparation": preparation, "weights": weights}
    torch.save(stored, path)
    return path


def between(x, low, high):
    return np.clip((x - low) / (high - low), 0, 1)


def test_a_checkpoint_whose_method_has_another_form_is_named(tmp_path):
    stored = torch.load(checkpoint(tmp_path / "c.pt"), weights_only=True)
    torch.save({**stored, "model": {"name": "voxelmorph", "params": {}}}, tmp_path / "c.pt")
    with pytest.raises(
        RegbenchError, match=r"c\.pt` must be .* model\.parameters: Field required; model\.params: Extra inputs"
    ):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("preparation", "expected"),
    [
        ({}, lambda x: between(x, *np.percentile(x, (0.5, 99.5)))),
        ({"intensity": "zscore"}, lambda x: (x - x.mean()) / x.std()),
        ({"intensity": "none"}, lambda x: x),
        ({"intensity": "window", "window": [40.0, 60.0]}, lambda x: between(x, 40, 60)),
        ({"percentiles": [10.0, 90.0]}, lambda x: between(x, *np.percentile(x, (10, 90)))),
    ],
)
def test_images_are_prepared_as_the_checkpoint_says(tmp_path, monkeypatch, preparation, expected):
    image = picture((20, 26))
    fixed, moving = (save(tmp_path / f"{n}.nii.gz", image, np.diag([-1.0, 1, 1, 1])) for n in "fm")
    stored = checkpoint(tmp_path / "c.pt", spacing_mm=[1.0, 1.0], **preparation)
    seen = []

    def spy(model, one, other, masks):
        seen.extend([one, other])
        return np.zeros((2, *one.shape), np.float32)

    monkeypatch.setattr("regbench.evaluation.register_files.register", spy)
    places = ["--fixed", str(fixed), "--moving", str(moving), "--out", str(tmp_path)]
    main(["register", "--model", str(stored), *places])
    # Turned to run right: the array's first axis runs left.
    for found in seen:
        assert np.allclose(found, expected(image.astype(np.float64))[::-1], atol=1e-3)
    seen.clear()
    main(["register", "--model", str(stored), *places, "--intensity", "minmax", "--overwrite"])
    assert (seen[0].min(), seen[0].max()) == (0, 1)


def test_each_image_is_scaled_by_the_rule_of_its_modality(tmp_path, monkeypatch, capsys):
    image = picture((20, 26))
    fixed, moving = (save(tmp_path / f"{n}.nii.gz", image, np.diag([1.0, 1, 1, 1])) for n in "fm")
    rules = {"MR": ["minmax", [0.5, 99.5], None], "CT": ["window", [0.5, 99.5], [40.0, 60.0]]}
    seen = []

    def spy(model, *images_and_masks):
        images = images_and_masks[:2]
        seen.extend(images)
        return np.zeros((2, *images[0].shape), np.float32)

    monkeypatch.setattr("regbench.evaluation.register_files.register", spy)
    files = ["--fixed", str(fixed), "--moving", str(moving), "--out", str(tmp_path), "--overwrite"]
    modalities = ["--fixed-modality", "MR", "--moving-modality", "CT"]
    for stored, more in (
        ({"by_modality": rules}, modalities),
        ({"by_modality": rules, "modalities": ["MR", "CT"]}, []),
        ({"by_modality": rules, "modalities": ["CT", "MR"]}, modalities),
    ):
        path = checkpoint(tmp_path / "c.pt", spacing_mm=[1.0, 1.0], **stored)
        main(["register", "--model", str(path), *files, *more])
        one, other = seen
        assert np.allclose(one, between(image, image.min(), image.max()), atol=1e-5)
        assert np.allclose(other, between(image, 40, 60), atol=1e-5)
        seen.clear()
    bad = {**rules, "CT": ["window", [0.5, 99.5], [60.0, 40.0]]}
    for stored, more, status, words in (
        (rules, [], 2, "(MR, CT), so those of both images must be known"),
        (rules, modalities[:2], 2, "go together"),
        (rules, [*modalities[:3], "CTT"], 2, "modality `CTT` is none of the model's"),
        (bad, modalities, 1, "must rise"),
    ):
        path = checkpoint(tmp_path / "c.pt", spacing_mm=[1.0, 1.0], by_modality=stored)
        with pytest.raises(SystemExit) as stopped:
            main(["register", "--model", str(path), *files, *more])
        assert stopped.value.code == status
        assert words in capsys.readouterr().err
    assert not seen


def test_the_axes_stay_where_the_study_kept_them(tmp_path, monkeypatch):
    image = picture((20, 26))
    path = save(tmp_path / "f.nii.gz", image, np.array([[0, -1.0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    for orientation, expected in (("keep", image), ("RAS", image.T[::-1])):
        stored = checkpoint(tmp_path / "c.pt", spacing_mm=[1.0, 1.0], orientation=orientation, intensity="none")
        model, preparation = model_for(str(stored), path, "mse", "grad_l2", 1.0)
        seen = []
        monkeypatch.setattr(
            "regbench.evaluation.register_files.register",
            lambda _, one, two, masks, seen=seen: seen.append(one) or np.zeros((2, *one.shape), np.float32),
        )
        register_files(model, path, path, tmp_path / orientation, preparation=preparation)
        assert np.allclose(seen[0], expected, atol=1e-4)


def test_images_that_do_not_meet_are_refused_or_laid_middle_on_middle(tmp_path):
    image = picture((19, 22, 17))
    fixed = save(tmp_path / "f.nii.gz", image, np.diag([2.0, 2, 2, 1]))
    moving = save(tmp_path / "m.nii.gz", image, np.diag([2.0, 2, 2, 1]) @ _shift(500, 0, 0))
    with pytest.raises(RegbenchError, match=r"m\.nii\.gz.*--by centre"):
        register_files(Constant(0.0), fixed, moving, tmp_path)
    _, moved, *_ = register_files(Constant(0.0), fixed, moving, tmp_path, by="centre")
    assert np.allclose(nib.load(moved).get_fdata(), image, atol=1e-4)


def test_a_checkpoint_of_other_dimensions_is_refused(tmp_path):
    stored = checkpoint(tmp_path / "c.pt", spacing_mm=[1.0, 1.0])
    volume = save(tmp_path / "f.nii.gz", picture((9, 8, 7)), np.eye(4))
    with pytest.raises(RegbenchError, match="2 dimensions"):
        model_for(str(stored), volume, "mse", "grad_l2", 1.0)


@pytest.mark.parametrize("spacing", [(1.0, 2.5), (0.7, 1.9, 3.0)])
def test_anisotropic_voxels_and_the_training_spacing(tmp_path, spacing):
    shape = (31, 18, 13)[: len(spacing)]
    affine = np.diag([*spacing, *[1.0] * (4 - len(spacing))])
    fixed, moving = (save(tmp_path / f"{n}.nii.gz", picture(shape, k), affine) for k, n in enumerate("fm"))
    # Two voxels of 1.4 mm on the model's grid, in voxels of the file.
    preparation = Preparation(spacing_mm=(1.4,) * len(shape))
    first, moved, *_ = register_files(Constant(2.0), fixed, moving, tmp_path, preparation=preparation)
    assert nib.load(moved).shape == shape
    assert np.allclose(read_displacement(first)[0], 2.8 / spacing[0], atol=1e-4)


def test_files_of_an_earlier_registration_stay_unless_overwrite_is_given(tmp_path, monkeypatch, capsys):
    fixed, moving = (save(tmp_path / f"{n}.nii.gz", picture((20, 26), k), np.eye(4)) for k, n in enumerate("fm"))
    words = ["register", "--model", "instance", "--fixed", str(fixed), "--moving", str(moving), "--similarity", "mse"]
    words += ["--out", str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    earlier = tmp_path / "out" / "moved_m.nii.gz"
    earlier.write_text("mine")
    monkeypatch.setattr("regbench.evaluation.register_files.register", None)  # known before the work
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "has 1 of 3 (`moved_m.nii.gz`). Give another folder, or `--overwrite`." in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["moved_m.nii.gz"]
    assert earlier.read_text() == "mine"
    monkeypatch.setattr(
        "regbench.evaluation.register_files.register", lambda _, one, two, masks: np.zeros((2, *one.shape), np.float32)
    )
    main([*words, "--overwrite"])
    assert nib.load(earlier).shape == (20, 26)


def test_a_cut_off_checkpoint_has_a_clear_error(tmp_path):
    whole = checkpoint(tmp_path / "c.pt", spacing_mm=[1.0, 1.0]).read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(RegbenchError, match=r"cut\.pt"):
            load_checkpoint(tmp_path / "cut.pt")


# Masks.


@pytest.fixture
def masked_pair(tmp_path):
    """Two files of a disc that is shifted, noise around it, and masks of the discs; (images, masks)."""
    random = np.random.default_rng(0)
    images, masks = [], []
    for name, centre in (("fixed", 15.0), ("moving", 18.0)):
        x, y = np.mgrid[:32, :32]
        inside = (x - centre) ** 2 + (y - 16.0) ** 2 < 64
        values = np.where(inside, np.cos((x - centre) / 3) + np.sin((y - 16) / 4), 4 * random.random((32, 32)))
        for of, array, kind in ((images, values, np.float32), (masks, inside, np.uint8)):
            of.append(tmp_path / f"{name}_{kind.__name__}.nii.gz")
            nib.save(nib.Nifti1Image(array[..., None].astype(kind), np.diag([2.0, 2, 2, 1])), of[-1])
    return images, masks


def tensor_of(path):
    """``(1, 1, *S)`` of a 2D file."""
    return torch.from_numpy(np.asarray(nib.load(path).dataobj, dtype=np.float32))[None, None, ..., 0]


@pytest.mark.parametrize(("use", "given"), [("none", (0, 0)), ("fixed", (1, 0)), ("moving", (0, 1)), ("both", (1, 1))])
def test_instance_counts_by_the_masks_that_are_given(masked_pair, tmp_path, use, given):
    images, masks = masked_pair
    beside = Beside(None, *(mask if there else None for mask, there in zip(masks, given, strict=True)))
    model, preparation = model_for("instance", images[0], "mse", "grad_l2", 0.1, masks=beside.mask_use)
    plain = preparation._replace(intensity="none", orientation="keep")
    written = register_files(model, *images, tmp_path / "out", preparation=plain, beside=beside)
    found = np.asarray(nib.load(written[0]).dataobj).squeeze()
    arrays = [
        torch.from_numpy(np.asarray(nib.load(path).dataobj, dtype=np.float32))[None, None, ..., 0] for path in images
    ]
    weights = [
        torch.from_numpy(np.asarray(nib.load(path).dataobj, dtype=np.float32))[None, None, ..., 0] if there else None
        for path, there in zip(masks, given, strict=True)
    ]
    none = ComponentSpec(name="mse", parameters={}), ComponentSpec(name="grad_l2", parameters={})
    own = build_model(ComponentSpec(name="instance", parameters={}), 2, objective(*none, 0.1, MaskRule(use)))
    u = own(*arrays, Masks(*weights))[0].detach().numpy()
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), u, atol=1e-4)


@pytest.mark.parametrize(
    ("use", "given", "words"),
    [
        ("both", (1, 0), "that of the moving image must be known, but is not. Give `--moving-mask`"),
        ("fixed", (1, 1), "`--moving-mask` must be of a mask that counts, but the model counts by `fixed`"),
        (
            "none",
            (1, 0),
            "`--fixed-mask` must be of a mask that counts, but networks see masks in their training",
        ),
    ],
)
def test_masks_must_be_those_that_the_model_counts_by(masked_pair, tmp_path, use, given, words):
    images, masks = masked_pair
    beside = Beside(None, *(mask if there else None for mask, there in zip(masks, given, strict=True)))
    model = model_for("instance", images[0], "mse", "grad_l2", 0.1, masks=use)[0] if use != "none" else Constant(0.0)
    with pytest.raises(UsageError, match=re.escape(words)):
        register_files(model, *images, tmp_path / "out", beside=beside)
    assert not (tmp_path / "out").exists()


def test_a_mask_of_another_grid_or_of_nothing_names_its_file(masked_pair, tmp_path):
    images, masks = masked_pair
    model = model_for("instance", images[0], "mse", "grad_l2", 0.1, masks="fixed")[0]
    for name, array, words in (
        ("small", np.ones((16, 32, 1), np.uint8), "small.nii.gz"),
        ("empty", np.zeros((32, 32, 1), np.uint8), "must have voxels inside"),
        ("three", np.arange(1024, dtype=np.uint8).reshape(32, 32, 1) % 3, "0 outside and one other integer"),
    ):
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(array, np.diag([2.0, 2, 2, 1])), path)
        with pytest.raises(RegbenchError, match=words):
            register_files(model, *images, tmp_path / "out", beside=Beside(fixed_mask=path))
    assert masks
