"""The files of a cell while it is tuned and trained, and what they tell of every run of the cell."""

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict, cast

import pandas as pd

from regbench.report.summary_file import Choice, Value
from regbench.study.methods import Method
from regbench.study.terms import WEIGHT
from regbench.system.files import LIVE, RUN, read_sealed
from regbench.system.ownership import alive
from regbench.tracking.study_files import StudyFiles
from regbench.training import training_log
from regbench.tuning.trial_store import log_file, trial_file


class Proposal(TypedDict):
    """A proposed trial (`proposals.json`), or a trial that has ended, by what was tried."""

    number: int
    lam: float
    values: NotRequired[dict[str, Value]]


class BegunTrial(NamedTuple):
    """A trial that has begun: its result, or the log that it writes."""

    number: int
    lam: float
    values: Mapping[str, Value]
    state: Path  # folder of its log
    file: Path  # of the result, or before there is one, the log
    finished: bool
    running: bool = False
    replicate: int = 0


class CellFiles:
    """A row of the table: a dataset and a method, and what its trials and trainings have written so far.

    Attributes:
        key: of the cell's run in MLflow; the keys of its trials and trainings begin with it.
        entry: of the summary; None before the analysis.
        folders: of the final trainings, by seed.
        done: those whose training has ended.
        logs: those whose training has begun and not ended.
        curve_points: folders of the further trainings of curves that have ended, by seed and number.
        trials: those that have begun.
    """

    def __init__(self, study_files: StudyFiles, dataset: str, method: Method) -> None:
        self.study_files, self.dataset, self.method = study_files, dataset, method
        self.study, self.lay = study_files.study, study_files.lay
        self.key = f"{self.study.name}/{dataset}/{method.id}"
        self.entry = study_files.entries.get((dataset, method.id))
        seeds = self.study.seeds(method.id, dataset) if method.tuned else ()
        self.folders = {seed: self._folder(seed) for seed in seeds}
        self.done = {seed: folder for seed, folder in self.folders.items() if (folder / RUN).exists()}
        self.logs = {
            seed: folder for seed, folder in self.folders.items() if seed not in self.done and (folder / LIVE).exists()
        }
        points = [(seed, point) for seed in seeds for point in self.study.further_points]
        folders = {key: self.lay.curve_point(dataset, method.id, *key) for key in points}
        self.curve_points = {key: folder for key, folder in folders.items() if (folder / RUN).exists()}
        self.trials = list(self._begun_trials()) if method.tuned else []

    @property
    def begun(self) -> bool:
        """Whether any of its files exists."""
        return bool(self.entry or self.done or self.logs or self.trials)

    @cached_property
    def tags(self) -> dict[str, str]:
        """The tags that the UI groups and filters by, of the same names in every run of the cell."""
        parts = {"similarity": self.method.similarity, "regularizer": self.method.regularizer}
        named = {kind: part.id for kind, part in parts.items() if part}
        return self.study_files.tags | {"dataset": self.dataset, "method": self.method.id} | named

    @cached_property
    def params(self) -> dict[str, str]:
        """What varies, and nothing else: the Compare page shows the first params that differ."""
        parts = {"model": self.method.model, "reg": self.method.regularizer, "sim": self.method.similarity}
        further = self.method.regularizer.further if self.method.regularizer else ()
        fixed = {f"{WEIGHT}{term.id}": f"{term.weight:g}" for term in further if isinstance(term.weight, float)}
        named = {name: part.id if part else "none" for name, part in parts.items()}
        return named | {"dataset": self.dataset} | fixed

    @property
    def lam(self) -> float | None:
        """The lambda of the cell; None before it is chosen, and before the analysis of several searches."""
        if self.entry is not None:
            return None if self.entry["lam"] is None else float(self.entry["lam"])
        return self.chosen(0) if self.study.config.tuning.replicates == 1 else None

    def chosen(self, replicate: int) -> float | None:
        """The lambda that a search chose; None before, and where it found none."""
        path = self.lay.selected(self.dataset, self.method.id, replicate)
        if not self.method.tuned or not path.exists():
            return None
        choice: Choice = read_sealed(path)
        return None if choice["lam"] is None else float(choice["lam"])

    def title(self, lam: float | None) -> str:
        """The name of a run of the cell, with its model and its dataset where the study has several."""
        parts = [self.method.id]
        if self.method.similarity is not None and self.method.regularizer is not None:
            parts = [self.method.similarity.id.upper(), self.method.regularizer.id]
            models = {method.model.id for method in self.study.methods if method.model}
            parts += [self.method.model.id] if self.method.model and len(models) > 1 else []
        parts += [self.dataset] if len(self.study.config.datasets) > 1 else []
        return " · ".join([*parts, *([f"λ={lam:.3g}"] if lam is not None else [])])

    def search_tag(self, replicate: int) -> dict[str, str]:
        """The tag of a run that belongs to one of several searches; none where there is one search."""
        return {"replicate": str(replicate)} if self.study.config.tuning.replicates > 1 else {}

    def rows(self, seed: int | None = None) -> pd.DataFrame:
        """The rows of the analysis of this cell, or of one of its seeds; none before the analysis."""
        rows = self.study_files.rows
        rows = rows[(rows["dataset"] == self.dataset) & (rows["method"] == self.method.id)]
        return rows if seed is None else rows[rows["seed"] == seed]

    def curve_rows(self, seed: int, point: int) -> pd.DataFrame:
        """The rows of the analysis of a further training of a curve; none before the analysis."""
        rows = self.study_files.curve_rows
        mine = (rows["dataset"] == self.dataset) & (rows["method"] == self.method.id)
        return rows[mine & (rows["seed"] == seed) & (rows["point"] == point)]

    def trains(self, seed: int) -> bool:
        """Whether a process trains this seed now."""
        state = self.lay.training_state(self.dataset, self.method.id, seed)
        return alive(state.with_suffix(".owner"))

    def _folder(self, seed: int) -> Path:
        """The folder of a run; while the cell's one job is at work, the one where it waits for the others."""
        folder, waiting = (at(self.dataset, self.method.id, seed) for at in (self.lay.run, self.lay.waiting))
        waits = self.study.one_job(self.method.id) and not (folder / RUN).exists() and waiting.is_dir()
        return waiting if waits else folder

    def _begun_trials(self) -> Iterator[BegunTrial]:
        for replicate in self.study.replicates(self.method.id, self.dataset):
            for trial in self._trials_of_search(replicate):
                yield trial._replace(replicate=replicate)

    def _trials_of_search(self, replicate: int) -> Iterator[BegunTrial]:
        """The trials of each job: from its file, or before there is one, from what they have written so far."""
        study, lay, dataset, method = self.study, self.lay, self.dataset, self.method.id
        state = lay.trial_state(dataset, method, replicate)
        for number in range(study.rounds(method)):
            proposals = lay.proposals(dataset, method, number, replicate)
            for first, last in study.batches(method, number):
                path = lay.trials(dataset, method, number, (first, last), replicate)
                if path.exists():
                    for trial in _ended_trials(path, *version(path)[1:]):
                        values = trial.get("values", {})
                        yield BegunTrial(trial["number"], trial["lam"], values, state, path, finished=True)
                    continue
                if not proposals.exists():
                    return
                lives = alive(state / f"round{number}.trials{first}-{last}.owner")
                for proposal in read_sealed(proposals)[first : last + 1]:
                    yield from _unfinished(state, proposal, running=lives)


def version(path: Path) -> tuple[str, int | None, int | None]:
    """Path, time and size of a file: another version of the file has others."""
    try:
        status = path.stat()
    except OSError:
        return str(path), None, None
    return str(path), status.st_mtime_ns, status.st_size


def modified_ms(path: Path) -> int:
    """When a file was last written, in ms."""
    return int(path.stat().st_mtime * 1000)


def _unfinished(state: Path, proposal: Proposal, *, running: bool) -> Iterator[BegunTrial]:
    """A trial of a job that has not written its file; results and logs of other lambdas are of another config."""
    number, lam, values = proposal["number"], proposal["lam"], proposal.get("values", {})
    path, log = trial_file(state, number), log_file(state, number)
    if path.exists() and read_sealed(path)["lam"] == lam:
        yield BegunTrial(number, lam, values, state, path, finished=True)
    elif (head := training_log.head(log)) is not None and head["lam"] == lam:
        yield BegunTrial(number, lam, values, state, log, finished=False, running=running)


# Every look at a study reads these files, which change no more; time and size tell one version from another.
@lru_cache(maxsize=100_000)
def _ended_trials(path: Path, _mtime_ns: int | None, _size: int | None) -> list[Proposal]:
    keys = ("number", "lam", "values")
    return [cast("Proposal", {key: trial[key] for key in keys if key in trial}) for trial in read_sealed(path)]
