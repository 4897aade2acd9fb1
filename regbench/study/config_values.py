"""Values that a config may have: numbers of a size, ids, paths and addresses; what no study needs is refused.

Imports neither torch nor mlflow: Snakemake parses this in every job.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from regbench.system.names import same, twins, unprintable

Item = TypeVar("Item")
# What no study needs, and what lies beyond it hangs the planning of jobs or fills a memory.
MOST = 10_000  # of whatever is counted: trials, pairs of a batch, subjects at once
MOST_STEPS = 100_000_000  # a day at a millisecond a step
MOST_PARTS = 1000  # components of a kind, seeds, searches
MOST_RUNS, MOST_TRIALS = 100_000, 1_000_000  # of a study: each is a job's work, and a file
LONGEST_TEXT = 100_000  # letters
SMALLEST = 1e-30  # number beside 0: single precision, in which a step computes, ends at 1e-38
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks", "databricks-uc", "uc")
LONGEST_ID = 64  # letters: three ids, with what stands around them, make the name of a file
LONGEST_PART, LONGEST_PATH = 255, 3000  # bytes: of 4096 that Linux takes, with room for the files of a study
RESERVED = ("mlartifacts",)
# What no path may hold, and who would read it.
NO_PATH = {"{}": "Snakemake reads braces as wildcards", "?": "in the URI of a database it begins the options",
           "\\": "it is the separator of paths elsewhere"}  # fmt: skip


def as_number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-3`` (no dot) as text; a researcher means a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def not_empty(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:
        raise ValueError("must not be empty")
    return items


def distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    names = [getattr(item, "id", item) for item in items]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"{twice[0]!r} is given twice; each entry (its `id`, if it has one) must be distinct")
    if two := twins(name for name in names if isinstance(name, str)):
        raise ValueError(f"ids must differ in more than case, but got {two[0]!r} and {two[1]!r}: they name folders")
    return items


def study_name(name: str) -> str:
    if same(name) in RESERVED:
        raise ValueError("must be no name that `results` needs for MLflow")
    return name


def results_folder(path: str) -> str:
    """The folder of all outputs; what a tool of the workflow would take for something else is refused."""
    whole = str(Path(path).absolute())
    for signs, why in NO_PATH.items():
        if bad := next((sign for sign in signs if sign in (whole if sign == "?" else path)), None):
            raise ValueError(f"must be a path without {bad!r}: {why}")
    if bad := unprintable(path):
        raise ValueError(f"must be a path on one line, but has {bad}")
    longest = max(len(part.encode()) for part in path.split("/"))
    if longest > LONGEST_PART or len(whole.encode()) > LONGEST_PATH:
        raise ValueError(f"must have at most {LONGEST_PART} bytes in each part and {LONGEST_PATH} in all")
    if path[0] == "-" or path != path.strip():
        raise ValueError("must be a path that begins with no dash, and neither begins nor ends with a blank")
    return os.path.expanduser(path)  # noqa: PTH111  that of pathlib fails where there is no such user


def _in_single_precision(value: float) -> float:
    if value and not SMALLEST <= abs(value) <= 1 / SMALLEST:
        raise ValueError(f"must be 0, or from {SMALLEST:g} to {1 / SMALLEST:g} in size, as single precision computes")
    return value


def tracking_uri(uri: str) -> str:
    """What MLflow can open: a server, a database, or a folder."""
    scheme, separator, _ = uri.partition("://")
    if not separator:
        if ":" in uri.partition("/")[0] and not uri.startswith(("file:", "databricks:", "uc:")):
            raise ValueError(f"must begin with one of {', '.join(f'{known}://' for known in SCHEMES)}")
        return uri
    if scheme.partition("+")[0].lower() not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise ValueError(f"must begin with one of {known}, which MLflow knows, but begins with {scheme}://")
    if scheme in ("http", "https"):
        try:
            address = urlsplit(uri)
            sound = bool(address.hostname) and address.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise ValueError(f"must name a host, and a port from 1 to 65535 if any: {scheme}://host:port")
    return uri


Number = Annotated[float, BeforeValidator(as_number), AfterValidator(_in_single_precision)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=MOST)]
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every generator of random numbers takes
Id = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=LONGEST_ID, description="letters, digits, _ and -"),
]
JoinedId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$", max_length=LONGEST_ID, description="letters, digits, _, - and +"),
]


class Strict(BaseModel):
    """No unknown keys, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)
