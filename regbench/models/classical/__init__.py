"""Registrations that nobody trains: classical methods, and fields that somebody else computed.

A baseline is a function of a `regbench.data.cache.Pair` and the two subjects' ids; what follows is its
parameters. It returns a displacement ``(d, *S)`` float32 in voxels of the fixed grid, as a model does.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from regbench.models.classical.ants_syn import ants_syn, versions
from regbench.models.classical.dipy_syn import dipy_syn
from regbench.models.classical.fields import fields
from regbench.models.classical.greedy import greedy_ncc
from regbench.models.classical.simple_itk import sitk_affine, sitk_demons
from regbench.study.components import find, parameters

BASELINES: Mapping[str, Callable[..., Any]] = {
    "fields": fields,
    "sitk_affine": sitk_affine,
    "sitk_demons": sitk_demons,
    "greedy_ncc": greedy_ncc,
    "dipy_syn": dipy_syn,
    "ants_syn": ants_syn,
}

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


def settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a baseline, those left at their defaults included."""
    known = parameters(find(BASELINES, name))
    defaults = {key: each.default for key, each in known.items() if each.default is not inspect.Parameter.empty}
    return {**defaults, **given}
