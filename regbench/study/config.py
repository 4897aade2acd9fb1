"""The typed study: what a YAML file may say. Strict and frozen.

Imports neither torch nor mlflow: Snakemake parses this in every job. `regbench.study.load` makes a config of what was
read, and `regbench.study.checks` knows what no single section can.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    field_serializer,
    model_serializer,
    model_validator,
)

from regbench.study.config_values import (
    LONGEST_TEXT,
    MOST_PARTS,
    MOST_RUNS,
    MOST_TRIALS,
    Count,
    Id,
    NotNegative,
    Number,
    Positive,
    Seed,
    Steps,
    Strict,
    as_number,
    distinct,
    not_empty,
    results_folder,
    study_name,
    tracking_uri,
)
from regbench.study.data_config import DatasetConfig, OnlyTested
from regbench.study.goals import RANK, base, is_limited
from regbench.study.grid_config import NUMBER, Component, Grid, Models
from regbench.study.pools import wrong_pools

# Keys that stand for others, with what they are short for: `regbench.study.short_form` writes them out.
SHORT = {
    "data": ("datasets",),
    "similarities": ("grid",),
    "regularizers": ("grid",),
    "steps": ("training", "tuning", "seeds"),
}
PRUNE_AT = (0.25, 0.5)
TOLERANCE_MM = 1.0  # that of `regbench.metrics.nsd`, which imports scipy
Sampler = Literal["gp", "tpe", "cmaes", "random", "grid", "nsga2"]
Pruner = Literal["none", "median", "halving", "wilcoxon"]
Kind = Literal["float", "int", "choice"]  # of a dimension
MaskUse = Literal["none", "fixed", "moving", "both"]  # the masks that a training counts by
Scale = Literal["linear", "log"]
JobSize = Literal["stage", "cell", "regularizer"]
Directions = Literal["one", "both"]  # in which a training registers each of its pairs
FEWEST_AT_A_LOOK = 2  # seeds: one says nothing of the noise of trainings
FEWEST_POINTS, MOST_POINTS, MOST_LEVELS = 3, 50, 20  # of a curve
LIST = "(a list)"  # the form of levels that are given, in the places that pydantic names
Fairness = Literal["trials", "trials_per_weight"]


def _form_of_levels(value: Any) -> str:
    return LIST if isinstance(value, list | tuple) else NUMBER


class LambdaRule(Strict):
    """The lambda of the cells it names: a log-range to search, or one value. The first rule that matches counts."""

    similarity: str = Field(default="*", description="id of a similarity, or * for all")
    regularizer: str = Field(default="*", description="id of a regularizer, or * for all")
    range: tuple[Positive, Positive] | None = Field(default=None, description="lowest and highest lambda")
    value: Positive | None = Field(default=None, description="a fixed lambda: the cell is not tuned")

    @model_validator(mode="after")
    def _one_of_two(self) -> "LambdaRule":
        if (self.range is None) == (self.value is None):
            raise ValueError("give either `range: [low, high]` or `value: number`")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range must rise, but got {list(self.range)}")
        return self


class Augmentation(Strict):
    """Random changes of each training pair; none unless given. Validation and test pairs are never changed."""

    flips: tuple[Annotated[int, Field(ge=0, le=2)], ...] = Field(
        default=(),
        max_length=3,
        description="array axes that may be mirrored, both images of a pair alike; only where anatomy allows",
    )
    rotation_degrees: NotNegative = Field(default=0.0, description="largest angle, each image by itself")
    scaling: Annotated[Number, Field(ge=0, lt=1)] = Field(default=0.0, description="largest share of change")
    translation_voxels: NotNegative = 0.0
    gamma: NotNegative = Field(default=0.0, description="largest |log| of the exponent of the intensities")
    noise: NotNegative = Field(default=0.0, description="SD of additive noise, in units of the intensities")


class Training(Strict):
    """The protocol that every method of the study shares."""

    steps: Steps
    batch: Count = 4
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: NotNegative = Field(default=0.0, description="of adamw")
    learning_rate: Positive = 3e-3
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    warmup: Annotated[Number, Field(ge=0, lt=1)] = Field(default=0.1, description="share of the steps")
    atlas: str | None = Field(
        default=None, description="subject that is half of every training pair; none unless given"
    )
    atlas_is: Literal["moving", "fixed"] = Field(default="moving", description="which half")
    augmentation: Augmentation = Augmentation()
    dice_weight: NotNegative = Field(
        default=0.0, description="of a soft Dice loss of the training labels, in every cell with a network; 0 is none"
    )
    directions: Directions = Field(
        default="one",
        description="both: each step registers the pair in both directions and averages over them; two forward passes",
    )
    mask: MaskUse = Field(
        default="none",
        description="weigh the similarity by the fixed mask, by the moving mask warped with its image, or by both",
    )
    mask_regularizer: bool = Field(default=False, description="weigh the regularizer likewise")
    validate_every: Steps | None = Field(default=None, description="steps; only at the end unless given")
    keep: Literal["last", "best"] = Field(
        default="last", description="weights of the last step, or of the best validation by `tuning.objective`"
    )
    patience: Count | None = Field(default=None, description="validations without a gain that end the training early")
    precision: Literal["float32", "bf16", "fp16"] = Field(
        default="float32", description="of the network; displacement, warp and losses are always float32"
    )
    compile: bool = Field(default=False, description="torch.compile the network")
    images: Literal["auto", "device", "stream"] = Field(
        default="auto", description="hold all training images on the device, or stream them; auto: where they fit"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = Field(
        default=True, description="the same bits in each repetition on a GPU too; a CPU always gives them"
    )

    graph: bool = Field(
        default=False, description="on a GPU, replay each step as one CUDA graph: the same numbers, for small images"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if self.device == "cpu" and not self.deterministic:
            raise ValueError("`deterministic: false` has no effect with `device: cpu`; leave one of them out")
        if self.device == "cpu" and self.graph:
            raise ValueError("`graph: true` has no effect with `device: cpu`; leave one of them out")
        if self.graph and (self.compile or self.precision == "fp16"):
            other = "compile: true" if self.compile else "precision: fp16"
            raise ValueError(f"`graph: true` cannot be had with `{other}`; leave one of them out")
        if self.weight_decay and self.optimiser == "adam":
            raise ValueError("weight_decay needs `optimiser: adamw`")
        if self.atlas_is != "moving" and self.atlas is None:
            raise ValueError("atlas_is has no effect without `atlas`; name the subject or leave it out")
        if self.mask_regularizer and self.mask == "none":
            raise ValueError("mask_regularizer has no effect with `mask: none`; name the masks or leave it out")
        if self.validate_every is None and (self.keep == "best" or self.patience is not None):
            raise ValueError("`keep: best` and `patience` need `validate_every`")
        return self


class Evaluation(Strict):
    """Where the metrics look."""

    mask: Literal["none", "fixed"] = Field(
        default="none",
        description="fixed: folding, lengths and errors of displacements, and landmarks, inside the fixed mask alone",
    )
    nsd_tolerance_mm: NotNegative = Field(
        default=TOLERANCE_MM, description="distance up to which two surfaces are one in the metric `nsd`"
    )


class Dimension(Strict):
    """What is searched beside lambda, in the cells it names: a keyword of a component or a number of the training."""

    parameter: str = Field(
        pattern=r"^(similarity|regularizer|model|training)\.[A-Za-z_][A-Za-z0-9_]*$",
        description="such as similarity.window or training.learning_rate",
    )
    similarity: str = Field(default="*", description="id of a similarity, or * for all")
    regularizer: str = Field(default="*", description="id of a regularizer, or * for all")
    model: str = Field(default="*", description="id of a model, or * for all")
    type: Kind = "float"
    range: tuple[Number, Number] | None = Field(default=None, description="lowest and highest value")
    choices: tuple[Annotated[Any, BeforeValidator(as_number)], ...] | None = Field(
        default=None, max_length=MOST_PARTS, description="of the type `choice`"
    )
    scale: Scale = "linear"
    step: Count | None = Field(default=None, description="of the type `int`: 2 keeps a window odd")

    @field_serializer("range")
    def _as_declared(self, value: tuple[float, float] | None) -> Any:
        # Jobs read the study back from JSON, where a whole number that became 3.0 is none for a keyword such as window.
        return None if value is None else range_ends({"type": self.type, "range": value})

    @model_validator(mode="after")
    def _consistent(self) -> "Dimension":
        if (self.type == "choice") != (self.choices is not None) or (self.type == "choice") == (self.range is not None):
            raise ValueError("give `choices` for the type `choice`, `range: [low, high]` for the others")
        if self.choices is not None and any(choice in self.choices[:i] for i, choice in enumerate(self.choices)):
            raise ValueError(f"choices must be distinct, but got {list(self.choices)}")
        if self.choices is not None and len(self.choices) < 2:
            raise ValueError("choices must be two or more")
        if self.range is not None:
            _check_range(self.range, self.type, self.scale)
        if self.step is not None and (self.type != "int" or self.scale == "log"):
            raise ValueError("step is for the type `int` on a linear scale")
        return self


def range_ends(entry: Mapping[str, Any]) -> list[Any]:
    """What a dimension may become at its ends: its choices, or the two numbers of its range in its own type."""
    kind, ends = entry.get("type", "float"), entry.get("choices") or entry.get("range")
    values = [as_number(end) for end in ends] if isinstance(ends, list | tuple) else []
    if kind == "choice":
        return values
    numbers = [end for end in values if isinstance(end, int | float) and not isinstance(end, bool)]
    return [int(end) if kind == "int" and float(end).is_integer() else float(end) for end in numbers]


def _check_range(ends: tuple[float, float], kind: str, scale: str) -> None:
    low, high = ends
    if low >= high:
        raise ValueError(f"range must rise, but got {list(ends)}")
    if scale == "log" and low <= 0:
        raise ValueError(f"range must be positive on a log scale, but got {list(ends)}")
    if kind == "int" and (low != int(low) or high != int(high)):
        raise ValueError(f"range must be of whole numbers for the type `int`, but got {list(ends)}")


class Tuning(Strict):
    """The search for lambda and what else is declared; the same budget in every cell."""

    trials: Count
    round_size: Count = Field(default=4, description="trials proposed together; part of the protocol, not of the speed")
    steps: Steps = Field(description="training steps of one trial")
    sampler: Sampler = "gp"
    search: tuple[Dimension, ...] = Field(
        default=(), max_length=MOST_PARTS, description="what is searched beside lambda"
    )
    objective: str | None = Field(
        default=None,
        description="what a trial is scored by: a metric such as dice or tre_mm, `rank`, or similarity.<id>; with _ndv "
        "behind it NDV is a second goal. Unless given, dice where the data have labels, else tre_mm",
    )
    rank_by: Annotated[tuple[str, ...], AfterValidator(distinct)] = Field(
        default=(), max_length=MOST_PARTS, description="metrics of which `rank` is the geometric mean of ranks"
    )
    constraint: Literal["none", "ndv"] = Field(
        default="none", description="ndv: the sampler learns that NDV must be at most `ndv_limit_percent`"
    )
    budget: Literal["trials", "steps", "seconds"] = Field(
        default="trials", description="what every cell has the same of; `trials` is then the most of them"
    )
    budget_amount: Positive | None = Field(
        default=None, description="of steps (forward passes: a step in both directions has two) or seconds, a cell"
    )
    fairness: Fairness = Field(
        default="trials",
        description="what is equal in cells that search more weights than lambda: trials (and budget), or "
        "trials_per_weight: so many for each weight that the cell searches",
    )
    pruner: Pruner = Field(default="none", description="ends a trial by what finished rounds reached at the same step")
    prune_at: tuple[Annotated[Number, Field(gt=0, lt=1)], ...] = Field(
        default=PRUNE_AT, max_length=MOST_PARTS, description="shares of a trial's steps at which it is judged"
    )
    seed: Seed = 0
    replicates: Count = Field(
        default=1,
        le=MOST_PARTS,
        description="independent searches of a cell, each with seeds and trials of its own; `seeds` is dealt to them",
    )
    splits: Count = Field(
        default=1,
        le=MOST_PARTS,
        description="draws of the validation subjects out of train and validation, the first as declared; `replicates` "
        "is dealt to them",
    )
    repeats: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="slots of each round after the first that train the best points again with another seed: they tell "
        "the noise of a trial; none where nothing is trained",
    )
    trials_per_job: Count = Field(default=4, description="how many trials one job runs; changes no result")
    selection: str | None = Field(
        default=None,
        description="what lambda is chosen by, as `objective`; with _ndv behind it the best with NDV at most "
        "`ndv_limit_percent`. Unless given, that of the objective",
    )
    ndv_limit_percent: Annotated[Number, Field(ge=0)] = 0.5

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without `splits` where there is one: the config of a study that knows no other stays as it was."""
        return {name: value for name, value in dump(self).items() if name != "splits" or value != 1}

    @model_validator(mode="after")
    def _possible(self) -> "Tuning":
        wrong = []
        if (self.budget == "trials") != (self.budget_amount is None):
            wrong.append("give `budget_amount` with a budget of steps or seconds, and only then")
        if self.budget == "steps" and self.budget_amount is not None and self.budget_amount < self.steps:
            wrong.append("budget_amount must pay one trial of `steps`")
        if self.repeats and self.repeats >= self.round_size:
            wrong.append("repeats must be fewer than round_size: a round has at least one new point")
        if self.repeats and self.trials <= self.round_size:
            wrong.append("repeats need a second round: trials must be more than round_size")
        if self.prune_at != PRUNE_AT and self.pruner == "none":
            wrong.append("prune_at has no effect without a pruner; choose one or leave it out")
        objective = self.objective or ""
        if self.sampler == "nsga2" and not is_limited(objective):
            wrong.append(f"sampler nsga2 needs `objective: {objective or 'dice'}_ndv`, which has two goals")
        if self.sampler == "cmaes" and is_limited(objective):
            wrong.append(f"sampler cmaes has one goal, but got `objective: {objective}`; take nsga2, tpe or gp")
        wrong += self._wrong_ranks()
        if self.constraint == "ndv" and self.sampler not in ("gp", "tpe", "nsga2"):
            wrong.append(f"sampler {self.sampler} knows no constraint; take gp, tpe or nsga2")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_ranks(self) -> list[str]:
        goals = [base(goal) for goal in (self.objective, self.selection) if goal]
        wrong = []
        if RANK in goals and len(self.rank_by) < 2:
            wrong.append("`rank` needs two or more metrics in `rank_by`, such as [dice, hd95_mm, ndv_percent]")
        if RANK not in goals and self.rank_by:
            wrong.append("rank_by has no effect without `objective: rank`; set it or leave it out")
        if RANK in goals[:1] and self.pruner == "wilcoxon":
            wrong.append("pruner wilcoxon compares pairs by one metric, but got `rank`; take median or halving")
        return wrong


class TradeOff(Strict):
    """The curve of each cell: further trainings at other lambdas, so that cells are compared where they are as regular.

    The short form is the number of points: ``curve: 6``.
    """

    points: Annotated[int, Field(ge=FEWEST_POINTS, le=MOST_POINTS)] = Field(
        description="lambdas of each run's curve; the chosen lambda is one of them, each other one is a training",
    )
    regularity: Literal["sdlogj", "ndv_percent"] = Field(
        default="sdlogj",
        description="what is held equal: the spread of the log-determinant, which folds make large and which is never "
        "0; or NDV, the share that folds, by which nothing can be matched where nothing folds",
    )
    levels: (
        Annotated[int, Field(ge=1, le=MOST_LEVELS), Tag(NUMBER)]
        | Annotated[
            tuple[Positive, ...],
            Field(max_length=MOST_LEVELS, strict=False),  # a list: what a validator before it has seen is no JSON
            AfterValidator(not_empty),
            AfterValidator(distinct),
            Tag(LIST),
        ]
    ) = Field(
        default=3,
        description="how many levels of it, chosen by validation pairs inside what all cells of a model reach; or the "
        "levels themselves, as a list",
        discriminator=Discriminator(_form_of_levels),
    )
    metrics: Annotated[tuple[str, ...], AfterValidator(distinct)] = Field(
        default=(),
        max_length=MOST_PARTS,
        strict=False,
        description="of the test pairs; the leading one unless given",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"points": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Looks(Strict):
    """Seeds given out in batches; after each, only cells that are in an undecided pair get more. `seeds` are the most.

    With `tuning.replicates` over 1 what is counted is searches, each with its trainings.
    """

    first: Annotated[int, Field(ge=FEWEST_AT_A_LOOK)] = Field(
        default=FEWEST_AT_A_LOOK, description="seeds (or searches) of every cell before the first look"
    )
    step: Count = Field(default=1, description="further ones before each next look")
    find: Literal["pairs", "best"] = Field(
        default="pairs",
        description="what seeds are spent on: `pairs`, to decide every pair of cells; `best`, to find the best cells: "
        "one that another has beaten gets no more",
    )

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without `find` where it is `pairs`: the config of a study that knows no other stays as it was."""
        return {name: value for name, value in dump(self).items() if name != "find" or value != "pairs"}


class Tracking(Strict):
    """Where MLflow keeps its copy."""

    enabled: bool = True
    uri: Annotated[str, Field(min_length=1), AfterValidator(tracking_uri)] | None = Field(
        default=None, description="MLflow tracking URI; results/mlflow.db unless given"
    )
    follow: bool = Field(
        default=True,
        description="push while the study runs, from a process beside the head; otherwise at its end alone",
    )
    register_models: bool = Field(
        default=False, description="enter each method's best model in MLflow's registry; its `predict` registers pairs"
    )


class Config(Strict):
    """One study."""

    study: Annotated[Id, AfterValidator(study_name)]
    description: str = Field(default="", max_length=LONGEST_TEXT)
    results: Annotated[str, AfterValidator(results_folder)] = Field(
        default="results", min_length=1, description="folder of all outputs"
    )
    datasets: Annotated[
        tuple[DatasetConfig, ...], Field(max_length=MOST_PARTS), AfterValidator(not_empty), AfterValidator(distinct)
    ]
    test_sets: Annotated[tuple[OnlyTested, ...], AfterValidator(distinct)] = Field(
        default=(),
        max_length=MOST_PARTS,
        description="further datasets that are only tested (`evaluate_on`): all their subjects, or those of `splits`",
    )
    evaluate_on: Annotated[tuple[Id, ...], AfterValidator(distinct)] = Field(
        default=(),
        max_length=MOST_PARTS,
        description="datasets and test sets on whose test pairs the runs of all other datasets are evaluated too, "
        "without training",
    )
    models: Models
    grid: Grid
    baselines: Annotated[tuple[Component, ...], AfterValidator(distinct)] = Field(
        default=(),
        max_length=MOST_PARTS,
        description="registrations without training, in the same table: classical methods, or `fields`",
    )
    controls: bool = Field(
        default=True,
        description="rows that say what a column is worth: each image with itself, and a sorting of intensities",
    )
    lambdas: Annotated[tuple[LambdaRule, ...], Field(max_length=MOST_PARTS)] = Field(
        default=(),
        description="of a cell that no rule names, a range is found before the first round (docs/tuning.md)",
    )
    training: Training
    tuning: Tuning
    evaluation: Evaluation = Evaluation()
    seeds: Annotated[
        tuple[Seed, ...], Field(max_length=MOST_PARTS), AfterValidator(not_empty), AfterValidator(distinct)
    ]
    curve: TradeOff | None = Field(
        default=None,
        description="further final trainings at other lambdas, and cells compared at equal regularity "
        "(docs/statistics.md); none unless given",
    )
    looks: Looks | None = Field(
        default=None,
        description="give out `seeds` in batches, further ones only to cells in a pair that is not decided yet "
        "(docs/statistics.md); all at once unless given",
    )
    equivalence: dict[str, Positive] = Field(
        default_factory=dict,
        description="half width of practical equivalence of a metric, such as dice: 0.005, declared before the data",
    )
    tracking: Tracking = Tracking()
    one_job_per: JobSize = Field(
        default="stage",
        description="for short trainings: `cell` does a cell's trials, trainings and evaluations in one job, "
        "`regularizer` those of all cells of a model and a regularizer, and finds the ranges of one in one; "
        "changes no result",
    )

    @model_validator(mode="after")
    def _of_a_size(self) -> "Config":
        grid = len(self.grid.similarities) * len(self.grid.regularizers)
        models = len(self.models) + sum(model.refine is not None for model in self.models)
        cells = len(self.datasets) * (models * grid + len(self.baselines))
        weights = max(1 + sum(term.searched is not None for term in one.further) for one in self.grid.regularizers)
        most = self.tuning.trials * (weights if self.tuning.fairness == "trials_per_weight" else 1)
        points = self.curve.points if self.curve else 1
        for what, count, limit in (
            (
                f"runs (datasets x methods x seeds{' x points' if self.curve else ''})",
                cells * len(self.seeds) * points,
                MOST_RUNS,
            ),
            ("trials (cells x replicates x trials)", cells * self.tuning.replicates * most, MOST_TRIALS),
        ):
            if count > limit:
                raise ValueError(f"must have at most {limit} {what}, but has {count}; make several studies of it")
        return self

    @model_validator(mode="after")
    def _pooled(self) -> "Config":
        if wrong := list(wrong_pools(self.datasets, [other.id for other in self.test_sets])):
            raise ValueError("; ".join(wrong))
        return self
