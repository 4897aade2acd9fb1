"""The points that Optuna's samplers propose.

Whatever a sampler remembers is rebuilt from the results of earlier rounds, so a point is a pure function of them.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from regbench.study.specs import DimensionSpec, ProposeSpec
from regbench.system.files import canonical_json
from regbench.tuning.space import Point, dimensions, ends
from regbench.tuning.trial_results import (
    TrialResult,
    by_number,
    has_scores,
    is_repeat,
    metrics_of,
    ndv_of,
    point_of,
    sign_of,
    told,
    values_of,
)

UNUSED = "unused"  # CMA-ES wants two dimensions: a second one that changes nothing
Coordinate = float | int | str | bool | None  # as Optuna takes it: lists and mappings as JSON
Distributions = dict[str, Any]  # of Optuna, which is imported where it is needed


def ask(spec: ProposeSpec, number: int, slot: int, earlier: Sequence[TrialResult], before: Sequence[Point]) -> Point:
    """Optuna's proposal for a slot of a round.

    Args:
        spec: of the search.
        number: of the round, from 1.
        slot: of the round.
        earlier: results of all trials of all earlier rounds.
        before: the points of the slots before this one: they count as finished with the mean of what is known
            (constant liar), or a sampler would propose one point many times.
    """
    import optuna  # noqa: PLC0415  0.3 s and, for the sampler, torch: the first round and the choice need neither

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # Optuna marks the GP sampler and more as experimental; the pins fix which one runs.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if spec.sampler == "cmaes":
            return _replay(spec, number, slot, earlier)
        sampler = _sampler(spec, number, slot)
        study = optuna.create_study(directions=directions(spec, earlier), sampler=sampler)
        space = distributions(spec)
        scored = [result for result in by_number(earlier) if has_scores(result)]
        lie = (
            float(np.mean(values_of(spec.objective, scored))) if scored else 0.0,
            float(np.mean([ndv_of(result) for result in scored])) if scored else 0.0,
        )
        for result, value, ndv in told(spec.objective, earlier):
            study.add_trial(finished_trial(spec, result["number"], point_of(result), (value, ndv), space))
        for point in before:
            study.add_trial(finished_trial(spec, spec.round_size * number, point, lie, space))
        if not scored and spec.sampler != "random":
            # nothing to model: every earlier trial diverged
            study.sampler = optuna.samplers.RandomSampler(seed=_seed(spec, f"{number}/{slot}"))
        return _point(spec, study.ask(space).params)


def distributions(spec: ProposeSpec) -> Distributions:
    """The space in Optuna's words."""
    return {dimension.name: _distribution(dimension) for dimension in dimensions(spec)}


def _distribution(dimension: DimensionSpec) -> Any:
    from optuna import distributions as of  # noqa: PLC0415

    if dimension.choices is not None:
        return of.CategoricalDistribution(_labels(dimension.choices))
    low, high = ends(dimension)
    log, step = dimension.scale == "log", dimension.step or 1
    if dimension.type == "int":
        return of.IntDistribution(int(low), int(high) - (int(high) - int(low)) % step, log=log, step=step)
    return of.FloatDistribution(low, high, log=log)


def _labels(choices: Sequence[JsonValue]) -> list[Coordinate]:
    """The choices as Optuna takes them: lists and mappings as JSON."""
    return [_label(choice) for choice in choices]


def _label(value: JsonValue) -> Coordinate:
    return canonical_json(value) if isinstance(value, list | dict) else value


def params(spec: ProposeSpec, point: Point) -> dict[str, Coordinate]:
    """A point in Optuna's words."""
    return {name: _label(value) for name, value in point.coordinates().items()}


def _point(spec: ProposeSpec, asked: Mapping[str, Coordinate]) -> Point:
    """What Optuna asked for, in the study's own values."""
    coordinates: dict[str, JsonValue] = {dimension.name: asked[dimension.name] for dimension in dimensions(spec)}
    for dimension in dimensions(spec):
        if dimension.choices is not None:
            index = _labels(dimension.choices).index(asked[dimension.name])
            coordinates[dimension.name] = dimension.choices[index]
    return Point.of(coordinates)


def finished_trial(
    spec: ProposeSpec, number: int, point: Point, scores: tuple[float, float], space: Distributions, **more: Any
) -> Any:
    """A point with its score and NDV as a finished trial of Optuna's, with NDV as a constraint where the study asks."""
    import optuna  # noqa: PLC0415

    attributes = {}
    if spec.sampler == "nsga2":  # a round is a generation
        attributes[optuna.samplers.NSGAIISampler._get_generation_key()] = number // spec.round_size
    limit = spec.ndv_limit_percent
    return optuna.trial.create_trial(
        params=params(spec, point),
        distributions=dict(space),
        values=scores if spec.objective.limited else scores[:1],
        constraints=None if limit is None else {"ndv_percent": scores[1] - limit},
        system_attrs=attributes,
        **more,
    )


def directions(spec: ProposeSpec, results: Sequence[TrialResult]) -> list[Literal["maximize", "minimize"]]:
    """Which way the score goes, and NDV down where the study has two goals.

    Args:
        spec: of the search.
        results: of its trials; where the config names no goal, they tell it.
    """
    up = sign_of(metrics_of(spec.objective, results)) > 0
    first: list[Literal["maximize", "minimize"]] = ["maximize" if up else "minimize"]
    return [*first, "minimize"] if spec.objective.limited else first


def _seed(spec: ProposeSpec, where: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{spec.seed}/{spec.cell}/{where}".encode()).digest()[:4], "big")


def _sampler(spec: ProposeSpec, number: int, slot: int) -> Any:
    from optuna import samplers as of  # noqa: PLC0415

    seed = _seed(spec, f"{number}/{slot}")
    made: dict[str, Callable[[], Any]] = {
        "gp": lambda: of.GPSampler(seed=seed, n_startup_trials=0, deterministic_objective=not spec.noisy),
        "tpe": lambda: of.TPESampler(seed=seed, n_startup_trials=0),
        "random": lambda: of.RandomSampler(seed=seed),
        "nsga2": lambda: of.NSGAIISampler(seed=seed, population_size=max(spec.round_size, 2)),
    }
    return made[spec.sampler]()


def _replay(spec: ProposeSpec, number: int, slot: int, earlier: Sequence[TrialResult]) -> Point:
    """CMA-ES has a state: it asks again what it asked in earlier rounds, and is told what came of it."""
    import optuna  # noqa: PLC0415

    size = spec.round_size
    sampler = optuna.samplers.CmaEsSampler(
        seed=_seed(spec, "cmaes"), popsize=max(size, 4), warn_independent_sampling=False
    )
    study = optuna.create_study(direction=directions(spec, earlier)[0], sampler=sampler)
    space = {**distributions(spec), UNUSED: optuna.distributions.FloatDistribution(0.0, 1.0)}
    ordered = told(spec.objective, earlier)
    for result, value, _ in ordered:
        if result["number"] < size:
            known = {**params(spec, point_of(result)), UNUSED: 0.5}
            study.add_trial(optuna.trial.create_trial(params=known, distributions=space, value=value))
    for first in range(size, number * size, size):
        in_round = [
            value for result, value, _ in ordered if first <= result["number"] < first + size and not is_repeat(result)
        ]
        asked = [study.ask(space) for _ in in_round]
        for trial, value in zip(asked, in_round, strict=True):
            study.tell(trial, value)
    asked = [study.ask(space) for _ in range(slot + 1)]
    return _point(spec, asked[-1].params)
