"""What a published folder holds beside its report: the files that the report follows from, few and small.

It has the layout of a study's folder. All JSON of searches and runs stands in `records.jsonl`, a line a file; the rows
of all runs stand in one table. `gather` writes it, `unpack` makes a study's folder of it, without weights and images.
"""

import json
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regbench.evaluation.transfer import TRAINED_ON
from regbench.metrics import METRICS
from regbench.report.analyze import KEY, curve_rows_of, rows_of, transfer_rows_of
from regbench.report.published.neutral import CODE, Names
from regbench.report.summary_file import load_summary
from regbench.report.write import runs_with_curves, shown_cells
from regbench.study.layout import Layout
from regbench.study.load import load
from regbench.study.looks import made
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import (
    RUN,
    canonical_json,
    read_sealed,
    sealed,
    unsealed,
    write_json,
    write_sealed,
    write_text,
)
from regbench.system.parquet import read_table, write_table

RECORDS = "records.jsonl"
HISTORIES = "analysis/histories.parquet"
RUN_KEY = ["dataset", "method", "seed"]
OF_ONE_LABEL = re.compile(rf"({'|'.join(METRICS)})_\d+")  # a column


def gather(study: Study, folder: Path, pictures: Collection[str]) -> Names:
    """Write what the report of a study follows from.

    Args:
        study: that is finished and analysed.
        folder: receives the files.
        pictures: ids of the datasets whose pairs may be shown.

    Returns:
        The names that took the place of paths.

    Raises:
        RegbenchError: if a file is missing, damaged or altered.
    """
    lay, at, names = study.layout, Layout(folder), Names(study)
    write_sealed(at.config, names.config)
    for name, text in names.code().items():
        write_text(folder / name, text)
    for dataset in (*study.config.datasets, *study.config.test_sets):
        write_sealed(at.manifest(dataset.id), names.put(read_sealed(lay.manifest(dataset.id))))
    if lay.frozen.is_file():
        write_sealed(at.frozen, names.put(read_sealed(lay.frozen)))
    lines = [
        canonical_json({"file": path.relative_to(lay.root).as_posix(), "content": sealed(names.put(read_sealed(path)))})
        for path in _records(study)
    ]
    write_text(folder / RECORDS, "".join(f"{line}\n" for line in lines))
    write_table(at.rows, rows_of(study))
    if any(study.transfers()):
        write_table(at.transfer_rows, transfer_rows_of(study))
    if study.config.curve is not None:
        write_table(at.curve_rows, _without_labels(curve_rows_of(study)))
    write_table(folder / HISTORIES, _histories(study))
    for path in _copied(study, pictures):
        _copy(path, folder / path.relative_to(lay.root))
    return names


def unpack(folder: Path, results: Path) -> Study:
    """Make a study's folder of what `gather` wrote.

    Args:
        folder: that is published.
        results: folder of studies that receives it.

    Raises:
        RegbenchError: if a file is missing, damaged or altered; names it.
    """
    at = Layout(folder)
    # Not trusted: what others publish names code of theirs, and no number of a report needs to run it.
    study = Study(load({**read_sealed(at.config), "results": str(results)}, trusted=False, where=str(at.config)))
    lay = study.layout
    for name, content in read_records(folder):
        write_json(_inside(lay.root, name), content)
    for path in (at.frozen, *(folder / CODE).rglob("*")):
        if path.is_file():
            _copy(path, lay.root / path.relative_to(folder))
    for dataset in (*study.config.datasets, *study.config.test_sets):
        _copy(at.manifest(dataset.id), lay.manifest(dataset.id))
    _unpack_rows(study, at)
    # Of a run without steps, and of one whose curve is not drawn, it is empty.
    histories = {run: lay.history(*run) for run in study.tuned_runs()}
    _write_parts(read_table(folder / HISTORIES), RUN_KEY, histories, drop=RUN_KEY)
    for path in [*_timed(study, at), *folder.glob("runs/*/*/*/panels.npz")]:
        _copy(path, lay.root / path.relative_to(folder))
    return study


def read_records(folder: Path) -> Iterator[tuple[str, Any]]:
    """Name and content of each file in `records.jsonl`, its seal compared.

    Raises:
        RegbenchError: if a line is no record or was altered.
    """
    path = folder / RECORDS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RegbenchError(f"`{path}` must be a text of one record a line, but got: {reason}.") from error
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            name, content = str(record["file"]), record["content"]
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            raise RegbenchError(f"`{path}`, line {number}, must be a record, but got: {error}.") from error
        unsealed(content, Path(f"{RECORDS}, line {number}, {name}"))
        yield name, content


def _records(study: Study) -> Iterator[Path]:
    """The JSON files of searches, runs, curves and looks."""
    lay = study.layout
    for dataset in study.config.datasets:
        for similarity, regularizer in study.found_ranges:
            yield lay.lambda_range(dataset.id, f"{similarity.id}.{regularizer.id}")
        for method in study.methods:
            for replicate in study.replicates(method.id, dataset.id) if method.tuned else ():
                for number in range(study.rounds(method.id)):
                    yield lay.proposals(dataset.id, method.id, number, replicate)
                yield from study.trial_files(dataset.id, method.id, replicate=replicate)
                yield lay.selected(dataset.id, method.id, replicate)
        for model in study.looked_models:
            for number, _ in enumerate(made(lay, dataset.id, model), 1):
                yield lay.look(dataset.id, model, number)
    for run in study.tuned_runs():
        yield lay.run_record(*run)
    for point in study.curve_points():
        yield lay.curve_point(*point) / RUN


def _without_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without the columns of single labels: of curves nothing reads them, and they are nine tenths of the file."""
    return rows[[name for name in rows if not OF_ONE_LABEL.fullmatch(str(name))]]


def _histories(study: Study) -> pd.DataFrame:
    """The steps of the runs whose curves are drawn; the run's key last, also where a run has terms that others lack."""
    parts = []
    for run in runs_with_curves(study, load_summary(study)):
        part = read_table(study.layout.history(*run))
        part.attrs = {}
        dataset, method, seed = run
        parts.append(part.assign(dataset=dataset, method=method, seed=seed))
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=RUN_KEY)
    return whole[[*(name for name in whole if name not in RUN_KEY), *RUN_KEY]]


def _copied(study: Study, pictures: Collection[str]) -> Iterator[Path]:
    """Files that are published as they are: times, rows of controls, pairs that may be shown."""
    yield from _timed(study, study.layout)
    for dataset, method in shown_cells(load_summary(study), pictures):
        yield study.layout.panels(dataset, method, study.seeds(method)[0])


def _timed(study: Study, lay: Layout) -> list[Path]:
    times = [lay.runtime(dataset.id) for dataset in study.config.datasets]
    return times + [lay.pairs(*run) for run in study.control_runs()]


def _unpack_rows(study: Study, at: Layout) -> None:
    """The rows of each run, without the times that `analyze` joins to them."""
    lay, rows = study.layout, read_table(at.rows)
    timed = {name for dataset in study.config.datasets for name in read_table(at.runtime(dataset.id))}
    own = rows.drop(columns=[name for name in rows if name in timed - set(KEY)])
    _write_parts(own, RUN_KEY, {run: lay.pairs(*run) for run in study.runs()})
    if any(study.transfers()):
        paths = {(data, method, other): lay.transfer(data, method, other) for data, method, other in study.transfers()}
        _write_parts(read_table(at.transfer_rows), [TRAINED_ON, "method", "dataset"], paths)
    if study.config.curve is not None:
        points = {point: lay.curve_pairs(*point) for point in study.curve_points()}
        _write_parts(read_table(at.curve_rows), [*RUN_KEY, "point"], points, drop=["point"])


def _write_parts(
    frame: pd.DataFrame, keys: Sequence[str], paths: Mapping[tuple[Any, ...], Path], drop: Sequence[str] = ()
) -> None:
    parts = _by(frame, keys)
    for key, path in paths.items():
        write_table(path, parts.get(key, frame.iloc[:0]).drop(columns=list(drop)))


def _by(frame: pd.DataFrame, keys: Iterable[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    return {
        tuple(key): part.reset_index(drop=True) for key, part in frame.groupby(list(keys), sort=False, observed=True)
    }


def _inside(root: Path, name: str) -> Path:
    """A file of a study by the name that a record gives it.

    Raises:
        RegbenchError: if it would lie elsewhere.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.suffix not in (".json", ".parquet"):
        raise RegbenchError(f"`{RECORDS}` must name files of a study, but has `{name}`.")
    return root / path


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        raise RegbenchError(f"`{error.filename}` must be usable, but got: {error.strerror}.") from error
