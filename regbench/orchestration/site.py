"""The site file: what each rule asks of a cluster, as resources of Snakemake."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regbench.study.config import read_yaml
from regbench.system.errors import UsageError

# The rules whose work is done on the GPU, where the study uses one.
ON_GPU = ("trial", "train", "cell", "untrained", "evaluate", "runtime")
# What the first attempt of a job asks for: MB and minutes. Attempt n asks for n times as much.
FIRST = {
    "prepare": (4000, 60), "propose": (2000, 10), "trial": (8000, 720), "select": (1000, 10), "train": (8000, 1440),
    "cell": (8000, 1440), "untrained": (8000, 720), "evaluate": (8000, 240), "runtime": (8000, 240),
    "analyze": (4000, 30), "report": (4000, 30), "track": (4000, 60),
}  # fmt: skip


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
    """What a rule, or every job of a dataset, asks for at its first attempt; left out: as it stands."""

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


def read_site(path: Path) -> Site:
    """The site file.

    Raises:
        UsageError: if it is unreadable or says what does not exist; every mistake at once.
    """
    raw = read_yaml(path)
    try:
        site = Site.model_validate(raw)
    except ValidationError as error:
        wrong = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise UsageError(f"`{path}` must describe the cluster, but got: {'; '.join(wrong)}.") from None
    if unknown := sorted(set(site.rules) - set(FIRST)):
        raise UsageError(f"rules of `{path}` must be {', '.join(FIRST)}, but got {', '.join(unknown)}.")
    return site


def resources(path: Path) -> dict[str, dict[str, str]]:
    """Snakemake's `set-resources` of every rule: expressions of the attempt and of the job's dataset."""
    site = read_site(path)
    return {rule: _resources(rule, site) for rule in FIRST}


def _resources(rule: str, site: Site) -> dict[str, str]:
    place = site.gpu if rule in ON_GPU else site.cpu
    mine = site.rules.get(rule, Needs())
    told = {
        name: value
        for name, value in (
            ("slurm_partition", place.partition), ("slurm_account", place.account),
            ("qos", place.qos), ("constraint", place.constraint),
        )
        if value is not None
    }  # fmt: skip
    # A measurement shares its node with nothing, whoever's it is.
    extra = " ".join(word for word in (place.extra, "--exclusive" if rule == "runtime" else "") if word)
    if extra:
        told["slurm_extra"] = extra
    found = {name: repr(value) for name, value in told.items()}
    for name, first in zip(("mem_mb", "runtime"), FIRST[rule], strict=True):
        found[name] = f"{_by_dataset(rule, site, name, getattr(mine, name) or first)} * attempt"
    if rule in ON_GPU:
        for name, otherwise in (("gpu", 1), ("gpu_model", "")):
            if any(getattr(needs, name) is not None for needs in (mine, *site.datasets.values())):
                told_here = getattr(mine, name)
                found[name] = _by_dataset(rule, site, name, otherwise if told_here is None else told_here)
    return found


def _by_dataset(rule: str, site: Site, name: str, otherwise: int | str) -> str:
    values = {dataset: value for dataset, needs in site.datasets.items() if (value := getattr(needs, name)) is not None}
    if not values or rule in ("analyze", "report", "track"):
        return repr(otherwise)
    return f"{values!r}.get(wildcards.dataset, {otherwise!r})"
