"""The caption of the main table: every convention behind its numbers, and what its marks claim, in words."""

import re
from collections.abc import Iterator

from regbench.metrics import SIMILARITY, metric_of
from regbench.report.comparison_entries import TradeOffEntry
from regbench.report.objectives import caption_of
from regbench.report.summary_file import Manifest, Summary, all_verdicts, foremost, led_by
from regbench.report.tables.column_titles import METRIC_TITLES, metric_title
from regbench.study.frozen import sentences
from regbench.study.goals import words


def protocol(summary: Summary) -> str:
    """Data, averages, tuning and training."""
    seeds = _seeds(summary)
    datasets = "; ".join(
        f"{name}: {'x'.join(str(n) for n in manifest['shape'])} voxels of "
        f"{' x '.join(f'{mm:g}' for mm in manifest['spacing_mm'])} mm, {_scored_by(manifest)}"
        for name, manifest in summary["datasets"].items()
        if name in foremost(summary)
    )
    return (
        f"Study {summary['study']} ({datasets}). Mean ± SD over test pairs (ddof 1) of the score averaged over "
        f"{seeds}; in brackets, where trainings were repeated, the SD over seeds of the mean over pairs. "
        f"{tuning(summary)}{training(summary)}.{_refined(summary)}{_labels(summary)}"
        f"{_unscored(summary)}{by_masks(summary)}{caption_of(summary)}{_matched(summary)}{_folds(summary)}"
        f"{_registered(summary)}"
    )


def _seeds(summary: Summary) -> str:
    """How many seeds scores are averaged over; with looks those of each row stand in its column."""
    most = len(summary["seeds"])
    if "looks" not in summary:
        return f"{most} seed{'s' if most > 1 else ''}"
    counts = {len(entry["runs"]) for entry in summary["methods"] if entry["runs"]}
    span = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{max(counts)}"
    return f"{span} seeds (each row says how many; they were given out in looks)"


def tuning(summary: Summary) -> str:
    """How the lambdas came about."""
    cells = [entry for entry in summary["methods"] if entry["similarity"] and not entry.get("refined")]
    given = [entry for entry in cells if (choice := entry.get("selected")) and choice["range"] is None]
    if given and len(given) == len(cells):
        return "Lambda given, not searched"
    apart = f" (given, not searched, in {len(given)} of {len(cells)} cells)" if given else ""
    return (
        f"Lambda chosen by {selection_rule(summary)} with the same number of trials {_trials_of(summary)}"
        f"{_replicates(summary)}{apart}"
    )


def training(summary: Summary) -> str:
    """How long networks are trained then; an optimisation of each pair trains nothing."""
    kinds = {entry["trained"] for entry in summary["methods"] if "trained" in entry}
    return "; nothing is trained" if kinds == {False} else f", then {summary['steps']} training steps"


def _folds(summary: Summary) -> str:
    """What the rows of pooled folds are, and those of the folds."""
    deals = summary.get("deals", {})
    parts = [
        f" Rows of {pool} are of the test pairs of {len(folds)} folds ({folds[0]} to {folds[-1]}), in which each "
        f"subject is tested {f'{deals[pool]} times, once in each deal' if pool in deals else 'once'}: mean and SD over "
        "all of them, the SD over seeds of that mean, the lambdas of all "
        "folds, the trials of all. Rows of a fold, and their verdicts, are of its own trainings and subjects alone."
        for pool, folds in summary.get("pools", {}).items()
    ]
    return "".join(parts)


def _refined(summary: Summary) -> str:
    """What stands behind the refined rows."""
    settings = {
        entry["model"]: (refined["method"].partition(".")[0], refined["steps"], refined["learning_rate"])
        for entry in summary["methods"]
        if (refined := entry.get("refined"))
    }
    return "".join(
        f" {model}: the trained networks of {network}, each test pair refined by {steps} steps of Adam ({rate:g}) down "
        "the objective of their training; nothing is trained or searched for it, and it is ranked apart."
        for model, (network, steps, rate) in settings.items()
    )


def _trials_of(summary: Summary) -> str:
    """What has the same number of trials."""
    budget = summary.get("budget")
    return "in every cell" if budget is None or budget["fairness"] == "trials" else "for every weight that is searched"


def _registered(summary: Summary) -> str:
    """Whether the study keeps to what it promised; empty where it promised nothing."""
    registration = summary.get("frozen")
    return "" if registration is None else f" {' '.join(sentences(registration))}"


def _scored_by(manifest: Manifest) -> str:
    """What the pairs of a dataset are scored by."""
    parts = [f"{len(manifest['labels'])} labels"] if manifest["labels"] else []
    parts += ["landmarks"] if "landmarks" in manifest["references"]["test"] else []
    return " and ".join(parts) or "neither labels nor landmarks"


def selection_rule(summary: Summary) -> str:
    """What lambda was chosen by, of each dataset where they differ."""
    limit = f" with NDV at most {summary['ndv_limit_percent']:g} %" if summary["limited"] else ""
    rules: dict[str, list[str]] = {}
    for dataset in foremost(summary):
        names = [words(metric) for metric in summary["goals"][dataset]["selection"]]
        rule = f"best validation {names[0]}" if len(names) == 1 else f"best mean rank (geometric) by {', '.join(names)}"
        rules.setdefault(rule + limit, []).append(dataset)
    if len(rules) == 1:
        return next(iter(rules))
    return " and ".join(f"{rule} ({', '.join(datasets)})" for rule, datasets in rules.items())


def _labels(summary: Summary) -> str:
    if not any(manifest["labels"] for manifest in summary["datasets"].values()):
        return ""
    return (
        " Labels warped by nearest neighbour; a case's Dice is the mean over its labels, a label absent before "
        "registration is left out, one that vanishes in the warp counts 0."
    )


def _unscored(summary: Summary) -> str:
    """That a similarity stands where labels or landmarks should."""
    chosen = [n for n in foremost(summary) if any(map(_is_similarity, summary["goals"][n]["selection"]))]
    if not chosen:
        return ""
    return (
        f" Lambda of {', '.join(chosen)} was chosen by a similarity: it favours the loss that it is, and no similarity "
        "is evidence of a registration."
    )


def _is_similarity(metric: str) -> bool:
    return metric.startswith(SIMILARITY)


def by_masks(summary: Summary) -> str:
    """Which masks the trainings and the metrics count by; empty where none does."""
    masks = summary.get("masks")
    if masks is None:
        return ""
    of = {
        "fixed": "the fixed mask",
        "moving": "the moving mask, warped with its image",
        "both": "the fixed mask times the moving mask, warped with its image",
    }
    sentences = []
    if masks["training"] != "none":
        terms = "Similarity and regularizer are" if masks["regularizer"] else "The similarity is"
        sentences.append(f"{terms} weighted by {of[masks['training']]}, in trainings, trials and optimisations alike.")
    if masks["evaluation"] != "none":
        sentences.append(
            "Folding, SDlogJ, lengths and errors of displacements, and landmarks, are measured inside the fixed mask "
            "alone (Learn2Reg's own numbers, and overlap and distance of labels, in the whole box)."
        )
    return "".join(f" {sentence}" for sentence in sentences)


def _replicates(summary: Summary) -> str:
    count = summary.get("replicates", 1)
    return f", searched {count} times apart (the range of what was chosen is given)" if count > 1 else ""


def marks(summary: Summary) -> str:
    """What bold, underlined, ``=`` and ``?`` mean, and what they are claims about."""
    return " ".join(_marks(summary))


def _marks(summary: Summary) -> Iterator[str]:
    judged = list(all_verdicts(summary))
    if not judged:
        yield "Underlined: the best mean of its model."
        return
    yield (
        "Verdicts are against the best of the same model and dataset. Bold: better than every other method of its "
        "model. Underlined: the best mean where that is not so. = equal to the best: the interval of the difference "
        "lies inside a region that was declared before the data. ? undecided. No mark: worse than the best. Intervals "
        "are 95 % simultaneous over the comparisons of a metric and model, and hold the noise of test subjects and, "
        f"where they were repeated, of trainings and tuning. Rank by {led_by(summary)}, with the ranks that the "
        "verdicts leave open."
    )
    yield regions(summary)
    told = foremost(summary)
    claims = {(dataset, model): verdicts["claim"] for dataset, model, _, verdicts in judged if dataset in told}
    if len(set(claims.values())) == 1:
        yield next(iter(claims.values()))
    else:
        several = len({dataset for dataset, _ in claims}) > 1
        for (dataset, model), claim in claims.items():
            yield f"{f'{dataset}, {model}' if several else model}: {claim}"
    metrics = {metric for _, _, metric, _ in judged}
    without = [name for name in METRIC_TITLES if _shown(summary, name) and name not in metrics]
    if without:
        yield f"Without verdicts: {', '.join(METRIC_TITLES[name] for name in without)}."
    if any(verdicts["left_out"] for _, _, _, verdicts in judged):
        yield "Of very many methods only the best are compared; the others have no verdict and no mark."


def units(regularity: str) -> str:
    """The unit of a level as it stands behind its number."""
    unit = metric_of(regularity).unit
    return "" if unit == "1" else f" {unit}"


def at_levels_words(summary: Summary) -> str:
    """The levels of regularity, and how they came about; empty without curves."""
    first: dict[tuple[str, str], TradeOffEntry] = {}
    for entry in summary.get("trade_offs", []):
        first.setdefault((entry["dataset"], entry["model"]), entry)
    if not first:
        return ""
    several = len({dataset for dataset, _ in first}) > 1
    named = {
        f"{dataset}, {model}" if several else model: ", ".join(f"{level:g}" for level in entry["levels"]) or "none"
        for (dataset, model), entry in first.items()
    }
    entry = next(iter(first.values()))
    unit = units(entry["regularity"])
    if len(set(named.values())) == 1:
        levels = f"{next(iter(named.values()))}{unit}"
    else:
        levels = "; ".join(f"{name} {text}{unit}" for name, text in named.items())
    how = "given by the config"
    if not entry["given"]:
        how = (
            "chosen by the validation pairs alone: inside what the curves of all cells of a model have, and no less "
            "regular than the least regular of the chosen lambdas"
        )
    return f"Levels of {words(entry['regularity'])}: {levels}, {how}."


def _matched(summary: Summary) -> str:
    """What stands in the column of scores at equal regularity."""
    entries = summary.get("trade_offs", [])
    if not entries:
        return ""
    middle = {f"{entry['headline']:g}" for entry in entries if entry["headline"] is not None}
    at = f" ({' and '.join(sorted(middle, key=float))}{units(entries[0]['regularity'])})" if middle else ""
    return (
        f" At equal {words(entries[0]['regularity'])}: read off the curve of each cell's trainings at several lambdas, "
        f"at the level in the middle{at}. {at_levels_words(summary)} A dash: the curve does not come so far."
    )


def regions(summary: Summary) -> str:
    """The declared regions of practical equivalence."""
    declared = {metric: verdicts["region"] for _, _, metric, verdicts in all_verdicts(summary)}
    known = {metric: region for metric, region in declared.items() if region is not None}
    if not known:
        return "No region of equivalence was declared, so nothing can be equal."
    units = {metric: "" if metric_of(metric).unit == "1" else f" {metric_of(metric).unit}" for metric in known}
    sizes = [f"{_name(metric)} within {region:g}{units[metric]}" for metric, region in known.items()]
    return f"Region of equivalence: {', '.join(sizes)}."


def definitions(summary: Summary, names: tuple[str, ...]) -> Iterator[str]:
    """The definition of each metric that the table has."""
    for metric in (metric_of(name) for name in names if _shown(summary, name)):
        unit = "" if metric.unit == "1" else f"{metric.unit}, "
        more = f" ({summary['nsd_tolerance_mm']:g} mm)" if metric.name == "nsd" else ""
        definition = _where(metric.definition, summary)
        yield f"{_name(metric.name)} ({unit}{metric.direction} is better): {definition}{more}."


def _where(definition: str, summary: Summary) -> str:
    """A definition with the place where these metrics were measured."""
    masks = summary.get("masks")
    if masks is None or masks["evaluation"] == "none":
        return definition
    return re.sub(r"(of|over) the whole box", r"\1 the fixed mask", definition).replace(
        "of the fixed foreground", "of the fixed foreground inside the fixed mask"
    )


def _name(metric: str) -> str:
    return metric_title(metric).partition(",")[0]


def _shown(summary: Summary, name: str) -> bool:
    return any(name in entry["metrics"] for entry in summary["methods"])
