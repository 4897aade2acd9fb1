"""Datasets: where images, labels and true displacements come from."""

from collections.abc import Callable, Mapping

from regbench.data.mni152 import mni152
from regbench.data.subject import Source

DATASETS: Mapping[str, Callable[..., Source]] = {"mni152": mni152}
