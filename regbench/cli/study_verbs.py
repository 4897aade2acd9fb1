"""Verbs about a study as a whole: list, check, plan, schema, status, show, cancel."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from regbench.cli.options import AsJson, ConfigFile, load_study, positive, say_pools, say_splits, say_unused_uri
from regbench.system.errors import RegbenchError


def list_components() -> None:
    """List every component and metric, one line each.

    Components are losses, regularizers, models, baselines and datasets.
    """
    from regbench.metrics import METRICS
    from regbench.orchestration.registries import REGISTRIES
    from regbench.study.components import summary

    for kind, registry in REGISTRIES.items():
        print(f"{kind}:")
        for name, function in registry.items():
            print(f"  {name:<22} {summary(function)}")
    print("metric:")
    for metric in METRICS.values():
        print(f"  {metric.name:<22} {metric.definition} [{metric.unit}, {metric.direction} is better]")


def check(
    config_file: ConfigFile,
    *,
    show_whole: Annotated[
        bool, typer.Option("--show", help="print the whole config as it will run, each default marked")
    ] = False,
) -> None:
    """Report every mistake of a config at once; run nothing.

    Functions of your own that a config names are imported, and said before; losses and networks among them are called.
    It opens the data, which must be there: headers and splits, but no voxels.
    """
    from regbench.orchestration.registries import AuditingCheck, check_installed
    from regbench.study.checks import imported_names
    from regbench.study.config_paths import read_config
    from regbench.study.shown_config import whole_config
    from regbench.system.files import check_folder
    from regbench.tuning.rehearsal import first_look

    for name in imported_names(read_config(config_file)):
        print(f"`{config_file}` imports `{name}`", file=sys.stderr, flush=True)
    checker = AuditingCheck()
    study = load_study(config_file, written_by_head=False, checker=checker)
    if show_whole:
        print(whole_config(read_config(config_file), study.config))
    for words in checker.notes:
        print(f"note: {words}", file=sys.stderr, flush=True)
    check_installed(study)
    say_unused_uri(study)
    for folder in (Path(study.config.results), study.layout.root):
        check_folder(folder)
    for dataset in (*study.config.datasets, *study.config.test_sets):
        for line in first_look(study, dataset.id):
            print(f"dataset `{dataset.id}`: {line}")
    say_pools(study)
    say_splits(study)
    runs = f"{len(list(study.with_all_seeds().runs()))} runs" + (" at most, by looks" if study.looked_models else "")
    print(f"`{config_file}` is sound: {len(study.methods)} methods, {runs}")


def plan(
    config_file: ConfigFile,
    *,
    at_once: Annotated[int, typer.Option(parser=positive, help="GPUs (or cores) that compute at the same time")] = 1,
    measured: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="folder of another study to take times from; several are possible"),
    ] = None,
    to_decide: Annotated[
        str | None,
        typer.Option(metavar="METRIC=WIDTH", help="seeds and pairs that decide a difference of WIDTH, from a pilot"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate jobs, hours, disk and files of a study.

    Times come from finished jobs of this study or of the studies that --measured names.
    """
    from regbench.orchestration.estimate import estimate, text

    study = load_study(config_file)
    if to_decide is None:
        estimated = estimate(study, at_once=at_once, measured=measured or [])
        print(json.dumps(estimated, indent=1) if as_json else text(estimated))
        if not as_json:
            say_pools(study)
            say_splits(study)
        return
    from regbench.orchestration import pilot

    metric, width = pilot.wish(to_decide)
    needed = pilot.to_decide(study, metric, width, measured or [])
    print(json.dumps(needed, indent=1) if as_json else pilot.text(needed, study, metric, width))


def freeze(
    config_file: ConfigFile,
    *,
    again: Annotated[
        str | None, typer.Option(metavar="REASON", help="freeze a changed study anew; both promises are reported")
    ] = None,
) -> None:
    """Pre-register a study: write down what it compares.

    What is compared on which data, regions of equivalence, level, selection, budget and exclusions: all of the config
    that may change a number. The report says whether the study kept to it, and what changed.
    """
    from regbench.study import frozen

    study = load_study(config_file, written_by_head=False)
    registration = frozen.freeze(study, again)
    done = f"{registration['evaluated']} of {registration['runs']} runs evaluated by then"
    print(f"{registration['sha256']}  study `{study.name}`, frozen at {registration['frozen_at']}, {done}")
    print(f"{study.layout.frozen}: give the number to others, who can compare it later")


def schema(
    *,
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if the file is out of date")] = False,
    out: Annotated[Path, typer.Option(help="file of the schema")] = Path("workflow/config.schema.json"),
) -> None:
    """Write the JSON schema of configs."""
    from regbench.study.load import json_schema
    from regbench.system.files import read_json, write_json

    wanted = json_schema()
    if not check:
        write_json(out, wanted)
    elif read_json(out) != json.loads(json.dumps(wanted)):
        raise RegbenchError(f"`{out}` must say what the typed config says, but is out of step. Run `make schema`.")


def status(config_file: ConfigFile, *, as_json: AsJson = False) -> None:
    """Show which cells are done, running or failed, and why.

    Also: the time left, and the best methods so far.
    """
    from regbench.orchestration import status as study_status

    study = load_study(config_file, check=False)
    now = study_status.status(study)
    print(json.dumps(now, indent=1) if as_json else study_status.text(now))
    if not as_json:
        say_pools(study)


def show(config_file: ConfigFile) -> None:
    """Print the table and where the files of a study are."""
    from regbench.report.summary_file import load_summary
    from regbench.report.terminal import closing, legend, terminal_table

    study = load_study(config_file, check=False)
    lay = study.layout
    if not (lay.tables / "main.csv").exists():
        raise RegbenchError(
            f"`{lay.tables / 'main.csv'}` must exist, but does not yet. Run `regbench run {config_file}`."
        )
    summary = load_summary(study)
    print(f"\n{terminal_table(summary)}\n{legend(summary)}\n\n{closing(summary)}\n")
    print(f"page    {lay.page} (everything in one file; open it in a browser)")
    print(f"files   {lay.tables} (main.md explains every column), {lay.figures}, {lay.rows}")
    if study.config.tracking.enabled:
        print(f"MLflow  regbench ui {config_file}")


def cancel(config_file: ConfigFile) -> None:
    """End the Slurm jobs that a killed run of this study left.

    Jobs of other studies, and of a study that still runs, go on.
    """
    from regbench.system import slurm
    from regbench.system.ownership import owned

    study = load_study(config_file, check=False)
    lay = study.layout
    owned(lay.workflow_lock, f"study `{study.name}`")  # while the head lives, its jobs are no orphans
    ended = slurm.cancel(slurm.job_prefix(study.name, lay.root))
    print(f"ended: {slurm.summary(ended)}" if ended else "no job of this study is in the queue")
