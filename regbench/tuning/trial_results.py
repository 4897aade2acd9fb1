"""What is proposed for a trial, and what comes of it, as files hold it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NotRequired, TypedDict, cast

import numpy as np
from pydantic import JsonValue

from regbench.study.config import Pruner
from regbench.study.goals import DEFAULTS, FOLDING, is_higher_better, merits
from regbench.study.specs import GoalSpec
from regbench.system.provenance import Environment
from regbench.training.pruning import PruneSpec, Rung, RungReport
from regbench.tuning.space import Point


class TrialResult(TypedDict):
    """A finished trial; scores are means over the validation pairs by metric, none where the training diverged."""

    number: int
    lam: float
    values: NotRequired[dict[str, JsonValue]]
    seed: NotRequired[int]  # of a point that is trained once more
    status: str
    reason: str
    scores: dict[str, float]
    pairs: dict[str, list[float | None]]
    reports: NotRequired[list[RungReport]]
    cost: NotRequired[float]
    environment: Environment
    curve: dict[str, list[float]]
    digest: NotRequired[str]


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its number, its point, another seed for a repeat, and what it is held against."""

    number: int
    point: Point
    seed: int | None = None
    prune: PruneSpec | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """The entry of a file of proposals."""
        entry: dict[str, JsonValue] = {"number": self.number, **self.point.to_json()}
        if self.seed is not None:
            entry["seed"] = self.seed
        return entry if self.prune is None else {**entry, "prune": self.prune.to_json()}

    @classmethod
    def from_json(cls, entry: Mapping[str, JsonValue]) -> "Proposal":
        """The proposal that `to_json` gave."""
        prune = entry.get("prune")
        return cls(
            number=cast("int", entry["number"]),
            point=Point.from_json(entry),
            seed=cast("int | None", entry.get("seed")),
            prune=None if prune is None else PruneSpec.from_json(prune),
        )


def point_of(result: TrialResult) -> Point:
    """The point that a trial was run at."""
    return Point(result["lam"], result.get("values", {}))


def has_scores(result: TrialResult) -> bool:
    """Whether a trial has scores, each a number: one that diverged has none."""
    scores = result["scores"].values()
    return bool(scores) and all(score is not None and math.isfinite(score) for score in scores)


def ndv_of(result: TrialResult) -> float:
    """Mean NDV in percent of a trial that has scores."""
    return result["scores"][FOLDING]


def metrics_of(goal: GoalSpec, results: Sequence[TrialResult]) -> tuple[str, ...]:
    """The metrics that trials are compared by; where the config names none, those that the data had."""
    if goal.metrics:
        return goal.metrics
    scored = next((result["scores"] for result in results if has_scores(result)), {})
    return tuple(name for name in DEFAULTS if name in scored)[:1] or DEFAULTS[:1]


def values_of(goal: GoalSpec, results: Sequence[TrialResult]) -> list[float]:
    """What a sampler is told of each trial: its score, or of several metrics the geometric mean of its ranks.

    Args:
        goal: of the search.
        results: trials with scores; ranks are among these.
    """
    metrics = metrics_of(goal, results)
    return [sign_of(metrics) * merit for merit in merits(metrics, [result["scores"] for result in results])]


def sign_of(metrics: Sequence[str]) -> int:
    """1 where higher is better, else -1; ranks are better the lower they are."""
    return 1 if len(metrics) == 1 and is_higher_better(metrics[0]) else -1


def is_complete(result: TrialResult) -> bool:
    """Whether a trial went to its end, with scores."""
    return result["status"] == "complete" and has_scores(result)


def is_repeat(result: TrialResult) -> bool:
    """Whether a trial is an earlier point once more, with a training seed of its own."""
    return "seed" in result


def by_number(results: Sequence[TrialResult]) -> list[TrialResult]:
    """The results in the order of their numbers, in which even a mean has the same last digit each time."""
    return sorted(results, key=lambda result: result["number"])


class Told(NamedTuple):
    """What a sampler is told of a trial."""

    result: TrialResult
    value: float
    ndv: float


def told(goal: GoalSpec, results: Sequence[TrialResult]) -> list[Told]:
    """The results in the order of their numbers; one that diverged with the worst scores of the others.

    Optuna's samplers pass over failed trials, and would propose such a point again.
    """
    scored = [result for result in by_number(results) if has_scores(result)]
    values = dict(zip((result["number"] for result in scored), values_of(goal, scored), strict=True))
    better = max if sign_of(metrics_of(goal, scored)) < 0 else min
    worst = better(values.values(), default=0.0), max(map(ndv_of, scored), default=0.0)
    return [
        Told(result, values[result["number"]], ndv_of(result)) if has_scores(result) else Told(result, *worst)
        for result in by_number(results)
    ]


def pruning_against(rule: Pruner, steps: Sequence[int], goal: GoalSpec, earlier: Sequence[TrialResult]) -> PruneSpec:
    """What a round's trials are held against: at each rung what earlier trials reached, and the best one's by pair.

    Args:
        rule: ``median``, ``halving`` or ``wilcoxon``.
        steps: of the rungs.
        goal: of the search.
        earlier: results of earlier rounds.
    """
    metrics, ordered = metrics_of(goal, earlier), by_number(earlier)
    rungs = tuple(_rung(rule, step, metrics, ordered) for step in steps)
    return PruneSpec(rule=rule, metrics=metrics, rungs=rungs)


def _rung(rule: Pruner, step: int, metrics: tuple[str, ...], earlier: Sequence[TrialResult]) -> Rung:
    reached = [
        (result, report["scores"])
        for result in earlier
        for report in result.get("reports", ())
        if report["step"] == step
    ]
    finished = [(result, scores) for result, scores in reached if result["status"] == "complete"]
    # The median is of trials that went to the end; halving counts all that came this far.
    counted = [scores for _, scores in (reached if rule == "halving" else finished)]
    best: tuple[float | None, ...] = ()
    if finished and rule == "wilcoxon":
        ends = merits(metrics, [result["scores"] for result, _ in finished])
        best = tuple(finished[ends.index(max(ends))][1][metrics[0]])
    return Rung(step=step, reached=tuple(map(_means, counted)), best=best)


def _means(scores: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    known = {name: [value for value in values if value is not None] for name, values in scores.items()}
    return {name: float(np.mean(values)) for name, values in known.items() if values}
