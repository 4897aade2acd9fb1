"""Bootstrap of means, by case or by subject, from an explicit generator.

Everything here is a mean of per-case numbers (differences, ranks, effects), so one table of resampling weights serves
a whole table of results. Sums are taken without BLAS: their order must not depend on the number of threads.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 9999
# Entries of the weight table held at a time.
CHUNK = 1 << 22


def bootstrap_means(
    values: ArrayLike, generator: Generator, *, subjects: ArrayLike | None = None, resamples: int = RESAMPLES
) -> Floats:
    """Means of each column over cases drawn with replacement.

    Args:
        values: ``(n,)`` or ``(n, k)``, finite.
        generator: the source of the draws; its state moves on.
        subjects: None to draw cases; ``(n,)`` to draw subjects with all their cases; ``(n, 2)``, the two subjects of a
            pair, to draw subjects and weight each pair by the product of its subjects' counts. A subject of every pair
            (an atlas) is no sample and is ignored.
        resamples: number of draws.

    Returns:
        ``(resamples,)`` or ``(resamples, k)``; NaN for a draw that holds no case at all.

    Raises:
        ValueError: if a value is not finite, there are none, or the subjects do not match.

    Reference:
        Cluster bootstrap: Davison and Hinkley 1997, doi:10.1017/CBO9780511802843; of pairs: Snijders and Borgatti 1999.

    Example:
        >>> import numpy as np
        >>> bootstrap_means([[0.7, 0.6], [0.8, 0.7]], np.random.default_rng(0), resamples=99).shape
        (99, 2)
    """
    table = np.asarray(values, dtype=np.float64)
    columns = table.reshape(len(table), -1) if table.size else table
    if not table.size or not np.isfinite(table).all():
        raise ValueError(f"bootstrapped values must be finite and at least one, but got shape {table.shape}")
    groups = _groups(len(columns), subjects)
    drawn = int(groups.max()) + 1
    rows = max(1, CHUNK // max(drawn, len(columns)))
    chunks = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        draws = generator.integers(0, drawn, size=(count, drawn)) + drawn * np.arange(count)[:, None]
        counts = np.bincount(draws.ravel(), minlength=count * drawn).reshape(count, drawn)
        weights = counts[:, groups].prod(2).astype(np.float64)
        total = weights.sum(1, keepdims=True)
        total[total == 0] = np.nan
        chunks.append(np.einsum("rn,nk->rk", weights, columns) / total)
    means: Floats = np.concatenate(chunks)
    return means.reshape(resamples, *table.shape[1:])


def interval(means: ArrayLike, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile interval of bootstrapped means along their first axis.

    Raises:
        ValueError: if `level` is not between 0 and 1.

    Example:
        >>> import numpy as np
        >>> low, high = interval(np.arange(101.0)[:, None])
        >>> low.tolist(), high.tolist()
        ([2.500000000000002], [97.5])
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, but got {level}")
    low, high = np.nanquantile(np.asarray(means, dtype=np.float64), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)


def _groups(cases: int, subjects: ArrayLike | None) -> NDArray[np.intp]:
    """For each case the numbers of the groups that it belongs to, ``(n, 1)`` or ``(n, 2)``."""
    if subjects is None:
        return np.arange(cases)[:, None]
    given = np.asarray(subjects)
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or len(given) != cases:
        raise ValueError(f"subjects must be one or two a case for {cases} cases, but got shape {given.shape}")
    shared = set.intersection(*(set(case) for case in given.tolist())) if given.shape[1] > 1 else set()
    atlas = shared if len(shared) == 1 else set()
    sampled = [[name for name in case if name not in atlas] for case in given.tolist()]
    _, numbers = np.unique(np.array(sampled, dtype=given.dtype), return_inverse=True)
    return numbers.reshape(cases, -1)
