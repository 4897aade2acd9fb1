"""ANTs SyN: the other Python behind a stub that needs no antspyx, and the real one where `make ants` has been run."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from data_files import shared
from made_images import blobs, pair
from scipy.ndimage import shift
from tiny_study import ROOT, TINY

from regbench.cli.main import main
from regbench.models.classical import ants_program, settings, software
from regbench.models.classical.ants_syn import DEFAULT, VARIABLE, _program, ants_syn, python
from regbench.spatial import warp_labels
from regbench.system.errors import RegbenchError, UsageError

# As much of antspyx as the program asks for: every registration finds the same translation in mm, axes LPS.
STUB = """
import os, sys, time
import SimpleITK as sitk

def image_read(path):
    image = sitk.ReadImage(path)
    if image.GetPixelIDTypeAsString() != "32-bit float":
        raise ValueError("not float32")
    return image

def registration(fixed, moving, *, type_of_transform, syn_metric, syn_sampling, reg_iterations, outprefix):
    print("chatter on standard output")
    vector = [float(each) for each in os.environ["STUB_VECTOR"].split()]
    if reg_iterations == (1,):
        sys.exit("lost its way")
    if reg_iterations == (2,):
        raise RuntimeError("no overlap")
    if reg_iterations == (3,):
        open(os.environ["STUB_PID"], "w").write(str(os.getpid()))
        time.sleep(600)
    assert os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] == "1"
    asked = (type_of_transform, syn_metric, syn_sampling)
    assert asked in (("SyN", "CC", 3), ("SyNOnly", "mattes", 32), ("SyN", "CC", 4))
    return {"fwdtransforms": [vector]}

def apply_transforms(fixed, moving, transforms, *, compose):
    flat = sitk.Cast(fixed, sitk.sitkFloat64) * 0
    field = sitk.Compose([flat + value for value in transforms[0][:fixed.GetDimension()]])
    sitk.WriteImage(field, compose + "comptx.nii.gz")
    return compose + "comptx.nii.gz"
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """An interpreter that finds the stub where antspyx would be."""
    pytest.importorskip("SimpleITK")
    folder = tmp_path / "packages"
    (folder / "antspyx-9.9.dist-info").mkdir(parents=True)
    (folder / "antspyx-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: antspyx\nVersion: 9.9\n")
    (folder / "ants.py").write_text(textwrap.dedent(STUB))
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(interpreter))
    monkeypatch.setenv("STUB_VECTOR", "3.0 -2.0 1.0")
    yield interpreter
    if _program.cache_info().currsize:
        _program(str(interpreter)).close()
    _program.cache_clear()


@pytest.mark.parametrize(
    ("shape", "spacing"), [((9, 8), (1.5, 2.0)), ((7, 6, 5), (1.5, 2.0, 0.5)), ((7, 1, 5), (1.5, 2.0, 0.5))]
)
def test_a_field_of_ants_comes_back_in_voxels(stub, shape, spacing):
    """LPS vectors in mm on a grid whose axes run to the right, front and top: the first two change sign."""
    image = blobs(shape) if 1 not in shape else np.zeros(shape, np.float32)
    found = ants_syn(pair(image, image, spacing), "a", "b", radius=3)
    expected = np.array([-3.0, 2.0, 1.0])[: len(shape)] / spacing
    assert found.dtype == np.float32
    for part, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, np.full(shape, value), rtol=1e-6)


def test_no_displacement_stays_none(stub, monkeypatch):
    monkeypatch.setenv("STUB_VECTOR", "0 0 0")
    image = blobs((7, 6, 5))
    found = ants_syn(pair(image, image, (1.5, 2.0, 0.5)), "a", "b", metric="mi", affine=False)
    np.testing.assert_array_equal(found, np.zeros((3, 7, 6, 5)))


def test_one_program_serves_many_pairs_and_says_what_it_is(stub):
    image = pair(blobs((9, 8)), blobs((9, 8)), (1.0, 1.0))
    ants_syn(image, "a", "b")
    first = _program(str(stub))
    with pytest.raises(RegbenchError, match="ANTs failed: RuntimeError: no overlap"):
        ants_syn(image, "a", "b", iterations=(2,))
    ants_syn(image, "c", "d")
    assert _program(str(stub)) is first
    assert software("ants_syn")["antspyx"] == "9.9"


def test_a_program_that_dies_costs_one_pair(stub):
    image = pair(blobs((9, 8)), blobs((9, 8)), (1.0, 1.0))
    with pytest.raises(RegbenchError, match="exit status 1: lost its way"):
        ants_syn(image, "a", "b", iterations=(1,))
    assert ants_syn(image, "a", "b").shape == (2, 9, 8)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends the program of a killed parent")
def test_it_does_not_outlive_a_job_that_is_killed(stub, tmp_path):
    path = tmp_path / "pid"
    code = (
        "import numpy as np; from regbench.models.classical.ants_syn import ants_syn\n"
        "from regbench.data.cache import Pair\n"
        "image = np.zeros((9, 8), np.float32); pair = Pair(image, image, image, image, None, (1.0, 1.0))\n"
        "ants_syn(pair, 'a', 'b', iterations=(3,))"
    )
    job = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"STUB_PID": str(path)})
    waited(lambda: path.is_file() and path.read_text())
    program = Path("/proc") / path.read_text()
    assert program.exists()
    job.kill()
    job.wait()
    waited(lambda: not program.exists() or "State:\tZ" in (program / "status").read_text())


def waited(done, seconds=60):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_python_without_antspyx_is_named(monkeypatch, tmp_path):
    image = pair(blobs((9, 8)), blobs((9, 8)), (1.0, 1.0))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"there is no `.*none`. Run `make ants`, or set REGBENCH_ANTS_PYTHON"):
        ants_syn(image, "a", "b")
    monkeypatch.setenv(VARIABLE, sys.executable)
    with pytest.raises(UsageError, match=r"cannot run antspyx: .*No module named 'ants'\. Run `make ants`"):
        ants_syn(image, "a", "b")


def test_it_stands_above_the_rule_with_its_version_and_parameters(stub, tmp_path):
    config = {
        **TINY,
        "results": str(tmp_path / "results"),
        "baselines": [{"name": "ants_syn", "parameters": {"radius": 3}}],
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    main(["prepare", str(path)])
    main(["evaluate", str(path), "--method", "ants_syn", "--seed", "0"])
    rows = pd.read_parquet(tmp_path / "results" / "tiny" / "runs" / "brains" / "ants_syn" / "seed0" / "pairs.parquet")
    assert (rows["status"] == "complete").all()
    assert (rows["endpoint_error_mm"] > 0.1).all()
    assert json.loads(rows["software"][0])["antspyx"] == "9.9"
    assert settings("ants_syn", {"radius": 3}) == {
        "metric": "cc",
        "radius": 3,
        "iterations": (100, 60, 30),
        "affine": True,
    }


def test_by_hand_on_exported_images(stub, tmp_path, capsys):
    config = {**TINY, "results": str(tmp_path / "results")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    main(["prepare", str(tmp_path / "tiny.yaml")])
    main(["export-images", str(tmp_path / "tiny.yaml"), str(tmp_path / "exported")])
    subprocess.run([stub, ants_program.__file__, tmp_path / "exported", tmp_path / "fields"], check=True)
    capsys.readouterr()
    main(["evaluate-fields", str(tmp_path / "tiny.yaml"), str(tmp_path / "fields"), "--form", "itk"])
    assert "2 pairs, 0 failed" in capsys.readouterr().out


@pytest.fixture
def real(monkeypatch):
    """The environment of `make ants`."""
    monkeypatch.chdir(ROOT)
    if not Path(os.environ.get(VARIABLE, DEFAULT)).is_file():
        pytest.skip(f"no {DEFAULT}; `make ants` makes it")
    return python()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "spacing"), [((48, 40), (1.5, 2.0)), ((36, 32, 28), (1.0, 1.5, 2.0))], ids=["2D", "3D"]
)
def test_antspyx_finds_nothing_and_a_translation(real, shape, spacing):
    image, fast = blobs(shape), {"radius": 2, "iterations": (60, 40, 20)}
    still = ants_syn(pair(image, image.copy(), spacing), "a", "b", affine=False, **fast)
    assert np.abs(still).max() < 0.05
    moved_by = (2.0, -1.0, 0.5)[: len(shape)]
    moving = shift(image, moved_by, order=1).astype(np.float32)
    found = ants_syn(pair(image, moving, spacing), "a", "b", **fast)
    np.testing.assert_array_equal(found, ants_syn(pair(image, moving, spacing), "a", "b", **fast))
    centre = tuple(slice(n // 3, -n // 3) for n in shape)
    for k, expected in enumerate(moved_by):
        assert np.median(found[k][centre]) == pytest.approx(expected, abs=0.35), k


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_antspyx_raises_the_dice_of_real_hippocampi(real, dims):
    folder = shared("hippocampus")
    names = sorted(path.name for path in (folder / "images").iterdir())[:2]
    images, labels = (
        [np.asarray(nib.load(folder / kind / name).dataobj) for name in names] for kind in ("images", "labels")
    )
    shape = np.max([image.shape for image in images], axis=0)

    def padded(values):
        whole = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(shape, values.shape, strict=True)]
        return np.pad(values, whole)[:, :, shape[2] // 2] if dims == 2 else np.pad(values, whole)

    images = [padded(image / image.max()).astype(np.float32) for image in images]
    labels = [padded(values).astype(np.int32) for values in labels]
    found = ants_syn(pair(*images, (1.0,) * dims), "a", "b", radius=2, iterations=(40, 20, 10))

    def overlap(moved):
        return 2 * ((moved > 0) & (labels[0] > 0)).sum() / ((moved > 0).sum() + (labels[0] > 0).sum())

    assert overlap(warp_labels(labels[1], found)) > overlap(labels[1]) + 0.03
