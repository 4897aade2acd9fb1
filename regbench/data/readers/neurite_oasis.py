"""The neurite-OASIS release: a folder for each subject, slices and volumes."""

from pathlib import Path
from typing import Literal

from regbench.data.native import Raw
from regbench.data.preprocessing.labels import is_id, names_by_id
from regbench.data.readers.damage import limited_bytes
from regbench.data.readers.image_file import inside
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError
from regbench.system.names import given_path

IMAGES = {2: "slice_norm.nii.gz", 3: "aligned_norm.nii.gz"}
LICENCE = "OASIS-1: open data use agreement, see https://sites.wustl.edu/oasisbrains; cite Marcus et al. 2007"


def neurite_oasis(*, path: str, dims: Literal[2, 3] = 2, labels: Literal[4, 24, 35] = 24) -> Raw:
    """The neurite-OASIS release (2D slices or 3D volumes): affinely aligned, skull-stripped, normalised brains.

    Its axes are stored in another order than in Learn2Reg's OASIS; ``orientation: RAS`` (the default of
    `preprocessing`) brings them to one order by the header, `stored_as` where a header is wrong.

    Args:
        path: the folder with ``OASIS_OAS1_xxxx_MR1`` in it; relative to where the command runs.
        dims: 2 for ``slice_norm``, 3 for ``aligned_norm``.
        labels: the segmentation with so many labels: 4 or 24 in 2D, 4 or 35 in 3D.

    Raises:
        RegbenchError: naming the folder or file at fault.

    Reference:
        Marcus et al. 2007, doi:10.1162/jocn.2007.19.9.1498; Hoopes et al. 2021, doi:10.1007/978-3-030-78191-0_1.
    """
    root = given_path(path)
    prefix = IMAGES[dims].partition("_")[0]
    try:
        folders = sorted(folder.name for folder in root.iterdir() if (folder / IMAGES[dims]).is_file())
    except OSError as error:
        raise RegbenchError(f"`{root}` must be a readable folder, but got: {error.strerror}. Check `path`.") from error
    if not folders:
        raise RegbenchError(f"`{root}` must hold folders with `{IMAGES[dims]}`, but has none. Check `path` and `dims`.")
    segmentation = f"{prefix}_seg{labels}.nii.gz"
    entries = tuple(
        entry(
            name,
            root / name / IMAGES[dims],
            label=inside(root, f"{name}/{segmentation}", f"subject `{name}`"),
            group=name.rpartition("_MR")[0],  # a second visit is the same person
        )
        for name in folders
    )
    notes = f"neurite-OASIS, {dims}D, {labels} labels by FreeSurfer or SAMSEG, not manual."
    return Raw(entries, _names(root / f"seg{labels}_labels.txt"), notes, (LICENCE,))


def _names(path: Path) -> dict[int, str]:
    """Names from lines such as ``3  Left-Cerebral-Cortex 205 62 78``; none where the file is missing."""
    if not path.is_file():
        return {}
    try:
        lines = limited_bytes(path).decode("utf-8", errors="replace").splitlines()
        words = [line.split() for line in lines]
        return names_by_id({row[0]: row[1] for row in words if len(row) > 1 and is_id(row[0])})
    except (OSError, RegbenchError) as error:
        raise RegbenchError(f"`{path}` must name the labels, but got: {error}") from error
