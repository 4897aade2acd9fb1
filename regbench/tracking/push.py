"""Bringing one experiment of a store to the state of the records.

A run is looked up by its key, a tag. One that is whole and has the record's digest is left as it is. One that holds
nothing but what the record has is completed in place: so the curve of a training grows, and a push that was killed is
taken up. Any other is replaced: the new run is whole before the old one goes. Of doubles the earliest stays.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from regbench.system.credentials import without_password
from regbench.system.errors import RegbenchError
from regbench.tracking.mlflow_run import HERE, TAGS, Item, Record

LOG = logging.getLogger(__name__)
KEY, DIGEST, COMPLETE = "regbench.key", "regbench.digest", "regbench.complete"
PARENT = "mlflow.parentRunId"
KINDS = ("pushed", "updated", "kept", "deleted")
Changes = dict[str, dict[str, list[str]]]  # kind: stage: keys
Point = tuple[str, float, int, int]  # name, value, time in ms, step
MODEL = "model"  # folder of a run's registered model, which is no part of its record
BATCH = 900  # MLflow takes at most 1000 metrics, params and tags a call


class RefusedError(RegbenchError):
    """The store answers that it does not take something: trying again would change nothing."""


class Sink:
    """One experiment, and what this process knows of it."""

    def __init__(self, client: Any, experiment: str) -> None:
        self.client, self.experiment = client, experiment
        self.ids: dict[str, str] = {}  # the run of each key
        self.seen: dict[str, tuple[str, str | None]] = {}  # the signature of what was pushed, and the parent's run
        self.points: dict[str, set[Point]] = {}  # of runs that this process writes and may write again

    def push(self, items: Iterable[Item], *, full: bool = True, verify: bool = False) -> Changes:
        """Bring the runs to the state of `items`.

        Args:
            items: of the whole study, parents before their children.
            full: look at every run; otherwise only at those whose files have changed since this object looked.
            verify: read back every point and the list of the artifacts, whatever a run's digest says.

        Returns:
            The keys, by stage, that were ``pushed`` as new runs, ``updated`` in place, ``kept`` as they were, and
            ``deleted`` (doubles, leftovers, replaced ones).

        Raises:
            RefusedError: if the store refuses runs, once all others are there.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  see store.imported

        done: Changes = {kind: {} for kind in KINDS}
        refused: dict[str, str] = {}
        existing = self._all() if full else {}
        known, created = set[str](), False
        for item in items:
            known.add(item.key)
            if not full and self.seen.get(item.key) == (item.signature, self.ids.get(item.parent or "")):
                continue
            record = _made(item)
            if record is None:
                continue
            old = existing.get(item.key, []) if full else self._of(item.key)
            try:
                kind = self._bring(record.fitted(), old, done, verify=verify)
            except MlflowException as error:
                if error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
                refused[record.key] = str(error).partition("\n")[0]
                continue
            created |= kind == "pushed"
            _note(done, kind, record.tags["stage"], record.key)
            self.seen[item.key] = (item.signature, self.ids.get(item.parent or ""))
        gone = set(existing if full else self.seen) - known
        for key in gone:  # of a method or trial that the study no longer has
            self._delete(existing[key] if full else self._of(key), done)
            self.ids.pop(key, None)
            self.seen.pop(key, None)
        if full and created:  # a request to make a run that was sent twice over made two
            for key, runs in self._all().items():
                self._delete([run for run in runs if run.info.run_id != self.ids.get(key)], done)
        if refused:
            key, answer = next(iter(refused.items()))
            raise RefusedError(
                f"MLflow must take every run, but refused {len(refused)} of {len(known)}, the first `{key}`: "
                f"{without_password(answer)}. The others are there; change what the answer names, then push again."
            )
        return done

    def _bring(self, record: Record, old: list[Any], done: Changes, *, verify: bool) -> str:
        """Make, complete or keep the run of a record; its id is in `ids` afterwards."""
        digest, parent = record.digest(), self.ids.get(record.parent or "")
        tags = record.tags | {KEY: record.key} | ({PARENT: parent} if parent else {})
        whole = [run for run in old if self._is_whole(run, record, digest, verify=verify)]
        kind, run_id = "kept", ""
        if whole:
            run_id = whole[0].info.run_id
            if self._set_tags(whole[0], tags):
                kind = "updated"
        else:
            base = next((run for run in old if self._is_part(run, record)), None)
            if base is None and old:
                tags = _of_the_user(old[0]) | tags
            run_id, kind = self._write(record, tags, base, digest), "updated" if base else "pushed"
        self.ids[record.key] = run_id
        if record.end_ms is not None:
            self.points.pop(run_id, None)  # it will hardly be written again
        self._delete([run for run in old if run.info.run_id != run_id], done)
        return kind

    def _is_whole(self, run: Any, record: Record, digest: str, *, verify: bool) -> bool:
        """Whether a run equals its record: by its digest, and by all that a search shows."""
        tags, info = run.data.tags, run.info
        shown = tags.get(DIGEST) == digest and tags.get(COMPLETE) == "true"
        shown = shown and (info.status, info.run_name) == (record.status, record.name)
        shown = shown and (not record.end_ms or info.end_time == record.end_ms)
        shown = shown and run.data.params == record.params and run.data.metrics.keys() == record.latest().keys()
        shown = shown and bool(run.inputs.dataset_inputs) == (record.data is not None)
        if not shown or not self._artifacts_there(run, record, ask=verify):
            return False
        return not verify or self._points(run) == set(record.points())

    def _is_part(self, run: Any, record: Record) -> bool:
        """Whether a run holds nothing that its record has not, so that it can be completed."""
        if run.info.start_time != record.time_ms or not run.data.params.items() <= record.params.items():
            return False
        datasets = {(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs}
        if not datasets <= ({(record.data.name, record.data.digest)} if record.data else set()):
            return False
        names = {f"{folder}/{path.name}" for path, folder in record.artifacts}
        return set(self._artifacts(run.info.run_id)) <= names and self._points(run) <= set(record.points())

    def _write(self, record: Record, tags: dict[str, str], base: Any, digest: str) -> str:
        """Complete the run `base`, or a new one. Its mark is set last: what lacks it is looked at by the next push."""
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415  see store.open_store

        client = self.client
        if base is None:
            known = {name: value for name, value in tags.items() if HERE not in value}
            run = client.create_run(self.experiment, start_time=record.time_ms, tags=known, run_name=record.name)
            self.points[run.info.run_id] = set()
            self._set_tags(run, tags)
        else:
            run = base
            if run.data.tags.get(COMPLETE) == "true":
                client.set_tag(run.info.run_id, COMPLETE, "false")
            self._set_tags(run, tags)
        run_id, there = str(run.info.run_id), self.points.get(run.info.run_id, set())
        missing = [point for point in record.points() if point not in there]
        metrics = [Metric(*point) for point in missing]
        params = [Param(key, value) for key, value in record.params.items() if key not in run.data.params]
        if record.data is not None and not (run.inputs and run.inputs.dataset_inputs):
            client.log_inputs(run_id, [record.data.entity()])
        for path, folder in record.artifacts:
            client.log_artifact(run_id, str(path), folder)
        if record.end_ms is not None:
            client.set_terminated(run_id, record.status, end_time=record.end_ms)
        if run.info.run_name != record.name or (record.end_ms is None and run.info.status != record.status):
            client.update_run(run_id, status=record.status, name=record.name)
        # The marks go with the last points, after them: each call is a transaction, and takes as long as all it holds.
        marks = [RunTag(DIGEST, digest), RunTag(COMPLETE, "true")]
        starts = list(range(0, len(metrics), BATCH)) or [0]
        for start in starts:
            client.log_batch(
                run_id,
                metrics=metrics[start : start + BATCH],
                params=params if start == 0 else [],
                tags=marks if start == starts[-1] else [],
            )
        self.points[run_id] = there | set(missing)
        return run_id

    def _set_tags(self, run: Any, tags: dict[str, str]) -> bool:
        """Set what differs and remove what the record no longer has; a user's own tags stay. Whether any differed."""
        run_id, there = run.info.run_id, run.data.tags
        tags = {name: value.replace(HERE, run_id) for name, value in tags.items()}
        changed = {name: value for name, value in tags.items() if there.get(name) != value}
        stale = (TAGS & there.keys()) - tags.keys()
        for name, value in changed.items():
            self.client.set_tag(run_id, name, value)
        for name in stale:
            self.client.delete_tag(run_id, name)
        return bool(changed or stale)

    def _points(self, run: Any) -> set[Point]:
        """Every point of a run."""
        run_id = run.info.run_id
        if run_id not in self.points:
            self.points[run_id] = {
                (name, point.value, point.timestamp, point.step)
                for name in run.data.metrics
                for point in self.client.get_metric_history(run_id, name)
            }
        return self.points[run_id]

    def _artifacts(self, run_id: str, folder: str | None = None) -> Iterator[str]:
        for entry in self.client.list_artifacts(run_id, folder):
            if entry.path == MODEL:
                continue
            if entry.is_dir:
                yield from self._artifacts(run_id, entry.path)
            else:
                yield entry.path

    def _artifacts_there(self, run: Any, record: Record, *, ask: bool) -> bool:
        """Whether the files of a run are there and as large as ours; a server is asked on demand alone: it is slow."""
        place = urlparse(run.info.artifact_uri)
        if place.scheme in ("", "file"):
            root = Path(unquote(place.path))
            return all(_size(root / folder / path.name) == _size(path) for path, folder in record.artifacts)
        names = {f"{folder}/{path.name}" for path, folder in record.artifacts}
        return not ask or set(self._artifacts(run.info.run_id)) == names

    def _delete(self, runs: Iterable[Any], done: Changes) -> None:
        for run in runs:
            self.client.delete_run(run.info.run_id)
            self.points.pop(run.info.run_id, None)
            _note(done, "deleted", run.data.tags.get("stage", "unknown"), run.data.tags[KEY])

    def _of(self, key: str) -> list[Any]:
        """The live runs of a key, earliest first."""
        return list(self.client.search_runs([self.experiment], f"tags.`{KEY}` = '{key}'", order_by=_ORDER))

    def _all(self) -> dict[str, list[Any]]:
        """All live runs of ours by key, earliest first. One list of thousands is faster than thousands of questions."""
        runs: dict[str, list[Any]] = {}
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=1000, order_by=_ORDER, page_token=token)
            for run in page:
                if KEY in run.data.tags:
                    runs.setdefault(run.data.tags[KEY], []).append(run)
            token = page.token
            if not token:
                return runs


_ORDER = ["attributes.start_time ASC"]


def _of_the_user(run: Any) -> dict[str, str]:
    """The tags that somebody else gave a run: another that takes its place has them too."""
    theirs = {name: value for name, value in run.data.tags.items() if name not in TAGS}
    return {name: value for name, value in theirs.items() if not name.startswith(("mlflow.", "regbench."))}


def _made(item: Item) -> Record | None:
    """The record; None where its files changed or went while they were read, as they may in a study that runs."""
    try:
        return item.make()
    except (FileNotFoundError, RegbenchError) as error:
        if isinstance(error, RegbenchError) and not isinstance(error.__cause__, FileNotFoundError):
            raise
        LOG.warning("%s is left as it is, its files went while they were read: %s", item.key, error)
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _note(done: Changes, kind: str, stage: str, key: str) -> None:
    done[kind].setdefault(stage, []).append(key)


def describe(done: Changes) -> str:
    """Counts of each kind, then the key of every run that was changed."""
    counts = []
    for what, stages in done.items():
        kinds = ", ".join(f"{len(keys)} {stage}" for stage, keys in sorted(stages.items()))
        counts.append(f"{sum(map(len, stages.values()))} runs {what}" + (f" ({kinds})" if kinds else ""))
    changed = [
        f"  {what} {key}"
        for what in ("pushed", "updated", "deleted")
        for keys in done[what].values()
        for key in sorted(keys)
    ]
    return "\n".join(["MLflow: " + ", ".join(counts), *changed])
