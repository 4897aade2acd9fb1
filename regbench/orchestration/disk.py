"""How much disk and how many files a study needs: from the config, and from the prepared data where these lie there."""

from collections.abc import Iterable
from typing import Any, TypedDict

import numpy as np

from regbench.orchestration.jobs import OF_CURVE, WHOLE_CELL, Job
from regbench.study.data_config import DatasetConfig
from regbench.study.layout import IDENTITY
from regbench.study.methods import Study
from regbench.study.prepared_for import differences
from regbench.study.specs import ComponentSpec, PrepareSpec
from regbench.system.files import read_sealed
from regbench.training.training_log import POINTS

# Files that a job leaves: what it writes, and its log if it says something.
FILES = {"lambda_range": 2, "propose": 1, "trial": 2, "select": 1, "train": 4, "evaluate": 3, "runtime": 3}
# Bytes, measured on finished runs (docs/scaling.md).
HISTORY = 28.0  # a step of a training curve
PANEL = 60.0  # a pixel of the plane that the figures show, all pairs and arrays of a run
TRIAL_POINT, CURVE = 90.0, 200  # a point of a trial's curve in JSON, and how many it has at most
ROWS, CELL = 110.0, 9.0  # a column of a table of rows, and a number in it
SMALL = 5_000.0  # record and logs of a run
LIVE_HEADER, LIVE_POINT = 1_000.0, 75.0  # of a training's own log (regbench.training.training_log)


class Inodes(TypedDict):
    """What a file system counts."""

    files: int
    folders: int


def files(study: Study, jobs: Iterable[Job]) -> Inodes:
    """Files and folders that the jobs leave (inodes); those of preparation and tables are not many and not counted."""
    number, folders, logs = 0, set[str](), set[str]()
    for job in jobs:
        number += FILES.get(job.rule, 0)
        if job.rule in OF_CURVE:  # a log; of each point five files (with second names in state/), and a note in state/
            number += 1 + 6 * (1 if job.point else len(study.seeds(job.method)) * len(study.further_points))
        number += 2 * len(study.controls) * (job.method == IDENTITY)  # rows and panels
        rounds = study.rounds(job.method) if job.rule in ("select", *WHOLE_CELL) else 0
        if job.rule in WHOLE_CELL:  # what waits in state/ is the same files by other names
            searches, runs = len(study.replicates(job.method)), len(study.seeds(job.method))
            of_search = 1 + (rounds > 0) + sum(1 + len(study.batches(job.method, n)) for n in range(rounds))
            number += 1 + searches * of_search + runs * 5
            logs.add(job.log)
        else:
            number += rounds > 0  # the state of all trials of the search
        folders |= {job.output.rpartition("/")[0], job.log.rpartition("/")[0]}
    return {"files": number + len(logs), "folders": len(folders)}


def disk(study: Study) -> dict[str, float | None]:
    """Bytes by folder; None where the size of the images is not known before they are prepared."""
    sizes: dict[str, float | None] = {"data": 0.0, "runs": 0.0, "tuning": 0.0}
    for dataset in study.config.datasets:
        shape, labels, size, pairs = _images(study, dataset)
        sizes["data"] = None if size is None or sizes["data"] is None else sizes["data"] + size
        for method in study.methods:
            seeds = len(study.seeds(method.id)) * (1 + len(study.further_points) * method.tuned)
            columns = 45 + 4 * (labels or 0)
            run = SMALL + columns * (ROWS + CELL * pairs["test"]) + PANEL * float(np.prod(shape[:2] or [0]))
            if method.model and method.needs_training:
                run += 4 * _parameters(method.model, len(shape) or 3) + HISTORY * study.config.training.steps
                run += LIVE_HEADER + LIVE_POINT * min(study.config.training.steps, POINTS)
            sizes["runs"] = (sizes["runs"] or 0) + seeds * run
            curve = min(CURVE, study.config.tuning.steps) if method.needs_training else 0
            trial = 2 * (TRIAL_POINT * curve + 60 * pairs["validation"] + 600)  # its file, its state
            trial += LIVE_HEADER + LIVE_POINT * curve
            trials = study.config.tuning.replicates * study.trials(method.id) * (study.rounds(method.id) > 0)
            sizes["tuning"] = (sizes["tuning"] or 0) + trial * trials
    return sizes


def _images(study: Study, dataset: DatasetConfig) -> tuple[list[int], int, float | None, dict[str, int]]:
    """Shape, number of labels, bytes of the arrays, number of pairs; from its manifest, else from the config."""
    lay, pairs = study.layout, {split: dataset.pairs.count(split) or 0 for split in ("validation", "test")}
    manifest = read_sealed(lay.manifest(dataset.id)) if lay.manifest(dataset.id).is_file() else {}
    if manifest and not differences(study, dataset.id, PrepareSpec.from_json(manifest.get("spec"))):
        size = sum(path.stat().st_size for path in lay.data(dataset.id).iterdir() if path.is_file())
        pairs |= {split: len(names) for split, names in manifest.get("pairs", {}).items()}
        return manifest["shape"], len(manifest["labels"]), float(size), pairs
    shape, dims = dataset.parameters.get("shape"), dataset.parameters.get("dims")
    sides = shape if isinstance(shape, list) else [0] * (dims if isinstance(dims, int) else 0)
    return [side for side in sides if isinstance(side, int)], 0, None, pairs


def _parameters(model: Any, dims: int) -> int:
    from regbench.models.predict import build_model  # noqa: PLC0415  torch only where a network is counted

    built = build_model(ComponentSpec(name=model.name, parameters=model.parameters), dims)
    return sum(parameter.numel() for parameter in built.parameters())
