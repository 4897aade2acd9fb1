"""Bytes flipped in every file of a finished study: the next to read it refuses it by name, or nothing reads it."""

import contextlib
import hashlib
import io
import json
import logging
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from drilling import must
from harm import harm, opened
from table import New, drill
from tiny_study import TINY, verbs

from regbench.cli.main import main
from regbench.metrics import TIMED

UNREAD = ("logs", "partial")  # folders of what is for people
COPIED = {"tables", "figures", "report.html"}  # to MLflow, as they are
TIMES = {"seconds", "environment", "content_sha256", "took", "started", "time"}


@drill("bytes flipped, the end cut off, all emptied, in every file that a verb of a finished study reads",
       "refused with the file's name, or the same results")  # fmt: skip
def flipped_bytes(new: New) -> str:
    return damaged(new.place(), random.Random(new.seed + 5), flips=4)


@drill("one byte flipped in every file that `analyze`, `report` and `track` read",
       "refused with the file's name, or the same results",
       quick=True)  # fmt: skip
def one_flipped_byte(new: New) -> str:
    return damaged(new.place(), random.Random(new.seed + 6), flips=1, only=("analyze", "report", "track"), cut=False)


def damaged(folder: Path, draw: random.Random, *, flips: int, only: tuple[str, ...] = (), cut: bool = True) -> str:
    """Do it to a small study in `folder`; returns what was seen."""
    raw = {**TINY, "results": str(folder / "results"), "seeds": [0, 1], "tracking": {"follow": False}}
    config = folder / "study.yaml"
    config.write_text(yaml.safe_dump(raw))
    steps = [*verbs(raw, config), ["track", str(config)]]
    for step in steps:
        must(run(step) == (0, ""), f"`{' '.join(step)}` must end well: {run(step)[1]}")
    results, whole = folder / "results", folder / "whole"
    shutil.copytree(results, whole)
    first = {step[0]: step for step in reversed(steps)}  # one job of each verb, the first
    seen, wrong, read = Counter[str](), list[str](), set[Path]()
    for verb, step in first.items():
        if only and verb not in only:
            continue
        restore(results, whole)
        with opened() as names:
            run(step)
        undisturbed = contents(results)
        inputs = sorted({Path(name) for name in names if Path(name).is_relative_to(results)}
                        & {results / path.relative_to(whole) for path in files(whole)})  # fmt: skip
        read |= set(inputs)
        copied = {path for path in inputs if verb == "track" and set(path.parts) & COPIED}
        for path in sorted(set(inputs) - copied):
            for how in [*["flip"] * flips, *(["cut", "empty"] if cut else [])]:
                restore(results, whole)
                harm(path, how, draw)
                status, words = run(step)
                name = f"{verb}: {path.relative_to(results)} ({how})"
                if status in (1, 2) and path.name in words and "Traceback" not in words:
                    seen["refused by name"] += 1
                elif status == 0 and same(contents(results), undisturbed, path.relative_to(results)):
                    seen["same results"] += 1
                else:
                    wrong.append(f"{name}: status {status}, {words[-300:] or 'other results'}")
    must(not wrong, f"{len(wrong)} of {seen.total() + len(wrong)}: {'; '.join(wrong[:12])}")
    never = Counter(
        kind(path.relative_to(whole)) for path in files(whole) if results / path.relative_to(whole) not in read
    )
    unread = ", ".join(f"{count} {name}" for name, count in sorted(never.items()))
    told = ", ".join(f"{count} {words}" for words, count in seen.items())
    return f"{told}; {len(read)} files, tables and figures copied as they are; never read: {unread}"


def run(step: list[str]) -> tuple[int, str]:
    """A verb in this process: its status and what it says of what went wrong."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.WARNING)
        try:
            main(step)
        except SystemExit as error:
            return (error.code if isinstance(error.code, int) else 1), said.getvalue()
        except Exception as error:  # noqa: BLE001  whatever it is, it is a fault
            return -1, f"Traceback: {type(error).__name__}: {error}"
        finally:
            logging.disable(logging.NOTSET)
    return 0, ""


def files(folder: Path) -> list[Path]:
    """The files of results, but for those for people, locks and databases."""
    return sorted(
        path for path in folder.rglob("*")
        if path.is_file() and not set(path.relative_to(folder).parts) & set(UNREAD)
        and path.suffix not in (".lock", ".db", ".log") and "mlartifacts" not in path.parts
    )  # fmt: skip


def kind(path: Path) -> str:
    """What of a file's name says what it is."""
    return f"{path.parts[1] if len(path.parts) > 2 else ''}/*{path.suffix}"


def restore(results: Path, whole: Path) -> None:
    shutil.rmtree(results)
    shutil.copytree(whole, results)


def contents(results: Path) -> dict[Path, str]:
    """Digests of what the results say, times apart; of the store, its numbers."""
    said = {}
    for path in files(results):
        if path.parts[-2] != "runtime":
            said[path.relative_to(results)] = hashlib.sha256(repr(content(path)).encode()).hexdigest()
    if (results / "mlflow.db").exists():
        with contextlib.closing(sqlite3.connect(results / "mlflow.db")) as database:
            for table in ("metrics", "params"):
                rows = database.execute(f"SELECT * FROM {table}").fetchall()
                said[Path(table)] = repr(sorted(map(repr, rows)))
    return said


def same(ours: dict[Path, str], theirs: dict[Path, str], harmed: Path) -> bool:
    """Whether two results say the same, the harmed file apart: who does not read a byte need not mend it."""
    names = (ours.keys() | theirs.keys()) - {harmed}
    return all(ours.get(name) == theirs.get(name) for name in names)


def content(path: Path) -> object:
    """What a file says, times apart."""
    try:
        if path.suffix == ".json":
            return _timeless(json.loads(path.read_text()))
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            return frame[[name for name in frame if name not in TIMED]].to_csv()
        if path.suffix == ".npz":
            with np.load(path) as stored:
                return [(name, stored[name].tobytes()) for name in stored.files]
    except (OSError, ValueError, KeyError):
        pass
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _timeless(entry) for key, entry in sorted(value.items()) if key not in TIMES and "jsonl" not in key
        }
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value
