"""Registrations that nobody trains: classical methods, and fields that somebody else computed.

A baseline is a function of a `regbench.data.Pair` and the two subjects' ids; what follows is its parameters. It returns
a displacement ``(d, *S)`` float32 in voxels of the fixed grid, as a model does.
"""

from collections.abc import Callable, Mapping
from typing import Any

from regbench.baselines.dipy_syn import dipy_syn
from regbench.baselines.fields import fields
from regbench.baselines.greedy import greedy_ncc
from regbench.baselines.simple_itk import sitk_affine, sitk_demons

BASELINES: Mapping[str, Callable[..., Any]] = {
    "fields": fields,
    "sitk_affine": sitk_affine,
    "sitk_demons": sitk_demons,
    "greedy_ncc": greedy_ncc,
    "dipy_syn": dipy_syn,
}
