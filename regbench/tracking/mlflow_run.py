"""One MLflow run as the files of a study say it should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from regbench.metrics import METRICS
from regbench.system.escaping import cut
from regbench.system.files import CHECKPOINT, digest, file_sha256
from regbench.tracking.limits import LIMIT, PARAM, RUN_NAME, fitted
from regbench.tracking.run_description import NOTE

HERE = "\ue000run_id\ue000"  # in a tag: the id of the run that has it; letters that nobody writes
# Every tag of ours: one of these that a run has and its record has not is removed.
TAGS = frozenset(
    "study config_sha256 stage dataset method similarity regularizer lambda seed point trial replicate device system"
    f" packages git_commit git_dirty data_sha256 checkpoint_sha256 rank_interval headline {NOTE}".split()
) | {f"verdict.{name}" for name in METRICS}
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
    time_ms: int = 0  # its start by the files, and the time of its metrics: a repeated push repeats the same points
    end_ms: int | None = 0  # None while it runs
    samples: list[tuple[str, float, int, int]] = field(default_factory=list)  # name, value, time in ms, step
    data: Data | None = None

    def digest(self) -> str:
        """A hash of all that a run holds but times and the bytes of the checkpoint, whose hash is a tag."""
        files = [
            ("" if path.name == CHECKPOINT else file_sha256(path), path.name, folder) for path, folder in self.artifacts
        ]
        samples = [(name, value, step) for name, value, _, step in self.samples]
        content = [self.name, self.parent, self.params, self.tags, self.metrics, files, self.status, samples, self.data]
        return digest(content)

    def fitted(self) -> "Record":
        """The record with texts no longer than what MLflow takes."""
        name = cut(self.name, RUN_NAME, "…")
        return replace(self, name=name, params=fitted(self.params, PARAM), tags=fitted(self.tags, LIMIT))

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
