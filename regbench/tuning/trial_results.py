"""What is proposed for a trial, and what comes of it, as files hold it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

import numpy as np
from pydantic import JsonValue

from regbench.study.config import Pruner
from regbench.system.provenance import Environment
from regbench.training.pruning import PruneSpec, Rung, RungReport
from regbench.tuning.space import Point


class TrialResult(TypedDict):
    """A finished trial; Dice and NDV are means over the validation pairs, null where the training diverged."""

    number: int
    lam: float
    values: NotRequired[dict[str, JsonValue]]
    seed: NotRequired[int]  # of a point that is trained once more
    status: str
    reason: str
    dice: float | None
    ndv_percent: float | None
    pairs: dict[str, list[float]]
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


def dice_of(result: TrialResult) -> float:
    """Mean Dice of a trial that has scores."""
    assert result["dice"] is not None
    return result["dice"]


def ndv_of(result: TrialResult) -> float:
    """Mean NDV in percent of a trial that has scores."""
    assert result["ndv_percent"] is not None
    return result["ndv_percent"]


def has_scores(result: TrialResult) -> bool:
    """Whether a trial has a Dice and an NDV: one that diverged has none."""
    scores = (result["dice"], result["ndv_percent"])
    return all(score is not None and math.isfinite(score) for score in scores)


def is_complete(result: TrialResult) -> bool:
    """Whether a trial went to its end, with scores."""
    return result["status"] == "complete" and has_scores(result)


def is_repeat(result: TrialResult) -> bool:
    """Whether a trial is an earlier point once more, with a training seed of its own."""
    return "seed" in result


def by_number(results: Sequence[TrialResult]) -> list[TrialResult]:
    """The results in the order of their numbers, in which even a mean has the same last digit each time."""
    return sorted(results, key=lambda result: result["number"])


def with_worst_for_failed(results: Sequence[TrialResult]) -> list[TrialResult]:
    """The results in the order of their numbers; one that diverged with the worst scores of the others.

    Optuna's samplers pass over failed trials, and would propose such a point again.
    """
    scored = [result for result in results if has_scores(result)]
    dice = min(map(dice_of, scored), default=0.0)
    ndv = max(map(ndv_of, scored), default=0.0)
    return [
        result if has_scores(result) else {**result, "dice": dice, "ndv_percent": ndv} for result in by_number(results)
    ]


def pruning_against(rule: Pruner, steps: Sequence[int], earlier: Sequence[TrialResult]) -> PruneSpec:
    """What a round's trials are held against: at each rung the Dice of earlier trials, and the best one's by pair.

    Args:
        rule: ``median``, ``halving`` or ``wilcoxon``.
        steps: of the rungs.
        earlier: results of earlier rounds.
    """
    return PruneSpec(rule=rule, rungs=tuple(_rung(rule, step, by_number(earlier)) for step in steps))


def _rung(rule: Pruner, step: int, earlier: Sequence[TrialResult]) -> Rung:
    reached = [
        (result, report["dice"]) for result in earlier for report in result.get("reports", ()) if report["step"] == step
    ]
    finished = [(dice_of(result), pairs) for result, pairs in reached if result["status"] == "complete"]
    # The median is of trials that went to the end; halving counts all that came this far.
    counted = [pairs for result, pairs in reached if rule == "halving" or result["status"] == "complete"]
    best = max(finished, key=lambda item: item[0])[1] if finished and rule == "wilcoxon" else []
    return Rung(step=step, dice=tuple(float(np.mean(pairs)) for pairs in counted), best=tuple(best))
