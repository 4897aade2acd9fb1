"""Specs with changes, and the tuning with plain JSON in and out: what files hold between two jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from regbench.study.goals import base, is_limited
from regbench.study.specs import EvaluateSpec, ProposeSpec, SelectSpec, TrainSpec, TrialSpec
from regbench.tuning import rounds
from regbench.tuning.trial_results import Proposal


def at(spec: TrainSpec, lam: float | None) -> Any:
    """The training at a lambda."""
    return spec.model_copy(update={"lam": lam})


def changed(spec: TrainSpec, *, seed: int | None = None, **training: Any) -> Any:
    """The training with another seed or other entries of its protocol."""
    protocol = spec.training.model_copy(update=training)
    return spec.model_copy(update={"training": protocol, "seed": spec.seed if seed is None else seed})


def trial_spec(spec: TrainSpec) -> TrialSpec:
    """A training as a trial."""
    return TrialSpec(**{name: getattr(spec, name) for name in TrainSpec.model_fields})


def evaluate_spec(method: str) -> EvaluateSpec:
    """An evaluation that depends on nothing else."""
    return EvaluateSpec(method=method, seed=0, replicate=0, code="")


def proposals_of(entries: Sequence[Mapping[str, Any]]) -> list[Proposal]:
    """Proposals from their JSON."""
    return [Proposal.from_json(entry) for entry in entries]


def to_propose_spec(entries: Mapping[str, Any]) -> ProposeSpec:
    """The spec of a search; what is left out has no effect."""
    defaults = {"code": "", "objective": "dice", "ndv_limit_percent": None, "budget": None}
    return ProposeSpec.from_json(_with_goal({**defaults, **entries}, "objective"))


def _with_goal(entries: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The entries with a goal as specs have it: of a name such as ``dice`` or ``tre_mm_ndv``."""
    goal = entries.get(key)
    if not isinstance(goal, str):
        return dict(entries)
    return {**entries, key: {"metrics": [base(goal)], "limited": is_limited(goal)}}


def select_spec(entries: Mapping[str, Any]) -> SelectSpec:
    """The spec of a choice."""
    return SelectSpec.from_json(_with_goal({"code": "", "replicate": 0, **entries}, "selection"))


def propose(entries: Mapping[str, Any], number: int, earlier: Sequence[Any]) -> list[dict[str, Any]]:
    """The proposals of a round as JSON."""
    return [proposal.to_json() for proposal in rounds.propose(to_propose_spec(entries), number, earlier)]


def select(entries: Mapping[str, Any], results: Sequence[Any]) -> Any:
    """The choice among results."""
    return rounds.select(select_spec(entries), results)
