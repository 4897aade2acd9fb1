"""What stands on the first screen beside the picture: how sure the verdicts are, in a few words."""

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

from regbench.metrics import METRICS

SCOPES = {
    "tuning": "the losses, tuned in this way",
    "lambdas": "these lambdas",
    "networks": "these trained networks only",
    "fixed": "these lambdas (nothing here is random)",
}
NAMES = {"dice": "Dice", "hd95_mm": "HD95", "tre_mm": "TRE", "ndv_percent": "NDV"}


def how_sure(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the verdicts rest on: trainings, searches, subjects, what counts as equal, and of what they are claims.

    Args:
        summary: of the analysis; one without verdicts says what it knows.

    Returns:
        Word and text.
    """
    judged = list(_judged(summary))
    found = [("Seeds", _each(judged, "seeds") or str(len(summary["seeds"])))]
    if judged:
        found.append(("Searches of each lambda", _each(judged, "replicates")))
    found.append(("Test", "; ".join(_test(summary, dataset) for dataset in summary["datasets"])))
    if judged:
        found += [("Equal within", _regions(summary)), ("Holds for", "; ".join(_scopes(judged)))]
    return found


def marked(sentence: str) -> str:
    """HTML of a sentence whose names stand in backquotes."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(sentence))


def _judged(summary: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Model, and the verdicts by the metric that it is ranked by."""
    for models in summary.get("verdicts", {}).values():
        for model, metrics in models.items():
            for metric in [name for name in ("dice", *metrics) if name in metrics][:1]:
                yield model, metrics[metric]


def _each(judged: list[tuple[str, Mapping[str, Any]]], name: str) -> str:
    """A number of all models; or each number with its models."""
    models: dict[Any, list[str]] = {}
    for model, verdicts in judged:
        models.setdefault(verdicts["noise"][name], []).append(model)
    if len(models) == 1:
        return str(next(iter(models)))
    return ", ".join(f"{number} ({', '.join(dict.fromkeys(names))})" for number, names in models.items())


def _test(summary: Mapping[str, Any], dataset: str) -> str:
    manifest = summary["datasets"][dataset]
    subjects, pairs = manifest.get("splits", {}).get("test"), manifest.get("pairs", {}).get("test")
    counts = [f"{len(subjects)} subjects"] if subjects else []
    counts += [f"{len(pairs)} pairs"] if pairs else []
    where = f" ({dataset})" if len(summary["datasets"]) > 1 else ""
    return f"{' in '.join(counts) or 'unknown'}{where}"


def _regions(summary: Mapping[str, Any]) -> str:
    declared = summary.get("equivalence", {})
    parts = [
        f"{NAMES.get(name, name)} {half:g}{'' if METRICS[name].unit == '1' else f' {METRICS[name].unit}'}"
        for name, half in declared.items()
    ]
    return ", ".join(parts) or "none declared: nothing can be equal"


def _scopes(judged: list[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    models: dict[str, list[str]] = {}
    for model, verdicts in judged:
        models.setdefault(verdicts["scope"], []).append(model)
    for scope, names in models.items():
        yield SCOPES[scope] if len(models) == 1 else f"{', '.join(dict.fromkeys(names))}: {SCOPES[scope]}"
