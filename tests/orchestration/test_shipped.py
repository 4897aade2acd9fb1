"""Where the workflow lies, and the command that runs it: in a clone and in an installed package."""

import os
import sys
from pathlib import Path

import pytest
from tiny_study import ROOT

from regbench.orchestration import shipped
from regbench.system.errors import RegbenchError, UsageError

CONFIG = Path("mine.yaml")


def words(*options: str, cores: int | None = None, profile: Path | None = None) -> list[str]:
    return shipped.command(CONFIG, cores=cores, profile_folder=profile, options=options)


def test_in_a_clone_the_files_at_the_top_count():
    assert shipped.root() == ROOT


def test_an_installed_package_has_its_own_and_a_broken_one_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path / "regbench")
    with pytest.raises(RegbenchError, match="must come with a Snakefile, but has none"):
        shipped.root()
    inner = tmp_path / "regbench/shipped"
    inner.mkdir(parents=True)
    (inner / "Snakefile").touch()
    (tmp_path / "Snakefile").touch()  # of another project beside the installed package
    assert shipped.root() == inner


def test_the_wheel_carries_each_file_of_the_workflow_from_its_one_place():
    """What `tool.hatch` sends into the wheel is what `root` looks for, and lies in git once."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {name: f"regbench/shipped/{name}" for name in ("Snakefile", "workflow", "configs")}
    assert all((ROOT / name).exists() for name in included)
    assert not (ROOT / "regbench/shipped").exists()


def test_every_core_unless_something_says_how_many():
    assert words()[:4] == [sys.executable, "-P", "-m", "snakemake"]
    assert words()[4:] == ["--snakefile", str(ROOT / "Snakefile"), "--cores", "all", "--configfile=mine.yaml"]
    assert words(cores=3)[6:8] == ["--cores", "3"]
    for given in (["--cores", "2"], ["-c2"], ["-j", "4"], ["--jobs=4"], ["--workflow-profile", "x"], ["-e", "slurm"]):
        assert words(*given)[6:] == ["--configfile=mine.yaml", *given]
    assert words("-n", "--config", "seeds=[0]")[6:] == [
        *("--cores", "all", "--configfile=mine.yaml", "-n", "--config", "seeds=[0]")
    ]
    assert words(profile=Path("p"))[6:] == ["--workflow-profile", "p", "--configfile=mine.yaml"]


def test_a_profile_by_its_name_or_its_folder(tmp_path, monkeypatch):
    assert shipped.profile("local") == ROOT / "workflow/profiles/local"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()
    assert shipped.profile("ours") == Path("ours")
    with pytest.raises(UsageError, match=r"must be kubernetes, local, slurm or a folder, but got `slrm`; .*slurm"):
        shipped.profile("slrm")


def test_a_profile_whose_executor_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shipped, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"not installed: pip install snakemake.executor.plugin.slurm"):
        shipped.profile("slurm")


def test_jobs_find_the_verbs_beside_this_python(tmp_path, monkeypatch):
    (tmp_path / "regbench").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", f"/elsewhere{os.pathsep}{tmp_path}")
    shipped.find_own_verbs()
    assert os.environ["PATH"] == os.pathsep.join([str(tmp_path), "/elsewhere", str(tmp_path)])
    shipped.find_own_verbs()
    assert os.environ["PATH"].count(str(tmp_path)) == 2  # once is enough
