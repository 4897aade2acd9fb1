"""MLflow as a sink: runs are pushed from the study's files, by key and digest, and never twice.

A push looks every run up by its key. Same digest and complete: nothing to do. Otherwise a new run is written, marked
complete last, and the old one deleted afterwards. So a push may be killed, repeated or run after the store was wiped:
the store ends in the same state. The MLflow tables are created by whoever holds the lock, before any run: concurrent
first connections to a new SQLite file lose runs.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from regbench import plan, view
from regbench.config import Config
from regbench.errors import RegbenchError
from regbench.files import digest, file_sha256, read_json, write_json
from regbench.lock import waiting
from regbench.metrics import METRICS
from regbench.train import HISTORY, RUN

LOG = logging.getLogger(__name__)
KEY, DIGEST, COMPLETE = "regbench.key", "regbench.digest", "regbench.complete"
Changes = dict[str, dict[str, list[str]]]  # pushed, kept or deleted: stage: keys
BATCH = 900  # MLflow takes at most 1000 metrics a call


@dataclass
class Record:
    """One MLflow run as the files say it should be."""

    key: str
    name: str
    parent: str | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[str, float, int]] = field(default_factory=list)  # name, value, step
    artifacts: list[tuple[Path, str]] = field(default_factory=list)  # file, folder in the run
    status: str = "FINISHED"
    time_ms: int = 0  # of the files, so that a repeated push repeats the same points

    def digest(self) -> str:
        files = [(file_sha256(path), path.name, folder) for path, folder in self.artifacts]
        return digest([self.name, self.parent, self.params, self.tags, self.metrics, files, self.status])


def tracking_uri(config: Config) -> str:
    """The configured tracking URI, or the SQLite file beside the study's folder (an absolute path: MLflow's default
    depends on the working directory)."""
    return config.tracking.uri or f"sqlite:///{Path(config.results).resolve() / 'mlflow.db'}"


def finished(config: Config) -> bool:
    """Whether the study is analysed; before, a push takes the trials and trainings that exist so far."""
    return plan.layout(config).summary.exists()


def track(config: Config) -> Changes:
    """Bring MLflow to the state of the study's files, finished or not.

    Returns:
        The keys, by stage, of the runs ``pushed``, ``kept`` as they were, and ``deleted`` (doubles, leftovers,
        outdated ones).

    Raises:
        RegbenchError: if the store cannot be reached; files and tables are complete without it.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow  # noqa: PLC0415  1.5 s and 170 MB that no other stage needs

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = tracking_uri(config)
    records = list(study_records(config))
    try:
        with waiting(Path(config.results) / ".mlflow.lock"):
            client = mlflow.MlflowClient(tracking_uri=uri)
            experiment = _experiment(client, config)
            done, ids = _push(client, experiment, records)
            links = view.publish(client, experiment, config, ids)
            if not finished(config):
                return done
            traced: dict[str, Any] = {
                "tracking_uri": plan.without_password(uri),
                "experiment": f"regbench/{config.study}",
            }
            traced |= {"experiment_id": experiment, "links": links, "runs": ids}
            write_json(plan.layout(config).run_ids, traced)
            return done
    except (mlflow.exceptions.MlflowException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise RegbenchError(
            f"MLflow at `{plan.without_password(uri)}` must be reachable, but got: {plan.without_password(first)}. "
            "The tables are complete without it; run `regbench track` again when it is back."
        ) from error


def study_records(config: Config) -> Iterator[Record]:
    """A parent a method, a child a trial and a seed, and one for the whole study, as far as their files exist."""
    if not finished(config):
        yield from _so_far(config)
        return
    lay = plan.layout(config)
    summary = read_json(lay.summary)
    rows = pd.read_parquet(lay.rows)
    tags = _study_tags(config)
    table_files = [(path, "tables") for path in sorted(lay.tables.glob("main.*"))]
    figure_files = [(path, "figures") for path in sorted(lay.figures.glob("*.png"))]
    time_ms = int(lay.summary.stat().st_mtime * 1000)
    ours = {lay.run_ids.name, lay.views.name}  # what a push writes is no part of what is pushed
    all_tables = [
        (path, "tables")
        for path in sorted(lay.tables.glob("*"))
        if not path.name.startswith(".") and path.name not in ours
    ]
    note = f"All tables and figures of study **{config.study}**. {config.description}"
    yield Record(
        config.study,
        f"{config.study} · tables",
        None,
        {},
        tags | {"stage": "report", "mlflow.note.content": note},
        artifacts=all_tables + figure_files,
        time_ms=time_ms,
    )
    for entry in summary["methods"]:
        peers = [(one["dataset"], one["model"]) for one in summary["methods"] if one["rank"] is not None]
        parent = _parent(config, entry, rows, tags, time_ms, peers=peers.count((entry["dataset"], entry["model"])))
        thumbnail = lay.thumbnail(entry["dataset"], entry["method"])
        parent.artifacts = [(thumbnail, view.THUMBNAIL)] * thumbnail.exists() + table_files + figure_files
        yield parent
        yield from _trials(config, entry, parent)
        yield from _seeds(config, entry, parent, rows)


def _study_tags(config: Config) -> dict[str, str]:
    return {"study": config.study, "config_sha256": digest(plan.study_job(config, "report.write")["config"])}


def _so_far(config: Config) -> Iterator[Record]:
    """The same keys, names and params as of the finished study, without what only the analysis knows."""
    lay = plan.layout(config)
    nothing = pd.DataFrame({name: [] for name in ("dataset", "method", "seed", "inference_seconds")})
    for dataset in config.datasets:
        for method in (method for method in plan.methods(config) if method.tuned):
            folders = [lay.run(dataset.id, method.id, seed) for seed in plan.seeds(config, method.id)]
            runs = [read_json(folder / RUN) for folder in folders if (folder / RUN).exists()]
            files = [path for path in plan.trial_files(config, dataset.id, method.id) if path.exists()]
            if not runs and not files:
                continue
            kinds = ("model", "similarity", "regularizer")
            entry = {kind: getattr(method, kind).id if getattr(method, kind) else None for kind in kinds}
            selected = lay.selected(dataset.id, method.id)
            lam = read_json(selected)["lam"] if selected.exists() else None
            entry |= {"dataset": dataset.id, "method": method.id, "lam": lam, "runs": runs}
            note = f"**{_title(entry)}** on {dataset.id}: unfinished; trainings done: {len(runs)} of {len(folders)}."
            tags = _study_tags(config) | _method_tags(entry) | {"mlflow.note.content": note}
            name, params = _title(entry), _params(entry) | ({"lam": f"{lam:g}"} if lam is not None else {})
            # Of a file that never changes: a second push of the same files repeats the digest and the times.
            time_ms = int((files[0] if files else folders[0] / RUN).stat().st_mtime * 1000)
            parent = Record(f"{config.study}/{dataset.id}/{method.id}", name, None, params, tags, time_ms=time_ms)
            yield parent
            yield from _trials(config, entry, parent)
            yield from _seeds(config, entry, parent, nothing)


def _method_tags(entry: Mapping[str, Any]) -> dict[str, str]:
    """What the UI groups and filters by, the same names in every run; code as the trainings recorded it."""
    tags = {"stage": "method", "dataset": entry["dataset"], "method": entry["method"]}
    tags |= {kind: entry[kind] for kind in ("similarity", "regularizer") if entry[kind]}
    if entry["lam"] is not None:
        tags["lambda"] = f"{entry['lam']:g}"
    codes = [run["environment"]["code"] for run in entry["runs"]]
    if codes:
        tags["git_commit"] = ", ".join(sorted({code["git_commit"] or "unknown" for code in codes}))
        tags["git_dirty"] = str(any(code["git_dirty"] for code in codes)).lower()
    return tags


def _row(entry: Mapping[str, Any]) -> str:
    """The method's row of the table, mean ± SD over pairs, as a Markdown table."""
    found = {name: value for name, value in entry["metrics"].items() if value["mean"] is not None}
    digits = {name: METRICS[name].digits for name in found}
    cells = [f"{value['mean']:.{digits[name]}f} ± {value['sd'] or 0:.{digits[name]}f}" for name, value in found.items()]
    lines = (list(found), ["---"] * len(found), cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if found else ""


def _parent(
    config: Config, entry: Mapping[str, Any], rows: pd.DataFrame, tags: dict[str, str], time_ms: int, *, peers: int
) -> Record:
    dataset, method = entry["dataset"], entry["method"]
    mine = rows[(rows["dataset"] == dataset) & (rows["method"] == method)]
    metrics = [
        (f"test/{name}{suffix}", spread[kind], 0)
        for name, spread in entry["metrics"].items()
        for suffix, kind in (("", "mean"), ("_sd", "sd"), ("_seed_sd", "seed_sd"))
        if spread[kind] is not None
    ]
    if mine["inference_seconds"].notna().any():
        metrics.append(("test/inference_seconds", float(mine["inference_seconds"].median()), 0))
        metrics.append(("test/peak_memory_mib", float(mine["peak_memory_mib"].median()), 0))
    selected = (entry.get("selected") or {}).get("by_dice")
    if selected:
        metrics += [("val/dice", selected["dice"], 0), ("val/ndv_percent", selected["ndv_percent"], 0)]
    if entry["rank"] is not None:
        metrics.append(("rank", entry["rank"], 0))
    # Six digits: what the runs table of the UI has room for, and two more than the tables print.
    metrics = [(name, float(f"{value:.6g}"), step) for name, value, step in _finite(metrics)]
    note = view.paragraph(entry, _title(entry), peers)
    tags = tags | _method_tags(entry) | {"mlflow.note.content": f"{note}\n\n{_row(entry)}"}
    params = _params(entry) | ({"lam": f"{entry['lam']:g}"} if entry["lam"] is not None else {})
    failed = "FAILED" if entry["failed_rows"] and entry["failed_rows"] == len(mine) else "FINISHED"
    return Record(f"{config.study}/{dataset}/{method}", _title(entry), None, params, tags, metrics, [], failed, time_ms)


def _trials(config: Config, entry: Mapping[str, Any], parent: Record) -> Iterator[Record]:
    for path in plan.trial_files(config, entry["dataset"], entry["method"]):
        if not path.exists():
            continue  # of a study that still runs
        time_ms = int(path.stat().st_mtime * 1000)
        for trial in read_json(path):
            curve = trial["curve"]
            metrics = [
                (f"train/{name}", value, step)
                for name in ("loss", "similarity", "regularizer")
                for step, value in zip(curve["step"], curve[name], strict=True)
            ]
            metrics += [(f"val/{name}", trial[name], 0) for name in ("dice", "ndv_percent") if trial[name] is not None]
            tags = parent.tags | {"stage": "trial", "mlflow.note.content": trial["reason"] or "one trial of the tuning"}
            tags |= {"trial": str(trial["number"]), "lambda": f"{trial['lam']:g}"}
            yield Record(
                f"{parent.key}/trial{trial['number']}",
                f"{_title(entry, trial['lam'])} · trial {trial['number']}",
                parent.key,
                _params(entry) | {"lam": f"{trial['lam']:g}"},
                tags,
                _finite(metrics),
                [],
                "FINISHED" if trial["status"] == "complete" else "FAILED",
                time_ms,
            )


def _seeds(config: Config, entry: Mapping[str, Any], parent: Record, rows: pd.DataFrame) -> Iterator[Record]:
    lay = plan.layout(config)
    mine = rows[(rows["dataset"] == entry["dataset"]) & (rows["method"] == entry["method"])]
    for run in entry["runs"]:
        folder = lay.run(entry["dataset"], entry["method"], run["seed"])
        history = pd.read_parquet(folder / HISTORY)
        metrics = [
            (f"train/{name}", float(value), int(step))
            for name in ("loss", "similarity", "regularizer")
            for step, value in zip(history["step"], history[name], strict=True)
        ]
        metrics += [(f"val/{name}", value, 0) for name, value in run["validation"].items()]
        of_seed = mine[mine["seed"] == run["seed"]]
        metrics += [(f"test/{name}", float(of_seed[name].mean()), 0) for name in METRICS if name in of_seed]
        commit = run["environment"]["code"]["git_commit"] or "unknown"
        tags = parent.tags | {
            "stage": "seed",
            "seed": str(run["seed"]),
            "device": run["environment"]["device"],
            "git_commit": commit,
            "git_dirty": str(run["environment"]["code"]["git_dirty"]).lower(),
            "data_sha256": run["data_sha256"],
            "checkpoint_sha256": run["checkpoint_sha256"] or "none",
            "system": run["environment"]["system"],
            "packages": ", ".join(f"{name} {number}" for name, number in run["environment"]["packages"].items()),
            "mlflow.note.content": run["reason"] or "one final training",
        }
        lam = {"lam": f"{run['lam']:g}"} if run["lam"] is not None else {}
        yield Record(
            f"{parent.key}/seed{run['seed']}",
            f"{_title(entry)} · s{run['seed']}",
            parent.key,
            _params(entry) | lam | {"seed": str(run["seed"])},
            tags,
            _finite(metrics),
            [(folder / RUN, "run")],
            "FINISHED" if run["status"] == "complete" else "FAILED",
            int((folder / RUN).stat().st_mtime * 1000),
        )


def _title(entry: Mapping[str, Any], lam: float | None = None) -> str:
    if entry["similarity"] is None:
        return str(entry["method"])
    lam = entry["lam"] if lam is None else lam
    return f"{entry['similarity'].upper()} · {entry['regularizer']}" + (f" · λ={lam:.3g}" if lam is not None else "")


def _params(entry: Mapping[str, Any]) -> dict[str, str]:
    """Only what varies: the Compare page shows the first params that differ."""
    named = {"model": entry["model"], "reg": entry["regularizer"], "sim": entry["similarity"]}
    return {key: value or "none" for key, value in named.items()} | {"dataset": entry["dataset"]}


def _finite(metrics: Iterable[tuple[str, float, int]]) -> list[tuple[str, float, int]]:
    return [
        (name, float(value), step) for name, value, step in metrics if pd.notna(value) and abs(value) != float("inf")
    ]


def _experiment(client: Any, config: Config) -> str:
    name = f"regbench/{config.study}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # A server keeps its artifacts itself; a database file has no place of its own for them.
    folder = Path(config.results).resolve() / "mlartifacts"
    # The tag lets the UI open its pages for model training and not those for language models.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, None if config.tracking.uri else folder.as_uri(), tags))


def _push(client: Any, experiment: str, records: list[Record]) -> tuple[Changes, dict[str, str]]:
    """What was done, and the MLflow id of each run by its key."""
    existing = _existing(client, experiment)
    done: Changes = {"pushed": {}, "kept": {}, "deleted": {}}
    ids: dict[str, str] = {}
    for record in records:
        wanted = record.digest()
        old = existing.pop(record.key, [])
        whole = [run for run in old if run.data.tags.get(DIGEST) == wanted and run.data.tags.get(COMPLETE) == "true"]
        parent = ids.get(record.parent or "")
        if whole:
            ids[record.key] = whole[0].info.run_id
            if parent and whole[0].data.tags.get("mlflow.parentRunId") != parent:
                client.set_tag(ids[record.key], "mlflow.parentRunId", parent)
            done["kept"].setdefault(record.tags["stage"], []).append(record.key)
        else:
            ids[record.key] = _write(client, experiment, record, wanted, parent)
            done["pushed"].setdefault(record.tags["stage"], []).append(record.key)
        _delete(client, [run for run in old if run.info.run_id != ids[record.key]], done)
    for runs in existing.values():
        _delete(client, runs, done)  # of a method or trial that the study no longer has
    return done, ids


def _delete(client: Any, runs: list[Any], done: Changes) -> None:
    for run in runs:
        client.delete_run(run.info.run_id)
        done["deleted"].setdefault(run.data.tags.get("stage", "unknown"), []).append(run.data.tags[KEY])


def describe(done: Changes) -> str:
    """Counts of each kind, then the key of every run that was changed."""
    counts = []
    for what, stages in done.items():
        kinds = ", ".join(f"{len(keys)} {stage}" for stage, keys in sorted(stages.items()))
        counts.append(f"{sum(map(len, stages.values()))} runs {what}" + (f" ({kinds})" if kinds else ""))
    changed = [
        f"  {what} {key}" for what in ("pushed", "deleted") for keys in done[what].values() for key in sorted(keys)
    ]
    return "\n".join(["MLflow: " + ", ".join(counts), *changed])


def _existing(client: Any, experiment: str) -> dict[str, list[Any]]:
    """All live runs of ours by key, earliest first."""
    found: dict[str, list[Any]] = {}
    token = None
    while True:
        page = client.search_runs(
            [experiment], max_results=1000, order_by=["attributes.start_time ASC"], page_token=token
        )
        for run in page:
            if KEY in run.data.tags:
                found.setdefault(run.data.tags[KEY], []).append(run)
        token = page.token
        if not token:
            return found


def _write(client: Any, experiment: str, record: Record, wanted: str, parent: str | None) -> str:
    from mlflow.entities import Metric, Param  # noqa: PLC0415  see track

    tags = record.tags | {KEY: record.key, DIGEST: wanted} | ({"mlflow.parentRunId": parent} if parent else {})
    run = client.create_run(experiment, start_time=record.time_ms, tags=tags, run_name=record.name)
    run_id = str(run.info.run_id)
    metrics = [Metric(name, value, record.time_ms, step) for name, value, step in record.metrics]
    for start in range(0, len(metrics), BATCH) or [0]:
        params = [Param(key, value) for key, value in record.params.items()] if start == 0 else []
        client.log_batch(run_id, metrics=metrics[start : start + BATCH], params=params)
    for path, folder in record.artifacts:
        client.log_artifact(run_id, str(path), folder)
    client.set_terminated(run_id, record.status, end_time=record.time_ms)
    client.set_tag(run_id, COMPLETE, "true")  # last: whatever lacks it is written anew by the next push
    return run_id
