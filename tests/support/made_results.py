"""A whole study with results in its files, analysed by the real stage, without training anything.

`made_study` writes what the jobs would leave; this fills in scores that differ from cell to cell, curves, trials and
panels, and then runs `analyze`; `report` may follow.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from made_study import DATA, make
from tiny_study import TINY

from regbench.evaluation.slices import PLACES, write_panels
from regbench.metrics import SIMILARITY
from regbench.report.analyze import KEY, analyze
from regbench.study.job_specs import final_spec, prepare_spec, select_spec
from regbench.study.layout import IDENTITY
from regbench.study.methods import Method, Study
from regbench.system.files import read_sealed, write_sealed
from regbench.system.parquet import write_table
from regbench.tuning.rounds import select

LABELS = {"1": "left", "2": "right"}
SHAPE = (24, 32)
GRID = {"similarities": ["lcc", "gcc", "mse"], "regularizers": ["grad_l1", "grad_l2", "bending", "displacement_l1"]}


def make_results(study: Study) -> None:
    """Write every file of a finished study of trained models (`write_results`), then analyse it.

    Args:
        config: of a study of trained models; its `results` folder receives the files.
    """
    write_results(study)
    analyze(study)


def write_results(study: Study, subjects: int = 3) -> None:
    """Write every file that the jobs of a study of trained models leave; with looks, of the seeds given so far.

    Args:
        study: of trained models.
        subjects: of the test pairs.
    """
    make(study, sources=False)
    lay = study.layout
    for dataset in study.config.datasets:
        fold = dataset.id.rpartition("fold")[2] if study.pools else ""  # each tests subjects of its own
        pairs = [[f"s{fold}{a}", f"s{fold}{b}"] for a in range(subjects) for b in range(subjects) if a != b]
        manifest: dict[str, Any] = {"data_sha256": DATA, "shape": SHAPE, "spacing_mm": [2.0, 2.0], "labels": LABELS}
        manifest["references"] = {"validation": ["labels"], "test": ["labels"]}
        manifest |= {
            "splits": {part: ["s0", "s1", "s2"] for part in ("train", "validation", "test")},
            "notes": "Made up.",
            "spec": prepare_spec(study, dataset.id).to_json(),
        }
        write_sealed(lay.manifest(dataset.id), manifest | {"pairs": {"validation": pairs[:2], "test": pairs}})
        timed = []
        for number, method in enumerate(study.methods):
            if method.tuned:
                _cell(study, dataset.id, method, number)
            timed += [
                _evaluated(study, (dataset.id, method, seed), number, pairs)
                for seed in study.seeds(method.id, dataset.id)
            ]
        for control in study.controls:
            _evaluated(study, (dataset.id, control, study.config.seeds[0]), 0, pairs)
        write_table(lay.runtime(dataset.id), pd.concat(timed, ignore_index=True))
    for dataset_id, method_id, other in study.transfers():
        own = [pd.read_parquet(lay.pairs(dataset_id, method_id, seed)) for seed in study.seeds(method_id)]
        rows = pd.concat(own, ignore_index=True).assign(dataset=other, trained_on=dataset_id)
        path = lay.transfer(dataset_id, method_id, other)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, rows.assign(dice=rows["dice"] - 0.1))
    for run in study.curve_points():
        _point(study, *run)


def _point(study: Study, dataset: str, method: str, seed: int, point: int) -> None:
    """A further training of a curve: the run at another lambda."""
    lay = study.layout
    record, folder = read_sealed(lay.run_record(dataset, method, seed)), lay.curve_point(dataset, method, seed, point)
    middle = (len(study.further_points) + 1) / 2
    lam = record["lam"] * 3.0 ** (point - middle + (point >= middle))
    folder.mkdir(parents=True, exist_ok=True)
    number = [one.id for one in study.methods].index(method)
    rows = pd.read_parquet(lay.pairs(dataset, method, seed))
    rows = _traded(rows.assign(lam=lam, dice=rows["dice"] - 0.004 * np.log(lam / record["lam"]) ** 2), number)
    write_table(folder / "pairs.parquet", rows)
    write_sealed(
        folder / "run.json",
        {**record, "lam": lam, "validation": _validation(number, lam) | {"sdlogj": _ndv(number, lam) / 2}},
    )
    write_table(folder / "history.parquet", pd.DataFrame({"step": range(1, 31), **_curve(30)}))
    (folder / "checkpoint.pt").write_bytes(b"weights")


def _validation(number: int, lam: float) -> dict[str, float]:
    """Of a run at its chosen lambda, which is not scored by the spread of the log-determinant."""
    return {"dice": _dice(number), "ndv_percent": _ndv(number, lam)}


def _ndv(number: int, lam: float) -> float:
    return float((0.1 + 0.01 * number) * lam**-0.8)


def _traded(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """Rows whose regularity follows from their lambda; the pairs differ in it."""
    of_pair = 1 + 0.1 * np.cos(np.arange(len(rows)))
    folding = [_ndv(number, lam) * factor for lam, factor in zip(rows["lam"], of_pair, strict=True)]
    return rows.assign(ndv_percent=folding, sdlogj=np.array(folding) / 2)


def _cell(study: Study, dataset: str, method: Method, number: int) -> None:
    """Trials, the choice among them, and the final trainings of one cell."""
    lay = study.layout
    for replicate in study.replicates(method.id, dataset):
        _search(study, dataset, method, number, replicate)
    environment = {"device": "cpu", "packages": {"torch": "2"}, "system": "Linux"}
    environment["code"] = {"git_commit": "0123abcd", "git_dirty": False}
    for seed in study.seeds(method.id, dataset):
        folder = lay.run(dataset, method.id, seed)
        lam = read_sealed(lay.selected(dataset, method.id, study.replicate_of(seed)))["lam"]
        record = {"method": method.id, "seed": seed, "lam": lam, "status": "complete", "reason": ""}
        record |= {
            "job": final_spec(study, method.id, seed).model_copy(update={"lam": lam}).to_json(),
            "data_sha256": DATA,
            "checkpoint_sha256": "00",
        }
        record |= {"seconds": 20.0, "parameters": 1234, "validations": []}
        validation = _validation(number, lam) if study.config.curve else {"dice": _dice(number), "ndv_percent": 0.1}
        record |= {"validation": validation, "environment": environment}
        write_sealed(folder / "run.json", record)
        write_table(folder / "history.parquet", pd.DataFrame({"step": range(1, 31), **_curve(30)}))


def _search(study: Study, dataset: str, method: Method, number: int, replicate: int) -> None:
    """Trials and the choice among them."""
    lay, trials = study.layout, []
    for path in study.trial_files(dataset, method.id, replicate=replicate):
        first, last = (int(part) for part in path.stem.removeprefix("trials").split("-"))
        offset = int(path.parent.name.removeprefix("round")) * study.config.tuning.round_size
        found = [_trial(offset + slot, number) for slot in range(first, last + 1)]
        write_sealed(path, found)
        trials += found
    chosen = select(select_spec(study, method.id, replicate), trials)
    write_sealed(lay.selected(dataset, method.id, replicate), chosen)


def _trial(number: int, cell: int) -> dict[str, Any]:
    lam = float(f"{min(10 ** (-1.7 + 0.1 * cell + 0.4 * number), 1.0):.6g}")  # inside the range of the config
    found = {"number": number, "lam": lam, "status": "complete", "reason": ""}
    found["scores"] = {"dice": _dice(cell) - 0.01 * number, "ndv_percent": 0.4 / (1 + number)}
    return found | {"curve": {"step": list(range(1, 11)), **_curve(10)}}


def _curve(steps: int) -> dict[str, list[float]]:
    falling = [1 / (1 + step) for step in range(steps)]
    return {"loss": falling, "similarity": [value * 0.9 for value in falling], "regularizer": [0.1] * steps}


def _dice(number: int) -> float:
    """A score of its own for each method, the first (`identity`) lowest."""
    return 0.5 + 0.2 * (1 - 0.75**number)


def _evaluated(study: Study, run: tuple[str, Method, int], number: int, pairs: list[list[str]]) -> pd.DataFrame:
    """Rows and panels of one run (dataset, method, seed); returns its timed rows."""
    dataset, method, seed = run
    lay = study.layout
    noise = np.random.default_rng([number, seed]).normal(0, 0.01, len(pairs))
    replicate = study.replicate_of(seed)
    lam = read_sealed(lay.selected(dataset, method.id, replicate))["lam"] if method.tuned else np.nan
    rows = pd.DataFrame(pairs, columns=["fixed", "moving"]).assign(
        dataset=dataset, method=method.id, seed=seed, replicate=replicate, lam=lam, status="complete", reason=""
    )
    rows = rows.assign(dice=_dice(number) + noise, hd95_mm=6 - 4 * _dice(number), labels_vanished=0.0)
    rows = rows.assign(**{f"dice_{label}": rows["dice"] - 0.02 * (-1) ** int(label) for label in LABELS})
    if method.control or method.id == IDENTITY:
        rows = _unranked(rows, method.id, study)
    rows = rows.assign(fold_central_percent=0.03 * (number % 4), ndv_percent=0.05 * (number % 4), sdlogj=0.1)
    rows = _traded(rows, number) if study.config.curve and method.tuned else rows
    write_table(lay.pairs(dataset, method.id, seed), rows)
    about = {"fixed": "s0", "moving": "s1", "dice": float(rows["dice"].median())}
    write_panels(lay.panels(dataset, method.id, seed), {place: (about, _slices(number)) for place in PLACES}, "dice")
    timed = rows[KEY].assign(device="cpu", peak_memory_mib=12.5 + number, parameters=1234, training_seconds=20.0)
    return timed.assign(inference_seconds=0.0123 + 0.001 * number, pipeline_seconds=0.05)


def _unranked(rows: pd.DataFrame, method: str, study: Study) -> pd.DataFrame:
    """With the similarities of the grid, and the scores of a control."""
    if method == "control_self":
        rows = rows.drop_duplicates("fixed").assign(moving=lambda frame: frame["fixed"], dice=1.0, hd95_mm=0.0)
    if method == "control_sort":
        rows = rows.assign(dice=0.02, hd95_mm=40.0)
    similarity = {"control_self": 0.0, "control_sort": 0.01}.get(method, 0.3)
    return rows.assign(**{f"{SIMILARITY}{part.id}": similarity for part in study.config.grid.similarities})


def _slices(number: int) -> dict[str, Any]:
    x, y = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    disc = np.exp(-3 * (x**2 + y**2)).astype(np.float32)
    found = {"fixed": disc, "moving": np.roll(disc, 4, 0), "moved": np.roll(disc, 4 - number % 4, 0)}
    found["determinant"] = (1 + 1.2 * x * y).astype(np.float32)
    return found | {"displacement": np.stack([0.3 * x, np.zeros_like(x)]).astype(np.float32)}


def twelve(results: Path) -> dict[str, Any]:
    """The raw config of a study of twelve cells."""
    return {**TINY, "study": "twelve", "grid": GRID, "results": str(results), "description": "Twelve made-up cells."}
