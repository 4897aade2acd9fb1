"""What a summary says of methods that are compared: verdicts, their noise, looks, curves and paired tests.

The types are the shapes of the JSON of `regbench.report.summary_file`, key by key.
"""

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

if TYPE_CHECKING:  # scipy, which a reader need not load
    from regbench.statistics.components import Of
    from regbench.statistics.power import Needs
    from regbench.statistics.verdicts import Verdict

Scope = Literal["splits", "tuning", "lambdas", "networks", "fixed"]  # what the verdicts are claims about
FamilyName = Literal["similarity", "regularizer", "against_identity", "pairs"]
FAMILIES: tuple[FamilyName, ...] = ("similarity", "regularizer", "against_identity", "pairs")
TestFamily = Literal["against_best", "against_identity", "pairs"]


class ComparisonEntry(TypedDict):
    """A verdict on `a` against `b` (`statistics.Comparison`)."""

    a: str
    b: str
    verdict: "Verdict"
    reason: str
    difference: float | None
    low: float | None
    high: float | None
    se_subjects: float | None
    se_runs: float | None
    se_folds: NotRequired[float | None]  # of pooled folds
    df: float | None
    n: int
    subjects: int
    runs: int
    needs: "Needs | None"


class NoiseCounts(TypedDict):
    """How often each source of noise was drawn."""

    seeds: int
    replicates: int
    splits: NotRequired[int]  # draws of validation subjects, where there are several
    deals: NotRequired[int]  # of all subjects into pooled folds, where there are several
    subjects: int
    pairs: int
    df_runs: NotRequired[float | None]


class ComponentEntry(TypedDict):
    """One source's part of the variance of a number."""

    source: str
    share: float | None
    sd: float  # in the metric's unit
    low: float  # ends of its 95 % interval
    high: float
    df: float
    negative: bool  # whether the variance was estimated below 0


class Noise(TypedDict):
    """What the noise of a score, and of a difference of two methods, is made of, by its source."""

    components: dict["Of", list[ComponentEntry]]
    noise: NoiseCounts


class Families(Noise):
    """The verdicts on some methods by one metric, family by family, and what they are claims about."""

    region: float | None
    scope: Scope
    claim: str
    pairs: list[ComparisonEntry]
    similarity: list[ComparisonEntry]
    regularizer: list[ComparisonEntry]
    against_identity: list[ComparisonEntry]
    ranks: dict[str, list[int]]  # the best and the worst rank that a method may hold


class Verdicts(Families):
    """The verdicts of one dataset, model and metric."""

    best: str | None  # by its mean
    methods: list[str]
    left_out: int


class LookEntry(TypedDict):
    """A look at the cells of a model: what each had by then, and what became of the pairs that it judged."""

    dataset: str
    model: str
    look: int
    metric: str
    spent: float  # alpha of all pairs, this look included
    level: float  # two-sided, of a pair
    seeds: dict[str, int]  # trainings of each cell, or registrations of each test pair
    most: int  # that a cell may have
    decided: list[list[str]]
    given_up: list[list[str]]  # with too little chance to be decided by the last look
    open: list[list[str]]
    best: NotRequired[bool]  # where a cell that another has beaten gets no more


class CurvePoint(TypedDict):
    """One training of a run's curve: means over the test pairs."""

    seed: int
    lam: float
    chosen: bool
    regularity: float | None
    score: float | None


class Height(TypedDict):
    """The score of a cell at a level with its 95 % interval; of the mean height `level` is None."""

    level: float | None
    score: float | None  # None where a run does not reach the level
    low: float | None
    high: float | None


class CellCurve(TypedDict):
    """The curve of a cell over its runs."""

    method: str
    heights: list[Height]
    reached: list[float] | None  # by every run, on the test pairs
    points: list[CurvePoint]
    lost: int  # trainings without numbers
    band: list[list[float | None]]  # regularity, score, and the ends of its interval


class LevelVerdicts(Verdicts):
    """The verdicts on the cells of a model at one level, or by the mean height."""

    level: float | None


class TradeOffEntry(TypedDict):
    """The cells of a model compared by one metric where they are as regular."""

    dataset: str
    model: str
    metric: str
    regularity: str
    given: bool  # whether the config gives the levels
    span: list[float] | None  # that every curve has on the validation pairs; None where there is none
    ends: list[str]  # the cells whose curves end it: at its more regular end, and at the other
    levels: list[float]
    headline: float | None  # the level in the middle
    used: float | None  # the least regular of the chosen lambdas, by the validation pairs
    cells: list[CellCurve]
    verdicts: list[LevelVerdicts]


class PairedTest(TypedDict):
    """A test of `a` against `b`, the trained networks taken as they are."""

    a: str
    b: str
    n: int
    mean_difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    p_holm: float | None
    rank_biserial: float | None
    significant: bool
    too_few: bool


class Ranks(TypedDict):
    """Ranks after tests; with three methods and two complete cases also mean ranks and Friedman's test."""

    after_tests: dict[str, int]
    friedman_statistic: NotRequired[float]
    friedman_p: NotRequired[float]
    cases: NotRequired[int]
    mean_ranks: NotRequired[dict[str, float]]
    critical_difference: NotRequired[float]
    cliques: NotRequired[list[list[str]]]


class Tau(TypedDict):
    """Kendall's tau of a resampled ranking with the full one."""

    median: float | None
    low: float | None
    high: float | None


class Stability(TypedDict, total=False):
    """How often each method holds each rank when subjects are drawn again; empty with fewer than two whole cases."""

    frequency: dict[str, list[float]]
    kendall_tau: Tau


class Effect(TypedDict):
    """An effect of the two-way view."""

    term: str
    similarity: str
    regularizer: str
    effect: float | None
    ci_low: float | None
    ci_high: float | None


class Share(TypedDict):
    """The part of a term in the variation between cells."""

    term: str
    share: float | None


class Grid(TypedDict, total=False):
    """The grid as a two-way design; empty where a cell is missing."""

    grand_mean: float
    cases: int
    effects: list[Effect]
    shares: list[Share]


class PairedTests(TypedDict):
    """The paired tests of one dataset, model and metric."""

    best: str
    cases: int
    methods: list[str]
    left_out: int
    pairs: list[PairedTest]
    against_best: list[PairedTest]
    against_identity: NotRequired[list[PairedTest]]
    ranks: Ranks
    stability: Stability
    grid: Grid
