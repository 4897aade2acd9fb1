"""From rows to the scores that are compared: seeds are averaged first, the unit is the pair.

An error bar is only as good as its name. `sd` is over cases, of the seed-averaged score; `seed_sd` over seeds, of the
mean over cases; `pooled_sd` over structures and cases at once, about four times as large and printed in many papers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

CASE = ("fixed", "moving")


@dataclass(frozen=True)
class Spread:
    """A mean and what it varies over; ddof 1; NaN where there is only one."""

    mean: float
    sd: float
    seed_sd: float
    cases: int
    seeds: int


def case_scores(rows: pd.DataFrame, metric: str, *, method: str = "method", case: Sequence[str] = CASE) -> pd.DataFrame:
    """Seed-averaged score of every case (rows) and method (columns).

    Args:
        rows: one row a method, seed and case.
        metric: the column to average.
        method: the column that names the method.
        case: the columns that name a case, for example fixed and moving.

    Returns:
        Cases x methods, in order of first appearance. NaN where a seed has no number or the case is missing: averaging
        over the seeds that happened to work would reward a method for diverging.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"method": "a", "fixed": 1, "moving": 2, "dice": [0.6, 0.8]})  # two seeds
        >>> round(float(case_scores(rows, "dice").iloc[0, 0]), 3)
        0.7
    """
    scores = rows.groupby([*case, method], sort=False)[metric].mean(skipna=False).unstack(method, sort=False)
    return scores[list(dict.fromkeys(rows[method]))]


def spread(scores: ArrayLike) -> Spread:
    """Mean, SD over cases and SD over seeds of one method.

    Args:
        scores: ``(cases, seeds)``; cases with a NaN are left out.

    Returns:
        The SD over cases is of the seed-averaged scores, the SD over seeds of the case-averaged ones.

    Raises:
        ValueError: if the scores are not two-dimensional.

    Example:
        >>> spread([[0.6, 0.7, 0.8], [0.6, 0.7, 0.8]]).cases
        2
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"scores must be (cases, seeds), but got {values.shape}")
    values = values[~np.isnan(values).any(1)]
    return Spread(
        mean=float(values.mean()) if values.size else float("nan"),
        sd=_sd(values.mean(1)) if values.size else float("nan"),
        seed_sd=_sd(values.mean(0)) if values.size else float("nan"),
        cases=len(values),
        seeds=values.shape[1],
    )


def pooled_sd(scores: ArrayLike, *, ddof: int = 0) -> float:
    """SD over structures and cases at once, as published tables often print it; never to be shown as SD over cases.

    Args:
        scores: any shape; NaN is left out.
        ddof: 0 as numpy does, which is what those tables used.

    Example:
        >>> round(pooled_sd([[0.5, 0.9], [0.6, 0.8]]), 3)
        0.158
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values[~np.isnan(values)]
    return float(values.std(ddof=ddof)) if values.size > ddof else float("nan")


def _sd(values: Any) -> float:
    with np.errstate(invalid="ignore"):  # of an infinite score: NaN
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
