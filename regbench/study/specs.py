"""What each job depends on, and nothing else: the slices of a study that stand in Snakemake's `params`.

A spec is frozen and typed, so a type checker sees the protocol; `to_json` is its text for Snakemake and for records,
and `from_json` reads it back from a record. `code` is the fingerprint of the modules behind the stage.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, StrictInt, ValidationError

from regbench.study.components import Parameters
from regbench.study.config import TOLERANCE_MM, Kind, MaskUse, Pruner, Sampler, Scale, Training
from regbench.study.data_config import DatasetConfig, OnlyTested, PairsConfig, SplitConfig
from regbench.study.grid_config import Refine
from regbench.study.terms import CURVE, TERMS, WITHOUT_WEIGHTS, passes
from regbench.system.errors import RegbenchError
from regbench.system.files import file_sha256
from regbench.system.names import given_path


class Spec(BaseModel):
    """Frozen, no unknown keys; equal specs have equal text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> dict[str, JsonValue]:
        """Plain JSON, without the optional entries that have their default."""
        fields = type(self).model_fields
        whole = self.model_dump(mode="json")
        return {name: whole[name] for name, field in fields.items() if getattr(self, name) != field.default}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The spec that `to_json` gave.

        Raises:
            RegbenchError: if a key is missing, unknown or of another type; names every one.
        """
        try:
            return cls.model_validate(value, strict=False)
        except ValidationError as error:
            wrong = [f"{'.'.join(str(part) for part in item['loc']) or 'it'}: {item['msg']}" for item in error.errors()]
            raise RegbenchError(
                f"a stored {cls.__name__} must be one of this regbench, but got: {'; '.join(wrong)}. Make it anew."
            ) from None


class ComponentSpec(Spec):
    """A registered function, or one of the user's own, with its parameters."""

    name: str
    parameters: Parameters


class NamedComponentSpec(ComponentSpec):
    """A component with the id that rows and tables call it by."""

    id: str


class TermSpec(NamedComponentSpec):
    """A further term of an objective, with its weight; None where a search has not given it yet."""

    weight: float | None = None


class GoalSpec(Spec):
    """What scores are compared by.

    Attributes:
        metrics: one; several of which ranks are taken; none where the data tell (Dice of labels, else TRE).
        similarities: the similarities among them, by the id behind `similarity.`.
        limited: NDV counts too: as a second goal of a search, as a limit of a choice.
    """

    metrics: tuple[str, ...] = ()
    similarities: tuple[NamedComponentSpec, ...] = ()
    limited: bool = False


class PrepareSpec(Spec):
    """What the prepared arrays depend on: the dataset's section of the config, and the code of its source.

    Attributes:
        pair_list: digest of the file of ``pairs.list``; empty where there is none.
        unneeded: splits that the study makes no use of and the config leaves out: they may be empty.
        redraws: seeds of further draws of the validation subjects, each for some of the searches.
    """

    id: str
    source: str
    parameters: Parameters = {}
    splits: SplitConfig = SplitConfig()
    pairs: PairsConfig = PairsConfig()
    most_pairs: dict[str, int] = {}
    preprocessing: Parameters = {}
    code: str
    pair_list: str = ""
    only_tested: bool = False
    unneeded: tuple[str, ...] = ()
    redraws: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, dataset: DatasetConfig, code: str, unneeded: tuple[str, ...] = (), redraws: tuple[int, ...] = ()
    ) -> Self:
        """The spec of a dataset of the config."""
        return cls(
            **dataset.model_dump(mode="json", exclude={"fold_of"}),
            code=code,
            unneeded=unneeded,
            pair_list=_digest(dataset.pairs.list) if dataset.pairs.list is not None else "",
            only_tested=isinstance(dataset, OnlyTested),
            redraws=() if isinstance(dataset, OnlyTested) else redraws,
        )


def _digest(path: str) -> str:
    """Of a file that `prepare` reads; empty where it is not on this machine."""
    try:
        return file_sha256(given_path(path))[:16]
    except OSError:
        return ""


class DimensionSpec(Spec):
    """One dimension of a search: lambda, a keyword of a component, or a number of the training."""

    name: str
    type: Kind = "float"
    range: tuple[StrictInt, StrictInt] | tuple[float, float] | None = None  # of whole numbers they stay whole
    choices: tuple[JsonValue, ...] | None = None
    scale: Scale = "linear"
    step: int | None = None


class BudgetSpec(Spec):
    """What every cell has the same of, where it is not a number of trials."""

    unit: Literal["steps", "seconds"]
    amount: float


class RangeSpec(Spec):
    """What a range of lambda that finds itself depends on, beside the data.

    Attributes:
        pairs: how many validation pairs are registered.
        decades: first and last power of ten that is tried as lambda.
        metrics: of the goal of the search; none where the data decide.
        mask: what the losses count by, as `training.mask`.
        mask_regularizer: whether the regularizer does too.
    """

    similarity: ComponentSpec
    regularizer: ComponentSpec
    pairs: int
    decades: tuple[int, int]
    metrics: tuple[str, ...]
    nsd_tolerance_mm: float
    mask: MaskUse = "none"
    mask_regularizer: bool = False
    code: str


class SearchSpec(Spec):
    """The space of a search, and whether its trials have noise.

    Attributes:
        range: of lambda; None where it is fixed, or not found yet.
        found_by: what finds the range.
    """

    range: tuple[float, float] | None
    search: tuple[DimensionSpec, ...] = ()
    noisy: bool = False
    found_by: RangeSpec | None = None

    @property
    def goal(self) -> GoalSpec:
        """What its trials are compared by."""
        return GoalSpec()


class ProposeSpec(SearchSpec):
    """What the proposals of a search depend on, beside the trials of earlier rounds.

    Attributes:
        cell: name of the search, of which its random numbers are made.
        trials: of this round and those before it.
        repeats: slots of a round that train the best points again, from `training_seed` on.
        steps: forward passes of a trial, where the budget is in steps.
        rungs: steps at which a trial is judged by `pruner`.
    """

    cell: str
    trials: int
    round_size: int
    sampler: Sampler
    seed: int
    objective: GoalSpec = GoalSpec()
    ndv_limit_percent: float | None
    budget: BudgetSpec | None
    code: str
    repeats: int = 0
    training_seed: int = 0
    steps: int = 0
    pruner: Pruner = "none"
    rungs: tuple[int, ...] = ()

    @property
    def goal(self) -> GoalSpec:
        """What its trials are compared by."""
        return self.objective


class SelectSpec(SearchSpec):
    """What the choice of lambda depends on, beside the trials."""

    method: str
    replicate: int
    value: float | None
    selection: GoalSpec = GoalSpec()
    ndv_limit_percent: float
    code: str

    @property
    def goal(self) -> GoalSpec:
        """What its trials are compared by."""
        return self.selection


class TrainSpec(Spec):
    """What one training depends on, beside the data; without `lam` until a search or a user has given it.

    Attributes:
        terms: of its objective behind similarity and regularizer.
        objective: what its validations are compared by.
        scored: what else its validation pairs are scored by, as the choice of lambda needs it.
    """

    method: str
    model: ComponentSpec
    similarity: ComponentSpec
    regularizer: ComponentSpec
    training: Training
    seed: int
    code: str
    lam: float | None = None
    objective: GoalSpec = GoalSpec()
    scored: GoalSpec = GoalSpec()
    nsd_tolerance_mm: float = TOLERANCE_MM
    terms: tuple[TermSpec, ...] = ()

    @property
    def weight(self) -> float:
        """Lambda.

        Raises:
            RegbenchError: if the spec has none yet.
        """
        if self.lam is None:
            raise RegbenchError(
                f"a training of `{self.method}` must have a lambda, but has none. Run `select`, or give one."
            )
        return self.lam

    @property
    def further(self) -> tuple[TermSpec, ...]:
        """All terms behind similarity and regularizer; `dice_weight` of the training is short for one."""
        dice = 0.0 if self.model.name in WITHOUT_WEIGHTS else self.training.dice_weight
        return (*self.terms, TermSpec(id="dice", name="dice", parameters={}, weight=dice)) if dice else self.terms

    @property
    def term_names(self) -> tuple[str, ...]:
        """What the curves of its objective are called: the loss, then all that it is the weighted sum of."""
        return (*TERMS, *(f"{CURVE}{term.id}" for term in self.further))

    @property
    def passes(self) -> int:
        """How often a step runs the network."""
        return passes(self.training.directions, (self.regularizer.name, *(term.name for term in self.further)))


class TrialSpec(TrainSpec):
    """A training of a search; `cost` is what its budget counts."""

    cost: Literal["steps", "seconds"] | None = None


class EvaluateSpec(Spec):
    """What an evaluation depends on, beside the data and the checkpoint.

    Attributes:
        files: name, size and time of each file that a baseline reads: new fields are a new evaluation.
        mask: what the metrics of displacements and landmarks are restricted to.
        controls: rows that the evaluation of `identity` brings along, with the similarities that judge them.
        similarities: of which each row has the value after registration.
        objective: what the study is for: its first metric tells the best, the median and the worst pair.
        refine: how each pair is refined from the network's displacement on.
        split: the draw of validation subjects that the run was searched and trained with, where there are several.
    """

    method: str
    seed: int
    replicate: int
    code: str
    baseline: ComponentSpec | None = None
    files: tuple[tuple[str, int, int], ...] = ()
    controls: tuple[str, ...] = ()
    similarities: tuple[NamedComponentSpec, ...] = ()
    nsd_tolerance_mm: float = TOLERANCE_MM
    objective: GoalSpec = GoalSpec()
    mask: Literal["none", "fixed"] = "none"
    refine: Refine | None = None
    split: int | None = None


class TimedBaselineSpec(ComponentSpec):
    """A baseline whose time is measured."""

    seed: int
    code: str


class TimedRefinementSpec(Spec):
    """A refined row whose time is measured: of its network and of what comes after it."""

    method: str
    refine: Refine


class TimingSpec(Spec):
    """What the timing depends on, beside the data and the checkpoints.

    Attributes:
        refined: by the row that trained their networks.
    """

    training_device: str
    baselines: dict[str, TimedBaselineSpec]
    code: str
    refined: dict[str, TimedRefinementSpec] = {}


class CellSpec(Spec):
    """What a cell that is one job depends on, beside the data: all that its stages depend on."""

    seeds: tuple[int, ...]
    propose: tuple[ProposeSpec, ...]
    trial: tuple[TrialSpec, ...]
    select: tuple[SelectSpec, ...]
    train: tuple[TrainSpec, ...]
    evaluate: tuple[EvaluateSpec, ...]


class RangesSpec(Spec):
    """What a job that finds several ranges depends on, beside the data."""

    ranges: tuple[RangeSpec, ...]


class CellsSpec(Spec):
    """What a job that does several cells depends on, beside the data."""

    cells: tuple[CellSpec, ...]


class CurveRunSpec(Spec):
    """What the curve of one run depends on: the choice of its search, and how a point is trained and evaluated."""

    select: SelectSpec
    train: TrainSpec
    evaluate: EvaluateSpec


class CurveSpec(Spec):
    """What a job of points of curves depends on, beside the data and the trials.

    Attributes:
        points: of a curve, the chosen lambda among them: where each lies follows from how many there are.
        runs: whose curves they are of.
    """

    points: int
    runs: tuple[CurveRunSpec, ...]
    code: str


class TransferSpec(Spec):
    """What the evaluation of a cell's runs on other data depends on, beside those data and the checkpoints."""

    other: str
    evaluate: tuple[EvaluateSpec, ...]


class TrackSpec(Spec):
    """What the push to MLflow depends on, beside the study's files; the address is without its password."""

    uri: str
    models: bool
    code: str


class StudySpec(Spec):
    """What a stage over the whole study depends on, beside its input files.

    Attributes:
        frozen: digests of its registrations, for the stage that reports whether they were kept.
    """

    config: Parameters
    code: str
    frozen: tuple[str, ...] = ()
