"""Verdicts by hand, in the form of ``summary["verdicts"]``: what the tests of tables and headlines start from."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

CONVERSE = {"better": "worse", "worse": "better", "equal": "equal", "undecided": "undecided"}
SEEDS = {"seeds": 8, "pairs": None, "subjects": None, "both": {"seeds": 6, "subjects": 16, "pairs": 60}, "text": "more"}


def compared(a: str, b: str, verdict: str, difference: float | None = None, **changes: Any) -> dict[str, Any]:
    """One comparison of `a` against `b`."""
    by_word = {"better": 0.02, "worse": -0.02, "equal": 0.001, "undecided": 0.003}
    mean = by_word[verdict] if difference is None else difference
    reason = "the interval holds 0 and reaches beyond the region of equivalence" if verdict == "undecided" else ""
    return {
        "a": a, "b": b, "verdict": verdict, "reason": reason, "difference": mean, "low": mean - 0.004,
        "high": mean + 0.004, "se_subjects": 0.001, "se_runs": 0.001, "df": 7.0, "n": 30, "subjects": 8, "runs": 4,
        "needs": SEEDS if verdict == "undecided" else None, **changes,
    }  # fmt: skip


def components_by_hand() -> list[dict[str, Any]]:
    """Of one search with several seeds: the residual was estimated below 0."""
    shares = {"seed": (0.3, 0.012), "subject": (0.7, 0.018), "residual": (0.0, 0.0)}
    return [
        {"source": source, "share": share, "sd": sd, "low": sd / 2, "high": 2 * sd, "df": 7.0, "negative": not share}
        for source, (share, sd) in shares.items()
    ]


def family(levels: Iterable[str], said: Mapping[str, str]) -> list[dict[str, Any]]:
    """All pairs of some levels, the best first: ``said`` has 'a b': verdict; 'better' where nothing is said."""
    found = []
    for a, b in combinations(levels, 2):
        verdict = said.get(f"{a} {b}") or (CONVERSE[said[f"{b} {a}"]] if f"{b} {a}" in said else "better")
        found.append(compared(a, b, verdict))
    return found


def verdicts(
    pairs: Iterable[Mapping[str, Any]] = (),
    *,
    best: str = "",
    similarity: Iterable[Mapping[str, Any]] = (),
    regularizer: Iterable[Mapping[str, Any]] = (),
    identity: Mapping[str, str] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """The verdicts of one dataset, model and metric; `identity`: verdict of each method against no registration."""
    pairs = list(pairs)
    methods = list(dict.fromkeys([name for one in pairs for name in (one["a"], one["b"])] + list(identity or {})))
    against = dict.fromkeys(methods, "better") | dict(identity or {})
    beaten = {(one["a"], one["b"]) for one in pairs if one["verdict"] == "better"}
    beaten |= {(one["b"], one["a"]) for one in pairs if one["verdict"] == "worse"}
    ranks = {
        name: [1 + sum(b == name for _, b in beaten), len(methods) - sum(a == name for a, _ in beaten)]
        for name in methods
    }
    return {
        "region": 0.005, "scope": "lambdas", "claim": "Claims hold at these lambdas.", "left_out": 0,
        "best": best or methods[0], "methods": methods, "pairs": pairs, "ranks": ranks,
        "similarity": list(similarity), "regularizer": list(regularizer),
        "against_identity": [compared(name, "identity", verdict) for name, verdict in against.items()],
        "components": {of: components_by_hand() for of in ("difference", "score")},
        "noise": {"seeds": 4, "replicates": 1, "subjects": 8, "pairs": 30}, **changes,
    }  # fmt: skip


def summarised(found: Mapping[str, Mapping[str, Mapping[str, Any]]], more: Iterable[str] = ()) -> dict[str, Any]:
    """The part of a summary that a headline reads; `more` has 'dataset/method' without a result."""
    methods = []
    for dataset, models in found.items():
        methods.append({"dataset": dataset, "method": "identity", "model": None, "similarity": None})
        for metrics in models.values():
            for name in next(iter(metrics.values()))["methods"]:
                methods.append(_entry(dataset, name, *metrics))
    methods += [_entry(*name.split("/")) for name in more]
    goals = {
        name: {"leading": next((metric for metrics in models.values() for metric in metrics), "dice")}
        for name, models in found.items()
    }
    goals |= {one["dataset"]: {"leading": "dice"} for one in methods if one["dataset"] not in goals}
    return {"verdicts": found, "methods": methods, "goals": goals, "equivalence": {"dice": 0.005}, "replicates": 1}


def _entry(dataset: str, name: str, *metrics: str) -> dict[str, Any]:
    """A cell that has a number by each of the metrics."""
    model, similarity, regularizer = name.split(".")
    cell = {"dataset": dataset, "method": name, "model": model, "similarity": similarity, "regularizer": regularizer}
    return cell | {"metrics": {metric: {"median": 0.7, "infinite": 0} for metric in metrics}}
