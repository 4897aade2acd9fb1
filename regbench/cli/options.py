"""The options that several verbs have, as annotated types, and what they name in a study."""

import os
import sys
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regbench.system.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from regbench.data.cache import Dataset
    from regbench.study.checks import Checker
    from regbench.study.methods import Study

LONGEST_SHOWN = 200  # letters of a value in a message


def whole(text: str) -> int:
    """A whole number from the command line."""
    try:
        value = int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, but got {text[:LONGEST_SHOWN]!r}") from None
    if abs(value) >= 2**63:
        raise typer.BadParameter(f"must be a whole number of at most 64 bits, but got {text[:LONGEST_SHOWN]}")
    return value


def seed(text: str) -> int:
    """A seed, as every generator of random numbers takes it."""
    value = whole(text)
    if not 0 <= value < 2**32:
        raise typer.BadParameter(f"must be from 0 to {2**32 - 1}, but got {value}")
    return value


def positive(text: str) -> int:
    """A whole number from 1."""
    value = whole(text)
    if value < 1:
        raise typer.BadParameter(f"must be at least 1, but got {value}")
    return value


def number(text: str) -> float:
    """A finite number from the command line."""
    try:
        value = float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number, but got {text!r}") from None
    if not isfinite(value):
        raise typer.BadParameter(f"must be a finite number, but got {text}")
    return value


def seconds(text: str) -> float:
    """A duration: a positive, finite number."""
    value = number(text)
    if value <= 0:
        raise typer.BadParameter(f"must be a positive number of seconds, but got {text}")
    return value


ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="the study's YAML (or JSON) file")]
DatasetId = Annotated[
    str | None, typer.Option("--dataset", help="id of a dataset of the study; needed only if the study has several")
]
MethodId = Annotated[str, typer.Option("--method", help="for example voxelmorph.lcc.grad_l2")]
Seed = Annotated[int, typer.Option("--seed", parser=seed, help="seed of the run")]
Round = Annotated[int, typer.Option("--round", parser=whole, help="number of the round, from 0")]
Replicate = Annotated[int, typer.Option("--replicate", parser=whole, help="number of the cell's search, from 0")]
Threads = Annotated[int, typer.Option("--threads", parser=positive, help="CPU threads")]
SaveEvery = Annotated[
    float, typer.Option("--save-every", parser=number, metavar="SECONDS", help="time between two saved states")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace files that are there")]
AsJson = Annotated[bool, typer.Option("--json", help="print everything as JSON, for programs")]


def load_study(
    path: Path, *, check: bool = True, written_by_head: bool = True, checker: "Checker | None" = None
) -> "Study":
    """Read the config of a study, and what it says is to be done.

    Args:
        path: its file.
        check: ask the components about their parameters too; takes longer.
        written_by_head: take the `config.json` in the study's own folder as checked: the head does so before it writes.
        checker: asks the components, and whether the data are there; `check_component` unless given.

    Raises:
        UsageError: names every mistake.
        RegbenchError: if the `config.json` of a head was altered.
    """
    from regbench.study.config_paths import read_config
    from regbench.study.load import load
    from regbench.study.methods import Study
    from regbench.system.files import SEAL, read_sealed

    raw = read_config(path)
    if path.suffix == ".json" and SEAL in raw:  # a study's `config.json`, which jobs are made of
        read_sealed(path)
    if not check:
        return Study(load(raw, where=str(path)))
    if written_by_head:
        with suppress(UsageError):  # which the whole check names together with all else
            study = Study(load(raw))
            if SEAL in raw and not by_hand(study, path):
                return study
    from regbench.orchestration.registries import check_component

    return Study(load(raw, checker or check_component, where=str(path), data_there=checker is not None))


def dataset_of(study: "Study", given: str | None, *, only_tested: bool = False) -> str:
    """The dataset that `--dataset` names, or the only one.

    Args:
        study: with the datasets.
        given: what the option says.
        only_tested: take the test sets too, which no run is trained on.

    Raises:
        UsageError: if the study has none of that name, or several and none is named.
    """
    known = [dataset.id for dataset in study.config.datasets]
    if given is None and len(known) == 1:
        return known[0]
    for pool in study.pools:
        if given == pool.id:
            names = ", ".join(f"`{fold}`" for fold in pool.folds)
            raise UsageError(f"--dataset must name one fold, but `{given}` is pooled from {names}. Name one of these.")
    known += [dataset.id for dataset in study.config.test_sets if only_tested]
    if given is None or given not in known:
        hint = did_you_mean(given or "", known)
        raise UsageError(f"--dataset must name a dataset of study `{study.name}`, but got {given!r}; {hint}")
    return given


def by_hand(study: "Study", config_file: Path) -> bool:
    """Whether a verb was given a user's own file, not the config that a head wrote for its jobs."""
    return config_file.resolve() != study.layout.config.resolve()


def prepared_data(study: "Study", dataset: str, config_file: Path) -> "Dataset":
    """The prepared arrays of a dataset.

    Raises:
        RegbenchError: if they are missing, damaged, or of another config than `study`.
    """
    from regbench.data.prepared import load_prepared

    return load_prepared(study, dataset, by_hand=by_hand(study, config_file))


def check_replicate(study: "Study", dataset: str, method: str, replicate: int) -> None:
    """Compare `--replicate` with the searches of a cell, as far as looks gave them.

    Raises:
        UsageError: if the cell has no such search.
    """
    known = study.replicates(method, dataset)
    if replicate not in known:
        raise UsageError(f"--replicate must be 0 to {known[-1]}, but got {replicate}")


def say_unused_uri(study: "Study") -> None:
    """One line where the environment names a tracking server that the study does not use."""
    if words := study.unused_uri(os.environ):
        print(words, file=sys.stderr, flush=True)


def say_pools(study: "Study") -> None:
    """A line for each dataset whose folds are pooled."""
    for pool in study.pools:
        print(f"folds   {pool.words}")


def say_splits(study: "Study") -> None:
    """A line of the draws of validation subjects, where there are several."""
    tuning = study.config.tuning
    if tuning.splits > 1:
        each = tuning.replicates // tuning.splits
        print(f"splits  {tuning.splits} draws of validation subjects, {each} search{'es' if each > 1 else ''} of each")


def take_device(name: str, threads: int, *, deterministic: bool = True) -> None:
    """Lease a GPU where the device needs one, before torch looks for it; then set torch up."""
    from regbench.system import device, gpu_lease

    gpu_lease.lease(name)
    device.set_up(threads, name, deterministic=deterministic)


def take_device_of(study: "Study", threads: int) -> None:
    """The same for the trainings of a study, as its config says."""
    training = study.config.training
    take_device(training.device, threads, deterministic=training.deterministic)


def bar() -> bool:
    """Whether to show progress bars: on a terminal, not in a log."""
    return sys.stderr.isatty()
