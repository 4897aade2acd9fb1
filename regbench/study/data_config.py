"""The typed dataset of a study: where images come from, who is in which split, which pairs are used.

Imports neither torch nor mlflow: Snakemake parses this in every job.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from regbench.study.components import Parameters
from regbench.study.config_values import MOST_TRIALS, Id, Strict

NAMES = ("train", "validation", "test")
FEWEST_FOLDS, MOST_FOLDS = 3, 10_000  # test, validation and training are a fold at least
MOST_REPEATS = 1000


def _part(value: Any) -> Any:
    """What a split may be; its subjects as a tuple."""
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("must have subjects, but is empty")
        if bad := [name for name in value if not isinstance(name, str)]:
            raise ValueError(f"must list ids as text, but got {bad[0]!r}; put it in quotes")
        return tuple(value)
    if value in ("given", "rest") or (type(value) is int and value > 0) or (type(value) is float and 0 < value < 1):
        return value
    raise ValueError("must be a count or a list, a share such as 0.2, `given` or `rest`")


Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Ids = Annotated[tuple[str, ...], Field(min_length=1)]
Part = Annotated[Count | Share | Literal["given", "rest"] | Ids, BeforeValidator(_part)]


class SplitConfig(Strict):
    """Who is in which split: three parts, or one fold of several."""

    train: Part | None = None
    validation: Part | None = None
    test: Part | None = None
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of the draw")
    folds: Annotated[int, Field(ge=FEWEST_FOLDS, le=MOST_FOLDS)] | None = Field(
        default=None,
        description="parts of about one size; no train, validation or test beside it. Without `fold` all of them run",
    )
    fold: Annotated[int, Field(ge=0, lt=MOST_FOLDS)] | None = Field(
        default=None,
        validate_default=True,
        description="which part is the test, from 0; the next is the validation. Unless given, each is in turn",
    )

    repeats: Annotated[int, Field(ge=1, le=MOST_REPEATS)] | None = Field(
        default=None, description="how often the folds are dealt, where all run: each time the test subjects anew"
    )
    repeat: Annotated[int, Field(ge=0, lt=MOST_REPEATS)] | None = Field(
        default=None, description="which of the deals the folds are of, from 0"
    )

    def part(self, name: str) -> Part | None:
        """What the config says of a split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @field_validator("validation", "test")
    @classmethod
    def _beside_others(cls, value: Part | None, info: ValidationInfo) -> Part | None:
        """One `rest` at most, and shares of one whole; earlier parts are in ``info.data`` where they are sound."""
        if value == "rest" and (rest := next((name for name, part in info.data.items() if part == "rest"), None)):
            raise ValueError(f"must be a count or a share where {rest} is `rest`: only one split can be the rest")
        shares = [part for part in (*info.data.values(), value) if isinstance(part, float)]
        if isinstance(value, float) and sum(shares) > 1 + 1e-9:
            sum_of = " + ".join(f"{share:g}" for share in shares)
            raise ValueError(f"must leave shares that sum to 1 at most, not to {sum_of} = {sum(shares):g}")
        return value

    @field_validator("folds")
    @classmethod
    def _alone(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and (parts := [name for name in NAMES if info.data.get(name) is not None]):
            raise ValueError(f"must stand without {' and '.join(parts)}; leave one or the other out")
        return value

    @field_validator("fold")
    @classmethod
    def _of_folds(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "folds" not in info.data:
            return value  # which has a mistake of its own
        folds = info.data["folds"]
        if folds is None and value is not None:
            raise ValueError("needs `folds`, the number of parts")
        if folds is not None and (value is None or value >= folds):
            raise ValueError(f"must be from 0 to {folds - 1} (folds - 1)")
        return value

    @field_validator("repeats", "repeat")
    @classmethod
    def _of_deals(cls, value: int | None, info: ValidationInfo) -> int | None:
        """`repeats` is gone where all folds run (`regbench.study.folds`); `repeat` is of one fold."""
        if value is None or not {"folds", "fold"} <= set(info.data):
            return value
        if info.data["folds"] is None:
            raise ValueError("needs `folds`, which are dealt anew")
        if info.field_name == "repeats":
            raise ValueError("needs folds that all run, but `fold` names one; leave one of them out")
        return value

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without what the config leaves out: the text of a prepared set's spec is then that of the config."""
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


Rule = Literal["all", "within_group", "across_modalities", "consecutive", "to_atlas", "from_atlas"]
OF_ATLAS = ("to_atlas", "from_atlas")


class PairsConfig(Strict):
    """Which (fixed, moving) pairs are used; the data's own where there are any, else all ordered pairs of a split."""

    validation: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = Field(
        default=None, description="how many pairs of the split are used; all unless given"
    )
    test: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = Field(
        default=None, description="how many pairs of the split are used; all unless given"
    )
    list: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="a CSV with the columns fixed, moving and, if you like, split"
    )
    rule: Rule | None = Field(default=None, description="what pairs a split has, in training too")
    atlas: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="subject of every pair of the rules to_atlas (it is fixed) and from_atlas (moving)"
    )

    @property
    def prescribed(self) -> bool:
        """Whether training draws from certain pairs alone."""
        return self.list is not None or self.rule not in (None, "all")

    def count(self, split: str) -> int | None:
        """How many pairs of a split are asked for; None for all."""
        return {"validation": self.validation, "test": self.test}.get(split)

    @field_validator("rule")
    @classmethod
    def _instead(cls, value: Rule | None, info: ValidationInfo) -> Rule | None:
        if value is not None and info.data.get("list") is not None:
            raise ValueError("must not stand beside `list`; leave one of them out")
        return value

    @field_validator("atlas")
    @classmethod
    def _of_rule(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "rule" in info.data and info.data["rule"] not in OF_ATLAS:
            raise ValueError("has no effect without `rule: to_atlas` or `rule: from_atlas`; set one or leave it out")
        return value

    @model_validator(mode="after")
    def _has_atlas(self) -> "PairsConfig":
        if self.rule in OF_ATLAS and self.atlas is None:
            raise ValueError(f"`rule: {self.rule}` needs `atlas`, the id of a subject")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """See `SplitConfig`."""
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class DatasetConfig(Strict):
    """Where images come from and who is in which split."""

    id: Id
    source: str = Field(description="a dataset that `regbench list` shows")
    parameters: Parameters = Field(default_factory=dict)
    splits: SplitConfig = Field(
        default=SplitConfig(),
        description="train, validation, test: a count, a share such as 0.2, a list of subjects, `given` or `rest`; "
        "or folds (and fold, to run one alone); seed of the draw",
    )
    fold_of: Id | None = Field(
        default=None, description="what its test pairs are pooled in; `splits: {folds: k}` without `fold` writes it"
    )
    pairs: PairsConfig = Field(
        default=PairsConfig(), description="how many pairs of a split are used, and which: a list or a rule"
    )
    most_pairs: dict[Literal["validation", "test"], Annotated[int, Field(ge=1, le=MOST_TRIALS)]] = Field(
        default_factory=dict,
        description="of a split in which any two subjects may be a pair, so many are drawn where there are more",
    )
    preprocessing: Parameters = Field(
        default_factory=dict, description="how your own images come to one grid; docs/data.md has the table"
    )


class OnlyTested(DatasetConfig):
    """A dataset on which no run is trained."""

    splits: SplitConfig = Field(
        default=SplitConfig(test="rest"), description="test: a count, a share, a list of subjects or `rest`"
    )
