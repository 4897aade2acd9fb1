"""The cache of users' data: built once, the same bytes whatever the threads, inspected and written back."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import yaml
from data_files import brain, folder_of, nifti, read_displacement, shared, spec

from regbench.cli.main import main
from regbench.data.cache import load
from regbench.data.inspect import inspect, warnings
from regbench.data.nifti import displacement_name, write_displacement
from regbench.data.prepare import prepare
from regbench.data.preprocessing.ordered_pool import in_order
from regbench.data.space import displacement_to_native
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed

SLOW_SOURCE = """
import time
from pathlib import Path
import numpy as np
from regbench.data.subject import Source, Subject

HERE = Path(__file__).parent

def source() -> Source:
    (HERE / f"started{time.time_ns()}").touch()
    def make():
        while len(list(HERE.glob("started*"))) < 3:
            time.sleep(0.02)
        time.sleep(0.5)
        for number in range(6):
            with (HERE / "made.txt").open("a") as file:
                file.write(f"{number}\\n")
            yield Subject(f"s{number}", np.full((8, 8), number, np.float32), np.ones((8, 8), np.int32))
    return Source(tuple(f"s{k}" for k in range(6)), (8, 8), (1.0, 1.0), {1: "all"}, "slow", (), make)
"""


def test_many_that_ask_at_once_build_once(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW_SOURCE)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pathlib import Path\nfrom regbench.data.prepare import prepare\n"
        "from regbench.study.components import allow\nfrom regbench.study.specs import PrepareSpec\nallow(['slow'])\n"
        f"prepare(PrepareSpec.from_json({spec('slow:source', {}).to_json()!r}), Path({str(tmp_path / 'cache')!r}))"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [job.wait(120) for job in jobs] == [0, 0, 0]
    assert (tmp_path / "made.txt").read_text().split() == list("012345")
    assert load(tmp_path / "cache", verify=True).subjects == tuple(f"s{k}" for k in range(6))


def test_threads_change_no_byte(tmp_path):
    root = folder_of(tmp_path / "data")
    for threads in (1, 3):
        job = spec("folder", {"path": str(root)}, preprocessing={"spacing_mm": 0.8})
        prepare(job, tmp_path / f"cache{threads}", threads=threads)
    for path in (tmp_path / "cache1").iterdir():
        assert path.read_bytes() == (tmp_path / "cache3" / path.name).read_bytes()


def test_the_manifest_records_every_file_and_step(tmp_path):
    import hashlib

    root = folder_of(tmp_path / "data")
    prepare(spec("folder", {"path": str(root)}, preprocessing={"labels": [1]}), tmp_path / "cache")
    manifest = read_sealed(tmp_path / "cache" / "manifest.json")
    record = manifest["records"]["s2"]
    digest = hashlib.sha256((root / "labels" / "s2.nii.gz").read_bytes()).hexdigest()
    assert record["files"]["label"] == {"name": "s2.nii.gz", "sha256": digest}
    assert record["labels_left_out"] == {"2": int((brain(2)[1] == 2).sum())}
    assert manifest["spec"]["preprocessing"] == {"labels": [1]}
    assert str(tmp_path) not in str({key: manifest[key] for key in manifest if key != "spec"})


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_few_at_a_time(threads):
    begun = []

    def work(number):
        begun.append(number)
        return number

    for place, result in enumerate(in_order(work, range(20), threads)):
        assert result == place
        assert len(begun) <= place + threads


def test_an_error_in_a_thread_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // (number - 3), range(9), 2))


def test_what_the_loader_sees(tmp_path):
    root = shared("oasis_trt_2d")
    job = spec("arrays", {"path": str(root / "oasis_trt_2d.npz")}, splits={"train": 6, "validation": 3, "test": 3})
    text = inspect(job, tmp_path / "sheet.png")
    with np.load(root / "oasis_trt_2d.npz") as stored:
        volume = np.median([(labels == 10).sum() for labels in stored["labels"]])
    assert "12 subjects (6 train, 3 validation, 3 test), 160 x 192 voxels of 1 x 1 mm" in text
    assert f"10     label 10    12           {volume:.0f}" in text
    assert "Dice before registration, test: mean 0." in text
    assert "in less than half of the subjects: label " in text
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_dice_before_registration_is_the_tables(tmp_path):
    """Labels that only one of two images has are left out, as in the table's `identity` row."""
    import pandas as pd
    from specs import evaluate_spec

    from regbench.evaluation.evaluate import evaluate

    path = shared("oasis_trt_2d") / "oasis_trt_2d.npz"
    job = spec("arrays", {"path": str(path)})
    prepare(job, tmp_path / "cache")
    evaluate(evaluate_spec("identity"), load(tmp_path / "cache"), None, tmp_path / "rows.parquet")
    wanted = pd.read_parquet(tmp_path / "rows.parquet")["dice"].mean()
    assert f"test: mean {wanted:.3f}" in inspect(job)


def test_warnings(tmp_path):
    root = folder_of(tmp_path / "data")
    for kind in ("images", "labels"):
        (root / kind / "s5.nii.gz").write_bytes((root / kind / "s4.nii.gz").read_bytes())
    _image, labels = brain(1)
    labels[0] = 7
    nifti(root / "labels" / "s1.nii.gz", labels)
    prepare(spec("folder", {"path": str(root)}, preprocessing={"multiple_of": 1}), tmp_path / "cache")
    found = "\n".join(warnings(load(tmp_path / "cache")))
    for expected in (
        "`s4` and `s5` have the same image",
        "touch the edge of the grid in 1 subjects (`s1`",
        "less than half of the subjects: label 7",
        "only 2 subjects to train on",
    ):
        assert expected in found


def test_inspect_keeps_nothing(tmp_path, tiny, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    main(["inspect", str(path), "--picture", str(tmp_path / "a.png")])
    assert "dataset brains (mni152): 8 subjects" in capsys.readouterr().out
    assert (tmp_path / "a.png").exists()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("shape", [(5, 7), (5, 6, 7)])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_displacement_is_as_learn2reg_reads_it(tmp_path, shape, suffix):
    """`nibabel.load(...).get_fdata()` is (X, Y, Z, 3) in voxels; twice the same bytes."""
    field = np.random.default_rng(0).normal(size=(len(shape), *shape)).astype(np.float32)
    path = tmp_path / f"disp{suffix}"
    write_displacement(path, field, np.diag([2.0, 3, 4, 1]))
    stored = nib.load(path)
    assert stored.get_data_dtype() == np.float32
    np.testing.assert_array_equal(stored.get_fdata(), np.moveaxis(field, 0, -1))
    np.testing.assert_array_equal(read_displacement(path), field)
    before = path.read_bytes()
    write_displacement(path, field, np.diag([2.0, 3, 4, 1]))
    assert path.read_bytes() == before


def test_names_of_displacements():
    assert displacement_name("OASIS_0001_0000", "OASIS_0002_0001") == "disp_0001_0000_0002_0001.nii.gz"
    assert displacement_name("s1", "s2") == "disp_s1_s2.nii.gz"


def test_a_run_on_files_is_exported_to_their_space(tmp_path, tiny, capsys):
    """From a YAML of a few lines through prepare and train to a field on the grid of the user's own file."""
    root = folder_of(tmp_path / "data", shape=(9, 12, 10))
    tiny["datasets"] = [
        {"id": "mine", "source": "folder", "parameters": {"path": str(root)}, "pairs": {"test": 1},
         "splits": {"train": 2, "validation": 2, "test": 2}, "preprocessing": {"multiple_of": 8}}
    ]  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    method = ["--method", "voxelmorph.lcc.grad_l2", "--seed", "0"]
    main(["prepare", str(path), "--threads", "2"])
    main(["train", str(path), *method, "--lam", "0.1"])
    main(["export", str(path), *method])
    main(["export", str(path), *method, "--prepared", "--out", str(tmp_path / "prepared")])
    assert "1 displacements in" in capsys.readouterr().out
    data = load(tmp_path / "results" / "tiny" / "data" / "mine")
    fixed, moving = data.pairs("test")[0]
    folder = tmp_path / "results" / "tiny" / "runs" / "mine" / "voxelmorph.lcc.grad_l2" / "seed0" / "displacements"
    native = read_displacement(folder / displacement_name(fixed, moving))
    prepared = read_displacement(tmp_path / "prepared" / displacement_name(fixed, moving))
    assert (native.shape, prepared.shape) == ((3, 9, 12, 10), (3, 16, 16, 16))
    wanted = displacement_to_native(prepared, data.space(fixed), data.space(moving))
    np.testing.assert_array_equal(native, wanted)
    with pytest.raises(SystemExit):
        main(["export", str(path), "--method", "identity", "--seed", "0"])


def test_prescribed_training_pairs_are_the_only_ones():
    from regbench.training.batches import draw_pairs

    draws = draw_pairs(5, 50, 3, 0, [(0, 3), (4, 1)]).numpy()
    assert draws.shape == (50, 2, 3)
    assert {tuple(pair) for pair in draws.transpose(0, 2, 1).reshape(-1, 2)} == {(0, 3), (4, 1)}


def test_what_a_source_says_names_the_dataset(tmp_path):
    """Of several datasets with one source, the words of the source alone would not tell which."""
    with pytest.raises(RegbenchError, match=r"^dataset `d`: `nowhere\.csv`"):
        prepare(spec("table", {"path": "nowhere.csv"}), tmp_path / "unused")
