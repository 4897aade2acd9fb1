"""Verbs about results: look, analyze, report, robustness, view, track, ui, verdicts."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from regbench.cli.options import (
    ConfigFile,
    DatasetId,
    Overwrite,
    Threads,
    dataset_of,
    load_study,
    number,
    positive,
    prepared_data,
    say_unused_uri,
    seconds,
    take_device_of,
    whole,
)
from regbench.system.errors import UsageError


def analyze(config_file: ConfigFile) -> None:
    """Join the rows of all runs and summarise every method."""
    from regbench.report import analyze as analysis

    study = load_study(config_file, check=False)
    analysis.analyze(study)
    analysis.note_drawn(study)


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


def robustness(
    config_file: ConfigFile,
    *,
    threads: Threads = 1,
    processes: Annotated[int, typer.Option(parser=positive, help="runs that are measured at once, on a CPU")] = 1,
) -> None:
    """Say which verdicts survive other conventions.

    The study must be finished. Nothing is trained: each test pair is registered once more, and measured as other papers
    do.
    """
    from regbench.report.robustness.survey import robustness as survey

    study = load_study(config_file)
    take_device_of(study, threads)
    data = {dataset.id: prepared_data(study, dataset.id, config_file) for dataset in study.config.datasets}
    print(survey(study, data, processes=processes))


def view(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="folder of a run: RESULTS/STUDY/runs/DATASET/METHOD/seedN")
    ],
    pair: Annotated[
        str, typer.Argument(metavar="PAIR", help="a test pair FIXED,MOVING; or best, median or worst of the run")
    ],
    *,
    threads: Threads = 1,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="the study's YAML, where its folder has no config.json (run verb by verb)"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the files; default: `views` in the folder of the run")
    ] = None,
    overwrite: Overwrite = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="print the files, open none")] = False,
) -> None:
    """Open one pair of a run, registered anew.

    A page with sliders, a picture for a paper and an animation: grid, folds, checkerboard, overlay.
    """
    import webbrowser

    from regbench.evaluation.one_pair import pair_of, register_pair, run_of, study_folder
    from regbench.report.view.write_views import view_files, write_views
    from regbench.study.job_specs import evaluate_spec
    from regbench.study.layout import Layout
    from regbench.system.desktop import has_desktop
    from regbench.system.files import check_folder, check_free

    config_file = config_file or Layout(study_folder(run)).config
    if not config_file.is_file():
        raise UsageError(f"`{config_file}` must be the study's config, but is not there. Name it by `--config`.")
    place = run_of(load_study(config_file), run)
    take_device_of(place.study, threads)
    data = prepared_data(place.study, place.dataset, config_file)
    names = pair_of(place, data, pair)
    files = view_files(out or place.folder / "views", data, names)
    check_folder(files[0].parent, advice="Give another `--out`, or change the permissions.")
    check_free(files[0].parent, files, overwrite=overwrite or out is None)
    registered, sentences = register_pair(place, evaluate_spec(place.study, place.method, place.seed), data, names)
    write_views(place, data, registered, files, sentences)
    print("\n".join([*sentences, *map(str, files)]))
    if has_desktop() and not no_browser:
        webbrowser.open(files[0].resolve().as_uri())


def track(
    config_file: ConfigFile,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="read back every point and artifact; finds changes by hand")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="push new files until the study is finished")] = False,
    interval: Annotated[
        float | None,
        typer.Option(parser=seconds, help="with --follow: seconds between two looks; default: 10 to 30, by their cost"),
    ] = None,
    head: Annotated[
        int | None,
        typer.Option(parser=whole, help="with --follow: process id; go on until that process ends, or SIGTERM"),
    ] = None,
) -> None:
    """Bring MLflow to the state of the study's files."""
    from regbench import tracking

    if not follow and (interval is not None or head is not None):
        raise UsageError("--interval and --head are of --follow, which is not given. Give it, or leave them out.")
    if follow and verify:
        raise UsageError("--verify is of one push, and --follow makes many. Leave one of them out.")
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
