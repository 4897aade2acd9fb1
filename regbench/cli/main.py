"""The command line: parses, calls one stage, prints, exits.

0 done, 1 the work failed, 2 wrong usage, 75 stopped by SIGTERM with its state kept: run the same command again.

Every verb of the workflow is usable by hand: it takes the study's config and says which part to do; files lie where
the workflow would put them. Imports stay inside the verbs: `--help` needs no torch.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from regbench import __version__
from regbench.study import plan
from regbench.study.config import Config, json_schema, load, read_yaml
from regbench.system import slurm
from regbench.system.errors import InterruptedTrainingError, RegbenchError, UsageError, did_you_mean
from regbench.system.job_usage import clocked, took

Verb = Callable[[argparse.Namespace], None]
LOG = logging.getLogger(__name__)
BEGAN = time.monotonic()
TIMED = ("prepare", "trial", "cell", "train", "evaluate", "runtime", "analyze", "report", "track")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `regbench`."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    slurm.go_back_when_preempted()
    try:
        verb: Verb = options.verb
        verb(options)
        if options.stage in TIMED:
            LOG.info(took(time.monotonic() - BEGAN))
    except UsageError as error:
        _stop(error, 2)
    except InterruptedTrainingError as error:
        slurm.requeue_preempted()
        _stop(error, 75)  # EX_TEMPFAIL: run it again
    except RegbenchError as error:
        _stop(error, 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nobody is left to tell
        sys.exit(1)


def _stop(error: RegbenchError, status: int) -> None:
    print(f"regbench: {error}", file=sys.stderr)
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:  # noqa: PLR0915  one line a verb
    parser = argparse.ArgumentParser(
        prog="regbench",
        description=(__doc__ or "").partition("\n")[0]
        and ("Controlled, repeatable benchmarks of similarities and regularizers for learned image registration."),
    )
    parser.add_argument("--version", action="version", version=f"regbench {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def add(name: str, verb: Verb, words: str, *needs: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=words, description=words)
        sub.set_defaults(verb=verb, stage=name, waiting=None)
        if "config" in needs:
            sub.add_argument("config", type=Path, metavar="CONFIG", help="the study's YAML (or JSON) file")
        if "dataset" in needs:
            sub.add_argument("--dataset", help="id of a dataset of the study; may be left out where there is one")
        if "method" in needs:
            sub.add_argument("--method", required=True, help="for example voxelmorph.lcc.grad_l2")
        if "seed" in needs:
            sub.add_argument("--seed", type=int, required=True)
        if "round" in needs:
            sub.add_argument("--round", type=int, required=True, help="number of the round, from 0")
        if "replicate" in needs:
            sub.add_argument("--replicate", type=int, default=0, help="which of the cell's searches; default: 0")
        if "threads" in needs:
            sub.add_argument("--threads", type=_positive, default=1, help="CPU threads (default: 1)")
        return sub

    add("list", _list, "losses, regularizers, models, datasets and metrics, one line each")
    add("check", _check, "report every mistake of a config at once; start nothing", "config")
    estimate = add("plan", _plan, "jobs, steps, hours, disk and files of a study, before it starts", "config")
    estimate.add_argument("--at-once", type=_positive, default=1, help="GPUs (or cores) that compute (default: 1)")
    estimate.add_argument(
        "--measured", type=Path, nargs="*", default=[], metavar="DIR", help="folders of more studies to take times from"
    )
    estimate.add_argument(
        "--to-decide",
        metavar="METRIC=WIDTH",
        help="seeds and pairs that decide such a difference, by a pilot",
    )
    estimate.add_argument("--json", action="store_true", help="everything, for programs")
    add("prepare", _prepare, "build the arrays and the manifest of a dataset", "config", "dataset", "threads")
    inspect = add(
        "inspect", _inspect, "show what the loader sees of a dataset; keep nothing", "config", "dataset", "threads"
    )
    inspect.add_argument("--picture", type=Path, metavar="PNG", help="write a contact sheet of the first subjects")
    search = ("config", "dataset", "method", "replicate")
    add("propose", _propose, "propose the lambdas of one round of trials", *search, "round")
    trial = add("trial", _trial, "run proposed trials of one round", *search, "round", "threads")
    trial.add_argument("--slots", nargs=2, type=int, metavar=("FIRST", "LAST"), help="default: the whole round")
    add("select", _select, "choose the lambda of a cell from its trials", *search)
    add(
        "cell",
        _cell,
        "every stage of a cell: trials, choice, and of each seed training and evaluation",
        "config",
        "dataset",
        "method",
        "threads",
    ).add_argument("--save-every", type=float, default=300, metavar="SECONDS", help="keep the state; default: 300")
    train = add("train", _train, "train one model", "config", "dataset", "method", "seed", "threads")
    train.add_argument("--lam", type=float, help="default: the lambda that `select` chose")
    train.add_argument("--out", type=Path, help="folder of the run; default: where the workflow puts it")
    train.add_argument("--save-every", type=float, default=300, metavar="SECONDS", help="keep the state; default: 300")
    evaluate = add(
        "evaluate", _evaluate, "evaluate one run on all test pairs", "config", "dataset", "method", "seed", "threads"
    )
    evaluate.add_argument("--run", type=Path, help="folder of a run made with `train --out`; rows are written into it")
    images = add("export-images", _export_images, "write the test images as NIfTI for others", "config", "dataset")
    images.add_argument("out", type=Path, metavar="DIR", help="receives images/, labels/ and pairs.csv")
    foreign = add("evaluate-fields", _evaluate_fields, "evaluate anyone's displacement fields", "config", "dataset")
    foreign.add_argument("fields", type=Path, metavar="DIR", help="folder with disp_<fixed>_<moving>.nii.gz (or .npz)")
    foreign.add_argument("--form", choices=["l2r", "itk"], default="l2r", help="l2r: voxels; itk: mm, LPS (ITK, ANTs)")
    foreign.add_argument("--out", type=Path, help="parquet file of the rows; default: pairs.parquet in DIR")
    export = add(
        "export",
        _export,
        "write a run's displacements of the test pairs as NIfTI",
        "config",
        "dataset",
        "method",
        "seed",
        "threads",
    )
    export.add_argument("--out", type=Path, help="folder of the files; default: `displacements` in the run's folder")
    export.add_argument("--prepared", action="store_true", help="on the prepared grid, not in the subjects' own arrays")
    fetch = add("fetch", _fetch, "download a public dataset, or list them")
    fetch.add_argument("name", nargs="?", help="name of the set; all are listed without it")
    fetch.add_argument("--store", type=Path, help="default: $REGBENCH_DATA, else the user's cache folder")
    add(
        "runtime",
        _runtime,
        "time every run of a dataset; leave the machine alone meanwhile",
        "config",
        "dataset",
        "threads",
    )
    add("analyze", _analyze, "join the rows of all runs and summarise every method", "config")
    report = add("report", _report, "write tables and figures", "config", "threads")
    report.add_argument("--partial", action="store_true", help="a table of what there is, with reasons for the rest")
    status = add("status", _status, "cells done, running and failed, with reasons; ETA; best so far", "config")
    status.add_argument("--json", action="store_true", help="everything, for programs")
    track = add("track", _track, "bring MLflow to the state of the study's files", "config")
    track.add_argument(
        "--verify", action="store_true", help="read back every point and artifact; finds changes by hand"
    )
    track.add_argument("--follow", action="store_true", help="push as files appear, until the study is finished")
    track.add_argument("--interval", type=_seconds, help="seconds between two looks; default: 10 to 30, by their cost")
    track.add_argument("--head", type=int, help="with --follow: go on until this process ends, or SIGTERM")
    ui = add("ui", _ui, "open the study's prepared views in the MLflow UI", "config")
    ui.add_argument("--port", type=int, default=5000, help="of 127.0.0.1, 0 for a free one; default: 5000")
    ui.add_argument("--no-browser", action="store_true", help="print the links, open none")
    optuna = add("export-optuna", _export_optuna, "write the trials to an Optuna storage (optuna-dashboard)", "config")
    optuna.add_argument("--storage", help="URL; default: optuna.db in the folder of the study")
    add("cancel", _cancel, "end this study's jobs that a killed run left in Slurm's queue; no others", "config")
    add("show", _show, "print the table, where the files are, and how to open MLflow", "config")
    judge = add("verdicts", _verdicts, "better, worse, equal or undecided: judge anyone's table of per-case results")
    judge.add_argument(
        "rows", type=Path, metavar="ROWS", help="parquet or CSV: method, fixed and moving (or case), seed"
    )
    judge.add_argument("--metric", default="dice", help="the column to judge; default: dice")
    judge.add_argument("--equivalence", type=float, metavar="WIDTH", help="half width of practical equivalence")
    judge.add_argument("--direction", choices=["higher", "lower"], help="which is better; known for our own metrics")
    judge.add_argument("--dataset", help="which one, where a column `dataset` names several")
    judge.add_argument("--alpha", type=float, default=0.05, help="chance of any false statement; default: 0.05")
    judge.add_argument("--json", type=Path, metavar="FILE", help="write everything, for programs")
    _register_options(add("register", _register, "register two NIfTI files", "threads"))
    schema = add("schema", _schema, "write the JSON schema of configs")
    schema.add_argument("--check", action="store_true", help="write nothing; fail if the file is out of step")
    schema.add_argument("--out", type=Path, default=Path("workflow/config.schema.json"))
    return parser


def _register_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--model",
        required=True,
        help="a checkpoint, the folder of a run, or `instance` (no network)",
    )
    for name in ("fixed", "moving", "out"):
        sub.add_argument(f"--{name}", type=Path, required=True)
    sub.add_argument("--labels", type=Path, help="label map of the moving image, to be warped too")
    sub.add_argument(
        "--intensity",
        choices=["percentile", "minmax", "zscore", "none"],
        help="how the images are scaled; default: as the checkpoint's study did it, `percentile` for `instance`",
    )
    sub.add_argument(
        "--by",
        default="header",
        choices=["header", "centre"],
        help="how the images lie to each other: as their headers say, or middle on middle; default: header",
    )
    sub.add_argument("--itk", action="store_true", help="write the displacement for ITK too")
    sub.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    for name, default in (("similarity", "lcc"), ("regularizer", "grad_l2")):
        sub.add_argument(f"--{name}", default=default, help=f"of `instance`; default: {default}")
    sub.add_argument("--lam", type=float, default=1.0, help="of `instance`; default: 1")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, but got {value}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, but got {text}")
    return value


def _config(options: argparse.Namespace, *, check: bool = True) -> Config:
    if (loaded := getattr(options, "loaded", None)) is not None:
        return cast("Config", loaded)
    raw = read_yaml(options.config)
    if not check:
        return load(raw, where=str(options.config))
    from regbench.orchestration.registries import check_component

    return load(raw, check_component, where=str(options.config))


def _dataset(options: argparse.Namespace, config: Config) -> str:
    known = [dataset.id for dataset in config.datasets]
    if options.dataset is None and len(known) == 1:
        return known[0]
    if options.dataset not in known:
        hint = did_you_mean(options.dataset or "", known)
        raise UsageError(
            f"--dataset must name a dataset of study `{config.study}`, but got {options.dataset!r}; {hint}"
        )
    return str(options.dataset)


def _set_up(options: argparse.Namespace, where: str) -> None:
    from regbench.system import device, gpu_lease

    gpu_lease.lease(where)
    device.set_up(options.threads)


def _list(_: argparse.Namespace) -> None:
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


def _check(options: argparse.Namespace) -> None:
    config = _config(options)
    print(f"`{options.config}` is sound: {len(plan.methods(config))} methods, {len(list(plan.runs(config)))} runs")


def _plan(options: argparse.Namespace) -> None:
    import json

    from regbench.orchestration.estimate import estimate, text

    config = _config(options)
    if options.to_decide is not None:
        from regbench.orchestration import pilot

        metric, width = pilot.wish(options.to_decide)
        needed = pilot.to_decide(config, metric, width, options.measured)
        print(json.dumps(needed, indent=1) if options.json else pilot.text(needed, config, metric, width))
        return
    found = estimate(config, at_once=options.at_once, measured=options.measured)
    print(json.dumps(found, indent=1) if options.json else text(found))


def _prepare(options: argparse.Namespace) -> None:
    from regbench.data.prepare import prepare
    from regbench.system import memory

    memory.give_back()
    config = _config(options)
    dataset = _dataset(options, config)
    prepare(plan.prepare_job(config, dataset), plan.layout(config).data(dataset), threads=options.threads)


def _inspect(options: argparse.Namespace) -> None:
    from regbench.data.inspect import inspect
    from regbench.system import memory

    memory.give_back()
    config = _config(options)
    job = plan.prepare_job(config, _dataset(options, config))
    print(inspect(job, options.picture, threads=options.threads), end="")
    if options.picture is not None:
        print(f"\npicture  {options.picture}")


def _propose(options: argparse.Namespace) -> None:
    from regbench.system.files import write_json
    from regbench.tuning.rounds import propose

    config = _config(options, check=False)
    dataset, number, replicate = _dataset(options, config), options.round, _replicate(options, config)
    if not 0 <= number < plan.rounds(config, options.method):
        raise UsageError(f"--round must be 0 to {plan.rounds(config, options.method) - 1}, but got {number}")
    earlier = _trials(config, dataset, options, before=number)
    with clocked("propose"):
        proposals = propose(plan.propose_job(config, dataset, options.method, number, replicate), number, earlier)
    write_json(plan.layout(config).proposals(dataset, options.method, number, replicate), proposals)


def _replicate(options: argparse.Namespace, config: Config) -> int:
    known = plan.replicates(config, options.method)
    if options.replicate not in known:
        raise UsageError(f"--replicate must be 0 to {known[-1]}, but got {options.replicate}")
    return int(options.replicate)


def _trials(
    config: Config, dataset: str, options: argparse.Namespace, before: int | None = None
) -> list[dict[str, object]]:
    from regbench.system.files import read_json

    paths = plan.trial_files(config, dataset, options.method, before, options.replicate)
    return [trial for path in paths for trial in read_json(path)]


def _trial(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.system.files import read_json, write_json
    from regbench.system.ownership import owning
    from regbench.tuning.trial import run_trials

    config = _config(options)
    _set_up(options, config.training.device)
    dataset, method, lay = _dataset(options, config), options.method, plan.layout(config)
    replicate = _replicate(options, config)
    proposals = read_json(lay.proposals(dataset, method, options.round, replicate))
    first, last = options.slots or (0, len(proposals) - 1)
    state = lay.trial_state(dataset, method, replicate)
    name = f"round{options.round}.trials{first}-{last}"
    with owning(state / f"{name}.owner", f"{name} of {method}"):
        results = run_trials(
            plan.trial_job(config, method, replicate),
            load_data(lay.data(dataset)),
            proposals[first : last + 1],
            state,
            bar=sys.stderr.isatty(),
        )
        write_json(lay.trials(dataset, method, options.round, (first, last), replicate), results)


def _select(options: argparse.Namespace) -> None:
    from regbench.system.files import write_json
    from regbench.tuning.rounds import select
    from regbench.tuning.trial_store import put_together

    config = _config(options, check=False)
    dataset, lay, replicate = _dataset(options, config), plan.layout(config), _replicate(options, config)
    with clocked("select"):
        chosen = select(plan.select_job(config, options.method, replicate), _trials(config, dataset, options))
    put_together(lay.trial_state(dataset, options.method, replicate))
    write_json(lay.selected(dataset, options.method, replicate), chosen)


def _cell(options: argparse.Namespace) -> None:
    from regbench.system.ownership import owning

    options.loaded = config = _config(options)  # once for all stages
    if not plan.find_method(config, options.method).tuned:
        raise UsageError(f"`cell` is for methods with a lambda, but `{options.method}` has none; use `evaluate`")
    dataset, lay = _dataset(options, config), plan.layout(config)
    options.lam = options.out = options.run = None
    with owning(lay.cell_owner(dataset, options.method), f"cell {options.method}"):
        _tune(options, config)
        _final_runs(options, config, dataset)


def _tune(options: argparse.Namespace, config: Config) -> None:
    for replicate in plan.replicates(config, options.method):
        options.replicate = replicate
        for number in range(plan.rounds(config, options.method)):
            options.round = number
            _propose(options)
            for slots in plan.batches(config, number):
                options.slots = slots
                _trial(options)
        _select(options)


def _final_runs(options: argparse.Namespace, config: Config, dataset: str) -> None:
    """Train and evaluate every seed of a cell where its runs wait; put all into their places at the end."""
    from regbench.data.cache import load as load_data
    from regbench.tuning import cell

    lay, method = plan.layout(config), options.method
    runs = {seed: lay.waiting(dataset, method, seed) for seed in plan.seeds(config, method)}
    data = load_data(lay.data(dataset))
    for seed, waiting in runs.items():
        options.seed = seed
        job, lam, _ = _training(options, config, dataset)
        cell.clear_old(job, lam, data, waiting)
    for seed, waiting in runs.items():
        options.seed, options.waiting = seed, waiting
        _train(options)
        job = plan.evaluate_job(config, method, seed)
        if not cell.evaluated(job, data, waiting):
            _evaluate(options)
            cell.note_evaluated(job, data, waiting)
    for seed, waiting in runs.items():
        cell.publish(waiting, lay.run(dataset, method, seed))


def _training(options: argparse.Namespace, config: Config, dataset: str) -> tuple[dict[str, Any], float | None, str]:
    """The job of a final training, its lambda, and why there is none."""
    from regbench.system.files import read_json
    from regbench.tuning.sampler import with_values

    job = plan.final_job(config, options.method, options.seed)
    if options.lam is not None:
        return job, options.lam, ""
    chosen = read_json(plan.layout(config).selected(dataset, options.method, plan.replicate_of(config, options.seed)))
    return with_values(job, chosen.get("values", {})), chosen["lam"], chosen["reason"]


def _train(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.system.ownership import owning
    from regbench.training.final_run import train, trained

    config = _config(options)
    _set_up(options, config.training.device)
    dataset, lay = _dataset(options, config), plan.layout(config)
    if options.lam is not None and not 0 < options.lam < float("inf"):
        raise UsageError(f"--lam must be a positive number, but got {options.lam:g}")
    job, lam, reason = _training(options, config, dataset)
    folder = options.out or options.waiting or lay.run(dataset, options.method, options.seed)
    state = options.out / "state.pt" if options.out else lay.training_state(dataset, options.method, options.seed)
    data = load_data(lay.data(dataset))
    with owning(state.with_suffix(".owner"), f"training of {options.method}, seed {options.seed},") as waited:
        if (waited or options.waiting) and trained(job, lam, data, folder):
            return
        train(
            job, lam, data, folder, reason=reason, state=state, save_every=options.save_every, bar=sys.stderr.isatty()
        )


def _evaluate(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.evaluation.evaluate import evaluate
    from regbench.system.ownership import owning

    config = _config(options)
    _set_up(options, config.training.device)
    dataset, method, lay = _dataset(options, config), options.method, plan.layout(config)
    job = plan.evaluate_job(config, method, options.seed)
    folder = options.run or options.waiting or lay.run(dataset, method, options.seed)
    out = folder / lay.pairs(dataset, method, options.seed).name
    owner = lay.evaluation_state(dataset, method, options.seed) if options.run is None else folder / ".owner"
    with owning(owner, f"evaluation of {method}, seed {options.seed},"):
        run = folder if plan.find_method(config, method).tuned else None
        with clocked("evaluate"):
            evaluate(job, load_data(lay.data(dataset)), run, out)


def _export(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.evaluation.export import export

    config = _config(options)
    _set_up(options, config.training.device)
    dataset, lay = _dataset(options, config), plan.layout(config)
    if plan.find_method(config, options.method).model is None:
        raise UsageError(f"--method must name a method with a model, but `{options.method}` moves nothing")
    folder = lay.run(dataset, options.method, options.seed)
    out = options.out or folder / "displacements"
    written = export(load_data(lay.data(dataset)), folder, out, native=not options.prepared)
    print(f"{len(written)} displacements in {out}")


def _fetch(options: argparse.Namespace) -> None:
    from regbench.data.readers.public import BY_HAND, SETS, fetch

    if options.name is not None:
        print(fetch(options.name, options.store))
        return
    for name, entry in SETS.items():
        print(f"{name:<18} {entry.megabytes} MB. Licence: {entry.licence}")
    for name, words in BY_HAND.items():
        print(f"{name:<18} by hand. {words}")


def _export_images(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.evaluation.export import export_images

    config = _config(options, check=False)
    data = load_data(plan.layout(config).data(_dataset(options, config)))
    print(f"{len(export_images(data, options.out))} files in {options.out}")


def _evaluate_fields(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.evaluation.evaluate import evaluate, means

    config = _config(options)
    if not options.fields.is_dir():
        raise UsageError(f"`{options.fields}` must be a folder of displacement fields, but there is none.")
    dataset = _dataset(options, config)
    baseline = {"name": "fields", "parameters": {"path": str(options.fields), "form": options.form}}
    out = options.out or options.fields / "pairs.parquet"
    job = {"method": options.fields.name, "seed": 0, "baseline": baseline}
    evaluate(job, load_data(plan.layout(config).data(dataset)), None, out)
    print(f"{means(out)}\nrows {out}")


def _runtime(options: argparse.Namespace) -> None:
    from regbench.data.cache import load as load_data
    from regbench.evaluation.timing import runtime
    from regbench.system.ownership import owning

    config = _config(options)
    _set_up(options, config.training.device)
    dataset, lay = _dataset(options, config), plan.layout(config)
    folders = [lay.run(*run) for run in plan.tuned_runs(config) if run[0] == dataset]
    state = lay.root / "state" / "runtime" / dataset
    with owning(state.with_suffix(".owner"), f"timing of {dataset}"):
        runtime(plan.runtime_job(config), load_data(lay.data(dataset)), folders, state, lay.runtime(dataset))


def _analyze(options: argparse.Namespace) -> None:
    from regbench.report.analyze import analyze

    analyze(_config(options, check=False))


def _report(options: argparse.Namespace) -> None:
    config = _config(options, check=False)
    if options.partial:
        from regbench.report.partial import write_partial

        print(write_partial(config))
        return
    from regbench.report.write import report

    report(config, processes=options.threads)


def _status(options: argparse.Namespace) -> None:
    import json

    from regbench.orchestration.status import status, text

    found = status(_config(options, check=False))
    print(json.dumps(found, indent=1) if options.json else text(found))


def _track(options: argparse.Namespace) -> None:
    from regbench.system.files import write_json
    from regbench.tracking import describe, finished, follow, track

    config = _config(options, check=False)
    if options.follow:
        print(describe(follow(config, interval=options.interval, head=options.head)))
        return
    done = track(config, verify=options.verify)
    if finished(config):  # the workflow's mark that nothing is left to push; the same whoever pushed it
        there = [done[kind] for kind in ("pushed", "updated", "kept")]
        stages = {stage for found in there for stage in found}
        runs = {stage: sorted(key for found in there for key in found.get(stage, [])) for stage in stages}
        write_json(plan.layout(config).tracked, runs)
    print(describe(done))


def _ui(options: argparse.Namespace) -> None:
    from regbench.tracking.mlflow_ui import opened, show

    config = _config(options, check=False)
    with opened(config, f"regbench track {options.config}", options.port) as found:
        width = max(map(len, found.links))
        print("\n".join(f"{words:<{width}}  {link}" for words, link in found.links.items()), flush=True)
        if not options.no_browser:
            show(found.links["table"])
        if found.wait is not None:
            print("Ctrl-C stops the server", flush=True)
            found.wait()


def _export_optuna(options: argparse.Namespace) -> None:
    from regbench.tuning.optuna_export import export_optuna

    config = _config(options, check=False)
    url = options.storage or f"sqlite:///{plan.layout(config).root}/optuna.db"
    counts = export_optuna(config, url)
    print("Optuna: " + ", ".join(f"{count} studies {what}" for what, count in counts.items()))
    print("open it: optuna-dashboard STORAGE (pip install optuna-dashboard)")


def _cancel(options: argparse.Namespace) -> None:
    from regbench.system.ownership import owned

    config = _config(options, check=False)
    lay = plan.layout(config)
    # Jobs are orphans only where their head is dead.
    owned(lay.root / "state" / "workflow.lock", f"study `{config.study}`")
    found = slurm.cancel(slurm.job_prefix(config.study, lay.root))
    print(f"ended: {slurm.summary(found)}" if found else "no job of this study is in the queue")


def _show(options: argparse.Namespace) -> None:
    from regbench.report.summary_file import load_summary
    from regbench.report.terminal import closing, legend, terminal_table

    config = _config(options, check=False)
    lay = plan.layout(config)
    if not (lay.tables / "main.csv").exists():
        raise RegbenchError(
            f"`{lay.tables / 'main.csv'}` must exist, but does not yet. "
            f"Run `snakemake --cores all --configfile {options.config}`."
        )
    summary = load_summary(config)
    print(f"\n{terminal_table(summary)}\n{legend(summary)}\n")
    print(f"page     {lay.page} (everything below in one file; open it in a browser)")
    print(f"tables   {lay.tables} (main.md explains every column)\nfigures  {lay.figures}\nrows     {lay.rows}")
    if config.tracking.enabled:
        print(f"MLflow   regbench ui {options.config}")
    print(f"\n{closing(summary)}")


def _verdicts(options: argparse.Namespace) -> None:
    from regbench.report.row_verdicts import text, verdicts_of_rows
    from regbench.system.files import write_json

    found = verdicts_of_rows(
        options.rows,
        options.metric,
        equivalence=options.equivalence,
        direction=options.direction,
        dataset=options.dataset,
        alpha=options.alpha,
    )
    if options.json is not None:
        write_json(options.json, found)
    print(text(found))


def _register(options: argparse.Namespace) -> None:
    from regbench.evaluation.register_files import model_for, register_files
    from regbench.system import device

    _set_up(options, options.device)
    model, preparation = model_for(options.model, options.fixed, options.similarity, options.regularizer, options.lam)
    if options.intensity is not None:
        preparation = preparation._replace(intensity=options.intensity)
    written = register_files(
        model.to(device.choose(options.device)),
        options.fixed,
        options.moving,
        options.out,
        preparation=preparation,
        by=options.by,
        labels=options.labels,
        itk=options.itk,
    )
    print("\n".join(str(path) for path in written))


def _schema(options: argparse.Namespace) -> None:
    import json

    from regbench.system.files import read_json, write_json

    schema = json_schema()
    if not options.check:
        write_json(options.out, schema)
    elif read_json(options.out) != json.loads(json.dumps(schema)):
        raise RegbenchError(
            f"`{options.out}` must say what the typed config says, but is out of step. Run `make schema`."
        )
