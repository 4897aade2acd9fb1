"""Displacements of a run, written for other programs."""

from pathlib import Path

import numpy as np
import pandas as pd

from regbench.data.cache import Dataset
from regbench.data.nifti import write_displacement, write_nifti
from regbench.data.space import displacement_to_native
from regbench.models.predict import register
from regbench.system.errors import RegbenchError
from regbench.system.files import write_text
from regbench.system.names import file_name
from regbench.training.checkpoint import load_run


def export(data: Dataset, folder: Path, out: Path, *, native: bool = True) -> list[Path]:
    """Write the displacement of each test pair as NIfTI ``(X, Y, Z, d)`` float32, in voxels of the fixed image.

    Args:
        data: prepared dataset.
        folder: of the run.
        out: folder that receives ``disp_FFFF_0000_MMMM_0000.nii.gz`` for each pair.
        native: between the subjects' own arrays, all preprocessing undone; else between the prepared images.

    Returns:
        The files.

    Raises:
        RegbenchError: if the run diverged, or subjects have no arrays of their own.
    """
    record, model = load_run(folder)
    if model is None or record["status"] != "complete":
        raise RegbenchError(f"run `{folder}` must be complete, but is {record['status']}: {record['reason']}")
    written = []
    for fixed, moving in data.pairs("test"):
        pair = data.pair(fixed, moving)
        displacement = register(model, pair.fixed, pair.moving)
        affine = np.diag([*pair.spacing_mm, *[1.0] * (4 - pair.fixed.ndim)])
        if native:
            displacement = displacement_to_native(displacement, data.space(fixed), data.space(moving))
            affine = np.array(data.record(fixed)["native_affine"])
        written.append(out / data.displacement_names.file(fixed, moving))
        write_displacement(written[-1], displacement, affine)
    return written


def export_images(data: Dataset, out: Path) -> list[Path]:
    """Write the prepared test subjects for other programs: ``images/``, ``labels/`` (NIfTI) and ``pairs.csv``.

    ``files.csv`` has the names of the files of each pair without their endings; of an ordinary id it is the id.

    Args:
        data: prepared dataset.
        out: folder that receives them. Axes run right, front, top from the origin, so that voxels times spacing are mm.

    Returns:
        The files; what is registered with them comes back by `regbench evaluate-fields`.
    """
    pairs = data.pairs("test")
    written = []
    for name in sorted({name for pair in pairs for name in pair}):
        affine = np.diag([*data.spacing_mm, *[1.0] * (4 - len(data.shape))])
        for kind, values in (("images", data.images((name,))[0]), ("labels", data.label_map(name))):
            written.append(out / kind / f"{file_name(name)}.nii.gz")
            write_nifti(written[-1], values, affine)
    ids = ["fixed", "moving"]
    rows = [(*pair, *map(file_name, pair), data.displacement_names.stems(*pair)[0]) for pair in pairs]
    frame = pd.DataFrame(rows, columns=[*ids, "fixed_file", "moving_file", "displacement_file"])
    for name, table in (("pairs.csv", frame[ids]), ("files.csv", frame)):
        write_text(out / name, table.to_csv(index=False, lineterminator="\n"))
    return [*written, out / "pairs.csv", out / "files.csv"]
