"""What each rule asks of the machine: the one place that says it, and the site file that makes of it what a cluster
needs, as resources of Snakemake."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regbench.orchestration.shipped import root
from regbench.study.yaml_file import read_yaml
from regbench.system.errors import UsageError, did_you_mean


class Size(NamedTuple):
    """What the first attempt of a job asks for; attempt n asks a cluster for n times as much."""

    mem_mb: int
    runtime: int  # minutes


FIRST: Mapping[str, Size] = {
    "prepare": Size(4000, 60),
    "lambda_range": Size(8000, 240),
    "propose": Size(2000, 10),
    "trial": Size(8000, 720),
    "select": Size(1000, 10),
    "train": Size(8000, 1440),
    "cell": Size(8000, 1440),
    "cell_untrained": Size(8000, 720),
    "curve": Size(8000, 1440),
    "curve_cell": Size(8000, 1440),
    "curve_cell_untrained": Size(8000, 720),
    "evaluate": Size(8000, 240),
    "transfer": Size(8000, 240),
    "runtime": Size(8000, 240),
    "look": Size(4000, 30),
    "analyze": Size(4000, 30),
    "report": Size(4000, 30),
    "track": Size(4000, 60),
}
# The rules whose work is done on the GPU, where the study uses one.
ON_GPU = (
    "lambda_range", "trial", "train", "cell", "cell_untrained", "curve", "curve_cell", "curve_cell_untrained",
    "evaluate", "transfer", "runtime",
)  # fmt: skip
# Rules with the outputs of their own and all else of another; a site file names that other.
ALIKE = {"evaluate_identity": "evaluate"}
OF_STUDY = ("analyze", "report", "track")  # rules whose job is of no dataset


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Strict):
    """Where jobs go; what is left out is not asked for, and the cluster's default holds."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    extra: str = ""


class Needs(_Strict):
    """What a rule, or every job of a dataset, asks for at its first attempt; left out: as it stands in `FIRST`."""

    mem_mb: int | None = Field(default=None, gt=0)
    runtime: int | None = Field(default=None, gt=0)
    gpu: int | None = Field(default=None, ge=0)
    gpu_model: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.]+$")


class Site(_Strict):
    """The file of a user about the cluster."""

    cpu: Place = Place()
    gpu: Place = Place()
    rules: dict[str, Needs] = {}
    datasets: dict[str, Needs] = {}


def first_attempt(rule: str, device: str) -> dict[str, int]:
    """The `resources:` of a rule in the workflow: those of a first attempt, on any machine.

    Args:
        rule: its name.
        device: `training.device` of the study; on ``cpu`` no job asks for a GPU.
    """
    gpu = {"gpu": int(device != "cpu")} if rule in ON_GPU else {}
    return {**FIRST[rule]._asdict(), **gpu}


def site_file() -> Path:
    """The site file that counts: of REGBENCH_SITE, of the folder where the command runs, or the empty one beside the
    profile."""
    if named := os.environ.get("REGBENCH_SITE"):
        return Path(named)
    here = Path("site.yaml")
    return here if here.is_file() else root() / "workflow/profiles/slurm/site.yaml"


def read_site(path: Path) -> Site:
    """The site file.

    Raises:
        UsageError: if it is unreadable or says what does not exist; every mistake at once.
    """
    raw = read_yaml(path)
    rules = raw.get("rules")
    names = map(str, rules) if isinstance(rules, Mapping) else ()
    wrong = [f"rules.{name}: no such rule; {did_you_mean(name, FIRST)}" for name in names if name not in FIRST]
    try:
        site = Site.model_validate(raw)
    except ValidationError as error:
        wrong += [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    if wrong:
        raise UsageError(f"`{path}` must describe the cluster, but got: {'; '.join(wrong)}.")
    return site


def resources(path: Path) -> dict[str, dict[str, str]]:
    """Snakemake's `set-resources` of every rule: expressions of the attempt and of the job's dataset."""
    site = read_site(path)
    return {rule: _resources(ALIKE.get(rule, rule), site) for rule in (*FIRST, *ALIKE)}


def _resources(rule: str, site: Site) -> dict[str, str]:
    of_rule = site.rules.get(rule, Needs())
    expressions = _submission(rule, site.gpu if rule in ON_GPU else site.cpu)
    for name, size in FIRST[rule]._asdict().items():
        expressions[name] = f"{_by_dataset(rule, site, name, getattr(of_rule, name) or size)} * attempt"
    if rule in ON_GPU:
        for name, default in (("gpu", 1), ("gpu_model", "")):
            if any(getattr(needs, name) is not None for needs in (of_rule, *site.datasets.values())):
                value = getattr(of_rule, name)
                expressions[name] = _by_dataset(rule, site, name, default if value is None else value)
    return expressions


def _submission(rule: str, place: Place) -> dict[str, str]:
    """Where the jobs of a rule go, as resources of the Slurm executor."""
    # A measurement shares its node with nothing, whoever's it is.
    extra = " ".join(word for word in (place.extra, "--exclusive" if rule == "runtime" else "") if word)
    values = {
        "slurm_partition": place.partition,
        "slurm_account": place.account,
        "qos": place.qos,
        "constraint": place.constraint,
        "slurm_extra": extra or None,
    }
    return {name: repr(value) for name, value in values.items() if value is not None}


def _by_dataset(rule: str, site: Site, name: str, otherwise: int | str) -> str:
    values = {dataset: value for dataset, needs in site.datasets.items() if (value := getattr(needs, name)) is not None}
    if not values or rule in OF_STUDY:
        return repr(otherwise)
    return f"{values!r}.get(wildcards.dataset, {otherwise!r})"
