"""What is exported is what was evaluated, comes back as such, and overwrites nothing in silence."""

import copy
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from data_files import brain, nifti
from scipy.ndimage import gaussian_filter
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data.nifti import displacement_name
from regbench.system.parquet import write_table

INSTANCE = {"name": "instance", "parameters": {"shrink": [1], "steps": [12]}}
METHODS = ["instance.mse.bending", "voxelmorph.mse.bending", "sitk_demons"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A network, an optimisation of five pairs side by side and a baseline, evaluated; the config's path."""
    pytest.importorskip("SimpleITK")
    folder = tmp_path_factory.mktemp("study")
    raw = copy.deepcopy(TINY) | {
        "results": str(folder / "results"),
        "models": [INSTANCE, *TINY["models"]],
        "grid": {"similarities": ["mse"], "regularizers": ["bending"]},
        "baselines": ["sitk_demons"],
        "seeds": [0],
    }
    raw["datasets"][0] |= {
        "parameters": {"dims": 2, "subjects": 9, "shape": [32, 32], "spacing_mm": 6.0},
        "splits": {"train": 2, "validation": 2, "test": 5},
        "pairs": {"validation": 2, "test": 5},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    main(["prepare", str(path)])
    for method in METHODS:
        names = [str(path), "--method", method, "--seed", "0"]
        if method != "sitk_demons":
            main(["train", *names, "--lam", "0.001"])
        main(["evaluate", *names])
    return path


def rows_of(study, method):
    return study.parent / "results" / "tiny" / "runs" / "brains" / method / "seed0" / "pairs.parquet"


def export(study, method, *more):
    main(["export", str(study), "--method", method, "--seed", "0", *more])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["l2r", "itk", "npz"])
def test_an_exported_field_has_the_metrics_of_its_row(study, tmp_path, capsys, method, form):
    """Of an optimisation, too, whose pairs are optimised side by side: alone, each would round in another way."""
    out = tmp_path / "out"
    export(study, method, "--prepared", "--out", str(out), "--form", "itk" if form == "itk" else "l2r")
    assert f"5 displacements in {out}\nas evaluated: Dice and mean length of 5 pairs" in capsys.readouterr().out
    for path in list(out.iterdir()) if form == "npz" else ():
        np.savez(out / path.name.removesuffix(".nii.gz"), np.asarray(nib.load(path).dataobj))
        path.unlink()
    main(["evaluate-fields", str(study), str(out)])
    assert f"5 fields read as {'itk' if form == 'itk' else 'l2r'}:" in capsys.readouterr().out
    expected, found = pd.read_parquet(rows_of(study, method)), pd.read_parquet(out / "pairs.parquet")
    names = [name for name in found if found[name].dtype == float and name != "lam"]
    assert {"dice", "hd95_mm", "ndv_percent", "endpoint_error_mm", "displacement_mm"} < set(names)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if form == "itk" else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(found[names], expected[names], **tolerance)


def test_what_was_not_evaluated_so_is_said_with_both_numbers(study, tmp_path, capsys):
    path = rows_of(study, METHODS[0])
    before = path.read_bytes()
    rows = pd.read_parquet(path)
    here = rows["dice"].copy()
    rows.loc[3, "dice"] += 0.0024
    write_table(path, rows)
    try:
        export(study, METHODS[0], "--prepared", "--out", str(tmp_path / "one"))
        words = capsys.readouterr().out
        path.unlink()
        export(study, METHODS[0], "--prepared", "--out", str(tmp_path / "two"))
    finally:
        path.write_bytes(before)
    assert "NOT as evaluated: of 5 compared, 1 differ" in words
    names = f"{rows['fixed'][3]}, {rows['moving'][3]}"
    assert re.search(rf"{names}: Dice {here[3]:.6f}, .*; in the rows Dice {here[3] + 0.0024:.6f}", words)
    assert "registered anew on cpu" in words
    assert "not compared with an evaluation" in capsys.readouterr().out


def refused(capsys, *words, code):
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == code
    return capsys.readouterr().err


def test_files_that_are_there_stay(study, tmp_path, capsys):
    method = ["export", str(study), "--method", METHODS[1], "--seed", "0", "--prepared"]
    images = ["export-images", str(study), str(tmp_path / "images")]
    main([*method, "--out", str(tmp_path / "out")])
    main(images)
    mine = [next((tmp_path / "out").iterdir()), tmp_path / "images" / "pairs.csv"]
    for path in mine:
        path.write_text("mine")
    assert "has 5 of 5" in refused(capsys, *method, "--out", str(tmp_path / "out"), code=2)
    assert "Give another folder, or `--overwrite`" in refused(capsys, *images, code=2)
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    main([*method, "--out", str(tmp_path / "out"), "--overwrite"])
    main([*images, "--overwrite"])
    assert not any(path.read_bytes() == b"mine" for path in mine)


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_folder_that_cannot_be_written_is_known_before_the_work(study, tmp_path, capsys, monkeypatch, place):
    monkeypatch.setattr("regbench.evaluation.export.load_row", None)
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" if place == "a file" else tmp_path / "file" / "out"
    words = ["export", str(study), "--method", METHODS[1], "--seed", "0", "--prepared", "--out", str(out)]
    assert "must be a folder that can be written" in refused(capsys, *words, code=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_subjects_without_files_are_known_before_the_work(study, capsys, monkeypatch):
    monkeypatch.setattr("regbench.evaluation.export.load_row", None)
    words = ["export", str(study), "--method", METHODS[1], "--seed", "0"]
    assert "was made on this grid. Write what belongs to the prepared grid (`--prepared`)" in refused(
        capsys, *words, code=1
    )
    assert "moves nothing" in refused(capsys, "export", str(study), "--method", "identity", "--seed", "0", code=2)


def test_itk_moves_the_subjects_own_files_as_the_study_does(tmp_path, capsys):
    """On grids that are flipped, of other spacings and places, resampled by SimpleITK through the exported field."""
    sitk = pytest.importorskip("SimpleITK")
    root, shape = tmp_path / "data", (18, 16, 17)
    for number in range(6):
        image, labels = brain(number, shape)
        affine = np.diag([-2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = (30.0 + number, -4.0 * number, 5.0)
        nifti(root / "images" / f"s{number}.nii.gz", image.astype(np.float32), affine)
        nifti(root / "labels" / f"s{number}.nii.gz", labels, affine)
    raw = {**copy.deepcopy(TINY), "results": str(tmp_path / "results"), "baselines": ["sitk_affine"]}
    raw["datasets"] = [
        {"id": "mine", "source": "folder", "parameters": {"path": str(root)}, "pairs": {"test": 1},
         "splits": {"train": 2, "validation": 2, "test": 2}, "preprocessing": {"shape": list(shape)}}
    ]  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    main(["prepare", str(path)])
    for form in ("l2r", "itk"):
        main(
            [
                "export",
                str(path),
                "--method",
                "sitk_affine",
                "--seed",
                "0",
                "--form",
                form,
                "--out",
                str(tmp_path / form),
            ]
        )
    main(["export-images", str(path), str(tmp_path / "images")])
    fixed, moving = pd.read_csv(tmp_path / "images" / "pairs.csv").iloc[0]
    voxels = np.asarray(nib.load(tmp_path / "l2r" / displacement_name(fixed, moving)).dataobj)
    images = [sitk.ReadImage(str(root / "images" / f"{name}.nii.gz")) for name in (fixed, moving)]
    field = sitk.ReadImage(str(tmp_path / "itk" / displacement_name(fixed, moving)), sitk.sitkVectorFloat64)
    transform = sitk.DisplacementFieldTransform(field)
    assert np.abs(voxels).max() > 0.01
    for index in ((0, 0, 0), (9, 8, 7), (17, 15, 16)):
        point = transform.TransformPoint(images[0].TransformIndexToPhysicalPoint(index))
        expected = images[1].TransformPhysicalPointToContinuousIndex(point)
        np.testing.assert_allclose(np.add(index, voxels[index]), expected, atol=1e-4)
    capsys.readouterr()
    assert "must lie on the prepared grid" in refused(
        capsys, "evaluate-fields", str(path), str(tmp_path / "l2r"), code=1
    )


def folder_study(tmp_path, affine, shape, preprocessing):
    """The config of a prepared study of six files with one affine, one test pair and a baseline."""
    root = tmp_path / "data"
    for number in range(6):
        image, labels = brain(number, (18, 16, *[12] * (len([n for n in shape if n > 1]) - 2)))
        nifti(root / "images" / f"s{number}.nii.gz", gaussian_filter(image, 2).reshape(shape), affine)
        nifti(root / "labels" / f"s{number}.nii.gz", labels.reshape(shape), affine)
    raw = {**copy.deepcopy(TINY), "results": str(tmp_path / "results"), "baselines": ["sitk_affine"]}
    raw["datasets"] = [
        {"id": "mine", "source": "folder", "parameters": {"path": str(root)}, "pairs": {"test": 1},
         "splits": {"train": 2, "validation": 2, "test": 2}, "preprocessing": preprocessing}
    ]  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    main(["prepare", str(path)])
    return path


@pytest.mark.parametrize("form", ["l2r", "itk"])
def test_fields_with_the_files_own_headers_come_back_where_no_array_was_touched(tmp_path, capsys, form):
    """Stored left, posterior, superior and kept so: other headers than the prepared ones, the same arrays."""
    pytest.importorskip("SimpleITK")
    affine = np.diag([-2.0, -1.5, 3.0, 1.0])
    affine[:3, 3] = (40, 30, -20)
    path = folder_study(tmp_path, affine, (18, 16, 12), {"orientation": "keep", "multiple_of": 1})
    names = [str(path), "--method", "sitk_affine", "--seed", "0"]
    main(["evaluate", *names])
    main(["export", *names, "--form", form, "--out", str(tmp_path / "out")])
    assert nib.load(next((tmp_path / "out").iterdir())).affine.tolist() == affine.tolist()
    main(["evaluate-fields", str(path), str(tmp_path / "out")])
    rows = path.parent / "results" / "tiny" / "runs" / "mine" / "sitk_affine" / "seed0" / "pairs.parquet"
    expected, found = pd.read_parquet(rows), pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert expected["displacement_mm"][0] > 0.01
    for name in ("dice", "displacement_mm"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_a_slice_that_stands_upright_is_known_before_the_work(tmp_path, capsys, monkeypatch):
    """Its vectors have a component upwards, for which ITK's two have no room; in voxels the header keeps its place."""
    pytest.importorskip("SimpleITK")
    path = folder_study(tmp_path, np.diag([2.0, 7.0, 1.5, 1.0]), (18, 1, 16), {"multiple_of": 1})
    words = ["export", str(path), "--method", "sitk_affine", "--seed", "0"]
    main([*words, "--out", str(tmp_path / "out")])
    written = nib.load(next((tmp_path / "out").iterdir()))
    assert (written.shape, written.affine[:3, :3].tolist()) == ((18, 16, 2), [[2, 0, 0], [0, 0, 7], [0, 1.5, 0]])
    monkeypatch.setattr("regbench.evaluation.export.registrations", None)
    assert "stands upright" in refused(capsys, *words, "--form", "itk", "--out", str(tmp_path / "itk"), code=2)
