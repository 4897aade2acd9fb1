"""What the runs of a study should hold in MLflow, from its files: finished, running and stopped ones.

A run's key, name, params and tags are the same from its first step to the table; points, artifacts and what only the
analysis knows are added. So a push that comes later completes what an earlier one wrote.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from regbench.metrics import METRICS
from regbench.report.against_best import WORDS, against_best, rank_intervals
from regbench.study import plan
from regbench.study.config import Config
from regbench.study.specs import TrainSpec
from regbench.system.files import CHECKPOINT, HISTORY, LIVE, RUN, canonical_json, digest, file_sha256, read_json
from regbench.system.ownership import alive
from regbench.tracking import mlflow_views
from regbench.training import training_log
from regbench.tuning.trial_store import log_file, stored_log, trial_file

KINDS = ("model", "similarity", "regularizer")
NOTE = mlflow_views.NOTE
HERE = "{run_id}"  # in a tag: the id of the run that has it
# Every tag of ours: one of these that a run has and its record has not is removed.
TAGS = frozenset(
    "study config_sha256 stage dataset method similarity regularizer lambda seed trial replicate device system packages"
    f" git_commit git_dirty data_sha256 checkpoint_sha256 rank_interval headline {NOTE}".split()
) | {f"verdict.{name}" for name in METRICS}
SYSTEM = ("rss_mib", "cpu_percent", "gpu_mib")
Metric = tuple[str, float, int]  # name, value, step


class Data(NamedTuple):
    """The data that a run saw, as MLflow's pages show them."""

    name: str
    digest: str
    source: str  # JSON: the reader and its parameters
    profile: str  # JSON: what the prepared data are
    context: str

    def entity(self) -> Any:
        from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415  see store.imported

        dataset = Dataset(self.name, self.digest, "regbench", self.source, profile=self.profile)
        return DatasetInput(dataset, [InputTag("mlflow.data.context", self.context)])


@dataclass
class Record:
    """One MLflow run as the files say it should be."""

    key: str
    name: str
    parent: str | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[Metric] = field(default_factory=list)
    artifacts: list[tuple[Path, str]] = field(default_factory=list)  # file, folder in the run
    status: str = "FINISHED"
    time_ms: int = (
        0  # its start, by the files; also that of its metrics, so that a repeated push repeats the same points
    )
    end_ms: int | None = 0  # None while it runs
    samples: list[tuple[str, float, int, int]] = field(default_factory=list)  # name, value, time in ms, step
    data: Data | None = None

    def digest(self) -> str:
        """Of all that a run holds, but for times and the bytes of the checkpoint, whose hash is a tag."""
        files = [
            ("" if path.name == CHECKPOINT else file_sha256(path), path.name, folder) for path, folder in self.artifacts
        ]
        samples = [(name, value, step) for name, value, _, step in self.samples]
        told = [self.name, self.parent, self.params, self.tags, self.metrics, files, self.status, samples, self.data]
        return digest(told)

    def points(self) -> Iterator[tuple[str, float, int, int]]:
        """Name, value, time in ms and step of each point."""
        for name, value, step in self.metrics:
            yield name, value, self.time_ms, step
        yield from self.samples

    def latest(self) -> dict[str, float]:
        """The value of each metric at its last step."""
        return {name: value for name, value, _, _ in sorted(self.points(), key=lambda point: (point[3], point[2]))}


class Item(NamedTuple):
    """A record that is made when it is needed."""

    key: str
    parent: str | None
    signature: str  # another whenever the record may be another
    make: Callable[[], Record]


def study_items(config: Config) -> Iterator[Item]:
    """The whole study's tables, a parent a method, a child a trial and a seed, as far as their files exist."""
    study = _Study(config)
    if study.summary is not None:
        yield _item(_report(study))
    for dataset in config.datasets:
        for method in plan.methods(config):
            cell = _Cell(study, dataset.id, method)
            if cell.begun:
                yield _item(cell.parent())
                yield from cell.trials()
                yield from cell.seeds()


def _item(record: Record) -> Item:
    return Item(record.key, record.parent, record.digest(), lambda: record)


class _Study:
    """What the records of a study share."""

    def __init__(self, config: Config) -> None:
        self.config, self.lay = config, plan.layout(config)
        self.summary = read_json(self.lay.summary) if self.lay.summary.exists() else None
        found = self.summary["methods"] if self.summary else []
        self.entries = {(entry["dataset"], entry["method"]): entry for entry in found}
        self.verdicts = _verdicts(self.summary or {})
        self.tags = {
            "study": config.study,
            "config_sha256": digest(plan.protocol(config)),
        }
        self._data: dict[str, Data | None] = {}

    def peers(self, entry: Mapping[str, Any]) -> int:
        """How many methods are ranked with one."""
        every = [(one["dataset"], one["model"]) for one in self.entries.values() if one["rank"] is not None]
        return every.count((entry["dataset"], entry["model"]))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows of the analysis; none before."""
        if self.summary is None:
            return pd.DataFrame({name: [] for name in ("dataset", "method", "seed", "inference_seconds")})
        return pd.read_parquet(self.lay.rows)

    def data(self, dataset: str, context: str) -> Data | None:
        """The prepared data; None before they are."""
        if dataset not in self._data:
            self._data[dataset] = None
            if self.lay.manifest(dataset).exists():
                manifest = read_json(self.lay.manifest(dataset))
                (entry,) = (each for each in self.config.datasets if each.id == dataset)
                source = entry.model_dump(mode="json", include={"source", "parameters", "preprocessing", "splits"})
                profile = {key: manifest[key] for key in ("shape", "spacing_mm") if key in manifest}
                profile["pairs"] = {split: len(pairs) for split, pairs in manifest.get("pairs", {}).items()}
                # MLflow's limit is 36 characters.
                found = Data(dataset, manifest["data_sha256"][:36], canonical_json(source), canonical_json(profile), "")
                self._data[dataset] = found
        kept = self._data[dataset]
        return kept._replace(context=context) if kept else None


def _report(study: _Study) -> Record:
    """All tables and figures of the study."""
    config, lay = study.config, study.lay
    time_ms = _ms(lay.summary)
    ours = {lay.run_ids.name, lay.views.name}  # what a push writes is no part of what is pushed
    tables = [path for path in sorted(lay.tables.glob("*")) if path.name not in ours and not path.name.startswith(".")]
    artifacts = [(path, "tables") for path in tables] + [
        (path, "figures") for path in sorted(lay.figures.glob("*.png"))
    ]
    note = f"All tables and figures of study **{config.study}**. {config.description}"
    said = mlflow_views.said(study.summary or {})
    tags = study.tags | {"stage": "report", NOTE: "\n\n".join(filter(None, [note, said]))}
    tags |= {"headline": said} if said else {}
    return Record(
        config.study, f"{config.study} · tables", None, {}, tags, artifacts=artifacts, time_ms=time_ms, end_ms=time_ms
    )


class _Trial(NamedTuple):
    """A trial that has begun: its result, or the log that it writes."""

    number: int
    lam: float
    values: Mapping[str, Any]
    state: Path  # where its log is kept
    file: Path  # of the result, or before there is one, the log
    finished: bool
    running: bool = False
    replicate: int = 0


class _Cell:
    """A row of the table: a dataset and a method."""

    def __init__(self, study: _Study, dataset: str, method: plan.Method) -> None:
        self.study, self.dataset, self.method = study, dataset, method
        self.config, self.lay = study.config, study.lay
        self.key = f"{study.config.study}/{dataset}/{method.id}"
        self.entry = study.entries.get((dataset, method.id))
        seeds = plan.seeds(study.config, method.id) if method.tuned else ()
        self.folders = {seed: self._folder(seed) for seed in seeds}
        self.done = {seed: folder for seed, folder in self.folders.items() if (folder / RUN).exists()}
        self.logs = {
            seed: folder for seed, folder in self.folders.items() if seed not in self.done and (folder / LIVE).exists()
        }
        self.found = list(self._find_trials()) if method.tuned else []
        self.begun = bool(self.entry or self.done or self.logs or self.found)
        self.kinds = {kind: getattr(method, kind).id if getattr(method, kind) else None for kind in KINDS}

    def _folder(self, seed: int) -> Path:
        """Of a run; while its cell's one job is at work, where it waits for the others."""
        place, waiting = (at(self.dataset, self.method.id, seed) for at in (self.lay.run, self.lay.waiting))
        waits = plan.one_job(self.config, self.method.id) and not (place / RUN).exists() and waiting.is_dir()
        return waiting if waits else place

    def _find_trials(self) -> Iterator[_Trial]:
        """Of each job its file, or before there is one, what its trials have left so far."""
        for replicate in plan.replicates(self.config, self.method.id):
            for trial in self._find_of_search(replicate):
                yield trial._replace(replicate=replicate)

    def _find_of_search(self, replicate: int) -> Iterator[_Trial]:
        config, lay, dataset, method = self.config, self.lay, self.dataset, self.method.id
        state = lay.trial_state(dataset, method, replicate)
        for number in range(plan.rounds(config, method)):
            proposals = lay.proposals(dataset, method, number, replicate)
            for first, last in plan.batches(config, number):
                path = lay.trials(dataset, method, number, (first, last), replicate)
                if path.exists():
                    for trial in _trials_in(path, *_stat(path)[1:]):
                        yield _Trial(trial["number"], trial["lam"], trial["values"], state, path, finished=True)
                    continue
                if not proposals.exists():
                    return
                running = alive(lay.trial_owner(dataset, method, f"round{number}.trials{first}-{last}", replicate))
                for proposal in read_json(proposals)[first : last + 1]:
                    yield from self._unfinished(state, proposal, running=running)

    def _unfinished(self, state: Path, proposal: Mapping[str, Any], *, running: bool) -> Iterator[_Trial]:
        """A trial of a job that has not written its file; results and logs of other lambdas are of another config."""
        number, lam, values = proposal["number"], proposal["lam"], proposal.get("values", {})
        path, log = trial_file(state, number), log_file(state, number)
        if path.exists() and read_json(path)["lam"] == lam:
            yield _Trial(number, lam, values, state, path, finished=True)
        elif (found := training_log.head(log)) is not None and found["lam"] == lam:
            yield _Trial(number, lam, values, state, log, finished=False, running=running)

    def _lives(self, seed: int) -> bool:
        return alive(self.lay.training_owner(self.dataset, self.method.id, seed))

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the UI groups and filters by, the same names in every run of the cell."""
        tags = self.study.tags | {"dataset": self.dataset, "method": self.method.id}
        return tags | {kind: value for kind, value in self.kinds.items() if value and kind != "model"}

    @cached_property
    def params(self) -> dict[str, str]:
        """Only what varies: the Compare page shows the first params that differ."""
        named = {"model": self.kinds["model"], "reg": self.kinds["regularizer"], "sim": self.kinds["similarity"]}
        return {key: value or "none" for key, value in named.items()} | {"dataset": self.dataset}

    @property
    def lam(self) -> float | None:
        """That was chosen; None before."""
        if self.entry is not None:
            return None if self.entry["lam"] is None else float(self.entry["lam"])
        return self._chosen(0) if self.config.tuning.replicates == 1 else None

    def _chosen(self, replicate: int) -> float | None:
        path = self.lay.selected(self.dataset, self.method.id, replicate)
        if self.method.tuned and path.exists():
            chosen = read_json(path)["lam"]
            return None if chosen is None else float(chosen)
        return None

    def title(self, lam: float | None) -> str:
        if self.kinds["similarity"] is None:
            return self.method.id
        name = f"{self.kinds['similarity'].upper()} · {self.kinds['regularizer']}"
        return name + (f" · λ={lam:.3g}" if lam is not None else "")

    def parent(self) -> Record:
        lam, entry, lay = self.lam, self.entry, self.lay
        records = [folder / RUN for folder in self.done.values()]
        environments = [_environment_in(path, *_stat(path)[1:]) for path in records]
        heads = [training_log.head(folder / LIVE) for folder in self.logs.values()]
        environments += [head["environment"] for head in heads if head]
        tags = self.tags | {"stage": "method"} | _code(environments)
        tags |= {} if lam is None else {"lambda": f"{lam:g}"}
        params = self.params | ({} if lam is None else {"lam": f"{lam:g}"})
        start = self._start()
        record = Record(self.key, self.title(lam), None, params, tags, time_ms=start)
        record.data = self.study.data(self.dataset, "test")
        if entry is None:
            done = f"{len(self.done)} of {len(self.folders)}"
            record.tags[NOTE] = f"**{record.name}** on {self.dataset}: unfinished; trainings done: {done}."
            runs = any(trial.running for trial in self.found) or any(self._lives(seed) for seed in self.logs)
            # Nobody is at it, now or for good, and something is left to do.
            record.status, record.end_ms = ("RUNNING" if runs else "SCHEDULED"), None
            return record
        record.tags |= self.study.verdicts.get((self.dataset, self.method.id), {})
        mine = self.study.rows
        mine = mine[(mine["dataset"] == self.dataset) & (mine["method"] == self.method.id)]
        record.metrics, record.tags[NOTE] = _judged(entry, mine, record.name, self.study.peers(entry))
        thumbnail = lay.thumbnail(self.dataset, self.method.id)
        if thumbnail.exists():
            first, _, row = record.tags[NOTE].partition("\n\n")
            picture = mlflow_views.picture(HERE, thumbnail.name)
            record.tags[NOTE] = "\n\n".join([first, picture, row])
            record.artifacts.append((thumbnail, mlflow_views.THUMBNAIL))
        record.artifacts += [(path, "tables") for path in sorted(lay.tables.glob("main.*"))]
        record.artifacts += [(path, "figures") for path in sorted(lay.figures.glob("*.png"))]
        record.status = "FAILED" if entry["failed_rows"] and entry["failed_rows"] == len(mine) else "FINISHED"
        record.end_ms = _ms(lay.summary)
        return record

    def _start(self) -> int:
        """When the first of a cell's runs began, as far as files say, the same before and after the analysis."""
        heads = [training_log.head_of(stored_log(trial.state, trial.number)) for trial in self.found]
        heads += [training_log.head_of(training_log.run_log(folder)) for folder in self.folders.values()]
        starts = [_ms_of(head) for head in heads if head is not None]
        if starts:
            return min(starts)
        files = [trial.file for trial in self.found[:1]] + [folder / RUN for folder in self.done.values()]
        files.append(self.lay.pairs(self.dataset, self.method.id, plan.seeds(self.config, self.method.id)[0]))
        return next((_ms(path) for path in files if path.exists()), _ms(self.lay.summary) if self.entry else 0)

    def trials(self) -> Iterator[Item]:
        for trial in self.found:
            key = self._key(trial)
            state = [
                *_stat(trial.file),
                *_stat(log_file(trial.state, trial.number)),
                trial.running,
                self.study.tags["config_sha256"],
            ]
            yield Item(key, self.key, digest(state), lambda trial=trial: self._trial(trial))  # type: ignore[misc]

    def _key(self, trial: _Trial) -> str:
        """Of a trial; those of further searches of the cell have names of their own."""
        return f"{self.key}/{f'replicate{trial.replicate}/' if trial.replicate else ''}trial{trial.number}"

    def _searched(self, replicate: int) -> dict[str, str]:
        """The tag of a run that belongs to one of several searches."""
        return {"replicate": str(replicate)} if self.config.tuning.replicates > 1 else {}

    def _trial(self, trial: _Trial) -> Record:
        log = training_log.parsed(stored_log(trial.state, trial.number))
        if log is not None and log.header["lam"] != trial.lam:
            log = None
        values = {name.rpartition(".")[2]: f"{value:g}" if isinstance(value, float) else str(value)
                  for name, value in trial.values.items() if name != "lam"}  # fmt: skip
        search = f" · search {trial.replicate + 1}" if self.config.tuning.replicates > 1 else ""
        record = Record(
            self._key(trial),
            f"{self.title(trial.lam)}{search} · trial {trial.number}",
            self.key,
            self.params | {"lam": f"{trial.lam:g}"} | values,
            self.tags
            | self._searched(trial.replicate)
            | {
                "stage": "trial",
                "trial": str(trial.number),
                "lambda": f"{trial.lam:g}",
                NOTE: "one trial of the tuning",
            }
            | ({} if log is None else _environment(log.header)),
            data=self.study.data(self.dataset, "training"),
        )
        if not trial.finished:
            return _running(record, log, trial.file, running=trial.running)
        results = read_json(trial.file)
        results = results if isinstance(results, list) else [results]
        result = next(each for each in results if each["number"] == trial.number)
        record.metrics = _curve(result["curve"])
        record.metrics += [(f"val/{name}", result[name], 0) for name in ("dice", "ndv_percent")]
        record.tags[NOTE] = result["reason"] or record.tags[NOTE]
        record.status = "FAILED" if result["status"] == "diverged" else "FINISHED"
        record = _over(record, log, trial.file)
        if log is not None and log.lines:  # the file is that of all trials of a job
            record.end_ms = int(1000 * log.lines[-1]["time"])
        return record

    def seeds(self) -> Iterator[Item]:
        for seed, folder in sorted((self.done | self.logs).items()):
            key, running = f"{self.key}/seed{seed}", seed in self.logs and self._lives(seed)
            state = [
                *_stat(folder / RUN),
                *_stat(folder / HISTORY),
                *_stat(folder / LIVE),
                running,
                self.study.tags["config_sha256"],
            ]
            state += [] if self.entry is None else _stat(self.lay.summary)
            make = self._seed if seed in self.done else self._training
            yield Item(key, self.key, digest(state), lambda make=make, seed=seed: make(seed))  # type: ignore[misc]

    def _bare(self, seed: int, lam: float | None) -> Record:
        """What is known of a final training from its first step on."""
        return Record(
            f"{self.key}/seed{seed}",
            f"{self.title(lam)} · s{seed}",
            self.key,
            self.params | ({} if lam is None else {"lam": f"{lam:g}"}) | {"seed": str(seed)},
            self.tags
            | self._searched(plan.replicate_of(self.config, seed))
            | {"stage": "seed", "seed": str(seed), NOTE: "one final training"}
            | ({} if lam is None else {"lambda": f"{lam:g}"}),
            data=self.study.data(self.dataset, "training"),
        )

    def _training(self, seed: int) -> Record:
        path = self.logs[seed] / LIVE
        log = training_log.read(path)
        record = self._bare(seed, log.header["lam"] if log else self._chosen(plan.replicate_of(self.config, seed)))
        if log is not None:
            record.tags |= _environment(log.header)
        return _running(record, log, path, running=self._lives(seed))

    def _seed(self, seed: int) -> Record:
        folder = self.done[seed]
        run = read_json(folder / RUN)
        log = training_log.parsed(training_log.run_log(folder))
        if log is not None and log.header["training"] != training_log.training_digest(
            TrainSpec.from_json(run["job"]), run["data_sha256"]
        ):
            log = None
        record = self._bare(seed, run["lam"])
        record.tags |= self.study.verdicts.get((self.dataset, self.method.id), {})
        record.tags |= _environment(run) | {"checkpoint_sha256": run["checkpoint_sha256"] or "none"}
        record.tags[NOTE] = run["reason"] or record.tags[NOTE]
        history = pd.read_parquet(folder / HISTORY)
        every = training_log.stride(run["job"]["training"]["steps"])
        kept = history[((history["step"] - 1) % every == 0) | (history["step"] == len(history))]
        record.metrics = _curve({str(name): kept[name].tolist() for name in kept})
        for entry in run.get("validations", []):
            record.metrics += [(f"train/val_{name}", entry[name], entry["step"]) for name in entry if name != "step"]
        record.metrics += [(f"val/{name}", value, 0) for name, value in run["validation"].items()]
        record.metrics += [("train/seconds", run["seconds"], 0)] if "seconds" in run else []
        rows = self.study.rows
        mine = rows[(rows["dataset"] == self.dataset) & (rows["method"] == self.method.id) & (rows["seed"] == seed)]
        record.metrics += [(f"test/{name}", float(mine[name].mean()), 0) for name in METRICS if name in mine]
        record.artifacts = [(folder / RUN, "run"), (folder / HISTORY, "run"), (folder / CHECKPOINT, "checkpoint")]
        record.status = "FINISHED" if run["status"] == "complete" else "FAILED"
        return _over(record, log, folder / RUN)


def _verdicts(summary: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    """The tags of each method that say how it stands against the best of its model, and which ranks it may hold."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for (dataset, method, metric), word in against_best(summary).items():
        found.setdefault((dataset, method), {})[f"verdict.{metric}"] = WORDS[word]
    for (dataset, method), (low, high) in rank_intervals(summary).items():
        found.setdefault((dataset, method), {})["rank_interval"] = f"{low}-{high}"
    return found


# What every look at a study asks of files that do not change any more; the arguments tell another file from the same.
@lru_cache(maxsize=100_000)
def _trials_in(path: Path, mtime_ns: int, size: int) -> list[dict[str, Any]]:
    return [{"values": {}} | {key: trial[key] for key in ("number", "lam", "values") if key in trial}
            for trial in read_json(path)]  # fmt: skip


@lru_cache(maxsize=100_000)
def _environment_in(path: Path, mtime_ns: int, size: int) -> dict[str, Any]:
    return dict(read_json(path)["environment"])


def _running(record: Record, log: training_log.Log | None, path: Path, *, running: bool) -> Record:
    """A record of a training that has not ended: it runs, or was killed and the same command goes on with it."""
    record.time_ms = _ms(path) if log is None else _ms_of(log.header)
    record.metrics = [] if log is None else _curve(log.curve)
    record.status, record.end_ms = ("RUNNING", None) if running else ("KILLED", _ms(path))
    return _whole(record, log)


def _over(record: Record, log: training_log.Log | None, path: Path) -> Record:
    """A record of a training that has ended and left `path`."""
    record.time_ms, record.end_ms = (_ms(path) if log is None else _ms_of(log.header)), _ms(path)
    return _whole(record, log)


def _whole(record: Record, log: training_log.Log | None) -> Record:
    """With what the process took of its machine, and without what MLflow has no number for."""
    record.metrics = _finite(record.metrics)
    for line in log.lines if log else ():
        time_ms = int(line["time"] * 1000)
        record.samples += [
            (f"system/{name}", float(line[name]), time_ms, line["at"]) for name in SYSTEM if name in line
        ]
    return record


def _curve(curve: Mapping[str, Any]) -> list[Metric]:
    """Every term of a training but its step."""
    terms = [name for name in curve if name != "step"]
    return [
        (f"train/{name}", value, int(step))
        for name in terms
        for step, value in zip(curve["step"], curve[name], strict=True)
    ]


def _environment(record: Mapping[str, Any]) -> dict[str, str]:
    """Code, packages, machine and data of a run's record, or of the head of its log."""
    environment = record["environment"]
    packages = environment["packages"].items()
    return _code([environment]) | {
        "device": environment["device"],
        "system": environment.get("system", "unknown"),
        "packages": ", ".join(f"{name} {number}" for name, number in packages),
        "data_sha256": record["data_sha256"],
    }


def _code(environments: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The commits by which runs were trained, and whether any had changes that were not committed."""
    codes = [environment["code"] for environment in environments if "code" in environment]
    if not codes:
        return {}
    commits = ", ".join(sorted({code["git_commit"] or "unknown" for code in codes}))
    return {"git_commit": commits, "git_dirty": str(any(code["git_dirty"] for code in codes)).lower()}


def _ms(path: Path) -> int:
    return int(path.stat().st_mtime * 1000)


def _ms_of(head: Mapping[str, Any]) -> int:
    return int(head["started"] * 1000)


def _stat(path: Path) -> list[Any]:
    """Another whenever the file is."""
    try:
        found = path.stat()
    except OSError:
        return [str(path), None, None]
    return [str(path), found.st_mtime_ns, found.st_size]


def _row(entry: Mapping[str, Any]) -> str:
    """The method's row of the table, mean ± SD over pairs, as a Markdown table."""
    found = {name: value for name, value in entry["metrics"].items() if value["mean"] is not None}
    digits = {name: METRICS[name].digits for name in found}
    cells = [f"{value['mean']:.{digits[name]}f} ± {value['sd'] or 0:.{digits[name]}f}" for name, value in found.items()]
    lines = (list(found), ["---"] * len(found), cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if found else ""


def _judged(entry: Mapping[str, Any], mine: pd.DataFrame, title: str, peers: int) -> tuple[list[Metric], str]:
    """Metrics and description of a method that is analysed; the names of the metrics are those of the tables."""
    metrics: list[Metric] = [
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
    return metrics, f"{mlflow_views.paragraph(entry, title, peers)}\n\n{_row(entry)}"


def _finite(metrics: Iterable[Metric]) -> list[Metric]:
    return [
        (name, float(value), step) for name, value, step in metrics if pd.notna(value) and abs(value) != float("inf")
    ]
