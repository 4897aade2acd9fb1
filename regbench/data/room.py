"""Whether the arrays of a dataset fit onto the disk, before the first of them is written."""

import shutil
from math import prod
from pathlib import Path

import numpy as np

from regbench.data.subject import Source
from regbench.study.components import shown
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError

IMAGE, LABELS, COMPONENT, MASK = (np.dtype(kind).itemsize for kind in (np.float32, np.int32, np.float32, np.uint8))
# What makes a dataset large: keys of its section, in the order in which one would change them.
SIZES = ("preprocessing.spacing_mm", "preprocessing.shape", "preprocessing.multiple_of", "parameters.spacing_mm",
         "parameters.shape", "parameters.subjects")  # fmt: skip


def array_bytes(source: Source) -> int:
    """Bytes that `prepare` writes of all subjects: images, labels; masks and true displacements where there are any."""
    of_voxel = IMAGE + LABELS + MASK * bool(source.masked) + 2 * COMPONENT * len(source.shape) * source.true_maps
    return len(source.ids) * prod(source.shape) * of_voxel


def check_room(spec: PrepareSpec, source: Source, folder: Path) -> None:
    """Compare what will be written with what is free.

    Args:
        spec: of the dataset.
        source: the dataset on its grid; no subject is read.
        folder: that receives the arrays; what lies there is replaced last, so that its room is not counted.

    Raises:
        RegbenchError: naming both sizes and the keys that make the dataset so large.
    """
    needed, place = (
        array_bytes(source),
        next(at for at in (folder.absolute(), *folder.absolute().parents) if at.exists()),
    )
    free = shutil.disk_usage(place).free
    if needed <= free:
        return
    given = {"preprocessing": spec.preprocessing, "parameters": spec.parameters}
    keys = [key.partition(".") for key in SIZES]
    large = [f"`{part}.{key}: {shown(given[part][key])}`" for part, _, key in keys if key in given[part]]
    raise RegbenchError(
        f"dataset `{spec.id}` must fit onto the disk of `{folder}`, but its {len(source.ids)} images of "
        f"{' x '.join(map(str, source.shape))} voxels need {needed / 1e9:.3g} GB and {free / 1e9:.3g} GB are free. "
        f"{'Its size is that of ' + ', '.join(large) + ': change it' if large else 'Give fewer subjects'}, "
        "or free space; nothing was written."
    )
