"""One pair of one run, as a user names both, registered anew."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from regbench.data.cache import Dataset
from regbench.evaluation.as_evaluated import AsEvaluated
from regbench.evaluation.evaluate import Failed, registrations
from regbench.evaluation.measure import Registered
from regbench.evaluation.refined_run import load_row
from regbench.evaluation.slices import PLACES, read_panels
from regbench.models.predict import device_of
from regbench.study.layout import PAIRS, PANELS
from regbench.study.methods import Study
from regbench.study.specs import EvaluateSpec
from regbench.system import device as devices
from regbench.system.errors import RegbenchError, UsageError, nearest

Names = tuple[str, str]  # of the fixed and the moving subject


class RunOfStudy(NamedTuple):
    """A run as its folder names it.

    Attributes:
        study: that has it, with `results` where the folder lies.
        dataset, method, seed: of the run.
        folder: of its rows.
        network: folder of its checkpoint: of a refined row, the one of its network's row.
    """

    study: Study
    dataset: str
    method: str
    seed: int
    folder: Path
    network: Path


def study_folder(run: Path) -> Path:
    """The folder of the study that a run lies in: ``STUDY/runs/DATASET/METHOD/seedSEED``, or below ``STUDY/curves``.

    Raises:
        UsageError: if the path names no such folder.
    """
    above = [place.parent for place in _folder(run).parents if place.name in ("runs", "curves")]
    if not above:
        raise UsageError(
            "RUN must be the folder of a run in its study, RESULTS/STUDY/runs/DATASET/METHOD/seedSEED, but got "
            f"`{run}`. Name one of the folders that `run.json` or `pairs.parquet` lies in."
        )
    return above[0]


def run_of(study: Study, run: Path) -> RunOfStudy:
    """Which run of `study` a folder is.

    Args:
        study: whose folder `study_folder` gave.
        run: the folder, or a file in it.

    Raises:
        UsageError: if the study has no such run, or the study's folder was renamed; lists what is near.
    """
    folder, root = _folder(run), study_folder(run)
    if root.name != study.name:
        raise UsageError(f"`{root}` must have the name of its study, `{study.name}`. Rename it back.")
    study = Study(study.config.model_copy(update={"results": str(root.parent)}))
    lay = study.layout
    known = {lay.run(*run): run for run in study.runs()}
    known |= {lay.curve_point(*point): point[:3] for point in study.curve_points()}
    if folder not in known:
        here, there = folder.relative_to(root).as_posix(), (place.relative_to(root).as_posix() for place in known)
        raise UsageError(f"RUN must be a run of study `{study.name}`, but got `{here}`; {nearest(here, there)}")
    dataset, method, seed = known[folder]
    of_refined = study.method(method).refine is not None
    network = lay.run(dataset, study.method(method).trained_as, seed) if of_refined else folder
    return RunOfStudy(study, dataset, method, seed, folder, network)


def _folder(run: Path) -> Path:
    whole = Path(os.path.abspath(run))  # noqa: PTH100  without following links: a cluster's scratch is often one
    return whole.parent if whole.is_file() else whole


def pair_of(run: RunOfStudy, data: Dataset, text: str) -> Names:
    """The test pair that a user names: ``FIXED,MOVING``, or ``best``, ``median`` or ``worst`` as the report has them.

    Raises:
        UsageError: if there is no such test pair; lists what is near.
        RegbenchError: if the run was not evaluated, so that no pair is the best.
    """
    if text in PLACES:
        stored = read_panels(run.folder / PANELS)
        if f"{text}_about" not in stored:
            raise RegbenchError(f"`{run.folder / PANELS}` must hold a {text} pair, but no pair was registered.")
        fixed, moving, _ = (str(part) for part in stored[f"{text}_about"])
        return fixed, moving
    known = {f"{fixed},{moving}": (fixed, moving) for fixed, moving in data.pairs("test")}
    named = text if text in known else ",".join(part.strip() for part in text.split(","))
    if named not in known:
        raise UsageError(
            f"PAIR must be a test pair FIXED,MOVING of `{data.id}`, or {', '.join(PLACES)}, but got {text!r}; "
            f"{nearest(named, known)}"
        )
    return known[named]


def register_pair(run: RunOfStudy, spec: EvaluateSpec, data: Dataset, names: Names) -> tuple[Registered, list[str]]:
    """Register one test pair as the evaluation did, and say whether its rows say the same.

    Args:
        run: of the study.
        spec: of its evaluation.
        data: prepared dataset.
        names: of a test pair.

    Raises:
        RegbenchError: if the run is not complete, or the pair cannot be registered.
    """
    model, where = None, devices.describe(torch.device("cpu"))
    if spec.baseline is None and run.study.method(run.method).model is not None:
        record, model = load_row(run.network, spec.refine)
        if model is None or record["status"] != "complete":
            raise RegbenchError(f"run `{run.network}` must be complete, but is {record['status']}: {record['reason']}")
        where = devices.describe(device_of(model))
    registration = next(iter(registrations(spec, data.with_pairs("test", [names]), model)))
    if isinstance(registration, Failed):
        raise RegbenchError(f"{', '.join(names)} cannot be registered: {registration.reason}")
    evaluated = AsEvaluated(run.folder / PAIRS, list(data.labels), spec.mask)
    evaluated.compare(registration)
    return registration, list(evaluated.sentences(where))
