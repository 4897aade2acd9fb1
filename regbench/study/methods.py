"""What a config says is to be done: methods, and the seeds, searches, rounds and runs of each.

Imports neither torch nor mlflow: the Snakefile reads this in every job.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue

from regbench.study import looks
from regbench.study.config import Config, LambdaRule
from regbench.study.data_config import DatasetConfig, OnlyTested
from regbench.study.grid_config import Component, Model, Refine, Regularizer
from regbench.study.layout import CONTROLS, IDENTITY, REFINED, Layout
from regbench.study.pools import Pool, pools_of
from regbench.study.terms import WITHOUT_WEIGHTS, passes
from regbench.system.credentials import without_password
from regbench.system.errors import UsageError, did_you_mean

MLFLOW_URI = "MLFLOW_TRACKING_URI"  # of the environment
# Keys of a config that change no number: where things lie, who is told, how the work is cut into jobs.
NO_NUMBER: Mapping[str, bool | set[str]] = {
    "tracking": True,
    "tuning": {"trials_per_job"},
    "results": True,
    "one_job_per": True,
}


@dataclass(frozen=True)
class Method:
    """One row of the table: model + similarity + regularizer, or a baseline; `identity` and controls have none.

    Attributes:
        refine: how each pair is refined from the displacement of a network on that another method trained.
    """

    id: str
    model: Component | None = None
    similarity: Component | None = None
    regularizer: Regularizer | None = None
    baseline: Component | None = None
    control: bool = False
    refine: Refine | None = None

    @property
    def cell(self) -> bool:
        """Whether it is a similarity with a regularizer; no registration, baselines and controls are none."""
        return self.similarity is not None

    @property
    def tuned(self) -> bool:
        """Whether it has a lambda, searches and runs of its own; a refined row has those of its network's row."""
        return self.cell and self.refine is None

    @property
    def trained_as(self) -> str:
        """The method whose runs it takes: itself, or of a refined row the row of its network."""
        if self.refine is None or self.model is None:
            return self.id
        return f"{self.model.id.removesuffix(REFINED)}.{self.losses}"

    @property
    def losses(self) -> str:
        """Its similarity and regularizer in one name, such as ``lcc.grad_l2``; all models of a study share it."""
        return f"{self.similarity.id}.{self.regularizer.id}" if self.similarity and self.regularizer else ""

    @property
    def needs_training(self) -> bool:
        """Whether it trains weights; `instance` has none, and a refined row takes those of its network's row."""
        return self.has_weights and self.refine is None

    @property
    def has_weights(self) -> bool:
        """Whether its model has weights; `instance` has none: it optimises each pair by itself."""
        return self.model is not None and self.model.name not in WITHOUT_WEIGHTS

    @property
    def weights(self) -> int:
        """How many weights a search of its lambda has: lambda, and those of further terms that have a range."""
        return 1 + sum(term.searched is not None for term in self.regularizer.further) if self.regularizer else 0


@dataclass(frozen=True, eq=False)
class Study:
    """What a config says is to be done. Every answer follows from `config` alone, and the long ones are computed once.

    `regbench.study.job_specs` says what each job depends on.
    """

    config: Config

    @property
    def name(self) -> str:
        """What the config calls it, and its folder."""
        return self.config.study

    @cached_property
    def layout(self) -> Layout:
        """Its files and folders."""
        return Layout(Path(self.config.results) / self.name)

    @cached_property
    def protocol(self) -> dict[str, JsonValue]:
        """All of the config that may change a number; `curve` and `looks` only where there are some."""
        whole = self.config.model_dump(mode="json", exclude=NO_NUMBER)
        return {key: value for key, value in whole.items() if key not in ("curve", "looks") or value is not None}

    @property
    def shown_uri(self) -> str:
        """Where MLflow keeps its copy, as users may read it: relative to the working directory, without a password.

        `regbench.tracking.store.tracking_uri` is the one to connect to.
        """
        return without_password(self.config.tracking.uri or f"sqlite:///{self.config.results}/mlflow.db")

    def unused_uri(self, variables: Mapping[str, str]) -> str:
        """What to say of a tracking URI that the environment gives and the config does not; empty if nothing.

        A study's files and its store belong together: where it goes must not depend on the shell that asks.

        Args:
            variables: the environment.
        """
        given = variables.get(MLFLOW_URI, "")
        if not given or self.config.tracking.uri is not None or not self.config.tracking.enabled:
            return ""
        return (
            f"{MLFLOW_URI} is set ({without_password(given)}) and not used: the config has no `tracking.uri`, so the "
            f"study's runs go to {self.shown_uri}. To use it, write it into the config"
        )

    @property
    def optional_tables(self) -> set[str]:
        """Those of `report_files.OPTIONAL` that the study has."""
        several = len(self.config.datasets) > 1 or len(self.config.models) > 1
        curve = self.config.curve is not None
        known = {"controls": self.config.controls, "transfer": any(self.transfers()), "lambda_transfer": several}
        known |= dict.fromkeys(("curve", "curve_verdicts"), curve) | {"looks": self.config.looks is not None}
        return {name for name, there in known.items() if there}

    @property
    def optional_figures(self) -> set[str]:
        """Those of `report_files.OPTIONAL_FIGURES` that the study has."""
        return set() if self.config.curve is None else {"curve"}

    @property
    def has_password(self) -> bool:
        """Whether the config's tracking URI holds credentials."""
        uri = self.config.tracking.uri or ""
        return without_password(uri) != uri

    def transfers(self) -> Iterator[tuple[str, str, str]]:
        """(dataset, method, tested set): the cells whose runs are evaluated on other data than they were trained on."""
        for dataset in self.config.datasets:
            for method in self.methods:
                for other in self.tested_elsewhere(dataset.id) if method.cell else ():
                    yield dataset.id, method.id, other

    def tested_elsewhere(self, dataset: str) -> list[str]:
        """The other data on which the runs of a dataset are evaluated too; no other fold, which it trained with."""
        known = next((pool.folds for pool in self.pools if dataset in pool.folds), (dataset,))
        return [other for other in self.config.evaluate_on if other not in known]

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """The folds whose test pairs are pooled."""
        return pools_of(self.config.datasets)

    @property
    def uses_masks(self) -> bool:
        """Whether a training or an evaluation counts by masks."""
        return self.config.training.mask != "none" or self.config.evaluation.mask != "none"

    @property
    def uses_dice(self) -> bool:
        """Whether the training has a weight for the overlap of labels, or searches one."""
        searched = any(entry.parameter == "training.dice_weight" for entry in self.config.tuning.search)
        return searched or self.config.training.dice_weight > 0

    def dataset(self, name: str) -> DatasetConfig:
        """The dataset or test set called `name`.

        Raises:
            UsageError: if the study has none of that name.
        """
        known = {dataset.id: dataset for dataset in (*self.config.datasets, *self.config.test_sets)}
        if name not in known:
            raise UsageError(f"dataset `{name}` is not in study `{self.name}`; {did_you_mean(name, known)}")
        return known[name]

    def unneeded_splits(self, dataset: DatasetConfig) -> tuple[str, ...]:
        """The splits that the config leaves out and no job looks at: one pair with a fixed lambda is a study too.

        Train, where every cell is optimised pair by pair; validation too, where no lambda is searched.
        """
        splits, cells = dataset.splits, [method for method in self.methods if method.tuned]
        if isinstance(dataset, OnlyTested) or splits.folds is not None or any(cell.needs_training for cell in cells):
            return ()
        curve = self.config.curve
        by_validation = curve is not None and isinstance(curve.levels, int)  # the choice of the levels
        searched = by_validation or any(self.rounds(cell.id) for cell in cells)
        return tuple(name for name in ("train", "validation")[: 1 if searched else 2] if splits.part(name) is None)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """`identity` first, then baselines, then every model x similarity x regularizer, in the order of the config.

        The refined rows of a model stand behind its own, as those of another model.
        """
        baselines = [Method(baseline.id, baseline=baseline) for baseline in self.config.baselines]
        cells = [
            Method(f"{model.id}.{similarity.id}.{regularizer.id}", model, similarity, regularizer, refine=refine)
            for entry in self.config.models
            for model, refine in _rows(entry)
            for similarity in self.config.grid.similarities
            for regularizer in self.config.grid.regularizers
        ]
        return (Method(IDENTITY), *baselines, *cells)

    @cached_property
    def controls(self) -> tuple[Method, ...]:
        """The last rows of the table. The job that evaluates `identity` evaluates them: they have none of their own."""
        return tuple(Method(name, control=True) for name in CONTROLS) if self.config.controls else ()

    @cached_property
    def _by_id(self) -> dict[str, Method]:
        return {method.id: method for method in (*self.methods, *self.controls)}

    def method(self, name: str) -> Method:
        """The method or control called `name`.

        Raises:
            UsageError: if the study has none of that name.
        """
        if name not in self._by_id:
            known = [method.id for method in self.methods]
            raise UsageError(f"method `{name}` is not in study `{self.name}`; {did_you_mean(name, known)}")
        return self._by_id[name]

    def seeds(self, method: str, dataset: str | None = None, before: int | None = None) -> tuple[int, ...]:
        """The seeds of a method; where nothing is drawn (no training) every seed gives the same: one a search.

        Args:
            method: its id.
            dataset: with `looks`, with the further seeds that looks at this dataset have given; those before the first
                look without it.
            before: the number of a look: those that it sees.
        """
        known = self.method(method)
        if not known.cell:
            return self.config.seeds[:1]
        units = self.units(method, dataset, before)
        seeds = self.config.seeds if units is None else self.seeds_of_units(units)
        return seeds if known.has_weights else seeds[:: self._seeds_of_search]

    def replicates(self, method: str, dataset: str | None = None) -> range:
        """The independent searches of a cell, each with its own lambda and share of the seeds; by looks as `seeds`."""
        count = self.config.tuning.replicates if self.method(method).tuned else 1
        return range(count if count == 1 else self.units(method, dataset) or count)

    def units(self, method: str, dataset: str | None = None, before: int | None = None) -> int | None:
        """How many units (`looks.Batches`) a cell has, as `seeds` counts them; None where it has all at once."""
        model = self.method(method).model
        if self.batches_of_looks is None or model is None or not self.looked_at(method):
            return None
        first, *further = self.batches_of_looks.counts
        given = looks.given(self.layout, dataset, model.id, before) if further and dataset is not None else {}
        return given.get(method, first)

    def with_all_seeds(self) -> "Study":
        """The study as it is when every cell gets all seeds: what its looks may come to at most."""
        if self.config.looks is None or self.batches_of_looks is None:
            return self
        at_once = self.config.looks.model_copy(update={"first": self.batches_of_looks.counts[-1]})
        return Study(self.config.model_copy(update={"looks": at_once}))

    def looked_at(self, method: str) -> bool:
        """Whether a cell gets its seeds in looks: where a training or a search is drawn."""
        known = self.method(method)
        drawn = known.has_weights or self.config.tuning.replicates > 1
        return self.config.looks is not None and known.tuned and drawn

    @cached_property
    def batches_of_looks(self) -> looks.Batches | None:
        """What each look adds; None without `looks`."""
        if (asked := self.config.looks) is None:
            return None
        searches = self.config.tuning.replicates
        most = searches if searches > 1 else len(self.config.seeds)
        return looks.Batches((*range(asked.first, most, asked.step), most), "searches" if searches > 1 else "seeds")

    @cached_property
    def looked_models(self) -> tuple[str, ...]:
        """The models whose cells get their seeds in looks."""
        return tuple(dict.fromkeys(m.model.id for m in self.methods if m.model and self.looked_at(m.id)))

    def cells_of(self, model: str) -> list[str]:
        """The cells of a model, which are compared with each other."""
        return [method.id for method in self.methods if method.model is not None and method.model.id == model]

    def seeds_of_units(self, units: int) -> tuple[int, ...]:
        """The seeds of the first units of a look, each a seed, or with several searches the seeds of one."""
        return self.config.seeds[: units * (self._seeds_of_search if self.config.tuning.replicates > 1 else 1)]

    def replicate_of(self, seed: int) -> int:
        """The search whose choice a seed trains with: the seeds are dealt to the searches in blocks of their order.

        A seed that is none of the study's (`regbench train --seed`) takes the choice of the first.
        """
        return self.config.seeds.index(seed) // self._seeds_of_search if seed in self.config.seeds else 0

    @property
    def _seeds_of_search(self) -> int:
        """How many seeds train with the choice of each search."""
        return max(len(self.config.seeds) // self.config.tuning.replicates, 1)

    def tuning_seed(self, replicate: int) -> int:
        """The seed of a search: of its sampler and of its trials' trainings; the first search has the study's own."""
        seed = self.config.tuning.seed
        if replicate == 0:
            return seed
        return _seed_of(f"{seed}/replicate{replicate}")

    def draw_of(self, replicate: int) -> int:
        """The draw of validation subjects of a search: the searches are dealt to the draws in blocks; 0 is declared."""
        tuning = self.config.tuning
        return replicate // max(tuning.replicates // tuning.splits, 1)

    def split_of(self, seed: int) -> int:
        """The draw of validation subjects that a seed is searched and trained with."""
        return self.draw_of(self.replicate_of(seed))

    @cached_property
    def redraws(self) -> tuple[int, ...]:
        """The seeds of the further draws of validation subjects."""
        draws, seed = range(1, self.config.tuning.splits), self.config.tuning.seed
        return tuple(_seed_of(f"{seed}/split{draw}") for draw in draws)

    def one_job(self, method: str) -> bool:
        """Whether one job does the whole cell: where nothing is trained, and where the config says so."""
        known = self.method(method)
        whole = self.config.one_job_per != "stage" or not known.needs_training
        return known.tuned and whole and not self.looked_at(method)  # else each look would send its jobs anew

    def job_of_cells(self, method: str) -> tuple[str, int]:
        """What the job of a whole cell is called, and how many cells it does: one, or one of each similarity."""
        known = self.method(method)
        if self.config.one_job_per != "regularizer" or known.model is None or known.regularizer is None:
            return method, 1
        return f"{known.model.id}.{known.regularizer.id}", len(self.config.grid.similarities)

    def runs(self) -> Iterator[tuple[str, str, int]]:
        """(dataset, method, seed) of every run of the study."""
        for dataset in self.config.datasets:
            for method in self.methods:
                for seed in self.seeds(method.id, dataset.id):
                    yield dataset.id, method.id, seed

    def control_runs(self) -> Iterator[tuple[str, str, int]]:
        """(dataset, control, seed) of every control: rows that `identity` brings with it."""
        seed = self.config.seeds[0]
        return ((dataset.id, control.id, seed) for dataset in self.config.datasets for control in self.controls)

    def tuned_runs(self) -> Iterator[tuple[str, str, int]]:
        """Those runs that are trained and have a folder with a model."""
        return (run for run in self.runs() if self.method(run[1]).tuned)

    def drawn_files(self) -> Iterator[Path]:
        """What a report draws beside rows and summary: slices of the pairs of each run, and histories of trainings."""
        lay = self.layout
        yield from (lay.panels(*run) for run in (*self.runs(), *self.control_runs()))
        yield from (lay.history(*run) for run in self.tuned_runs())

    @property
    def further_points(self) -> range:
        """The numbers of the points of a run's curve beside its chosen lambda; none without `curve`."""
        return range(1, 1 if self.config.curve is None else self.config.curve.points)

    def curve_points(self) -> Iterator[tuple[str, str, int, int]]:
        """(dataset, method, seed, point) of every further training of the curves of all cells."""
        for dataset, method, seed in self.tuned_runs():
            for point in self.further_points:
                yield dataset, method, seed, point

    def timed_baselines(self) -> list[Method]:
        """The baselines whose time is measured: all but fields that are read from files."""
        return [method for method in self.methods if method.baseline and method.baseline.name != "fields"]

    def rounds(self, method: str) -> int:
        """How many rounds of trials a cell has; none where lambda is fixed."""
        rule = self.lambda_of(method)
        if not self.method(method).tuned or (rule is not None and rule.value is not None):
            return 0
        return -(-self.trials(method) // self.config.tuning.round_size)

    def trials(self, method: str) -> int:
        """How many trials each search of a cell may have; with `trials_per_weight` so many for each of its weights."""
        tuning = self.config.tuning
        return tuning.trials * (self.method(method).weights if tuning.fairness == "trials_per_weight" else 1)

    def passes(self, method: str) -> int:
        """How often a step of a cell runs its network."""
        regularizer = self.method(method).regularizer
        names = [] if regularizer is None else [regularizer.first.name, *(term.name for term in regularizer.further)]
        return passes(self.config.training.directions, names)

    def round_size(self, method: str, number: int) -> int:
        """Trials in a round: all the same but the last, which has what is left."""
        size = self.config.tuning.round_size
        return min(size, self.trials(method) - number * size)

    def batches(self, method: str, number: int) -> list[tuple[int, int]]:
        """(first, last) slot of each job of a round."""
        size, step = self.round_size(method, number), self.config.tuning.trials_per_job
        return [(first, min(first + step, size) - 1) for first in range(0, size, step)]

    def trial_files(self, dataset: str, method: str, before: int | None = None, replicate: int = 0) -> list[Path]:
        """The trial files of a search, of all rounds or of those before one."""
        return [
            self.layout.trials(dataset, method, number, slots, replicate)
            for number in range(self.rounds(method) if before is None else before)
            for slots in self.batches(method, number)
        ]

    def lambda_of(self, method: str) -> LambdaRule | None:
        """The rule of a cell: a range to search, or one value; None where there is no lambda, or its range is found."""
        cell = self.method(method)
        if cell.similarity is None or cell.regularizer is None:
            return None
        for rule in self.config.lambdas:
            if rule.similarity in ("*", cell.similarity.id) and rule.regularizer in ("*", cell.regularizer.id):
                return rule
        return None

    def finds_range(self, method: str) -> bool:
        """Whether the range of a cell's lambda is found before its first round: where no rule names it."""
        return self.method(method).tuned and self.lambda_of(method) is None

    @cached_property
    def found_ranges(self) -> tuple[tuple[Component, Regularizer], ...]:
        """The similarities and regularizers whose range of lambda is found, once for all models, on each dataset."""
        cells = [method for method in self.methods if self.finds_range(method.id)]
        return tuple(
            {m.losses: (m.similarity, m.regularizer) for m in cells if m.similarity and m.regularizer}.values()
        )

    @cached_property
    def ranges_together(self) -> tuple[str, ...]:
        """The similarities whose ranges one job finds for a regularizer; none where each range is a job of its own.

        The files of such a job have one pattern: where `lambdas` gives the ranges of some similarities with a
        regularizer and not with another, there is none.
        """
        names: dict[str, list[str]] = {}
        for similarity, regularizer in self.found_ranges:
            names.setdefault(regularizer.id, []).append(similarity.id)
        patterns = {tuple(of_regularizer) for of_regularizer in names.values()}
        return patterns.pop() if self.config.one_job_per == "regularizer" and len(patterns) == 1 else ()


def _seed_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1


def _rows(model: Model) -> Iterator[tuple[Component, Refine | None]]:
    """A model as its rows name it, and how they are refined."""
    yield model, None
    if model.refine is not None:
        yield model.model_copy(update={"id": f"{model.id}{REFINED}"}), model.refine
