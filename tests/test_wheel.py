"""With only the wheel: made from the source distribution, in a clean environment, used in an empty folder."""

import os
import subprocess
import venv
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_study import ROOT, TINY

pytestmark = pytest.mark.slow


def run(*words: str | Path, folder: Path, seconds: int = 600) -> str:
    """What a command prints; nothing of this checkout or of its environment is in its reach."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    environment = {**outside, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    settings = {"cwd": folder, "env": environment, "timeout": seconds}
    done = subprocess.run(words, check=False, capture_output=True, text=True, **settings)
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def regbench(tmp_path_factory):
    """The program, installed from a source distribution, which pip makes a wheel of."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=True)
    pip = folder / "env/bin/pip"
    run(pip, "install", "--quiet", "hatchling", folder=folder)
    run(folder / "env/bin/hatchling", "build", "-t", "sdist", "-d", folder / "dist", folder=ROOT)
    (archive,) = (folder / "dist").glob("regbench-*.tar.gz")
    package = f"regbench[slurm] @ {archive.as_uri()}"
    run(pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", package, folder=folder, seconds=1500)
    return folder / "env/bin/regbench"


@pytest.fixture
def empty(tmp_path):
    return tmp_path


def test_a_study_in_an_empty_folder(regbench, empty):
    assert run(regbench, "--version", folder=empty).startswith("regbench ")
    run(regbench, "new", "mine", folder=empty)
    assert "is sound" in run(regbench, "check", "mine.yaml", folder=empty)
    (empty / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "tracking": {"enabled": False}}))
    run(regbench, "run", "tiny.yaml", "--cores", "2", folder=empty, seconds=900)
    rows = pd.read_csv(empty / "results/tiny/tables/main.csv")
    assert {"identity", "voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"} <= set(rows["method"])
    assert (empty / "results/tiny/report.html").is_file()
    assert "page" in run(regbench, "show", "tiny.yaml", folder=empty)


def test_the_profile_of_a_cluster_comes_with_the_package(regbench, empty):
    """A dry run in an empty folder: the profile, its site file and its groups are read, and no Slurm is asked."""
    (empty / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "tracking": {"enabled": False}}))
    (empty / "site.yaml").write_text("cpu: {partition: of_mine}\n")
    text = run(regbench, "run", "tiny.yaml", "--profile", "slurm", "--", "-n", folder=empty)
    assert "rule prepare:" in text
    assert "slurm_partition=of_mine" in text
    assert sorted(path.name for path in empty.iterdir() if not path.name.startswith(".")) == ["site.yaml", "tiny.yaml"]
