"""For each job of a study, the slice of the config that it depends on.

A slice is JSON and stands in a rule's `params`, so that Snakemake re-runs a job exactly when something it depends on
has changed, the code of its stage included. Imports neither torch nor mlflow: the Snakefile reads this.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypedDict

from regbench.study.components import Parameters
from regbench.study.fingerprint import component_module, fingerprint
from regbench.study.frozen import registrations
from regbench.study.goals import FOLDING, RANK, SIMILARITY, base, is_limited
from regbench.study.grid_config import Component
from regbench.study.layout import CONTROLS, IDENTITY
from regbench.study.look_spec import LookSpec
from regbench.study.methods import Study
from regbench.study.specs import (
    BudgetSpec,
    CellSpec,
    CellsSpec,
    ComponentSpec,
    CurveRunSpec,
    CurveSpec,
    DimensionSpec,
    EvaluateSpec,
    GoalSpec,
    NamedComponentSpec,
    PrepareSpec,
    ProposeSpec,
    RangeSpec,
    RangesSpec,
    SelectSpec,
    StudySpec,
    TermSpec,
    TimedBaselineSpec,
    TimedRefinementSpec,
    TimingSpec,
    TrackSpec,
    TrainSpec,
    TransferSpec,
    TrialSpec,
)
from regbench.study.terms import WEIGHT
from regbench.system.errors import UsageError
from regbench.system.files import file_sha256
from regbench.system.names import given_path

# What it costs to find a range of lambda, the same in every cell: validation pairs, and powers of ten from 1e-6 to 1e3.
RANGE_PAIRS, RANGE_DECADES = 4, (-6, 3)


def objective_spec(study: Study) -> GoalSpec:
    """What a search is for."""
    return _goal(study, study.config.tuning.objective or "")


def selection_spec(study: Study) -> GoalSpec:
    """What lambda is chosen by: unless the config says so, the first goal of the search."""
    tuning = study.config.tuning
    return _goal(study, base(tuning.objective or "") if tuning.selection is None else tuning.selection)


def _goal(study: Study, text: str) -> GoalSpec:
    name = base(text)
    metrics = study.config.tuning.rank_by if name == RANK else (name,) if name else ()
    return GoalSpec(metrics=metrics, similarities=tuple(_judges(study, metrics)), limited=is_limited(text))


def _judges(study: Study, metrics: Iterable[str]) -> Iterator[NamedComponentSpec]:
    """The similarities among some metrics: those of the grid with their parameters, or any that is registered."""
    grid = {part.id: part for part in study.config.grid.similarities}
    for name in (metric.removeprefix(SIMILARITY) for metric in metrics if metric.startswith(SIMILARITY)):
        part = grid.get(name)
        yield _named(part) if part else NamedComponentSpec(id=name, name=name, parameters={})


def prepare_spec(study: Study, dataset: str) -> PrepareSpec:
    """What the prepared arrays depend on."""
    section = study.dataset(dataset)
    code = fingerprint("regbench.data.prepare", component_module("regbench.data", section.source))
    return PrepareSpec.of(section, code, study.unneeded_splits(section), study.redraws)


def search_of(study: Study, method: str) -> tuple[DimensionSpec, ...]:
    """What is searched in a cell beside lambda: weights of further terms first."""
    cell = study.method(method)
    if cell.model is None or cell.similarity is None or cell.regularizer is None:
        return ()
    dimensions = {
        name: DimensionSpec(name=name, range=term.searched, scale="log")
        for term in cell.regularizer.further
        if term.searched is not None and (name := f"{WEIGHT}{term.id}")
    }
    for entry in study.config.tuning.search:
        named = ((entry.model, cell.model), (entry.similarity, cell.similarity), (entry.regularizer, cell.regularizer))
        idle = entry.parameter.startswith("training.") and not cell.needs_training
        if idle or any(name not in ("*", part.id) for name, part in named):
            continue
        shape = entry.model_dump(mode="json", include={"type", "range", "choices", "scale", "step"})
        # The first that matches counts.
        dimensions.setdefault(entry.parameter, DimensionSpec(name=entry.parameter, **shape))
    return tuple(dimensions.values())


def range_spec(study: Study, similarity: str, regularizer: str) -> RangeSpec:
    """What a range of lambda that finds itself depends on, beside the data."""
    grid = study.config.grid
    losses = (
        next(loss for loss in grid.similarities if loss.id == similarity),
        next(loss.first for loss in grid.regularizers if loss.id == regularizer),  # which lambda weighs
    )
    modules = [component_module("regbench.models", "instance")]
    modules += [module for loss in losses for module in _loss_modules(loss.name, loss.parameters)]
    return RangeSpec(
        similarity=_component(losses[0]),
        regularizer=_component(losses[1]),
        pairs=RANGE_PAIRS,
        decades=RANGE_DECADES,
        metrics=objective_spec(study).metrics,
        nsd_tolerance_mm=study.config.evaluation.nsd_tolerance_mm,
        mask=study.config.training.mask,
        mask_regularizer=study.config.training.mask_regularizer,
        code=fingerprint("regbench.tuning.lambda_range", *modules),
    )


def ranges_spec(study: Study, regularizer: str) -> RangesSpec:
    """What the job that finds the ranges of a regularizer, with each similarity, depends on."""
    return RangesSpec(ranges=tuple(range_spec(study, similarity, regularizer) for similarity in study.ranges_together))


def _found_by(study: Study, method: str) -> RangeSpec | None:
    """What finds the range of a cell, where the config gives none."""
    cell = study.method(method)
    if cell.similarity is None or cell.regularizer is None or not study.finds_range(method):
        return None
    return range_spec(study, cell.similarity.id, cell.regularizer.id)


def propose_spec(study: Study, dataset: str, method: str, number: int | None = None, replicate: int = 0) -> ProposeSpec:
    """What the proposals of a search (of one round of it) depend on, beside the trials of earlier rounds."""
    tuning = study.config.tuning
    cell = f"{study.name}/{dataset}/{method}"
    noisy = study.method(method).needs_training
    rule = study.lambda_of(method)
    seed = study.tuning_seed(replicate)
    repeats = tuning.repeats if noisy else 0
    pruned = tuning.pruner != "none" and noisy
    steps = tuning.steps * study.passes(method) if tuning.budget != "trials" else 0
    most, share = study.trials(method), study.trials(method) / tuning.trials
    return ProposeSpec(
        cell=f"{cell}/replicate{replicate}" if replicate else cell,
        range=rule.range if rule else None,
        found_by=_found_by(study, method),
        # Of this round and those before it: rounds that are added later change no earlier one.
        trials=most if number is None else min(most, (number + 1) * tuning.round_size),
        round_size=tuning.round_size,
        sampler=tuning.sampler,
        seed=seed,
        search=search_of(study, method),
        objective=objective_spec(study),
        ndv_limit_percent=tuning.ndv_limit_percent if tuning.constraint == "ndv" else None,
        budget=None if tuning.budget_amount is None else _budget(tuning.budget, tuning.budget_amount * share),
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


def train_spec(study: Study, method: str, *, seed: int, steps: int) -> TrainSpec:
    """What one training depends on, beside data and lambda."""
    parts, modules = _parts(study, method)
    return TrainSpec(
        method=method,
        **parts,
        training=study.config.training.model_copy(update={"steps": steps}),
        seed=seed,
        code=fingerprint("regbench.training.final_run", *modules),
        **_scored(study),
    )


def trial_spec(study: Study, method: str, replicate: int = 0) -> TrialSpec:
    """What one trial depends on: the trials of a search share one seed, all have one length."""
    parts, modules = _parts(study, method)
    budget = study.config.tuning.budget
    return TrialSpec(
        method=method,
        **parts,
        training=study.config.training.model_copy(update={"steps": study.config.tuning.steps}),
        seed=study.tuning_seed(replicate),
        code=fingerprint("regbench.tuning.trial", *modules),
        cost=None if budget == "trials" else budget,
        **_scored(study),
    )


class _Scored(TypedDict):
    objective: GoalSpec
    scored: GoalSpec
    nsd_tolerance_mm: float


def _scored(study: Study) -> _Scored:
    """What the validation pairs of a training are scored by; the limits of a goal change no score."""
    objective, scored = (
        goal.model_copy(update={"limited": False}) for goal in (objective_spec(study), selection_spec(study))
    )
    return {"objective": objective, "scored": scored, "nsd_tolerance_mm": study.config.evaluation.nsd_tolerance_mm}


class _Parts(TypedDict):
    model: ComponentSpec
    similarity: ComponentSpec
    regularizer: ComponentSpec
    terms: tuple[TermSpec, ...]


def _parts(study: Study, method: str) -> tuple[_Parts, list[str]]:
    """Model, similarity and terms of a cell, and the modules that define them."""
    cell = study.method(method)
    if cell.model is None or cell.similarity is None or cell.regularizer is None:
        raise UsageError(f"`{method}` has nothing to train")
    if cell.refine is not None:
        raise UsageError(f"`{method}` trains nothing: it takes the networks of `{cell.trained_as}`; name that method")
    further = cell.regularizer.further
    losses = (cell.similarity, cell.regularizer.first, *further)
    modules = [component_module("regbench.models", cell.model.name)]
    modules += [module for loss in losses for module in _loss_modules(loss.name, loss.parameters)]
    modules += [component_module("regbench.losses", "dice")] * study.uses_dice
    terms = tuple(
        TermSpec(**_named(term).model_dump(), weight=term.weight if isinstance(term.weight, float) else None)
        for term in further
    )
    parts: _Parts = {
        "model": _component(cell.model),
        "similarity": _component(cell.similarity),
        "regularizer": _component(cell.regularizer.first),
        "terms": terms,
    }
    return parts, modules


def select_spec(study: Study, method: str, replicate: int = 0) -> SelectSpec:
    """What the choice of lambda depends on."""
    rule = study.lambda_of(method)
    return SelectSpec(
        method=method,
        replicate=replicate,
        range=rule.range if rule else None,
        found_by=_found_by(study, method),
        value=rule.value if rule else None,
        search=search_of(study, method),
        selection=selection_spec(study),
        ndv_limit_percent=study.config.tuning.ndv_limit_percent,
        noisy=study.method(method).needs_training,
        code=fingerprint("regbench.tuning.rounds"),
    )


def evaluate_spec(study: Study, method: str, seed: int) -> EvaluateSpec:
    """What an evaluation depends on, beside the data and the checkpoint.

    `identity` brings the controls with it, and all of these are measured by every similarity of the grid.
    """
    row = study.method(method)
    if row.control:
        raise UsageError(f"`{method}` must be evaluated with `{IDENTITY}`, whose job brings it along; name that method")
    modules = [component_module("regbench.models", row.model.name)] if row.model else []
    if row.baseline:
        modules.append(component_module("regbench.models.classical", row.baseline.name))
    judges = {judge.id: judge for judge in (*objective_spec(study).similarities, *selection_spec(study).similarities)}
    brings = method == IDENTITY and study.config.controls
    if brings:
        judges |= {part.id: _named(part) for part in study.config.grid.similarities}
    modules += [module for judge in judges.values() for module in _loss_modules(judge.name, judge.parameters)]
    return EvaluateSpec(
        method=method,
        seed=seed,
        replicate=study.replicate_of(seed),
        code=fingerprint("regbench.evaluation.evaluate", *modules),
        baseline=_component(row.baseline) if row.baseline else None,
        files=_files(row.baseline.parameters.get("path")) if row.baseline else (),
        controls=CONTROLS if brings else (),
        mask=study.config.evaluation.mask,
        similarities=tuple(judges.values()),
        nsd_tolerance_mm=study.config.evaluation.nsd_tolerance_mm,
        objective=objective_spec(study).model_copy(update={"limited": False, "similarities": ()}),
        refine=row.refine,
        split=study.split_of(seed) if study.redraws else None,
    )


def _files(folder: Any) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files that a baseline reads: new fields are a new evaluation."""
    if not isinstance(folder, str) or not (place := given_path(folder)).is_dir():
        return ()
    files = sorted(path for path in place.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def timing_spec(study: Study) -> TimingSpec:
    """What the timing depends on, beside the data and the checkpoints."""
    baselines = {
        method.id: TimedBaselineSpec(
            name=method.baseline.name,
            parameters=method.baseline.parameters,
            seed=study.seeds(method.id)[0],
            code=fingerprint(component_module("regbench.models.classical", method.baseline.name)),
        )
        for method in study.timed_baselines()
        if method.baseline
    }
    refined = {
        method.trained_as: TimedRefinementSpec(method=method.id, refine=method.refine)
        for method in study.methods
        if method.refine is not None
    }
    code = fingerprint("regbench.evaluation.timing")
    device = study.config.training.device
    return TimingSpec(training_device=device, baselines=baselines, code=code, refined=refined)


def final_spec(study: Study, method: str, seed: int) -> TrainSpec:
    """The spec of a final training."""
    return train_spec(study, method, seed=seed, steps=study.config.training.steps)


def point_spec(study: Study, method: str, seed: int) -> TrainSpec:
    """The spec of a further training of a curve: a final one whose validation pairs tell the regularity too.

    Levels are chosen by it. The run of the chosen lambda stays as it is: a study may get `curve` when it is finished.
    """
    spec, curve = final_spec(study, method, seed), study.config.curve
    if curve is None or curve.regularity in (FOLDING, *spec.scored.metrics):
        return spec
    metrics = (*spec.scored.metrics, curve.regularity)
    return spec.model_copy(update={"scored": spec.scored.model_copy(update={"metrics": metrics})})


def cell_spec(study: Study, dataset: str, method: str) -> CellSpec:
    """What a cell that is one job depends on, beside the data: all that its stages depend on."""
    searches = study.replicates(method, dataset)
    cell_seeds = study.seeds(method, dataset)
    return CellSpec(
        seeds=cell_seeds,
        propose=tuple(propose_spec(study, dataset, method, replicate=replicate) for replicate in searches),
        trial=tuple(trial_spec(study, method, replicate) for replicate in searches),
        select=tuple(select_spec(study, method, replicate) for replicate in searches),
        train=tuple(final_spec(study, method, seed) for seed in cell_seeds),
        evaluate=tuple(evaluate_spec(study, method, seed) for seed in cell_seeds),
    )


def cells_spec(study: Study, dataset: str, methods: Sequence[str]) -> CellsSpec:
    """What a job that does several cells depends on."""
    return CellsSpec(cells=tuple(cell_spec(study, dataset, method) for method in methods))


def curve_spec(study: Study, method: str, seed: int | None = None) -> CurveSpec:
    """What a job of points of curves depends on: of one run, or of all runs of a cell."""
    seeds = study.seeds(method) if seed is None else (seed,)
    runs = tuple(
        CurveRunSpec(
            select=select_spec(study, method, study.replicate_of(one)),
            train=point_spec(study, method, one),
            evaluate=evaluate_spec(study, method, one),
        )
        for one in seeds
    )
    points = len(study.further_points) + 1
    return CurveSpec(points=points, runs=runs, code=fingerprint("regbench.tuning.curve_lambdas"))


def transfer_spec(study: Study, dataset: str, method: str, other: str) -> TransferSpec:
    """What the evaluation of the runs of a cell of `dataset` on the test pairs of `other` depends on."""
    evaluations = (evaluate_spec(study, method, seed) for seed in study.seeds(method, dataset))
    return TransferSpec(other=other, evaluate=tuple(evaluations))


def look_spec(study: Study, model: str, look: int) -> LookSpec:
    """What a look at the cells of a model depends on, beside their rows and the looks before it.

    Raises:
        UsageError: if the study has no such look.
    """
    batches = study.batches_of_looks
    if batches is None or model not in study.looked_models or not 1 <= look <= len(batches.counts):
        many = "none" if batches is None else f"{len(batches.counts)} of {', '.join(study.looked_models)}"
        raise UsageError(f"look {look} of `{model}` is not in study `{study.name}`, whose looks are: {many}")
    return LookSpec(
        look=look,
        methods=tuple(study.cells_of(model)),
        counts=batches.counts,
        searches=batches.unit == "searches",
        objective=objective_spec(study).model_copy(update={"limited": False, "similarities": ()}),
        regions=dict(study.config.equivalence),
        code=fingerprint("regbench.report.make_look"),
        best=study.config.looks is not None and study.config.looks.find == "best",
    )


def study_spec(study: Study, stage: str) -> StudySpec:
    """What a stage over the whole study (analyze, report) depends on, beside its input files."""
    frozen = tuple(one["sha256"] for one in registrations(study)) if stage == "report.analyze" else ()
    return StudySpec(config=study.protocol, code=fingerprint(f"regbench.{stage}"), frozen=frozen)


def track_spec(study: Study) -> TrackSpec:
    """What the push to MLflow depends on, beside the study's files."""
    models = study.config.tracking.register_models
    return TrackSpec(uri=study.shown_uri, models=models, code=fingerprint("regbench.tracking"))


def _loss_modules(name: str, given: Parameters) -> list[str]:
    """The modules that define a loss, and what its parameters name: another similarity, an encoder."""
    modules = [component_module("regbench.losses", name)]
    inner, encoder = given.get("similarity"), given.get("encoder")
    if isinstance(inner, str):
        modules += _loss_modules(inner, _inner(given))
    if isinstance(encoder, str) and ":" in encoder:
        modules.append(component_module("regbench.losses", encoder))
    return modules


def _inner(given: Parameters) -> Parameters:
    inner = given.get("parameters")
    return inner if isinstance(inner, dict) else {}


def with_checksum(given: Parameters) -> dict[str, Any]:
    """Parameters with the checksum of the file of weights that they name, where it is on this machine."""
    whole, encoder = dict(given), given.get("encoder")
    if isinstance(encoder, str) and ":" not in encoder:
        with suppress(OSError):  # who uses it says so
            whole.setdefault("sha256", file_sha256(given_path(encoder)))
    return whole


def _pinned(given: Parameters) -> Parameters:
    """Parameters with checksums: other weights are another job."""
    pinned = with_checksum(given)
    if isinstance(given.get("similarity"), str) and _inner(given):
        pinned["parameters"] = dict(_pinned(_inner(given)))
    return pinned


def _named(component: Component) -> NamedComponentSpec:
    return NamedComponentSpec(id=component.id, name=component.name, parameters=_pinned(component.parameters))


def _component(component: Component) -> ComponentSpec:
    # The id names folders and rows; it changes no number, and the folder already says it.
    return ComponentSpec(name=component.name, parameters=_pinned(component.parameters))
