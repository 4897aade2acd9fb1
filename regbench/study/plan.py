"""From a study to its jobs: methods, folders, and for each job the slice of the config that it depends on.

Imports neither torch nor mlflow: the Snakefile reads this. A slice is JSON and stands in a rule's `params`, so that
Snakemake re-runs a job exactly when something it depends on has changed, the code of its stage included.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pydantic import JsonValue

from regbench.study.config import Component, Config, LambdaRule
from regbench.study.fingerprint import component_module, fingerprint
from regbench.study.specs import (
    BudgetSpec,
    CellSpec,
    ComponentSpec,
    DimensionSpec,
    EvaluateSpec,
    NamedComponentSpec,
    PrepareSpec,
    ProposeSpec,
    SelectSpec,
    StudySpec,
    TimedBaselineSpec,
    TimingSpec,
    TrackSpec,
    TrainSpec,
    TrialSpec,
)
from regbench.system.credentials import without_password
from regbench.system.errors import UsageError, did_you_mean
from regbench.system.files import CHECKPOINT, HISTORY, MANIFEST, RUN

IDENTITY = "identity"
CONTROLS = ("control_self", "control_sort")  # of `regbench.evaluation.controls`: rows that say what a table is worth
WITHOUT_WEIGHTS = frozenset({"instance"})  # models
PAIRS = "pairs.parquet"  # a run's rows
PANELS = "panels.npz"  # slices for the figures, beside a run's rows
# Keys of a config that change no number: where things lie, who is told, how the work is cut into jobs.
NO_NUMBER: Any = {"tracking": True, "tuning": {"trials_per_job"}, "results": True, "one_job_per_cell": True}
_KEPT: dict[int, tuple[Config, dict[str, "Method"]]] = {}


@dataclass(frozen=True)
class Method:
    """One row of the table: model + similarity + regularizer, or a baseline; `identity` and controls have none."""

    id: str
    model: Component | None = None
    similarity: Component | None = None
    regularizer: Component | None = None
    baseline: Component | None = None
    control: bool = False

    @property
    def tuned(self) -> bool:
        """Whether it has a lambda, seeds and runs; no registration, baselines and controls have none."""
        return self.similarity is not None

    @property
    def needs_training(self) -> bool:
        """Whether its model has weights; `instance` has none: it optimises each pair by itself."""
        return self.model is not None and self.model.name not in WITHOUT_WEIGHTS


@dataclass(frozen=True)
class Layout:
    """Where everything of a study lies. Its methods take wildcards as well as names."""

    root: Path

    def data(self, dataset: str) -> Path:
        return self.root / "data" / dataset

    def manifest(self, dataset: str) -> Path:
        return self.data(dataset) / MANIFEST

    def search(self, dataset: str, method: str, replicate: int | str = 0) -> Path:
        """All that one of a cell's independent searches writes."""
        return Path(self.root, "tuning", dataset, method, f"replicate{replicate}")

    def proposals(self, dataset: str, method: str, number: int | str, replicate: int | str = 0) -> Path:
        return Path(self.search(dataset, method, replicate), f"round{number}", "proposals.json")

    def trials(
        self, dataset: str, method: str, number: int | str, slots: tuple[int | str, int | str], replicate: int | str = 0
    ) -> Path:
        """The results of one job: those of the slots from the first to the last."""
        first, last = slots
        return Path(self.search(dataset, method, replicate), f"round{number}", f"trials{first}-{last}.json")

    @property
    def state(self) -> Path:
        """What must survive a kill, and who is at work: nothing of it is a result."""
        return self.root / "state"

    @property
    def workflow_lock(self) -> Path:
        """Owned by the head."""
        return self.state / "workflow.lock"

    @property
    def head_note(self) -> Path:
        """Where the log of the last head lies."""
        return self.state / "head.json"

    @property
    def optuna_owner(self) -> Path:
        """Owned by who exports to Optuna."""
        return self.state / "optuna.owner"

    def trial_state(self, dataset: str, method: str, replicate: int | str = 0) -> Path:
        return Path(self.state, "trials", dataset, method, f"replicate{replicate}")

    def trial_owner(self, dataset: str, method: str, job: str, replicate: int | str = 0) -> Path:
        """Of the trials of one job, such as ``round0.trials0-3``."""
        return self.trial_state(dataset, method, replicate) / f"{job}.owner"

    def training_state(self, dataset: str, method: str, seed: int | str) -> Path:
        return Path(self.state, "training", dataset, method, f"seed{seed}.pt")

    def training_owner(self, dataset: str, method: str, seed: int | str) -> Path:
        return self.training_state(dataset, method, seed).with_suffix(".owner")

    def waiting(self, dataset: str, method: str, seed: int | str) -> Path:
        """Where a run of a cell that is one job lies, whole, until all runs of the cell are done."""
        return Path(self.state, "cells", dataset, method, f"seed{seed}")

    def cell_owner(self, dataset: str, method: str) -> Path:
        return Path(self.state, "cells", dataset, f"{method}.owner")

    def evaluation_state(self, dataset: str, method: str, seed: int | str) -> Path:
        return Path(self.state, "evaluation", dataset, method, f"seed{seed}.owner")

    def runtime_state(self, dataset: str) -> Path:
        """What the timing of a dataset has so far."""
        return Path(self.state, "runtime", dataset)

    def runtime_owner(self, dataset: str) -> Path:
        return self.runtime_state(dataset).with_suffix(".owner")

    def selected(self, dataset: str, method: str, replicate: int | str = 0) -> Path:
        return self.search(dataset, method, replicate) / "selected.json"

    def run(self, dataset: str, method: str, seed: int | str) -> Path:
        return Path(self.root, "runs", dataset, method, f"seed{seed}")

    def run_record(self, dataset: str, method: str, seed: int | str) -> Path:
        """What a run is made of and what came of it; its training writes it last."""
        return self.run(dataset, method, seed) / RUN

    def checkpoint(self, dataset: str, method: str, seed: int | str) -> Path:
        return self.run(dataset, method, seed) / CHECKPOINT

    def history(self, dataset: str, method: str, seed: int | str) -> Path:
        """Every step of a run's training."""
        return self.run(dataset, method, seed) / HISTORY

    def pairs(self, dataset: str, method: str, seed: int | str) -> Path:
        """Rows of a run; those of the controls lie beside the rows of `identity`, whose job writes them."""
        if method in CONTROLS:
            return self.run(dataset, IDENTITY, seed) / f"{method}.parquet"
        return self.run(dataset, method, seed) / PAIRS

    def panels(self, dataset: str, method: str, seed: int | str) -> Path:
        """Slices for the figures, beside the rows."""
        return self.pairs(dataset, method, seed).with_name(f"{method}.npz" if method in CONTROLS else PANELS)

    def runtime(self, dataset: str) -> Path:
        return self.root / "runtime" / f"{dataset}.parquet"

    def log(self, job: str) -> Path:
        return self.root / "logs" / f"{job}.log"

    @property
    def rows(self) -> Path:
        return self.root / "analysis" / "rows.parquet"

    @property
    def summary(self) -> Path:
        return self.root / "analysis" / "summary.json"

    @property
    def tracked(self) -> Path:
        return self.state / "tracked.json"

    @property
    def optuna_database(self) -> Path:
        """Where `export-optuna` writes the trials, unless it is told another storage."""
        return self.root / "optuna.db"

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def partial(self) -> Path:
        """The table of an unfinished study, away from the one that counts."""
        return self.root / "partial"

    @property
    def run_ids(self) -> Path:
        """The MLflow run of each run key, beside the tables; written by every push."""
        return self.tables / "mlflow_runs.json"

    @property
    def views(self) -> Path:
        """Links to the prepared views on an MLflow server, beside the tables; written by every push to one."""
        return self.tables / "mlflow.html"

    @property
    def page(self) -> Path:
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    def thumbnail(self, dataset: str, method: str) -> Path:
        """One pair of a method in one small picture."""
        return Path(self.figures, "methods", dataset, f"{method}.png")


def layout(config: Config) -> Layout:
    """The folders of a study."""
    return Layout(Path(config.results) / config.study)


def shown_uri(config: Config) -> str:
    """Where MLflow keeps its copy, as users may read it: relative to the working directory, without a password.

    `regbench.tracking.store.tracking_uri` is the one to connect to.
    """
    return without_password(config.tracking.uri or f"sqlite:///{config.results}/mlflow.db")


def has_password(config: Config) -> bool:
    """Whether the config's tracking URI holds credentials."""
    uri = config.tracking.uri or ""
    return without_password(uri) != uri


def methods(config: Config) -> tuple[Method, ...]:
    """`identity` first, then baselines, then every model x similarity x regularizer, in the order of the config."""
    return tuple(_by_id(config).values())


def _by_id(config: Config) -> dict[str, Method]:
    """The methods by name, kept for the config of the last question: every job of a study asks."""
    kept = _KEPT.get(id(config))
    if kept is None:
        _KEPT.clear()
        kept = _KEPT[id(config)] = (config, {method.id: method for method in _methods(config)})
    return kept[1]  # the config is kept too: while it lives, no other has its id


def _methods(config: Config) -> tuple[Method, ...]:
    baselines = [Method(baseline.id, baseline=baseline) for baseline in config.baselines]
    cells = [
        Method(f"{model.id}.{similarity.id}.{regularizer.id}", model, similarity, regularizer)
        for model in config.models
        for similarity in config.grid.similarities
        for regularizer in config.grid.regularizers
    ]
    return (Method(IDENTITY), *baselines, *cells)


def controls(config: Config) -> tuple[Method, ...]:
    """The last rows of the table. The job that evaluates `identity` evaluates them: they have none of their own."""
    return tuple(Method(name, control=True) for name in CONTROLS) if config.controls else ()


def find_method(config: Config, name: str) -> Method:
    """The method or control called `name`.

    Raises:
        UsageError: if the study has none of that name.
    """
    known = _by_id(config)
    if name in CONTROLS and config.controls:
        return Method(name, control=True)
    if name not in known:
        raise UsageError(f"method `{name}` is not in study `{config.study}`; {did_you_mean(name, known)}")
    return known[name]


def seeds(config: Config, method: str) -> tuple[int, ...]:
    """The seeds of a method; where nothing is drawn (no training) every seed gives the same: one for each search."""
    known = find_method(config, method)
    if not known.tuned:
        return config.seeds[:1]
    return config.seeds if known.needs_training else config.seeds[:: _block(config)]


def replicates(config: Config, method: str) -> range:
    """The independent searches of a cell; each has its own lambda and its own share of the seeds."""
    return range(config.tuning.replicates if find_method(config, method).tuned else 1)


def replicate_of(config: Config, seed: int) -> int:
    """The search whose choice a seed trains with: the seeds are dealt to the searches in blocks of their order.

    A seed that is none of the study's (`regbench train --seed`) takes the choice of the first.
    """
    return config.seeds.index(seed) // _block(config) if seed in config.seeds else 0


def seeds_of(config: Config, method: str, replicate: int) -> tuple[int, ...]:
    """The seeds of a method that train with the choice of one search."""
    return tuple(seed for seed in seeds(config, method) if replicate_of(config, seed) == replicate)


def _block(config: Config) -> int:
    return max(len(config.seeds) // config.tuning.replicates, 1)


def tuning_seed(config: Config, replicate: int) -> int:
    """The seed of a search: of its sampler and of its trials' trainings; the first search has the study's own."""
    if replicate == 0:
        return config.tuning.seed
    text = f"{config.tuning.seed}/replicate{replicate}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def one_job(config: Config, method: str) -> bool:
    """Whether one job does the whole cell: where nothing is trained, and where the study says so."""
    known = find_method(config, method)
    return known.tuned and (config.one_job_per_cell or not known.needs_training)


def runs(config: Config) -> Iterator[tuple[str, str, int]]:
    """(dataset, method, seed) of every run of the study."""
    for dataset in config.datasets:
        for method in methods(config):
            for seed in seeds(config, method.id):
                yield dataset.id, method.id, seed


def control_runs(config: Config) -> Iterator[tuple[str, str, int]]:
    """(dataset, control, seed) of every control: rows that `identity` brings with it."""
    return ((dataset.id, method.id, config.seeds[0]) for dataset in config.datasets for method in controls(config))


def tuned_runs(config: Config) -> Iterator[tuple[str, str, int]]:
    """Those runs that are trained and have a folder with a model."""
    tuned = {method.id for method in methods(config) if method.tuned}
    return (run for run in runs(config) if run[1] in tuned)


def timed_baselines(config: Config) -> list[Method]:
    """The baselines whose time is measured: all but fields that are read from files."""
    return [method for method in methods(config) if method.baseline and method.baseline.name != "fields"]


def rounds(config: Config, method: str) -> int:
    """How many rounds of trials a cell has; none where lambda is fixed."""
    rule = lambda_of(config, method)
    if rule is None or rule.value is not None:
        return 0
    return -(-config.tuning.trials // config.tuning.round_size)


def round_size(config: Config, number: int) -> int:
    """Trials in a round: all the same but the last, which has what is left."""
    return min(config.tuning.round_size, config.tuning.trials - number * config.tuning.round_size)


def batches(config: Config, number: int) -> list[tuple[int, int]]:
    """(first, last) slot of each job of a round."""
    size, step = round_size(config, number), config.tuning.trials_per_job
    return [(first, min(first + step, size) - 1) for first in range(0, size, step)]


def trial_files(config: Config, dataset: str, method: str, before: int | None = None, replicate: int = 0) -> list[Path]:
    """The trial files of a search, of all rounds or of those before one."""
    last = rounds(config, method) if before is None else before
    return [
        layout(config).trials(dataset, method, number, slots, replicate)
        for number in range(last)
        for slots in batches(config, number)
    ]


def lambda_of(config: Config, method: str) -> LambdaRule | None:
    """The rule of a cell: a range to search, or one value; None where there is no lambda."""
    cell = find_method(config, method)
    if cell.similarity is None or cell.regularizer is None:
        return None
    for rule in config.lambdas:
        if rule.similarity in ("*", cell.similarity.id) and rule.regularizer in ("*", cell.regularizer.id):
            return rule
    raise UsageError(f"lambdas: no rule gives a lambda for {method}; add one")


def prepare_job(config: Config, dataset: str) -> PrepareSpec:
    """What the prepared arrays depend on."""
    known = {entry.id: entry for entry in config.datasets}
    if dataset not in known:
        raise UsageError(f"dataset `{dataset}` is not in study `{config.study}`; {did_you_mean(dataset, known)}")
    source = component_module("regbench.data", known[dataset].source)
    return PrepareSpec.of(known[dataset], fingerprint("regbench.data.prepare", source))


def search_of(config: Config, method: str) -> tuple[DimensionSpec, ...]:
    """What is searched in a cell beside lambda."""
    cell = find_method(config, method)
    if cell.model is None or cell.similarity is None or cell.regularizer is None:
        return ()
    dimensions: dict[str, DimensionSpec] = {}
    for entry in config.tuning.search:
        named = ((entry.model, cell.model), (entry.similarity, cell.similarity), (entry.regularizer, cell.regularizer))
        idle = entry.parameter.startswith("training.") and not cell.needs_training
        if idle or any(name not in ("*", part.id) for name, part in named):
            continue
        shape = entry.model_dump(mode="json", include={"type", "range", "choices", "scale", "step"})
        # The first that matches counts.
        dimensions.setdefault(entry.parameter, DimensionSpec(name=entry.parameter, **shape))
    return tuple(dimensions.values())


def propose_job(
    config: Config, dataset: str, method: str, number: int | None = None, replicate: int = 0
) -> ProposeSpec:
    """What the proposals of a search (of one round of it) depend on, beside the trials of earlier rounds."""
    tuning = config.tuning
    cell = f"{config.study}/{dataset}/{method}"
    noisy = find_method(config, method).needs_training
    rule = lambda_of(config, method)
    seed = tuning_seed(config, replicate)
    repeats = tuning.repeats if noisy else 0
    pruned = tuning.pruner != "none" and noisy
    steps = tuning.steps if tuning.budget != "trials" else 0
    return ProposeSpec(
        cell=f"{cell}/replicate{replicate}" if replicate else cell,
        range=rule.range if rule else None,
        # Of this round and those before it: rounds that are added later change no earlier one.
        trials=tuning.trials if number is None else min(tuning.trials, (number + 1) * tuning.round_size),
        round_size=tuning.round_size,
        sampler=tuning.sampler,
        seed=seed,
        search=search_of(config, method),
        objective=tuning.objective,
        ndv_limit_percent=tuning.ndv_limit_percent if tuning.constraint == "ndv" else None,
        budget=None if tuning.budget_amount is None else _budget(tuning.budget, tuning.budget_amount),
        code=fingerprint("regbench.tuning.rounds"),
        noisy=noisy,
        repeats=repeats,
        training_seed=seed if repeats else 0,
        steps=steps,
        pruner=tuning.pruner if pruned else "none",
        rungs=tuple(sorted({max(int(share * tuning.steps), 1) for share in tuning.prune_at})) if pruned else (),
    )


def _budget(unit: str, amount: float) -> BudgetSpec:
    return BudgetSpec(unit="steps" if unit == "steps" else "seconds", amount=amount)


def train_job(config: Config, method: str, *, seed: int, steps: int) -> TrainSpec:
    """What one training depends on, beside data and lambda."""
    parts, modules = _parts(config, method)
    return TrainSpec(
        method=method,
        **parts,
        training=config.training.model_copy(update={"steps": steps}),
        seed=seed,
        code=fingerprint("regbench.training.final_run", *modules),
    )


def trial_job(config: Config, method: str, replicate: int = 0) -> TrialSpec:
    """What one trial depends on: the trials of a search share one seed, all have one length."""
    parts, modules = _parts(config, method)
    budget = config.tuning.budget
    return TrialSpec(
        method=method,
        **parts,
        training=config.training.model_copy(update={"steps": config.tuning.steps}),
        seed=tuning_seed(config, replicate),
        code=fingerprint("regbench.tuning.trial", *modules),
        cost=None if budget == "trials" else budget,
    )


class _Parts(TypedDict):
    model: ComponentSpec
    similarity: ComponentSpec
    regularizer: ComponentSpec


def _parts(config: Config, method: str) -> tuple[_Parts, list[str]]:
    """Model, similarity and regularizer of a cell, and the modules that define them."""
    cell = find_method(config, method)
    if cell.model is None or cell.similarity is None or cell.regularizer is None:
        raise UsageError(f"`{method}` has nothing to train")
    losses = (cell.similarity, cell.regularizer)
    modules = [component_module("regbench.models", cell.model.name)]
    modules += [component_module("regbench.losses", loss.name) for loss in losses]
    similarity, regularizer = map(_component, losses)
    return {"model": _component(cell.model), "similarity": similarity, "regularizer": regularizer}, modules


def select_job(config: Config, method: str, replicate: int = 0) -> SelectSpec:
    """What the choice of lambda depends on."""
    rule = lambda_of(config, method)
    return SelectSpec(
        method=method,
        replicate=replicate,
        range=rule.range if rule else None,
        value=rule.value if rule else None,
        search=search_of(config, method),
        selection=config.tuning.selection,
        ndv_limit_percent=config.tuning.ndv_limit_percent,
        noisy=find_method(config, method).needs_training,
        code=fingerprint("regbench.tuning.rounds"),
    )


def evaluate_job(config: Config, method: str, seed: int) -> EvaluateSpec:
    """What an evaluation depends on, beside the data and the checkpoint.

    `identity` brings the controls with it, and all of these are measured by every similarity of the grid.
    """
    row = find_method(config, method)
    if row.control:
        raise UsageError(f"`{method}` must be evaluated with `{IDENTITY}`, whose job brings it along; name that method")
    modules = [component_module("regbench.models", row.model.name)] if row.model else []
    if row.baseline:
        modules.append(component_module("regbench.models.classical", row.baseline.name))
    judges = config.grid.similarities if method == IDENTITY and config.controls else ()
    modules += [component_module("regbench.losses", similarity.name) for similarity in judges]
    return EvaluateSpec(
        method=method,
        seed=seed,
        replicate=replicate_of(config, seed),
        code=fingerprint("regbench.evaluation.evaluate", *modules),
        baseline=_component(row.baseline) if row.baseline else None,
        files=_files(row.baseline.parameters.get("path")) if row.baseline else (),
        controls=CONTROLS if judges else (),
        similarities=tuple(
            NamedComponentSpec(id=similarity.id, name=similarity.name, parameters=similarity.parameters)
            for similarity in judges
        ),
    )


def _files(folder: Any) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files that a baseline reads: new fields are a new evaluation."""
    if not isinstance(folder, str) or not Path(folder).is_dir():
        return ()
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def runtime_job(config: Config) -> TimingSpec:
    """What the timing depends on, beside the data and the checkpoints."""
    baselines = {
        method.id: TimedBaselineSpec(
            name=method.baseline.name,
            parameters=method.baseline.parameters,
            seed=seeds(config, method.id)[0],
            code=fingerprint(component_module("regbench.models.classical", method.baseline.name)),
        )
        for method in timed_baselines(config)
        if method.baseline
    }
    code = fingerprint("regbench.evaluation.timing")
    return TimingSpec(training_device=config.training.device, baselines=baselines, code=code)


def final_job(config: Config, method: str, seed: int) -> TrainSpec:
    """The spec of a final training."""
    return train_job(config, method, seed=seed, steps=config.training.steps)


def cell_job(config: Config, dataset: str, method: str) -> CellSpec:
    """What a cell that is one job depends on, beside the data: all that its stages depend on."""
    searches = replicates(config, method)
    cell_seeds = seeds(config, method)
    return CellSpec(
        seeds=cell_seeds,
        propose=tuple(propose_job(config, dataset, method, replicate=replicate) for replicate in searches),
        trial=tuple(trial_job(config, method, replicate) for replicate in searches),
        select=tuple(select_job(config, method, replicate) for replicate in searches),
        train=tuple(final_job(config, method, seed) for seed in cell_seeds),
        evaluate=tuple(evaluate_job(config, method, seed) for seed in cell_seeds),
    )


def study_job(config: Config, stage: str) -> StudySpec:
    """What a stage over the whole study (analyze, report) depends on, beside its input files."""
    return StudySpec(config=protocol(config), code=fingerprint(f"regbench.{stage}"))


def track_job(config: Config) -> TrackSpec:
    """What the push to MLflow depends on, beside the study's files."""
    models = config.tracking.register_models
    return TrackSpec(uri=shown_uri(config), models=models, code=fingerprint("regbench.tracking"))


def protocol(config: Config) -> dict[str, JsonValue]:
    """All of a config that may change a number."""
    return config.model_dump(mode="json", exclude=NO_NUMBER)


def _component(component: Component) -> ComponentSpec:
    # The id names folders and rows; it changes no number, and the folder already says it.
    return ComponentSpec(name=component.name, parameters=component.parameters)
