"""Verbs about the search for lambda: propose, trial, select, cell, export-optuna."""

from typing import TYPE_CHECKING, Annotated

import typer

from regbench.cli.options import (
    ConfigFile,
    DatasetId,
    MethodId,
    Replicate,
    Round,
    SaveEvery,
    Threads,
    bar,
    check_replicate,
    dataset_of,
    load_study,
    prepared_data,
    take_device_of,
    whole,
)
from regbench.system.errors import UsageError

if TYPE_CHECKING:
    from regbench.study.methods import Study


def lambda_range(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    similarity: Annotated[
        list[str] | None, typer.Option(help="id of a similarity of the grid; repeat it for more [default: all]")
    ] = None,
    regularizer: Annotated[str, typer.Option(help="id of a regularizer of the grid")],
    threads: Threads = 1,
) -> None:
    """Find the ranges of lambda of a regularizer.

    There is one for each similarity of the grid. It registers a few validation
    pairs by `instance`, at one lambda a decade.
    """
    from regbench.tuning.find_ranges import find_lambda_ranges

    study = load_study(config_file)
    name = dataset_of(study, dataset)
    known = [(losses[0].id, losses[1].id) for losses in study.found_ranges]
    similarities = list(dict.fromkeys(similarity or [first for first, second in known if second == regularizer]))
    wrong = [first for first in similarities if (first, regularizer) not in known]
    if wrong or not similarities:
        names = ", ".join(f"{first} x {second}" for first, second in sorted(known)) or "none: `lambdas` gives them all"
        raise UsageError(
            f"--similarity and --regularizer must name cells whose range is found, but got "
            f"{', '.join(wrong) or 'any'} x {regularizer}. Such are: {names}."
        )
    take_device_of(study, threads)
    for path in find_lambda_ranges(study, prepared_data(study, name, config_file), similarities, regularizer):
        print(path)


def propose(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    replicate: Replicate = 0,
    round_: Round,
) -> None:
    """Propose the lambdas of one round of trials."""
    from regbench.tuning.search_files import propose_round

    study = load_study(config_file, check=False)
    name = dataset_of(study, dataset)
    check_replicate(study, name, method, replicate)
    _check_round(study, method, round_)
    propose_round(study, name, method, round_, replicate)


def _check_round(study: "Study", method: str, number: int) -> None:
    """Compare `--round` with the rounds of a cell's searches.

    Raises:
        UsageError: if the cell has no such round.
    """
    rounds = study.rounds(method)
    if not rounds:
        raise UsageError(f"--method must name a method whose lambda is searched, but nothing of `{method}` is")
    if not 0 <= number < rounds:
        raise UsageError(f"--round must be 0 to {rounds - 1}, but got {number}")


def trial(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    replicate: Replicate = 0,
    round_: Round,
    threads: Threads = 1,
    slots: Annotated[
        tuple[int, int] | None,
        typer.Option(parser=whole, metavar="FIRST LAST", help="the trials of one job; default: the whole round"),
    ] = None,
) -> None:
    """Run proposed trials of one round."""
    from regbench.tuning.trial_batch import run_batch

    study = load_study(config_file)
    name = dataset_of(study, dataset)
    check_replicate(study, name, method, replicate)
    _check_round(study, method, round_)
    batches = study.batches(method, round_)
    if slots is not None and slots not in batches:
        known = " or ".join(f"`{first} {last}`" for first, last in batches)
        raise UsageError(f"--slots must be those of a job of round {round_}, {known}, but got `{slots[0]} {slots[1]}`")
    take_device_of(study, threads)
    data = prepared_data(study, name, config_file)
    for batch in batches if slots is None else [slots]:
        run_batch(study, name, method, data, replicate=replicate, number=round_, slots=batch, bar=bar())


def select(config_file: ConfigFile, *, dataset: DatasetId = None, method: MethodId, replicate: Replicate = 0) -> None:
    """Choose the lambda of a cell from its trials."""
    from regbench.tuning.search_files import choose_lambda

    study = load_study(config_file, check=False)
    name = dataset_of(study, dataset)
    if not study.method(method).tuned:
        raise UsageError(f"--method must name a method with a lambda of its own, but `{method}` has none")
    check_replicate(study, name, method, replicate)
    choose_lambda(study, name, method, replicate)


def cell(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: Annotated[
        list[str], typer.Option("--method", help="for example voxelmorph.lcc.grad_l2; several are done in turn")
    ],
    threads: Threads = 1,
    save_every: SaveEvery = 300,
) -> None:
    """Run every stage of a cell, or of several.

    These are trials and choice of each search, then training and evaluation of each seed.
    """
    from regbench.training.final_run import outcome
    from regbench.tuning.cell import run_cells

    study = load_study(config_file)
    for untuned in (one for one in method if not study.method(one).tuned):
        raise UsageError(f"`cell` is for methods with a lambda of their own, but `{untuned}` has none; use `evaluate`")
    take_device_of(study, threads)
    data = prepared_data(study, dataset_of(study, dataset), config_file)
    run_cells(study, data, method, save_every=save_every, bar=bar())
    for one in method:
        for seed in study.seeds(one):
            print(outcome(study.layout.run(data.id, one, seed)), flush=True)


def curve(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    method: MethodId,
    seed: Annotated[int | None, typer.Option("--seed", parser=whole, help="seed of a run; default: all")] = None,
    point: Annotated[int | None, typer.Option(parser=whole, help="number of a point, from 1; default: all")] = None,
    threads: Threads = 1,
    save_every: SaveEvery = 300,
) -> None:
    """Train and evaluate points of the curves of a cell.

    These are trainings of the final length at lambdas beside the chosen one, for comparisons at equal regularity.
    """
    from regbench.tuning.curve_runs import run_points

    study = load_study(config_file)
    name = dataset_of(study, dataset)
    points = study.further_points
    if not points:
        raise UsageError("`curve` must stand in the config, but does not. Write for example `curve: 6`.")
    if not study.method(method).tuned:
        raise UsageError(f"--method must name a method with a lambda of its own, but `{method}` has none")
    seeds = study.seeds(method)
    if seed is not None and seed not in seeds:
        raise UsageError(f"--seed must be one of {', '.join(map(str, seeds))}, but got {seed}")
    if point is not None and point not in points:
        raise UsageError(f"--point must be 1 to {points[-1]}, but got {point}")
    take_device_of(study, threads)
    wanted = [(s, p) for s in seeds for p in points if seed in (None, s) and point in (None, p)]
    data = prepared_data(study, name, config_file)
    run_points(study, data, method, wanted, save_every=save_every, bar=bar())


def export_optuna(
    config_file: ConfigFile,
    *,
    storage: Annotated[
        str | None, typer.Option(help="URL of the storage; default: optuna.db in the folder of the study")
    ] = None,
) -> None:
    """Write the trials to an Optuna storage.

    `optuna-dashboard STORAGE` opens it.
    """
    from regbench.tuning import optuna_export

    study = load_study(config_file, check=False)
    url = storage or study.layout.own_optuna_url
    counts = optuna_export.export_optuna(study, url)
    print("Optuna: " + ", ".join(f"{count} studies {what}" for what, count in counts.items()))
    print("open it: optuna-dashboard STORAGE (pip install optuna-dashboard)")
