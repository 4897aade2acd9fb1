"""The typed study: what a YAML file may say. Strict, frozen, and every mistake reported at once.

Imports neither torch nor mlflow: Snakemake parses this in every job. What the components' own signatures say
is checked through a `Checker` that the caller passes in (`regbench.orchestration.registries.check_component`).
"""

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from regbench.system.errors import UsageError, did_you_mean

Item = TypeVar("Item")
TUNABLE = ("learning_rate", "weight_decay", "warmup", "dice_weight", "batch")  # numbers of the training
# kind of component ("similarity", ...), name, parameters -> mistakes as (parameter or "", message); the kinds
# "preprocessing" and "splits" take the name of the dataset's source, "equivalence" that of a metric
Checker = Callable[[str, str, Mapping[str, Any]], list[tuple[str, str]]]


class Mistake(NamedTuple):
    """One thing wrong with a config: where, and what to do."""

    key: str
    message: str


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-3`` (no dot) as text; a researcher means a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def _not_empty(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:
        raise ValueError("must not be empty")
    return items


def _distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    names = [getattr(item, "id", item) for item in items]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"{twice[0]!r} is given twice; each entry (its `id`, if it has one) must be distinct")
    return items


Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="letters, digits, _ and -")]


class Strict(BaseModel):
    """No unknown keys, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


class Component(Strict):
    """A registered name, or `package.module:function`, with parameters; a bare name is short for one without any."""

    name: str = Field(description="a name that `regbench list` shows, or package.module:function")
    id: Id = Field(default="", description="what tables and folders call it; the name unless given")
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, dict) and isinstance(value.get("name"), str) and "id" not in value:
            value = {**value, "id": re.sub(r"[^A-Za-z0-9_-]+", "_", value["name"]).strip("_") or "component"}
        return value


class DatasetConfig(Strict):
    """Where images come from and who is in which split."""

    id: Id
    source: str = Field(description="a dataset that `regbench list` shows")
    parameters: dict[str, Any] = Field(default_factory=dict)
    splits: dict[str, Any] = Field(
        default_factory=dict,
        description="train, validation, test: a count, a share such as 0.2, a list of subjects, `given` or `rest`; "
        "or folds and fold; seed of the draw",
    )
    pairs: dict[Literal["validation", "test"], Count] = Field(
        default_factory=dict, description="how many ordered pairs of a split are used; all unless given"
    )
    preprocessing: dict[str, Any] = Field(
        default_factory=dict, description="how your own images come to one grid; docs/data.md has the table"
    )


class Grid(Strict):
    """Every similarity with every regularizer: one cell each."""

    similarities: Annotated[tuple[Component, ...], AfterValidator(_not_empty), AfterValidator(_distinct)]
    regularizers: Annotated[tuple[Component, ...], AfterValidator(_not_empty), AfterValidator(_distinct)]


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
        description="array axes that may be mirrored, both images of a pair alike; only where anatomy allows",
    )
    rotation_degrees: NotNegative = Field(default=0.0, description="largest angle, each image by itself")
    scaling: Annotated[Number, Field(ge=0, lt=1)] = Field(default=0.0, description="largest share of change")
    translation_voxels: NotNegative = 0.0
    gamma: NotNegative = Field(default=0.0, description="largest |log| of the exponent of the intensities")
    noise: NotNegative = Field(default=0.0, description="SD of additive noise, in units of the intensities")


class Training(Strict):
    """The protocol that every method of the study shares."""

    steps: Count
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
    dice_weight: NotNegative = Field(default=0.0, description="of a soft Dice loss of the training labels; 0 is none")
    validate_every: Count | None = Field(default=None, description="steps; only at the end unless given")
    keep: Literal["last", "best"] = Field(
        default="last", description="weights of the last step or best validation Dice"
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

    @model_validator(mode="after")
    def _consistent(self) -> "Training":
        if self.weight_decay and self.optimiser == "adam":
            raise ValueError("weight_decay needs `optimiser: adamw`")
        if self.validate_every is None and (self.keep == "best" or self.patience is not None):
            raise ValueError("`keep: best` and `patience` need `validate_every`")
        return self


class Dimension(Strict):
    """What is searched beside lambda, in the cells it names: a keyword of a component or a number of the training."""

    parameter: str = Field(
        pattern=r"^(similarity|regularizer|model|training)\.[A-Za-z_][A-Za-z0-9_]*$",
        description="such as similarity.window or training.learning_rate",
    )
    similarity: str = Field(default="*", description="id of a similarity, or * for all")
    regularizer: str = Field(default="*", description="id of a regularizer, or * for all")
    model: str = Field(default="*", description="id of a model, or * for all")
    type: Literal["float", "int", "choice"] = "float"
    range: tuple[Number, Number] | None = Field(default=None, description="lowest and highest value")
    choices: tuple[Annotated[Any, BeforeValidator(_number)], ...] | None = Field(
        default=None, description="of the type `choice`"
    )
    scale: Literal["linear", "log"] = "linear"
    step: Count | None = Field(default=None, description="of the type `int`: 2 keeps a window odd")

    @field_serializer("range")
    def _as_declared(self, value: tuple[float, float] | None) -> Any:
        # Jobs read the study back from JSON, where a whole number that became 3.0 is none for a keyword such as window.
        return None if value is None else _ends({"type": self.type, "range": value})

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


def _ends(entry: Mapping[str, Any]) -> list[Any]:
    """What a dimension may become at its ends: its choices, or the two numbers of its range in its own type."""
    kind, ends = entry.get("type", "float"), entry.get("choices") or entry.get("range")
    found = [_number(end) for end in ends] if isinstance(ends, list | tuple) else []
    if kind == "choice":
        return found
    numbers = [end for end in found if isinstance(end, int | float) and not isinstance(end, bool)]
    return [int(end) if kind == "int" and float(end).is_integer() else float(end) for end in numbers]


def _tried(entry: Mapping[str, Any]) -> list[Any]:
    """The ends that can be reached, and of whole numbers the next one: a window that may be 3 and 9 may not be 4."""
    found, step = _ends(entry), entry.get("step")
    if entry.get("type") != "int" or len(found) != 2 or not all(isinstance(end, int) for end in found):
        return found
    low, high = found
    each = step if isinstance(step, int) and step > 0 else 1
    return [value for value in (low, low + each, low + (high - low) // each * each) if value <= high]


def _check_range(found: tuple[float, float], kind: str, scale: str) -> None:
    low, high = found
    if low >= high:
        raise ValueError(f"range must rise, but got {list(found)}")
    if scale == "log" and low <= 0:
        raise ValueError(f"range must be positive on a log scale, but got {list(found)}")
    if kind == "int" and (low != int(low) or high != int(high)):
        raise ValueError(f"range must be of whole numbers for the type `int`, but got {list(found)}")


class Tuning(Strict):
    """The search for lambda and what else is declared; the same budget in every cell."""

    trials: Count
    round_size: Count = Field(default=4, description="trials proposed together; part of the protocol, not of the speed")
    steps: Count = Field(description="training steps of one trial")
    sampler: Literal["gp", "tpe", "cmaes", "random", "grid", "nsga2"] = "gp"
    search: tuple[Dimension, ...] = Field(default=(), description="what is searched beside lambda")
    objective: Literal["dice", "dice_ndv"] = Field(default="dice", description="one goal, or Dice up and NDV down")
    constraint: Literal["none", "ndv"] = Field(
        default="none", description="ndv: the sampler learns that NDV must be at most `ndv_limit_percent`"
    )
    budget: Literal["trials", "steps", "seconds"] = Field(
        default="trials", description="what every cell has the same of; `trials` is then the most of them"
    )
    budget_amount: Positive | None = Field(default=None, description="of steps or seconds, for each cell")
    pruner: Literal["none", "median", "halving", "wilcoxon"] = Field(
        default="none", description="ends a trial by what finished rounds reached at the same step"
    )
    prune_at: tuple[Annotated[Number, Field(gt=0, lt=1)], ...] = Field(
        default=(0.25, 0.5), description="shares of a trial's steps at which it is judged"
    )
    seed: Annotated[int, Field(ge=0)] = 0
    replicates: Count = Field(
        default=1,
        description="independent searches of a cell, each with seeds and trials of its own; `seeds` is dealt to them",
    )
    repeats: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="slots of each round after the first that train the best points again with another seed: they tell "
        "the noise of a trial; none where nothing is trained",
    )
    trials_per_job: Count = Field(default=4, description="how many trials one job runs; changes no result")
    selection: Literal["dice", "dice_ndv"] = Field(
        default="dice", description="best validation Dice, or the best with NDV at most `ndv_limit_percent`"
    )
    ndv_limit_percent: Annotated[Number, Field(ge=0)] = 0.5

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
        if self.sampler == "nsga2" and self.objective == "dice":
            wrong.append("sampler nsga2 needs `objective: dice_ndv`")
        if self.sampler == "cmaes" and self.objective == "dice_ndv":
            wrong.append("sampler cmaes has one goal, but got `objective: dice_ndv`; take nsga2, tpe or gp")
        if self.constraint == "ndv" and self.sampler not in ("gp", "tpe", "nsga2"):
            wrong.append(f"sampler {self.sampler} knows no constraint; take gp, tpe or nsga2")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class Tracking(Strict):
    """Where MLflow keeps its copy."""

    enabled: bool = True
    uri: str | None = Field(default=None, description="MLflow tracking URI; results/mlflow.db unless given")
    follow: bool = Field(
        default=True,
        description="push while the study runs, from a process beside the head; otherwise at its end alone",
    )
    register_models: bool = Field(
        default=False, description="enter each method's best model in MLflow's registry; its `predict` registers pairs"
    )


class Config(Strict):
    """One study."""

    study: Id
    description: str = ""
    results: str = Field(default="results", min_length=1, description="folder of all outputs")
    datasets: Annotated[tuple[DatasetConfig, ...], AfterValidator(_not_empty), AfterValidator(_distinct)]
    models: Annotated[tuple[Component, ...], AfterValidator(_not_empty), AfterValidator(_distinct)]
    grid: Grid
    baselines: Annotated[tuple[Component, ...], AfterValidator(_distinct)] = Field(
        default=(), description="registrations without training, in the same table: classical methods, or `fields`"
    )
    controls: bool = Field(
        default=True,
        description="rows that say what a column is worth: each image with itself, and a sorting of intensities",
    )
    lambdas: Annotated[tuple[LambdaRule, ...], AfterValidator(_not_empty)]
    training: Training
    tuning: Tuning
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(_not_empty), AfterValidator(_distinct)]
    equivalence: dict[str, Positive] = Field(
        default_factory=dict,
        description="half width of practical equivalence of a metric, such as dice: 0.005, declared before the data",
    )
    tracking: Tracking = Tracking()
    one_job_per_cell: bool = Field(
        default=False,
        description="a cell's trials, trainings and evaluations in one job, for short trainings; changes no result",
    )


class _UniqueKeys(yaml.SafeLoader):
    """YAML keeps the last of two equal keys without a word; a study must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key `{key}` is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, refusing duplicate keys.

    Raises:
        UsageError: if it is missing, not YAML, or not a mapping; names file, line and column.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except OSError as error:
        raise UsageError(f"config `{path}` must be readable, but got: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"config `{path}` must be YAML, but got: {' '.join(str(error).split())}.") from error
    if not isinstance(value, dict):
        raise UsageError(f"config `{path}` must be a mapping of keys, but got {type(value).__name__}.")
    return value


def typed(value: Any) -> Any:
    """Numbers for the texts in lists and mappings: Snakemake reads `--config 'seeds=[0, 1]'` as a list of texts."""
    if isinstance(value, list):
        return [_scalar(item) if isinstance(item, str) else typed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _scalar(item) if isinstance(item, str) else typed(item) for key, item in value.items()}
    return value


def _scalar(text: str) -> Any:
    try:
        found = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError:
        return text
    return text if isinstance(found, dict | list) else found


def load(raw: Mapping[str, Any], check: Checker | None = None, *, where: str = "config") -> Config:
    """The typed study in `raw`.

    Args:
        raw: what YAML or Snakemake read.
        check: looks names and parameters of components up; None where they were checked before.
        where: the file, for the message.

    Raises:
        UsageError: listing every mistake with its key.
    """
    found: list[Mistake] = []
    config = None
    try:
        # Through JSON text: pydantic's strict mode then takes lists for tuples and nothing else for anything.
        config = Config.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        found += [_readable(dict(item)) for item in error.errors()]
    except (TypeError, ValueError) as error:
        found.append(Mistake("(whole file)", f"must hold only what JSON can express, but got: {error}"))
    found += list(_cross_checks(raw))
    if check is not None:
        found += list(_component_checks(raw, check))
    found = list(dict.fromkeys(found))
    if found or config is None:
        lines = "\n".join(f"  {key}: {message}" for key, message in found)
        count = f"{len(found)} mistake{'s' if len(found) != 1 else ''}"
        raise UsageError(f"`{where}` has {count}; nothing was started:\n{lines}")
    return config


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config, for editors and for Snakemake's users."""
    schema = Config.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # A bare name is short for a component without parameters; the validator knows, the schema must say.
    component = schema["$defs"]["Component"]
    schema["$defs"]["Component"] = {"anyOf": [{"type": "string"}, {**component, "title": "ComponentWithParameters"}]}
    return schema


def _key(location: tuple[Any, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".") or "(whole file)"


def _readable(error: dict[str, Any]) -> Mistake:
    location, kind = error["loc"], error["type"]
    key = _key(location)
    got = error.get("input")
    if kind == "extra_forbidden":
        return Mistake(key, f"unknown key; {did_you_mean(str(location[-1]), _fields_at(location[:-1]))}")
    if kind == "missing":
        return Mistake(key, "is required, but is missing")
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return Mistake(key, message if isinstance(got, dict | list) else f"{message}, but got {got!r}")


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that may stand at a place of the config."""
    here: list[Any] = [Config]
    for part in location:
        if isinstance(part, int):
            continue  # the elements of a list are already unpacked by _models
        models = [model for annotation in here for model in _models(annotation)]
        here = [model.model_fields[part].annotation for model in models if part in model.model_fields] or here
    return [name for annotation in here for model in _models(annotation) for name in model.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The config classes inside an annotation such as `tuple[Component, ...] | None`."""
    if get_origin(annotation) in (tuple, Union, types.UnionType, Annotated, dict):
        return [model for inner in get_args(annotation) for model in _models(inner)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _items(raw: Any, *path: str) -> list[Any]:
    """The list at `path` of a config that may be wrong anywhere; empty where there is none."""
    for part in path:
        raw = raw.get(part) if isinstance(raw, Mapping) else None
    return list(raw) if isinstance(raw, list | tuple) else []


def _name_of(item: Any) -> Any:
    return item.get("id", item.get("name")) if isinstance(item, Mapping) else item


def _cross_checks(raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """What no single field can know; on the raw mapping, so that it is reported beside all other mistakes."""
    ids = {kind: [_name_of(item) for item in _items(raw, "grid", kind)] for kind in ("similarities", "regularizers")}
    rules = [rule for rule in _items(raw, "lambdas") if isinstance(rule, Mapping)]
    for number, rule in enumerate(rules):
        for field, kind in (("similarity", "similarities"), ("regularizer", "regularizers")):
            name = rule.get(field, "*")
            if isinstance(name, str) and name not in ("*", *ids[kind]):
                known = [str(entry) for entry in ids[kind]]
                yield Mistake(
                    f"lambdas[{number}].{field}", f"`{name}` is not in grid.{kind}; {did_you_mean(name, known)}"
                )
    yield from _dimension_checks(raw)
    yield from _replicate_checks(raw)
    for number, baseline in enumerate(_items(raw, "baselines")):
        if _name_of(baseline) == "identity":
            yield Mistake(
                f"baselines[{number}]", "`identity` is always in the table; leave it out or choose another id"
            )
        if _name_of(baseline) in ("control_self", "control_sort"):
            yield Mistake(f"baselines[{number}]", "the id is one of the rows that `controls` adds; choose another")
    for similarity in ids["similarities"]:
        for regularizer in ids["regularizers"]:
            if not any(
                rule.get("similarity", "*") in ("*", similarity) and rule.get("regularizer", "*") in ("*", regularizer)
                for rule in rules
            ):
                yield Mistake("lambdas", f"no rule gives a lambda for {similarity} x {regularizer}; add one")


def _replicate_checks(raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Whether the seeds can be dealt to the searches."""
    tuning, seeds = raw.get("tuning"), _items(raw, "seeds")
    count = tuning.get("replicates", 1) if isinstance(tuning, Mapping) else 1
    if isinstance(count, int) and count > 0 and seeds and len(seeds) % count:
        words = f"must divide the number of `seeds` ({len(seeds)}), but got {count}; each search trains as many seeds"
        yield Mistake("tuning.replicates", words)


def _parts(raw: Mapping[str, Any], kind: str) -> list[Any]:
    """The components of a kind that a cell is made of."""
    path = {"similarity": ("grid", "similarities"), "regularizer": ("grid", "regularizers"), "model": ("models",)}[kind]
    return _items(raw, *path)


def _searched(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str, str]]:
    """(place, entry, kind, keyword) of each dimension that can be read."""
    for number, entry in enumerate(_items(raw, "tuning", "search")):
        if isinstance(entry, Mapping) and isinstance(entry.get("parameter"), str):
            kind, _, keyword = entry["parameter"].partition(".")
            yield f"tuning.search[{number}]", entry, kind, keyword


def _dimension_checks(raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Names of components that are not there, numbers that no training has, and dimensions declared twice."""
    for place, entry, kind, keyword in _searched(raw):
        for each in ("similarity", "regularizer", "model"):
            known, name = [str(_name_of(item)) for item in _parts(raw, each)], entry.get(each, "*")
            if isinstance(name, str) and name not in ("*", *known):
                yield Mistake(f"{place}.{each}", f"`{name}` is not in this study; {did_you_mean(name, known)}")
        if kind == "training" and keyword not in TUNABLE:
            message = f"`{keyword}` of the training cannot be searched; {did_you_mean(keyword, TUNABLE)}"
            yield Mistake(f"{place}.parameter", message)
        elif kind == "training":
            yield from _training_checks(place, keyword, _ends(entry))
        known = ["similarity", "regularizer", "model", "training"]
        if kind not in known:
            yield Mistake(f"{place}.parameter", f"`{kind}` is unknown; {did_you_mean(kind, known)}")


def _training_checks(place: str, keyword: str, ends: Sequence[Any]) -> Iterator[Mistake]:
    """Whether a training takes both ends of a range."""
    for end in ends:
        try:
            Training.model_validate({"steps": 1, "optimiser": "adamw", keyword: end})
        except ValidationError as error:
            for item in error.errors():
                yield Mistake(f"{place}.parameter", f"training.{keyword}: {_readable(dict(item)).message}")


def _search_checks(raw: Mapping[str, Any], check: Checker) -> Iterator[Mistake]:
    """Whether each component that a dimension names has the keyword, and takes both ends of the range."""
    for place, entry, kind, keyword in _searched(raw):
        for name, given in _searched_parts(raw, entry, kind):
            anyhow = [message for parameter, message in check(kind, name, given) if parameter != keyword]
            for value in _tried(entry):
                messages = [message for _, message in check(kind, name, {**given, keyword: value})]
                yield from (Mistake(f"{place}.parameter", message) for message in messages if message not in anyhow)


def _searched_parts(
    raw: Mapping[str, Any], entry: Mapping[str, Any], kind: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and parameters of the components that a dimension names; other forms have their own message."""
    if kind not in ("similarity", "regularizer", "model"):
        return
    for item in _parts(raw, kind):
        part = item if isinstance(item, Mapping) else {"name": item}
        name, given = part.get("name"), part.get("parameters", {})
        if entry.get(kind, "*") in ("*", _name_of(item)) and isinstance(name, str) and isinstance(given, Mapping):
            yield name, given


def _component_checks(raw: Mapping[str, Any], check: Checker) -> Iterator[Mistake]:
    yield from _search_checks(raw, check)
    places = (
        ("similarity", "name", ("grid", "similarities")),
        ("regularizer", "name", ("grid", "regularizers")),
        ("model", "name", ("models",)),
        ("dataset", "source", ("datasets",)),
        ("baseline", "name", ("baselines",)),
    )
    for kind, name_key, path in places:
        for number, item in enumerate(_items(raw, *path)):
            yield from _entry_checks(f"{'.'.join(path)}[{number}]", kind, name_key, item, check)
    regions = raw.get("equivalence")
    for name, width in regions.items() if isinstance(regions, Mapping) else ():
        for _, message in check("equivalence", str(name), {"width": width}):
            yield Mistake(f"equivalence.{name}", message)
    yield from _pairing_checks(raw, check)


def _entry_checks(where: str, kind: str, name_key: str, item: Any, check: Checker) -> Iterator[Mistake]:
    """Mistakes of one component, and of a dataset's preprocessing and splits; a bare name is short for an entry."""
    entry = item if isinstance(item, Mapping) else {name_key: item}
    name, given = entry.get(name_key), entry.get("parameters", {})
    if not isinstance(name, str) or not isinstance(given, Mapping):
        return  # the typed check says so
    for parameter, message in check(kind, name, given):
        suffix = f".parameters.{parameter}" if parameter else ("" if isinstance(item, str) else f".{name_key}")
        yield Mistake(where + suffix, message)
    for part in ("preprocessing", "splits") if kind == "dataset" else ():
        settings = entry.get(part, {})
        for setting, message in check(part, name, settings) if isinstance(settings, Mapping) else ():
            yield Mistake(f"{where}.{part}" + (f".{setting}" if setting else ""), message)


def _pairing_checks(raw: Mapping[str, Any], check: Checker) -> Iterator[Mistake]:
    """Regularizers that do not fit a model of the study."""
    for number, item in enumerate(_items(raw, "grid", "regularizers")):
        for model in _items(raw, "models"):
            name, other = (part.get("name") if isinstance(part, Mapping) else part for part in (item, model))
            if isinstance(name, str) and isinstance(other, str):
                for _, message in check("pairing", name, {"model": other}):
                    yield Mistake(f"grid.regularizers[{number}]", message)
