"""Titles of columns as people read them; CSV keeps the machine's names."""

from regbench.study.goals import FOLDING, SIMILARITY, is_limited

METRIC_TITLES = {
    "dice": "Dice",
    "dice30": "Dice30",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "nsd": "NSD",
    "tre_mm": "TRE, mm",
    "tre_median_mm": "Median TRE, mm",
    "tre70_mm": "TRE70, mm",
    "rtre_percent": "Relative TRE, %",
    "fold_central_percent": "Folding, %",
    "fold_foreground_percent": "Folding in foreground, %",
    "ndv_percent": "NDV, %",
    "endpoint_error_mm": "EPE, mm",
    "endpoint_error_foreground_mm": "EPE in foreground, mm",
    "inverse_consistency_mm": "Inverse consistency, mm",
}
TITLES = {
    "lambda": "λ",
    "weights_searched": "Weights searched",
    "a": "a",
    "b": "b",
    "n": "n",
    "p": "p",
    "p_holm": "p (Holm)",
    "ci_low": "95 % from",
    "ci_high": "95 % to",
    "conditions_on": "Conditions on",
    "edge": "At the edge",
    "inference_ms_median": "Inference, ms",
    "inference_ms_q1": "First quartile, ms",
    "inference_ms_q3": "Third quartile, ms",
    "pipeline_ms_median": "Pipeline, ms",
    "peak_memory_mib_median": "Peak memory, MiB",
    "training_s_median": "Training, s",
    "failed": "Failed",
    "tested_on": "Tested on",
    "trained_on": "Trained on",
    "against_own": "Against own",
    "from_dataset": "Lambda of dataset",
    "from_method": "Lambda of method",
    "taken": "λ taken",
    "lost": "Lost",
    "displacement_mm": "Displacement, mm",
    "self_displacement_mm": "Self-displacement, mm",
}


def metric_title(name: str) -> str:
    """The title of a metric, with its unit; of a similarity its name."""
    return METRIC_TITLES.get(name, name.replace(".", " ", 1) if name.startswith(SIMILARITY) else name)


def choice_title(name: str, rule: str) -> str:
    """The title of a column of the choice of lambda.

    Args:
        name: of the column without the rule: ``lambda``, a metric, or what was searched beside lambda.
        rule: by which lambda was chosen; with `_ndv` behind it NDV was limited.
    """
    words = {"lambda": "λ", FOLDING: "NDV"}.get(name) or metric_title(name).partition(",")[0]
    unit = metric_title(name).partition(",")[2].strip()
    return ", ".join(filter(None, [words + (" limited" if name == FOLDING and is_limited(rule) else ""),
                                   "NDV limited" if name != FOLDING and is_limited(rule) else "", unit]))  # fmt: skip
