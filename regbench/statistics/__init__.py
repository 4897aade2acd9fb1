"""How sure can one be? Paired tests, effect sizes, intervals, rankings and their stability.

The unit is the case (a pair of images), seeds averaged first. Functions take cases x methods frames and an explicit
`numpy.random.Generator`; the same input and seed give the same bytes.
"""

from regbench.statistics.bootstrap import bootstrap_means, interval
from regbench.statistics.grid import TwoWay, two_way
from regbench.statistics.paired import (
    compare,
    differences,
    holm,
    rank_biserial,
    smallest_p,
    too_few,
    wilcoxon_p,
)
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

__all__ = [
    "Friedman",
    "RankStability",
    "Spread",
    "TwoWay",
    "bootstrap_means",
    "case_ranks",
    "case_scores",
    "cliques",
    "compare",
    "critical_difference",
    "differences",
    "friedman",
    "holm",
    "interval",
    "pooled_sd",
    "rank_after_tests",
    "rank_biserial",
    "rank_stability",
    "smallest_p",
    "spread",
    "too_few",
    "two_way",
    "wilcoxon_p",
]
