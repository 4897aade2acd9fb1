"""Verdicts as `analyze` writes them, made from means alone: for tests of what shows them."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from made_verdicts import components_by_hand

CLAIMS = {
    "lambdas": "Claims hold at these lambdas: each was chosen once, and another search could choose another.",
    "fixed": "Claims hold at these lambdas; nothing is drawn at random, so there is no noise of trainings.",
    "networks": "One training each: claims are about these trained networks, nothing is claimed about trainings.",
    "tuning": "Claims are about the losses, tuned in this way.",
}


def verdict(difference: float, region: float | None, half: float) -> str:
    """Of a against b, with an interval of that half width."""
    low, high = difference - half, difference + half
    if region is not None and max(abs(low), abs(high)) < region:
        return "equal"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def comparison(pair: tuple[str, str], difference: float, region: float | None, half: float) -> dict[str, Any]:
    """A comparison of `pair`, a less b."""
    found = verdict(difference, region, half)
    needs = {"seeds": 12, "pairs": 60, "subjects": 9, "unit": "seeds", "text": "12 seeds, or 6 seeds and 60 pairs"}
    return {
        "a": pair[0], "b": pair[1], "verdict": found, "difference": difference, "low": difference - half,
        "reason": "the interval holds 0 and reaches beyond the region" if found == "undecided" else "",
        "high": difference + half, "se_subjects": half / 3, "se_runs": half / 4, "df": 9.0, "n": 30, "subjects": 8,
        "runs": 4, "needs": needs if found == "undecided" else None,
    }  # fmt: skip


def judge(
    summary: Mapping[str, Any], *, region: float | None = 0.005, half: float = 0.004, scope: str = "lambdas"
) -> dict[str, Any]:
    """The summary with verdicts on Dice, every interval of one half width."""
    found: dict[str, Any] = {}
    keys = dict.fromkeys((one["dataset"], one["model"]) for one in summary["methods"] if one["similarity"])
    for dataset, model in keys:
        mine = [one for one in summary["methods"] if (one["dataset"], one["model"]) == (dataset, model)]
        known = {one["method"]: one for one in mine if one["similarity"] and one["metrics"]["dice"]["mean"] is not None}
        if not known:
            continue
        means = {method: one["metrics"]["dice"]["mean"] for method, one in known.items()}
        identity = next(
            one["metrics"]["dice"]["mean"]
            for one in summary["methods"]
            if one["method"] == "identity" and one["dataset"] == dataset
        )
        families = {"pairs": _family(means, region, half)}
        for kind in ("similarity", "regularizer"):
            levels: dict[str, list[float]] = {}
            for method, one in known.items():
                levels.setdefault(one[kind], []).append(means[method])
            averages = {level: sum(values) / len(values) for level, values in levels.items()}
            families[kind] = _family(averages, region, half) if len(known) == len(mine) else []
        against = [comparison((name, "identity"), mean - identity, region, half) for name, mean in means.items()]
        entry = {
            "region": region, "scope": scope, "claim": CLAIMS[scope], "best": max(means, key=lambda name: means[name]),
            "methods": list(means), "left_out": 0, **families, "against_identity": against,
            "ranks": {name: [1, len(means)] for name in means},
            "components": {of: components_by_hand() for of in ("difference", "score")},
            "noise": {"seeds": len(summary["seeds"]), "replicates": 1, "subjects": 8, "pairs": 30},
        }  # fmt: skip
        found.setdefault(dataset, {})[model] = {"dice": entry}
    equivalence = {} if region is None else {"dice": region}
    return {**summary, "verdicts": found, "equivalence": equivalence, "replicates": 1}


def _family(means: Mapping[str, float], region: float | None, half: float) -> list[dict[str, Any]]:
    return [comparison((a, b), means[a] - means[b], region, half) for a, b in combinations(means, 2)]
