"""What dealing the folds anew does to a number: folds that test other subjects, told apart from these subjects.

A fold's mean moves with its trainings and with the subjects that it tests. Every deal tests all subjects once, so
several deals part the two: each case is what its subjects add, plus what its fold adds, plus a rest.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TINY = 1e-9  # of a column's length: what is left of one that others make up


class FoldSquares(NamedTuple):
    """Sums of squares of each method between folds that test the same subjects, and of the rest.

    Attributes:
        between: ``(methods,)``; its expectation is ``df * (rest's mean square + size * variance of a fold)``.
        rest: ``(methods,)``.
        size: cases that a fold counts as, the subjects taken out.
    """

    between: Floats
    df: float
    rest: Floats
    df_rest: float
    size: float


def fold_squares(values: Floats, folds: NDArray[np.intp], subjects: NDArray[Any]) -> FoldSquares | None:
    """Squares between folds after the subjects; None where no subject was tested by two folds, or nothing is left over.

    Args:
        values: ``(methods, cases)``, finite.
        folds: ``(cases,)``, which fold tested each.
        subjects: ``(cases, k)``, who stands where in each, such as (fixed, moving): a subject may be easy to move and
            hard to move to.

    Reference:
        Henderson 1953, doi:10.2307/3001853 (method 3).
    """
    count = len(folds)
    own = _basis([np.ones(count), *(one for place in subjects.T for one in _members(place))], np.empty((0, count)))
    columns = [_without(column, own) for column in _members(folds)]
    of_folds = _basis(columns, own)
    df, df_rest = len(of_folds), count - len(own) - len(of_folds)
    if not df or df_rest < 1:
        return None
    size = float(sum(np.einsum("n,n->", column, column) for column in columns)) / df
    between = (np.einsum("mn,rn->mr", values, of_folds) ** 2).sum(axis=1)
    left = np.stack([_without(line, np.concatenate([own, of_folds])) for line in values])
    return FoldSquares(between, float(df), (left**2).sum(axis=1), float(df_rest), size)


def _members(names: NDArray[Any]) -> list[Floats]:
    """For each name a line that is 1 where it stands."""
    return [np.asarray(names == name, dtype=np.float64) for name in dict.fromkeys(names)]


def _basis(columns: Sequence[Floats], given: Floats) -> Floats:
    """``(rank, cases)``: orthonormal lines that make up what the columns add to those that are given.

    By einsum, never by LAPACK: bits must not depend on the number of threads.
    """
    found = given
    for column in columns:
        rest = _without(column, found)
        length = float(np.sqrt(np.einsum("n,n->", rest, rest)))
        if length > TINY * max(float(np.sqrt(np.einsum("n,n->", column, column))), 1.0):
            found = np.concatenate([found, rest[None] / length])
    return found[len(given) :]


def _without(column: Floats, basis: Floats) -> Floats:
    """What is left of a column when the lines of a basis are taken out: twice, for the rounding."""
    for _ in range(2):
        column = column - np.einsum("r,rn->n", np.einsum("rn,n->r", basis, column), basis)
    return column
