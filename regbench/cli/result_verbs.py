"""Verbs about results: look, analyze, report, track, ui, verdicts."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from regbench.cli.options import (
    ConfigFile,
    DatasetId,
    Threads,
    dataset_of,
    load_study,
    number,
    positive,
    say_unused_uri,
    seconds,
    whole,
)


def analyze(config_file: ConfigFile) -> None:
    """Join the rows of all runs and summarise every method."""
    from regbench.report import analyze as analysis

    analysis.analyze(load_study(config_file, check=False))


def look(
    config_file: ConfigFile,
    *,
    dataset: DatasetId = None,
    model: Annotated[str, typer.Option(help="whose cells are compared")],
    number: Annotated[int, typer.Option(parser=positive, help="of the look, from 1")],
) -> None:
    """Judge the cells of a model after a batch of seeds.

    The file of the look says which pairs are decided, and which cells get further seeds.
    """
    from regbench.report.make_look import make_look

    study = load_study(config_file, check=False)
    make_look(study, dataset_of(study, dataset), model, number)


def report(
    config_file: ConfigFile,
    *,
    threads: Threads = 1,
    partial: Annotated[
        bool, typer.Option("--partial", help="write a table of the finished cells, and why the others are missing")
    ] = False,
) -> None:
    """Write tables and figures."""
    config = load_study(config_file, check=False)
    if partial:
        from regbench.report.partial import write_partial

        print(write_partial(config))
        return
    from regbench.report import write

    write.report(config, processes=threads)


def track(
    config_file: ConfigFile,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="read back every point and artifact; finds changes by hand")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="push new files until the study is finished")] = False,
    interval: Annotated[
        float | None,
        typer.Option(parser=seconds, help="seconds between two looks; default: 10 to 30, by their cost"),
    ] = None,
    head: Annotated[
        int | None,
        typer.Option(parser=whole, help="with --follow: process id; go on until that process ends, or SIGTERM"),
    ] = None,
) -> None:
    """Bring MLflow to the state of the study's files."""
    from regbench import tracking

    config = load_study(config_file, check=False)
    say_unused_uri(config)
    if follow:
        print(tracking.describe(tracking.follow(config, interval=interval, head=head)))
        return
    changes = tracking.track(config, verify=verify)
    tracking.note_tracked(config, changes)
    print(tracking.describe(changes))


def ui(
    config_file: ConfigFile,
    *,
    port: Annotated[int, typer.Option(parser=whole, help="port on 127.0.0.1; 0 takes a free one")] = 5000,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="print the links, open none")] = False,
) -> None:
    """Open the study's prepared views in the MLflow UI."""
    from regbench.tracking import mlflow_ui

    config = load_study(config_file, check=False)
    say_unused_uri(config)
    with mlflow_ui.opened(config, shlex.join(["regbench", "track", str(config_file)]), port) as views:
        width = max(map(len, views.links))
        print("\n".join(f"{words:<{width}}  {link}" for words, link in views.links.items()), flush=True)
        if not no_browser:
            mlflow_ui.show(config, views.links["table"])
        if views.wait is not None:
            print("Ctrl-C stops the server", flush=True)
            views.wait()


def verdicts(
    rows: Annotated[
        Path,
        typer.Argument(metavar="ROWS", help="parquet or CSV with columns method, fixed and moving (or case), seed"),
    ],
    *,
    metric: Annotated[str, typer.Option(help="the column to judge")] = "dice",
    equivalence: Annotated[
        float | None, typer.Option(parser=number, metavar="WIDTH", help="half width of practical equivalence")
    ] = None,
    direction: Annotated[
        Literal["higher", "lower"] | None,
        typer.Option(help="which values are better; regbench's own metrics do not need it"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="the dataset to judge, if the column `dataset` names several")
    ] = None,
    alpha: Annotated[float, typer.Option(parser=number, help="chance of any false statement")] = 0.05,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write everything as JSON, for programs")
    ] = None,
) -> None:
    """Judge the methods in a table of per-case results.

    Of every two methods, one is better, worse, equal, or it is undecided.
    """
    from regbench.report.row_verdicts import text, verdicts_of_rows
    from regbench.system.files import write_json

    judged = verdicts_of_rows(rows, metric, equivalence=equivalence, direction=direction, dataset=dataset, alpha=alpha)
    if as_json is not None:
        write_json(as_json, judged)
    print(text(judged))
