"""A package that is not installed, and one that is installed but broken, are two messages; `check` gives both."""

import copy
from importlib.metadata import PackageNotFoundError

import pytest
from tiny_study import TINY

from regbench.models import classical
from regbench.orchestration.registries import check_installed
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError


def not_there(package):
    raise PackageNotFoundError(package)


def broken(module):
    raise OSError("libfoo.so: cannot open shared object file")


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr(classical, "version", not_there)
    assert "needs the package `dipy`, which is not installed. Run `pip install" in classical.missing("dipy_syn")


def test_a_broken_package(monkeypatch):
    monkeypatch.setattr(classical, "version", lambda package: "1.0")
    monkeypatch.setattr(classical, "import_module", broken)
    said = classical.missing("sitk_affine")
    assert "which is installed but cannot be imported (OSError: libfoo.so" in said
    assert "--force-reinstall simpleitk" in said


def test_no_python_for_ants(monkeypatch):
    monkeypatch.setenv("REGBENCH_ANTS_PYTHON", "/nowhere/python")
    assert "Run `make ants`" in classical.missing("ants_syn")


def test_every_package_has_a_module():
    assert {package for packages in classical.PACKAGES.values() for package in packages} == set(classical.MODULES)


def test_all_baselines_at_once_with_their_keys(monkeypatch):
    monkeypatch.setattr(classical, "version", not_there)
    raw = {**copy.deepcopy(TINY), "baselines": ["sitk_affine", "dipy_syn"]}
    with pytest.raises(UsageError, match=r"(?s)baselines\[0\]: `sitk_affine`.*baselines\[1\]: `dipy_syn`"):
        check_installed(Study(load(raw)))
