"""The runs of a cell that is one job: each waits under the state folder, whole, until all of the cell are done.

Snakemake deletes the outputs of a job that failed, and before one that begins again; a job of many trainings would
lose them all. What waits is known by what it was made of, and stays where it is as a second name (a hard link) of the
files in their places: one more seed is one more training, and no more bytes on the disk.
"""

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from regbench.data.cache import Dataset
from regbench.study.plan import PAIRS, PANELS
from regbench.study.specs import EvaluateSpec, TrainSpec
from regbench.system.files import CHECKPOINT, HISTORY, LIVE, RUN, digest, file_sha256, read_json, write_json
from regbench.training.final_run import is_complete

OUTPUTS = (CHECKPOINT, HISTORY, RUN, PANELS, PAIRS)  # in the order in which they are put into their places
EVALUATED = "evaluated.json"  # beside the runs of a cell: what the rows of each were made of, and their checksums


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
    write_json(waiting.parent / EVALUATED, _notes(waiting) | {waiting.name: _note(spec, data, waiting)})


def publish(waiting: Path, folder: Path) -> None:
    """Put the files of a run into their places; rows last, newer than the run that they are of."""
    folder.mkdir(parents=True, exist_ok=True)
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


def _notes(waiting: Path) -> dict[str, Any]:
    path = waiting.parent / EVALUATED
    return dict(read_json(path)) if path.exists() else {}
