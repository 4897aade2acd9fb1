"""Anyone's fields judged by the verb: rows with reasons, and a folder whose every file is accounted for."""

import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from made_images import pair
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data.cache import load
from regbench.data.nifti import write_displacement
from regbench.evaluation.evaluate import means
from regbench.models.classical import BASELINES
from regbench.system.parquet import write_table


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The config of a prepared study with two test pairs, its data, and the true fields ``(*S, d)`` in voxels."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "results": str(folder / "results")}))
    main(["prepare", str(folder / "tiny.yaml")])
    data = load(folder / "results" / "tiny" / "data" / "brains")
    truth = {names: np.moveaxis(data.pair(*names).truth, 0, -1) for names in data.pairs("test")}
    return folder / "tiny.yaml", truth


def judge(study, folder, capsys, *more, code=0):
    """What `evaluate-fields` says, and its rows."""
    capsys.readouterr()
    if code:
        with pytest.raises(SystemExit) as ended:
            main(["evaluate-fields", str(study[0]), str(folder), *more])
        assert ended.value.code == code
    else:
        main(["evaluate-fields", str(study[0]), str(folder), *more])
    said = capsys.readouterr()
    rows = folder / "pairs.parquet"
    return said.out + said.err, pd.read_parquet(rows) if rows.exists() else None


def save(folder, names, array, *, intent=0):
    folder.mkdir(exist_ok=True)
    image = nib.Nifti1Image(array.astype(np.float32), np.diag([6.0, 6, 1, 1]))
    image.header["intent_code"] = intent
    nib.save(image, folder / f"disp_{names[0]}_{names[1]}.nii.gz")


@pytest.mark.parametrize("container", ["l2r", "npz", "itk", "nifti", "mha"])
def test_the_truth_is_the_truth_in_every_container(study, tmp_path, capsys, container):
    """Without an option: each header says what its vectors are; the endpoint error of the truth is 0."""
    for names, truth in study[1].items():
        mm = (truth * 6.0).astype(np.float32)
        if container == "l2r":
            save(tmp_path, names, truth)
        elif container == "npz":
            np.savez(tmp_path / f"disp_{names[0]}_{names[1]}.npz", truth)
        elif container == "mha":
            sitk = pytest.importorskip("SimpleITK")
            image = sitk.GetImageFromArray((-mm).transpose(1, 0, 2), isVector=True)
            image.SetSpacing((6.0, 6.0))
            image.SetDirection((-1.0, 0.0, 0.0, -1.0))
            sitk.WriteImage(image, str(tmp_path / f"disp_{names[0]}_{names[1]}.mha"))
        else:
            vectors = (-mm if container == "itk" else mm).reshape(32, 32, 1, 1, 2)
            save(tmp_path, names, vectors, intent=1007 if container == "itk" else 1006)
    words, rows = judge(study, tmp_path, capsys)
    assert rows["endpoint_error_mm"].max() < 1e-5
    form = {"npz": "l2r", "mha": "itk"}.get(container, container)
    assert f"2 fields read as {form}:" in words


def test_a_bad_field_is_a_row_with_its_reason_and_the_other_is_judged(study, tmp_path, capsys):
    (first, truth), (second, _) = study[1].items()
    save(tmp_path, first, truth)
    save(tmp_path, second, truth[:-1])
    (tmp_path / "disp_of_nobody.nii.gz").touch()
    words, rows = judge(study, tmp_path, capsys)
    assert rows["status"].tolist() == ["complete", "failed"]
    assert rows["dice"].notna().tolist() == [True, False]
    assert "must have shape (32, 32, 2)" in rows["reason"][1]
    assert "1 files of the folder are of no pair: `disp_of_nobody.nii.gz`" in words
    assert "2 pairs, 1 failed" in words
    again, _ = judge(study, tmp_path, capsys)  # whose own rows are now in the folder
    assert again == words


def test_a_folder_of_other_names_says_which(study, tmp_path, capsys):
    for names, truth in study[1].items():
        save(tmp_path, [f"x{name}" for name in names], truth)
    words, _ = judge(study, tmp_path, capsys, code=1)
    assert "2 files of the folder are of no pair: `disp_x" in words
    assert "2 pairs have no file" in words


def test_fields_that_move_nothing_are_counted(study, tmp_path, capsys):
    for names, truth in study[1].items():
        save(tmp_path, names, 0 * truth)
    assert "2 fields move nothing" in judge(study, tmp_path, capsys)[0]


def test_a_form_that_contradicts_the_header_judges_nothing(study, tmp_path, capsys):
    for names, truth in study[1].items():
        save(tmp_path, names, truth.reshape(32, 32, 1, 1, 2), intent=1007)
    words, rows = judge(study, tmp_path, capsys, "--form", "l2r", code=1)
    assert len(re.findall("must have the form `l2r`", words)) == 2
    assert (rows["status"] == "failed").all()


def test_the_baseline_says_in_its_log_what_its_folder_holds(study, tmp_path, caplog):
    """In a study, where nobody sees the rows at once; the form of the config counts."""
    (first, truth), (second, _) = study[1].items()
    save(tmp_path / "fields", first, truth * -6)
    baseline = {"name": "fields", "parameters": {"path": str(tmp_path / "fields"), "form": "itk"}}
    config = {**yaml.safe_load(study[0].read_text()), "baselines": [baseline]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    with caplog.at_level("INFO"):
        main(["evaluate", str(tmp_path / "study.yaml"), "--method", "fields", "--seed", "0"])
    assert "fields: 1 fields read as itk: mm along LPS" in caplog.messages
    assert f"fields: 1 pairs have no file: `{second[0]}, {second[1]}`" in caplog.messages
    rows = pd.read_parquet(
        study[0].parent / "results" / "tiny" / "runs" / "brains" / "fields" / "seed0" / "pairs.parquet"
    )
    assert rows["status"].tolist() == ["complete", "failed"]
    assert rows["endpoint_error_mm"][0] < 1e-5


def test_a_baseline_of_ones_own_fails_on_the_pair_for_which_it_gives_no_displacement(study, tmp_path):
    first = next(iter(study[1]))
    (tmp_path / "own.py").write_text(
        "import numpy as np\n\n\ndef own(pair, fixed, moving, /):\n"
        f"    return np.zeros(({{{first[0]!r}: 1}}.get(fixed, 2), *pair.fixed.shape), np.float32)\n"
    )
    baseline = {"name": f"{tmp_path}/own.py:own", "id": "own"}
    config = {**yaml.safe_load(study[0].read_text()), "baselines": [baseline]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    main(["evaluate", str(tmp_path / "study.yaml"), "--method", "own", "--seed", "0"])
    rows = pd.read_parquet(study[0].parent / "results" / "tiny" / "runs" / "brains" / "own" / "seed0" / "pairs.parquet")
    assert sorted(rows["status"]) == ["complete", "failed"]
    (reason,) = rows.loc[rows["status"] == "failed", "reason"]
    assert "must give a displacement (2, 32, 32) for images (32, 32), but gave (1, 32, 32)" in reason


def test_rows_replace_rows_and_nothing_else(study, tmp_path, capsys):
    for names, truth in study[1].items():
        save(tmp_path, names, truth)
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    words, _ = judge(study, tmp_path, capsys, "--out", str(notes), code=2)
    assert "must be a new file or former rows" in words
    assert notes.read_text() == "mine"


def test_exported_images_come_back_as_the_pipeline_sees_them(tmp_path, capsys):
    """What an outsider does: export, register with a program of their own (here: demons), have the fields judged."""
    pytest.importorskip("SimpleITK")
    config = {**TINY, "results": str(tmp_path / "results")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    main(["prepare", str(tmp_path / "tiny.yaml")])
    main(["export-images", str(tmp_path / "tiny.yaml"), str(tmp_path / "out")])
    pairs = pd.read_csv(tmp_path / "out" / "pairs.csv")
    assert len(pairs) == 2
    (tmp_path / "fields").mkdir()
    for fixed, moving in pairs.itertuples(index=False):
        images = [nib.load(tmp_path / "out" / "images" / f"{name}.nii.gz") for name in (fixed, moving)]
        spacing = images[0].header.get_zooms()[:2]
        arrays = [np.asarray(image.dataobj, dtype=np.float32) for image in images]
        found = BASELINES["sitk_demons"](pair(*arrays, tuple(map(float, spacing))), fixed, moving)
        write_displacement(tmp_path / "fields" / f"disp_{fixed}_{moving}.nii.gz", found, images[0].affine)
    capsys.readouterr()
    main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "fields")])
    assert "2 pairs, 0 failed" in capsys.readouterr().out
    rows = pd.read_parquet(tmp_path / "fields" / "pairs.parquet")
    assert (rows["endpoint_error_foreground_mm"] < 6).all()
    (tmp_path / "fields" / f"disp_{fixed}_{moving}.nii.gz").unlink()
    main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "fields")])
    assert f"failed: {fixed}, {moving}" in capsys.readouterr().out


def test_fields_are_judged_as_the_study_says(study, tmp_path, capsys):
    """By its tolerance; of a test set too, whose images `export-images` writes."""
    raw, loose = yaml.safe_load(study[0].read_text()), study[0].with_name("loose.yaml")
    other = {"id": "other", "source": "mni152", "parameters": raw["datasets"][0]["parameters"]}
    more = {"evaluation": {"nsd_tolerance_mm": 1000}, "test_sets": [other], "evaluate_on": ["other"]}
    loose.write_text(yaml.safe_dump({**raw, **more}))
    for names, truth in study[1].items():
        save(tmp_path, names, np.zeros_like(truth))
    assert (judge(study, tmp_path, capsys)[1]["nsd"] < 1).all()
    assert (judge((loose,), tmp_path, capsys)[1]["nsd"] == 1).all()
    assert "data/other/manifest.json" in judge((loose,), tmp_path, capsys, "--dataset", "other", code=1)[0]


def test_fields_that_are_not_there_end_in_an_error(tmp_path, capsys):
    config = {**TINY, "results": str(tmp_path / "results")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    main(["prepare", str(tmp_path / "tiny.yaml")])

    def judge():
        with pytest.raises(SystemExit) as ended:
            main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "none")])
        return ended.value.code, capsys.readouterr().err

    code, words = judge()
    assert code == 2
    assert "none` must be a folder of displacement fields" in words
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").mkdir()
    code, words = judge()
    assert code == 1
    assert "2 pairs, 2 failed" in words
    assert pd.read_parquet(tmp_path / "none" / "pairs.parquet")["reason"].str.contains("must hold a field").all()


def test_means_give_the_median_where_a_label_vanished(tmp_path):
    rows = pd.DataFrame({"status": "complete", "dice": [0.5, 0.7, 0.9], "hd95_mm": [1.0, 3.0, np.inf]})
    write_table(tmp_path / "rows.parquet", rows)
    found = dict(line.split(maxsplit=1) for line in means(tmp_path / "rows.parquet").splitlines()[1:])
    assert found == {"dice": "0.7000 ± 0.2000 1", "hd95_mm": "3.0000 median, 1 infinite, mm"}


def test_the_mean_of_one_pair_has_no_deviation(tmp_path):
    write_table(tmp_path / "rows.parquet", pd.DataFrame({"status": ["complete"], "dice": [0.5]}))
    assert means(tmp_path / "rows.parquet").splitlines()[1].split() == ["dice", "0.5000", "1"]
