"""The curve behind a cell's trials: what a tried point would score if its training had no noise.

A Gaussian process with a Matern 5/2 kernel, as the sampler has it, over the searched space (lambda on a log scale),
with a parabola in lambda as its mean. Six to twelve points are too few for a best length scale and a best noise: both
are averaged over, by how well they explain the trials. Plain numpy, as the choice of lambda imports nothing heavy.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LENGTHS = np.geomspace(0.1, 2.0, 9)  # of the searched range
USUAL_LENGTH, SPREAD = np.log(0.5), 0.6  # a priori, of its logarithm
NOISE = (
    1e-4,
    0.003,
    0.01,
    0.03,
    0.1,
    0.2,
    0.35,
    0.5,
    0.65,
    0.8,
    0.9,
    0.97,
)  # share of the variance around the parabola
TOGETHER = (0.0, 1.0, 3.0)  # variance of what a training seed does to all its trials, in that of the noise
SMALL = 0.01  # the prior's size of the variation around the parabola, worth one trial: of Dice, or of the mean score
FEWEST = 4  # trials: fewer leave nothing beside the parabola
MARGIN = 1e-9
TINY = 1e-6  # where all scores are 0


class Curve(NamedTuple):
    """Smoothed scores at the tried points, or at those that were asked for."""

    mean: Floats
    sd: Floats
    behind: Floats  # SD of the difference to the best of them
    noise: float  # SD of a trial around the curve
    covariance: Floats


class _Part(NamedTuple):
    """What one length scale with one noise says, and how well it explains the trials."""

    evidence: float
    mean: Floats
    covariance: Floats
    noise: float


class _Design(NamedTuple):
    """Distances, parabola and common seeds of the trials, and how the points asked for lie to them."""

    distance: Floats
    basis: Floats
    same: Floats
    to_trials: Floats
    between: Floats
    basis_at: Floats


def smooth(
    places: ArrayLike,
    scores: ArrayLike,
    seeds: Sequence[Any] | None = None,
    *,
    at: ArrayLike | None = None,
    small: float = SMALL,
) -> Curve:
    """Smoothed scores at each tried point, or at the points `at`.

    Args:
        places: ``(trials, dimensions)``, each from 0 to 1 over its range; lambda first.
        scores: ``(trials,)``, finite.
        seeds: training seed of each trial; trials of one seed are moved together.
        at: ``(points, dimensions)``, where the curve is asked for; the tried points unless given.
        small: the prior's size of the variation around the parabola, in the unit of the scores.

    Raises:
        ValueError: if there are fewer than four trials.

    Reference:
        Rasmussen and Williams 2006, ISBN 026218253X, sections 2.7 and 5.4.
    """
    x, y = np.asarray(places, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(y) < FEWEST or len(x) != len(y):
        raise ValueError(f"a curve needs at least {FEWEST} trials with a place each, but got {len(x)} and {len(y)}")
    names = np.array([str(seed) for seed in seeds or [None] * len(y)])
    same = names[:, None] == names[None]
    wanted = x if at is None else np.asarray(at, dtype=np.float64)
    design = _Design(
        _distances(x, x), _parabola(x), same.astype(np.float64), _distances(wanted, x), _distances(wanted, wanted),
        _parabola(wanted),
    )  # fmt: skip
    shifts = (0.0,) if same.all() else TOGETHER
    parts = [
        _part(design, y - y.mean(), (length, noise, shift), small)
        for length, noise, shift in product(LENGTHS, NOISE, shifts)
    ]
    weights = np.exp(np.array([part.evidence for part in parts]) - max(part.evidence for part in parts))
    weights /= weights.sum()
    mean = sum(weight * part.mean for weight, part in zip(weights, parts, strict=True))
    covariance = sum(
        weight * (part.covariance + np.outer(part.mean - mean, part.mean - mean))
        for weight, part in zip(weights, parts, strict=True)
    )
    variance = np.diag(covariance)
    best = int(np.argmax(mean))
    behind = np.maximum(variance + variance[best] - 2 * covariance[best], 0)
    noise = float(np.sqrt(sum(weight * part.noise for weight, part in zip(weights, parts, strict=True))))
    return Curve(mean + y.mean(), np.sqrt(np.maximum(variance, 0)), np.sqrt(behind), noise, covariance)


def _part(design: _Design, y: Floats, assumed: tuple[float, float, float], small: float) -> _Part:
    """Posterior of the curve for one length scale, one share of noise and one shift by seed; size and parabola open."""
    basis, (length, noise, shift) = design.basis, assumed
    smooth_part = (1 - noise) * _matern(design.distance / length)
    total = smooth_part + noise * (np.eye(len(y)) + shift * design.same) + MARGIN * np.eye(len(y))
    lower = np.linalg.cholesky(total)
    a, b = np.linalg.solve(lower, basis), np.linalg.solve(lower, y)
    gram = a.T @ a + MARGIN * np.eye(basis.shape[1])
    parabola = np.linalg.solve(gram, a.T @ b)
    rest = b - a @ parabola
    free = 0.5 + (len(y) - basis.shape[1]) / 2
    size = 0.5 * small**2 + 0.5 * float(rest @ rest)
    usual = -0.5 * ((np.log(length) - USUAL_LENGTH) / SPREAD) ** 2
    evidence = usual - np.log(np.diag(lower)).sum() - 0.5 * np.linalg.slogdet(gram)[1] - free * np.log(size)
    seen = np.linalg.solve(lower, (1 - noise) * _matern(design.to_trials / length).T)
    unexplained = design.basis_at.T - a.T @ seen
    variance = size / max(free - 0.5, 0.5)
    own = (1 - noise) * _matern(design.between / length)
    spread = own - seen.T @ seen + unexplained.T @ np.linalg.solve(gram, unexplained)
    return _Part(float(evidence), design.basis_at @ parabola + seen.T @ rest, variance * spread, noise * variance)


def _distances(some: Floats, others: Floats) -> Floats:
    distances: Floats = np.sqrt(((some[:, None] - others[None]) ** 2).sum(axis=2))
    return distances


def _parabola(places: Floats) -> Floats:
    """``(points, 3)``: the powers 0, 1, 2 of lambda's place."""
    return np.stack([np.ones(len(places)), places[:, 0], places[:, 0] ** 2], axis=1)


def _matern(distance: Floats) -> Floats:
    scaled = np.sqrt(5) * distance
    correlation: Floats = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return correlation


def prior_size(metrics: Sequence[str], scores: Sequence[float]) -> float:
    """The size of variation that a curve is given a priori: in Dice as simulated, else that share of the mean score."""
    if tuple(metrics) == ("dice",) or not len(scores):
        return SMALL
    return max(SMALL * abs(math.fsum(scores)) / len(scores), TINY)
