"""Datasets: where images, labels and true displacements come from."""

from collections.abc import Callable, Mapping

from regbench.data.embedded.allen import allen
from regbench.data.embedded.mni152 import mni152
from regbench.data.native import Raw
from regbench.data.readers.folder import folder
from regbench.data.readers.learn2reg import learn2reg
from regbench.data.readers.neurite_oasis import neurite_oasis
from regbench.data.readers.npz import arrays, voxelmorph_npz
from regbench.data.readers.public import public
from regbench.data.readers.table import table
from regbench.data.subject import Source

DATASETS: Mapping[str, Callable[..., Source | Raw]] = {
    "mni152": mni152,
    "allen": allen,
    "folder": folder,
    "table": table,
    "arrays": arrays,
    "voxelmorph_npz": voxelmorph_npz,
    "learn2reg": learn2reg,
    "neurite_oasis": neurite_oasis,
    "public": public,
}
