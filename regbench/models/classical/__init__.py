"""Registrations that nobody trains: classical methods, and fields that somebody else computed.

A baseline is a function of a `regbench.data.cache.Pair` and the two subjects' ids; what follows is its
parameters. It returns a displacement ``(d, *S)`` float32 in voxels of the fixed grid, as a model does.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from regbench.models.classical.ants_syn import ants_syn, versions
from regbench.models.classical.dipy_syn import dipy_syn
from regbench.models.classical.fields import fields
from regbench.models.classical.greedy import greedy_ncc
from regbench.models.classical.simple_itk import sitk_affine, sitk_demons
from regbench.study.components import find, parameters
from regbench.system.errors import UsageError

BASELINES: Mapping[str, Callable[..., Any]] = {
    "fields": fields,
    "sitk_affine": sitk_affine,
    "sitk_demons": sitk_demons,
    "greedy_ncc": greedy_ncc,
    "dipy_syn": dipy_syn,
    "ants_syn": ants_syn,
}

MODULES = {"simpleitk": "SimpleITK", "picsl-greedy": "picsl_greedy", "dipy": "dipy"}  # of a package
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "sitk_affine": ("simpleitk",),
    "sitk_demons": ("simpleitk",),
    "greedy_ncc": ("picsl-greedy", "simpleitk"),
    "dipy_syn": ("dipy",),
}


def software(name: str) -> dict[str, str]:
    """Versions of the packages that do the work of a baseline; none of what is not ours."""
    versions_of = (
        versions() if name == "ants_syn" else {package: version(package) for package in PACKAGES.get(name, ())}
    )
    return dict(versions_of)


def missing(name: str) -> str:
    """What a baseline of ours lacks on this machine, and how to get it; empty if nothing.

    A package that is not there, and one that is there and cannot be imported, are two things.
    """
    if name == "ants_syn":
        try:
            versions()
        except UsageError as error:
            return str(error)
        return ""
    for package in PACKAGES.get(name, ()):
        try:
            version(package)
        except PackageNotFoundError:
            return f"needs the package `{package}`, which is not installed. Run `pip install {package}`."
        try:
            import_module(MODULES[package])
        except Exception as error:  # noqa: BLE001  a broken package raises what it likes
            words = " ".join(str(error).split())
            return (
                f"needs the package `{package}`, which is installed but cannot be imported ({type(error).__name__}: "
                f"{words}). Install it again: `pip install --force-reinstall {package}`."
            )
    return ""


def settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a baseline of ours, those left at their defaults included; of the user's own what is given.

    A published study is read without the code of others, which alone knows its defaults.
    """
    if name not in BASELINES:
        return dict(given)
    known = parameters(find(BASELINES, name))
    defaults = {key: each.default for key, each in known.items() if each.default is not inspect.Parameter.empty}
    return {**defaults, **given}
