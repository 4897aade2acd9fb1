"""The grid of a study: models, similarities, and regularizers of one term or of several.

Imports neither torch nor mlflow: Snakemake parses this in every job.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from regbench.study.components import Parameters
from regbench.study.config_values import (
    LONGEST_ID,
    MOST_PARTS,
    Id,
    JoinedId,
    Positive,
    Steps,
    Strict,
    distinct,
    not_empty,
)
from regbench.study.own_files import is_file

JOIN = "+"  # between the ids of terms, in the id of a regularizer that has several
NUMBER, RANGE = "(a number)", "(a range)"  # forms of a weight, in the places that pydantic names


class Component(Strict):
    """A registered name or a function of one's own, with parameters; a bare name is short for one without any."""

    name: str = Field(
        description="a name that `regbench list` shows, package.module:function, or path/to/file.py:function from the "
        "config's folder on"
    )
    id: Id = Field(default="", description="what tables and folders call it; the name unless given")
    parameters: Parameters = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, dict) and isinstance(value.get("name"), str) and value["name"] and "id" not in value:
            value = {**value, "id": id_of(value["name"])}
        return value


def id_of(name: str) -> str:
    """The id of a component whose config gives none."""
    if is_file(name):  # wherever it lies
        name = f"{PurePath(name.rpartition(':')[0]).stem}_{name.rpartition(':')[2]}"
    words = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")
    return words[-LONGEST_ID:].strip("_") or "component"


class SearchedWeight(Strict):
    """A weight that the search chooses."""

    range: tuple[Positive, Positive] = Field(
        strict=False,  # a list: what a validator before it has seen is no JSON any more
        description="lowest and highest weight, searched on a log scale",
    )

    @model_validator(mode="after")
    def _rises(self) -> "SearchedWeight":
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must rise, but got {list(self.range)}")
        return self


def _form(value: Any) -> str:
    return RANGE if isinstance(value, Mapping | SearchedWeight) else NUMBER


Weight = Annotated[
    Annotated[Positive, Tag(NUMBER)] | Annotated[SearchedWeight, Tag(RANGE)],
    Discriminator(_form),
]


class Term(Component):
    """A term of a regularizer. The first is weighted by lambda, each further one by its own weight."""

    weight: Weight | None = Field(
        default=None,
        description="of a further term: a number, or `{range: [low, high]}` to search it; the first has lambda",
    )

    @model_serializer(mode="wrap")
    def _weighted(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The first term has no weight to write."""
        whole: dict[str, Any] = handler(self)
        return {key: value for key, value in whole.items() if key != "weight" or value is not None}

    @property
    def searched(self) -> tuple[float, float] | None:
        """The range of a weight that is searched."""
        return self.weight.range if isinstance(self.weight, SearchedWeight) else None


class Regularizer(Component):
    """One term, by its name; or several, of which the first is weighted by lambda.

    `regbench.study.term_checks` knows which of its keys go together.
    """

    name: str = Field(default="", description="of the only term; left out where `terms` are given")
    id: JoinedId = Field(default="", description="what tables and folders call it; the names of its terms unless given")
    terms: tuple[Term, ...] = Field(
        default=(),
        max_length=MOST_PARTS,
        strict=False,
        description="instead of `name`: similarity + lambda * first + sum of weight * further",
    )

    @model_validator(mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "id" in value or not isinstance(value.get("terms"), list | tuple):
            return value
        joined = JOIN.join(filter(None, map(id_of_term, value["terms"])))[:LONGEST_ID].strip(f"_-{JOIN}")
        return value if value.get("name") else {**value, "id": joined or "terms"}

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Either form as it was given; a job reads it back."""
        whole: dict[str, Any] = handler(self)
        left_out = ("name", "parameters") if self.terms else ("terms",)
        return {key: value for key, value in whole.items() if key not in left_out}

    @property
    def first(self) -> Component:
        """The term that lambda weighs."""
        return self.terms[0] if self.terms else self

    @property
    def further(self) -> tuple[Term, ...]:
        """The terms behind the first."""
        return self.terms[1:]


def id_of_term(term: Any) -> str:
    """The id of a term that may be wrong anywhere; empty where it has none."""
    entry = term if isinstance(term, Mapping) else {"name": term}
    given, name = entry.get("id"), entry.get("name")
    if isinstance(given, str):
        return given
    return id_of(name) if isinstance(name, str) and name else ""


class Refine(Strict):
    """Instance optimisation from a network's displacement on, by the objective that the network was trained with."""

    steps: Steps = Field(description="of Adam, for each pair")
    learning_rate: Positive = Field(default=0.1, description="of Adam, in voxels of a grid of every second voxel")


class Model(Component):
    """A model of the study; with `refine` a second row takes its trained networks and refines each pair."""

    refine: Refine | None = Field(default=None, description="optimise each pair from the network's displacement on")


Models = Annotated[tuple[Model, ...], Field(max_length=MOST_PARTS), AfterValidator(not_empty), AfterValidator(distinct)]
Components = Annotated[
    tuple[Component, ...], Field(max_length=MOST_PARTS), AfterValidator(not_empty), AfterValidator(distinct)
]
Regularizers = Annotated[
    tuple[Regularizer, ...], Field(max_length=MOST_PARTS), AfterValidator(not_empty), AfterValidator(distinct)
]


class Grid(Strict):
    """Every similarity with every regularizer: one cell each."""

    similarities: Components
    regularizers: Regularizers
