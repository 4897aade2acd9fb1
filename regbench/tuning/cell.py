"""A cell as one job: its searches, then its runs. Each run waits under the state folder, whole, until all are done.

Snakemake deletes the outputs of a job that failed, and before one that begins again; a job of many trainings would
lose them all. What waits is known by what it was made of, and stays where it is as a second name (a hard link) of the
files in their places: one more seed is one more training, and no more bytes on the disk.
"""

import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from regbench.data.cache import Dataset
from regbench.evaluation.run_rows import evaluate_run
from regbench.study.job_specs import evaluate_spec
from regbench.study.layout import PAIRS, PANELS
from regbench.study.methods import Study
from regbench.study.specs import EvaluateSpec, TrainSpec
from regbench.system.files import (
    CHECKPOINT,
    HISTORY,
    LIVE,
    RUN,
    clear_half_written,
    digest,
    file_sha256,
    read_sealed,
    write_sealed,
)
from regbench.system.ownership import owning
from regbench.training.final_run import is_complete, train
from regbench.tuning.chosen_run import chosen_run
from regbench.tuning.search_files import choose_lambda, propose_round
from regbench.tuning.trial_batch import run_batch

OUTPUTS = (CHECKPOINT, HISTORY, RUN, PANELS, PAIRS)  # in the order in which they are put into their places
EVALUATED = "evaluated.json"  # beside the runs of a cell: what the rows of each were made of, and their checksums


def run_cells(study: Study, data: Dataset, methods: Sequence[str], *, save_every: float, bar: bool = False) -> None:
    """Do every stage of some cells, one cell after the other; what is finished already is not done again.

    Args:
        study: with the cells.
        data: prepared dataset of the study.
        methods: ids of methods with a lambda.
        save_every: seconds between two writes of a training's state.
        bar: show progress bars.
    """
    for method in methods:
        with owning(study.layout.cell_owner(data.id, method), f"cell {method}"):
            tune(study, data.id, method, data, bar=bar)
            final_runs(study, data.id, method, data, save_every=save_every, bar=bar)


def tune(study: Study, dataset: str, method: str, data: Dataset, *, bar: bool = False) -> None:
    """Do every search of a cell: its rounds of trials, one after the other, and the choice."""
    for replicate in study.replicates(method, dataset):
        for number in range(study.rounds(method)):
            propose_round(study, dataset, method, number, replicate)
            for slots in study.batches(method, number):
                run_batch(study, dataset, method, data, replicate=replicate, number=number, slots=slots, bar=bar)
        choose_lambda(study, dataset, method, replicate)


def final_runs(study: Study, dataset: str, method: str, data: Dataset, *, save_every: float, bar: bool = False) -> None:
    """Train and evaluate every seed of a cell where its runs wait; put all into their places at the end."""
    lay = study.layout
    folders = {seed: lay.waiting(dataset, method, seed) for seed in study.seeds(method, dataset)}
    runs = {seed: chosen_run(study, dataset, method, seed) for seed in folders}
    for seed, waiting in folders.items():
        clear_old(runs[seed].spec, data.of_draw(study.split_of(seed)), waiting)
    for seed, waiting in folders.items():
        state = lay.training_state(dataset, method, seed)
        spec, reason = runs[seed]
        drawn = data.of_draw(study.split_of(seed))
        train(spec, drawn, waiting, reason=reason, state_path=state, unless_whole=True, save_every=save_every, bar=bar)
        evaluation = evaluate_spec(study, method, seed)
        if not evaluated(evaluation, data, waiting):
            owner = lay.evaluation_state(dataset, method, seed)
            evaluate_run(study, method, seed, data, folder=waiting, owner=owner)
            note_evaluated(evaluation, data, waiting)
    for seed, waiting in folders.items():
        publish(waiting, lay.run(dataset, method, seed))


def clear_old(spec: TrainSpec, data: Dataset, waiting: Path) -> None:
    """Delete a run that waits and is of another config, code, lambda or data, before anyone takes it for ours."""
    if (waiting / RUN).exists() and not is_complete(spec, data, waiting):
        shutil.rmtree(waiting)


def evaluated(spec: EvaluateSpec, data: Dataset, waiting: Path) -> bool:
    """Whether the rows and slices of this very evaluation of the run in `waiting` lie there, whole."""
    note = _notes(waiting).get(waiting.name, {})
    return bool(note) and _whole(waiting) and note == _note(spec, data, waiting)


def note_evaluated(spec: EvaluateSpec, data: Dataset, waiting: Path) -> None:
    """Keep what the rows that were just written are made of."""
    write_sealed(waiting.parent / EVALUATED, _notes(waiting) | {waiting.name: _note(spec, data, waiting)})


def publish(waiting: Path, folder: Path) -> None:
    """Put the files of a run into their places; rows last, newer than the run that they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    clear_half_written(folder)
    for name in OUTPUTS:
        _link(waiting / name, folder / name)
    (folder / LIVE).unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
    try:
        os.link(source, temporary)
        temporary.replace(target)
    except OSError:  # a file system without hard links: the next job of this cell will do this run again
        source.replace(target)
    finally:
        with suppress(OSError):  # renaming one name of a file to another of the same leaves both
            temporary.unlink(missing_ok=True)
    os.utime(target)  # newer than its inputs, as Snakemake wants it


def _note(spec: EvaluateSpec, data: Dataset, waiting: Path) -> dict[str, str]:
    made_of = {"spec": spec.to_json(), "data": data.checksum, "run": file_sha256(waiting / RUN)}
    return {"digest": digest(made_of)} | {name: file_sha256(waiting / name) for name in (PAIRS, PANELS)}


def _whole(waiting: Path) -> bool:
    return all((waiting / name).is_file() for name in OUTPUTS)


def _notes(waiting: Path) -> dict[str, dict[str, str]]:
    path = waiting.parent / EVALUATED
    return dict(read_sealed(path)) if path.exists() else {}
