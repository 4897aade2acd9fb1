"""What the looks of a study gave out, from the files that they leave.

Imports neither torch nor mlflow: the Snakefile reads this.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, cast

from regbench.study.layout import Layout
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed

Unit = Literal["seeds", "searches"]


class Batches(NamedTuple):
    """How many units a cell that is not decided has at each look; the last is the most.

    Attributes:
        counts: rising.
        unit: a seed, or with several searches a search with its trainings.
    """

    counts: tuple[int, ...]
    unit: Unit


class LookedPair(TypedDict):
    """A pair of cells at a look that had not been decided or given up before."""

    comparison: dict[str, Any]  # as `regbench.report.comparison_entries.ComparisonEntry`
    chance: float | None  # of an undecided one, to be decided by the last look
    goes_on: bool


class Look(TypedDict):
    """The file of a look."""

    job: dict[str, Any]  # its `LookSpec`
    metric: str
    level: float  # two-sided, of one comparison
    spent: float  # alpha of all comparisons and of all looks so far
    units: dict[str, int]  # of each cell at this look
    pairs: list[LookedPair]
    further: dict[str, int]  # units of the cells that get more, before the next look; nobody after the last


def made(layout: Layout, dataset: str, model: str, before: int | None = None) -> Iterator[Look]:
    """The looks at the cells of a model that are there, in order; none behind one that gave nobody more.

    Args:
        layout: of the study.
        dataset: that the cells are of.
        model: that the cells are of.
        before: the number of the first look that is left out.
    """
    number, goes_on = 1, True
    while goes_on and number != before and (path := layout.look(dataset, model, number)).is_file():
        look = read_look(path)
        yield look
        number, goes_on = number + 1, bool(look["further"])


def given(layout: Layout, dataset: str, model: str, before: int | None = None) -> dict[str, int]:
    """The units of each cell of a model that got further ones, by the looks of `made`."""
    units = dict[str, int]()
    for look in made(layout, dataset, model, before):
        units |= look["further"]
    return units


def read_look(path: Path) -> Look:
    """The file of a look; not read again while it stays as it is.

    Raises:
        RegbenchError: if it is missing, or was altered or damaged.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise RegbenchError(f"`{path}` must be readable, but got: {error.strerror or error}.") from error
    return _read(path, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=512)
def _read(path: Path, _changed: int, _file: int) -> Look:
    return cast("Look", read_sealed(path))
