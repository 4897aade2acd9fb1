"""How certain the verdicts are, in a few words beside the picture at the top of the page."""

import re
from collections.abc import Callable, Iterator

from regbench.metrics import metric_of
from regbench.report.comparison_entries import NoiseCounts, Scope, Verdicts
from regbench.report.summary_file import Summary, foremost, leading
from regbench.study.goals import words
from regbench.system.escaping import hypertext

SCOPES: dict[Scope, str] = {
    "splits": "the losses, tuned in this way on other validation subjects",
    "tuning": "the losses, tuned in this way",
    "lambdas": "these lambdas",
    "networks": "these trained networks only",
    "fixed": "these lambdas (nothing here is random)",
}
OfModel = tuple[str, Verdicts]  # and the model


def how_sure(summary: Summary) -> list[tuple[str, str]]:
    """The evidence behind the verdicts: trainings, searches, subjects, what counts as equal, and what they hold for.

    Args:
        summary: of the analysis; without verdicts the trainings and subjects alone.

    Returns:
        Word and text.
    """
    judged = list(_judged(summary))
    test = "; ".join(_test(summary, dataset) for dataset in foremost(summary))
    if not judged:
        return [("Seeds", str(len(summary["seeds"]))), ("Test", test), *_registered(summary)]
    return [
        ("Seeds", _counts(judged, lambda noise: noise["seeds"])),
        ("Searches of each lambda", _counts(judged, lambda noise: noise["replicates"])),
        *_splits(summary),
        ("Test", test),
        ("Equal within", _regions(summary)),
        ("Holds for", "; ".join(_scopes(judged))),
        *_registered(summary),
    ]


def _splits(summary: Summary) -> Iterator[tuple[str, str]]:
    """How many draws of validation subjects there were, where there were several."""
    draws = summary.get("splits", 1)
    if draws > 1:
        yield "Draws of validation subjects", f"{draws} (who validated: main.provenance.json)"


def _registered(summary: Summary) -> Iterator[tuple[str, str]]:
    """Whether the study keeps to what it promised before, where it did."""
    registration = summary.get("frozen")
    if registration is not None:
        changed = len(registration["changed"])
        number = f", {changed} key{'s' if changed > 1 else ''} changed since" if changed else ", kept"
        late = f", with {registration['evaluated']} runs evaluated" if registration["evaluated"] else ""
        yield "Pre-registered", f"{registration['frozen_at']}{late}{number}"


def marked(sentence: str) -> str:
    """HTML of a sentence whose names stand in backquotes."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", hypertext(sentence))


def _judged(summary: Summary) -> Iterator[OfModel]:
    """Model, and the verdicts by the metric that it is ranked by."""
    for dataset in foremost(summary):
        for model, metrics in summary.get("verdicts", {}).get(dataset, {}).items():
            for metric in [name for name in (leading(summary, dataset), *metrics) if name in metrics][:1]:
                yield model, metrics[metric]


def _counts(judged: list[OfModel], count: Callable[[NoiseCounts], int]) -> str:
    """A count that all models share; or each count with its models."""
    models: dict[int, list[str]] = {}
    for model, verdicts in judged:
        models.setdefault(count(verdicts["noise"]), []).append(model)
    if len(models) == 1:
        return str(next(iter(models)))
    return ", ".join(f"{number} ({', '.join(dict.fromkeys(names))})" for number, names in models.items())


def _test(summary: Summary, dataset: str) -> str:
    manifest = summary["datasets"][dataset]
    subjects, pairs = manifest.get("splits", {}).get("test"), manifest.get("pairs", {}).get("test")
    counts = [f"{len(subjects)} subjects"] if subjects else []
    counts += [f"{len(pairs)} pairs"] if pairs else []
    counts += [f"{len(pool)} folds"] if (pool := summary.get("pools", {}).get(dataset)) else []
    counts += [f"{deals} deals"] if (deals := summary.get("deals", {}).get(dataset)) else []
    where = f" ({dataset})" if len(foremost(summary)) > 1 else ""
    return f"{' in '.join(counts) or 'unknown'}{where}"


def _regions(summary: Summary) -> str:
    declared = summary.get("equivalence", {})
    parts = [
        f"{words(name)} {half:g}{'' if metric_of(name).unit == '1' else f' {metric_of(name).unit}'}"
        for name, half in declared.items()
    ]
    return ", ".join(parts) or "none declared: nothing can be equal"


def _scopes(judged: list[OfModel]) -> Iterator[str]:
    models: dict[Scope, list[str]] = {}
    for model, verdicts in judged:
        models.setdefault(verdicts["scope"], []).append(model)
    for scope, names in models.items():
        yield SCOPES[scope] if len(models) == 1 else f"{', '.join(dict.fromkeys(names))}: {SCOPES[scope]}"
