"""What is lost when lambda is taken from another dataset or model, read off the curve of a cell's own trials."""

from collections.abc import Iterable, Sequence

import numpy as np

from regbench.report.summary_file import Choice, LambdaTransfer, MethodEntry, stored
from regbench.study.goals import merits
from regbench.tuning.smoothing import FEWEST, prior_size, smooth


def lambda_transfers(entries: Sequence[MethodEntry]) -> list[LambdaTransfer]:
    """One entry for each cell and each other cell of the same similarity and regularizer, whose lambda it is given.

    Nothing is trained: the loss is the height of the smoothed curve of the cell's own trials (validation score over
    log lambda) at its own lambda, less that at the other's; means over the searches. Cells that searched more than
    lambda are left out: their curve is no curve of lambda alone.

    Args:
        entries: of the methods of a study, with their trials and choices.
    """
    cells = [entry for entry in entries if _has_curve(entry)]
    return [transfer for cell in cells for transfer in _given_others(cell, cells)]


def _has_curve(entry: MethodEntry) -> bool:
    searched_more = any("values" in trial for trial in entry["trials"])
    return bool(_choices(entry)) and len(_scored(entry)) >= FEWEST and not searched_more


def _choices(entry: MethodEntry) -> list[Choice]:
    """Of the searches that chose a lambda; none of a lambda that the config fixed."""
    return [choice for choice in entry.get("searches", []) if choice["lam"] is not None]


def _lambdas(entry: MethodEntry) -> list[float]:
    return [choice["lam"] for choice in _choices(entry) if choice["lam"] is not None]


def _scored(entry: MethodEntry) -> list[tuple[float, float, int]]:
    """Lambda, merit (higher is better) and search of each trial that has a score."""
    scored = [trial for trial in entry["trials"] if trial["scores"]]
    of_trials = merits(_choices(entry)[0]["metrics"], [trial["scores"] for trial in scored])
    return [(trial["lam"], merit, trial.get("replicate", 0)) for trial, merit in zip(scored, of_trials, strict=True)]


def _given_others(cell: MethodEntry, cells: Iterable[MethodEntry]) -> Iterable[LambdaTransfer]:
    for other in cells:
        same_losses = (other["similarity"], other["regularizer"]) == (cell["similarity"], cell["regularizer"])
        elsewhere = (other["dataset"] != cell["dataset"]) + (other["model"] != cell["model"]) == 1
        if same_losses and elsewhere:
            yield _given(cell, other)


def _given(cell: MethodEntry, other: MethodEntry) -> LambdaTransfer:
    low, high = _choices(cell)[0]["range"]
    own, taken = _lambdas(cell), _lambdas(other)
    inside = all(low <= lam <= high for lam in taken)
    lost, sd = _lost(cell, own, taken) if inside else (np.nan, np.nan)
    return {
        "dataset": cell["dataset"],
        "method": cell["method"],
        "from_dataset": other["dataset"],
        "from_method": other["method"],
        "own": [min(own), max(own)],
        "taken": [min(taken), max(taken)],
        "lost": stored(lost),
        "sd": stored(sd),
        "inside": inside,
    }


def _lost(cell: MethodEntry, own: Sequence[float], taken: Sequence[float]) -> tuple[float, float]:
    """Height of the curve at the own lambdas less that at those taken, and its SD."""
    low, high = _choices(cell)[0]["range"]
    trials = _scored(cell)

    def places(lambdas: Iterable[float]) -> list[list[float]]:
        return [[float(np.log(lam / low) / np.log(high / low))] for lam in lambdas]

    at = places([*own, *taken])
    scores = [score for _, score, _ in trials]
    curve = smooth(
        places(lam for lam, _, _ in trials), scores, [str(r) for *_, r in trials], at=at,
        small=prior_size(_choices(cell)[0]["metrics"], scores),
    )  # fmt: skip
    weights = np.array([1 / len(own)] * len(own) + [-1 / len(taken)] * len(taken))
    variance = float(weights @ curve.covariance @ weights)
    return float(weights @ curve.mean), float(np.sqrt(max(variance, 0.0)))
