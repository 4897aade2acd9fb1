"""Datasets: where images, labels and true displacements come from."""

from collections.abc import Callable, Mapping

from regbench.data.allen import allen
from regbench.data.folder import folder
from regbench.data.learn2reg import learn2reg
from regbench.data.mni152 import mni152
from regbench.data.neurite_oasis import neurite_oasis
from regbench.data.npz import arrays, voxelmorph_npz
from regbench.data.public import public
from regbench.data.raw import Raw
from regbench.data.subject import Source
from regbench.data.table import table

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
