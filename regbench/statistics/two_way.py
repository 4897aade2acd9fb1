"""The grid as a two-way design: what does the similarity contribute, what the regularizer, what only both together?"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from regbench.statistics.bootstrap import RESAMPLES, bootstrap_means, interval

Floats = NDArray[np.float64]

# Stands for the factor that a main effect averages over.
ALL = "*"


@dataclass(frozen=True)
class TwoWay:
    """Effects as deviations from the grand mean, and how the variation between cells divides among them."""

    grand_mean: float
    effects: pd.DataFrame
    shares: pd.DataFrame
    cases: int


def two_way(
    scores: pd.DataFrame,
    generator: Generator,
    *,
    subjects: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> TwoWay:
    """Main effects and interaction of similarity and regularizer over a full grid, paired by case.

    Args:
        scores: cases x cells, seeds averaged; the columns are (similarity, regularizer) pairs and hold the full grid.
            Cases where a cell has no number are left out.
        generator: for the bootstrap over cases.
        subjects: one or two a case (`bootstrap_means`).
        level: of the intervals.
        resamples: of the bootstrap.

    Returns:
        `effects`: `term` (similarity, regularizer, interaction), `similarity`, `regularizer` (`*` where the term
        averages over it), `effect`, `ci_low`, `ci_high` (NaN of one case); effects of a term sum to zero.
        `shares`: per term the part of the sum of squares between cell means; without an interval, since resampling
        noise only ever adds squares.

    Raises:
        ValueError: if a cell of the grid is missing or no case is complete.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> cell = np.array([0.7, 0.8])  # two cases
        >>> cells = {("lcc", "grad"): cell, ("mse", "grad"): cell - 0.1, ("lcc", "tv"): cell, ("mse", "tv"): cell - 0.1}
        >>> effects = two_way(pd.DataFrame(cells), np.random.default_rng(0), resamples=99).effects
        >>> effects[effects["term"] == "similarity"]["effect"].round(3).to_list()
        [0.05, -0.05]
    """
    run: list[Any] = scores.columns.to_list()
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*run, strict=True))
    missing = [cell for cell in product(rows, columns) if cell not in run]
    if missing:
        raise ValueError(f"a two-way view needs every cell of the grid, but got none for {missing}. Run or drop them.")
    complete = ~scores.isna().any(axis=1).to_numpy()
    if not complete.any():
        raise ValueError("a two-way view needs a case with a number in every cell, but got none")
    ordered = scores[list(product(rows, columns))]
    cells = ordered.to_numpy(dtype=np.float64)[complete].reshape(-1, len(rows), len(columns))
    groups = None if subjects is None else np.asarray(subjects)[complete]
    # Effects are linear in the cell means, so their bootstrap is that of the cell means.
    drawn = bootstrap_means(cells, generator, subjects=groups, resamples=resamples)
    drawn = drawn[~np.isnan(drawn).any((1, 2))]
    terms, resampled = _effects(cells.mean(0)[None]), _effects(drawn)
    keys = [
        *(("similarity", row, ALL) for row in rows),
        *(("regularizer", ALL, column) for column in columns),
        *(("interaction", row, column) for row, column in product(rows, columns)),
    ]
    every = np.concatenate([part.reshape(len(part), -1) for part in resampled], 1)
    low, high = interval(every, level=level) if len(cells) > 1 else np.full((2, every.shape[1]), np.nan)
    effects = pd.DataFrame(keys, columns=["term", "similarity", "regularizer"])
    effects["effect"] = np.concatenate([part.ravel() for part in terms])
    effects["ci_low"], effects["ci_high"] = low, high
    shares = pd.DataFrame({"term": ["similarity", "regularizer", "interaction"], "share": _shares(terms)})
    return TwoWay(float(cells.mean()), effects, shares, int(complete.sum()))


def _effects(means: Floats) -> tuple[Floats, Floats, Floats]:
    """Row, column and interaction effects of tables of cell means ``(n, rows, columns)``."""
    grand = means.mean((1, 2), keepdims=True)
    of_rows = means.mean(2, keepdims=True) - grand
    of_columns = means.mean(1, keepdims=True) - grand
    return of_rows, of_columns, means - grand - of_rows - of_columns


def _shares(effects: tuple[Floats, Floats, Floats]) -> Floats:
    """Part of each term in the sum of squares between cells; NaN where all cells are equal."""
    shape = np.broadcast_shapes(*(part.shape for part in effects))
    squares = np.array([np.broadcast_to(part**2, shape).sum() for part in effects])
    return squares / squares.sum() if squares.any() else np.full(3, np.nan)
