"""How sure can one be? Paired tests, effect sizes, intervals, rankings and their stability.

`judge` says what may be claimed of two methods with the noise of subjects, trainings and tuning. The rest takes the
trained networks as they are: the unit is the case (a pair of images), seeds averaged first. What draws takes an
explicit `numpy.random.Generator`; the same input and seed give the same bytes.
"""

from regbench.statistics.bootstrap import bootstrap_means, interval
from regbench.statistics.components import OF, Component, Design, Of, components
from regbench.statistics.looks import Looks, Outcome, Pair, comparisons, having, judge_at, look, spent
from regbench.statistics.noise import membership, sampled, subject_noise
from regbench.statistics.paired import compare, differences, holm, rank_biserial, smallest_p, too_few, wilcoxon_p
from regbench.statistics.power import needs
from regbench.statistics.ranks import (
    Friedman,
    RankStability,
    case_ranks,
    cliques,
    critical_difference,
    friedman,
    rank_after_tests,
    rank_stability,
)
from regbench.statistics.spread import Spread, case_scores, pooled_sd, spread
from regbench.statistics.two_way import TwoWay, two_way
from regbench.statistics.verdicts import (
    Comparison,
    Family,
    Folds,
    Scores,
    common_fold_noise,
    common_noise,
    judge,
    rank_intervals,
    scores_of,
)

__all__ = [
    "OF",
    "Comparison",
    "Component",
    "Design",
    "Family",
    "Folds",
    "Friedman",
    "Looks",
    "Of",
    "Outcome",
    "Pair",
    "RankStability",
    "Scores",
    "Spread",
    "TwoWay",
    "bootstrap_means",
    "case_ranks",
    "case_scores",
    "cliques",
    "common_fold_noise",
    "common_noise",
    "compare",
    "comparisons",
    "components",
    "critical_difference",
    "differences",
    "friedman",
    "having",
    "holm",
    "interval",
    "judge",
    "judge_at",
    "look",
    "membership",
    "needs",
    "pooled_sd",
    "rank_after_tests",
    "rank_biserial",
    "rank_intervals",
    "rank_stability",
    "sampled",
    "scores_of",
    "smallest_p",
    "spent",
    "spread",
    "subject_noise",
    "too_few",
    "two_way",
    "wilcoxon_p",
]
