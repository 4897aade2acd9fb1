"""Displacements of a method, and the prepared images, written for other programs."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from regbench.data.cache import Dataset
from regbench.data.nifti import write_displacement, write_nifti, write_vectors
from regbench.data.space import displacement_to_native
from regbench.evaluation.as_evaluated import AsEvaluated
from regbench.evaluation.evaluate import Failed, registrations
from regbench.evaluation.refined_run import load_row
from regbench.models.predict import device_of
from regbench.spatial.itk import ras_to_lps, to_mm
from regbench.study.specs import EvaluateSpec
from regbench.system import device as devices
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import check_folder, check_free, write_text
from regbench.system.names import file_name


class Target(NamedTuple):
    """Where and how displacements are written.

    Attributes:
        folder: that receives one file a pair.
        native: between the subjects' own arrays, all preprocessing undone; else between the prepared images.
        form: ``l2r``: ``(X, Y, Z, d)``, voxels of the fixed array; ``itk``: ``(X, Y, Z, 1, d)``, mm along LPS.
        overwrite: whether files that are there are replaced.
    """

    folder: Path
    native: bool = True
    form: Literal["l2r", "itk"] = "l2r"
    overwrite: bool = False


def export(spec: EvaluateSpec, data: Dataset, run: Path, rows: Path, target: Target) -> list[str]:
    """Write the displacement of each test pair as float32 NIfTI, registered as the evaluation registers it.

    What can be known of the target is checked first. Each displacement is compared with the rows of the evaluation.

    Args:
        spec: of the evaluation.
        data: prepared dataset.
        run: folder of the run; a baseline has none.
        rows: file of the evaluation's rows; may be missing.
        target: where the files go.

    Returns:
        Sentences: how many files there are, and whether they are what was evaluated.

    Raises:
        RegbenchError: if the run diverged, subjects have no arrays of their own, or no pair could be registered.
        UsageError: if files are in the way, or the form does not hold these images.
    """
    places = {pair: _Place(data, pair, target) for pair in data.pairs("test")}
    _check_target(target.folder, [place.path for place in places.values()], overwrite=target.overwrite)
    model, where = None, devices.describe(torch.device("cpu"))
    if spec.baseline is None:
        record, model = load_row(run, spec.refine)
        if model is None or record["status"] != "complete":
            raise RegbenchError(f"run `{run}` must be complete, but is {record['status']}: {record['reason']}")
        where = devices.describe(device_of(model))
    evaluated = AsEvaluated(rows, list(data.labels), spec.mask)
    failed = []
    for registration in registrations(spec, data, model):
        if isinstance(registration, Failed):
            failed.append(f"failed: {registration.fixed}, {registration.moving}: {registration.reason}")
            continue
        evaluated.compare(registration)
        places[registration.fixed, registration.moving].write(registration.displacement)
    if len(failed) == len(places):
        raise RegbenchError("\n".join(failed))
    return [f"{len(places) - len(failed)} displacements in {target.folder}", *failed, *evaluated.sentences(where)]


class _Place:
    """The file of a pair's displacement, and what its header says."""

    def __init__(self, data: Dataset, pair: tuple[str, str], target: Target) -> None:
        self.path, self._form = target.folder / data.displacement_names.file(*pair), target.form
        self._spaces = [data.space(name) for name in pair] if target.native else None
        prepared = np.diag([*data.spacing_mm, *[1.0] * (4 - len(data.shape))])
        self._affines = [np.array(data.record(name)["native_affine"]) if target.native else prepared for name in pair]
        kept = [*range(len(data.shape)), 3]
        self._inner = [affine[np.ix_(kept, kept)] for affine in self._affines]
        upright = any(np.abs(affine[2, :2]).max() > 1e-3 * np.abs(affine).max() for affine in self._affines)
        if target.form == "itk" and len(data.shape) == 2 and upright:
            raise UsageError(
                "--form itk must have slices whose axes run right and front, as its vectors of two components do, but "
                f"`{pair[0]}` or `{pair[1]}` stands upright or oblique. Write `--form l2r`, or `--prepared`."
            )

    def write(self, displacement: NDArray[np.float32]) -> None:
        if self._spaces is not None:
            displacement = displacement_to_native(displacement, *self._spaces)
        if self._form == "l2r":
            write_displacement(self.path, displacement, self._affines[0])
        else:
            write_vectors(self.path, ras_to_lps(to_mm(displacement, *self._inner)), self._affines[0])


def _check_target(folder: Path, paths: list[Path], *, overwrite: bool) -> None:
    """What can be known of a folder before the work.

    Raises:
        UsageError: if files are in the way.
        RegbenchError: if it cannot be written.
    """
    check_folder(folder, advice="Give another folder, or change the permissions.")
    check_free(folder, paths, overwrite=overwrite)


def export_images(data: Dataset, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the prepared test subjects for other programs: ``images/``, ``labels/`` (NIfTI) and ``pairs.csv``.

    ``files.csv`` has the names of the files of each pair without their endings; of an ordinary id it is the id.

    Args:
        data: prepared dataset.
        out: folder that receives them. Axes run right, front, top from the origin, so that voxels times spacing are mm.

        overwrite: whether files that are there are replaced.

    Returns:
        The files; what is registered with them comes back by `regbench evaluate-fields`.

    Raises:
        UsageError: if files are in the way.
        RegbenchError: if the folder cannot be written.
    """
    pairs = data.pairs("test")
    names = sorted({name for pair in pairs for name in pair})
    files = {(kind, name): out / kind / f"{file_name(name)}.nii.gz" for name in names for kind in ("images", "labels")}
    lists = [out / "pairs.csv", out / "files.csv"]
    _check_target(out, [*files.values(), *lists], overwrite=overwrite)
    affine = np.diag([*data.spacing_mm, *[1.0] * (4 - len(data.shape))])
    for (kind, name), path in files.items():
        write_nifti(path, data.images((name,))[0] if kind == "images" else data.label_map(name), affine)
    ids = ["fixed", "moving"]
    rows = [(*pair, *map(file_name, pair), data.displacement_names.stems(*pair)[0]) for pair in pairs]
    frame = pd.DataFrame(rows, columns=[*ids, "fixed_file", "moving_file", "displacement_file"])
    for path, table in zip(lists, (frame[ids], frame), strict=True):
        write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return [*files.values(), *lists]
