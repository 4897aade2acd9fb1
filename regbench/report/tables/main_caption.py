"""The caption of the main table: every convention behind its numbers, and what its marks claim, in words."""

from collections.abc import Iterator

from regbench.metrics import METRICS
from regbench.report.summary_file import Summary, all_verdicts
from regbench.report.tables.column_titles import METRIC_TITLES


def protocol(summary: Summary) -> str:
    """Data, averages, tuning and training."""
    seeds = len(summary["seeds"])
    datasets = "; ".join(
        f"{name}: {'x'.join(str(n) for n in manifest['shape'])} voxels of "
        f"{' x '.join(f'{mm:g}' for mm in manifest['spacing_mm'])} mm, {len(manifest['labels'])} labels"
        for name, manifest in summary["datasets"].items()
    )
    rule = {
        "dice": "best validation Dice",
        "dice_ndv": f"best validation Dice with NDV at most {summary['ndv_limit_percent']:g} %",
    }[summary["selection"]]
    return (
        f"Study {summary['study']} ({datasets}). Mean ± SD over test pairs (ddof 1) of the score averaged over {seeds} "
        f"seed{'s' if seeds > 1 else ''}; in brackets, where trainings were repeated, the SD over seeds of the mean "
        f"over pairs. Lambda chosen by {rule} with the same number of trials in every cell{_replicates(summary)}, then "
        f"{summary['steps']} training steps. Labels warped by nearest neighbour; a case's Dice is the mean over its "
        "labels, a label absent before registration is left out, one that vanishes in the warp counts 0."
        f"{by_masks(summary)}"
    )


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
        "where they were repeated, of trainings and tuning. Rank by Dice, with the ranks that the verdicts leave open."
    )
    yield regions(summary)
    claims = {(dataset, model): verdicts["claim"] for dataset, model, _, verdicts in judged}
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


def regions(summary: Summary) -> str:
    """The declared regions of practical equivalence."""
    declared = {metric: verdicts["region"] for _, _, metric, verdicts in all_verdicts(summary)}
    known = {metric: region for metric, region in declared.items() if region is not None}
    if not known:
        return "No region of equivalence was declared, so nothing can be equal."
    units = {metric: "" if METRICS[metric].unit == "1" else f" {METRICS[metric].unit}" for metric in known}
    sizes = [f"{_name(metric)} within {region:g}{units[metric]}" for metric, region in known.items()]
    return f"Region of equivalence: {', '.join(sizes)}."


def definitions(summary: Summary, names: tuple[str, ...]) -> Iterator[str]:
    """The definition of each metric that the table has."""
    for metric in (METRICS[name] for name in names if _shown(summary, name)):
        unit = "" if metric.unit == "1" else f"{metric.unit}, "
        yield f"{_name(metric.name)} ({unit}{metric.direction} is better): {metric.definition}."


def _name(metric: str) -> str:
    return METRIC_TITLES.get(metric, metric).partition(",")[0]


def _shown(summary: Summary, name: str) -> bool:
    return any(name in entry["metrics"] for entry in summary["methods"])
