"""What the records of a study share: its summary, its rows and its data."""

from functools import cached_property
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from regbench.report.standings import WORDS, rank_intervals, standings
from regbench.report.summary_file import Manifest, MethodEntry, Summary, leading, load_summary
from regbench.study.methods import Study
from regbench.system.files import canonical_json, digest, read_sealed
from regbench.system.parquet import read_table
from regbench.tracking.limits import source_of
from regbench.tracking.mlflow_run import Data
from regbench.tracking.verdict_colours import colour

DIGITS_OF_DIGEST = 36  # MLflow takes no more


class StudyFiles:
    """The files of a study that its records are made from, each read once."""

    def __init__(self, study: Study) -> None:
        self.study, self.lay = study, study.layout
        self.summary: Summary | None = load_summary(study) if self.lay.summary.exists() else None
        entries = self.summary["methods"] if self.summary else []
        self.entries = {(entry["dataset"], entry["method"]): entry for entry in entries}
        self.verdicts = _verdict_tags(self.summary) if self.summary else {}
        self.colours = _colours(self.summary) if self.summary else {}
        self.tags = {"study": study.name, "config_sha256": digest(study.protocol)}
        self._data: dict[str, Data | None] = {}

    def peers(self, entry: MethodEntry) -> int:
        """How many methods are ranked with one."""
        ranked = [(one["dataset"], one["model"]) for one in self.entries.values() if one["rank"] is not None]
        return ranked.count((entry["dataset"], entry["model"]))

    def leading(self, dataset: str) -> str:
        """The metric that a dataset is led by, as the analysis has it."""
        return "" if self.summary is None else leading(self.summary, dataset)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows of the analysis; none before."""
        if self.summary is None:
            return pd.DataFrame({name: [] for name in ("dataset", "method", "seed", "inference_seconds")})
        return read_table(self.lay.rows)

    @cached_property
    def curve_rows(self) -> pd.DataFrame:
        """The rows of the further points of curves; none before the analysis."""
        if not self.lay.curve_rows.exists():
            return pd.DataFrame({name: [] for name in ("dataset", "method", "seed", "point")})
        return read_table(self.lay.curve_rows)

    def data(self, dataset: str, context: str) -> Data | None:
        """The prepared data; None before they are prepared.

        Args:
            dataset: its id.
            context: in which a run used them, such as 'training'.
        """
        if dataset not in self._data:
            self._data[dataset] = self._prepared(dataset, self.lay.manifest(dataset))
        data = self._data[dataset]
        return data._replace(context=context) if data else None

    def source(self, dataset: str) -> dict[str, JsonValue]:
        """What the config says of a dataset."""
        entry = self.study.dataset(dataset)
        return entry.model_dump(mode="json", include={"source", "parameters", "preprocessing", "splits"})

    def _prepared(self, dataset: str, path: Path) -> Data | None:
        if not path.exists():
            return None
        manifest: Manifest = read_sealed(path)
        source = self.source(dataset)
        counts = {split: len(pairs) for split, pairs in manifest.get("pairs", {}).items()}
        profile: dict[str, object] = {"pairs": counts}
        if "shape" in manifest:
            profile["shape"] = manifest["shape"]
        if "spacing_mm" in manifest:
            profile["spacing_mm"] = manifest["spacing_mm"]
        sha = manifest["data_sha256"][:DIGITS_OF_DIGEST]
        return Data(dataset, sha, source_of(source), canonical_json(profile), "")


def _verdict_tags(summary: Summary) -> dict[tuple[str, str], dict[str, str]]:
    """The tags of each method for its standing against the best of its model and for the ranks that it may hold."""
    tags: dict[tuple[str, str], dict[str, str]] = {}
    for (dataset, method, metric), standing in standings(summary).items():
        tags.setdefault((dataset, method), {})[f"verdict.{metric}"] = WORDS[standing]
    for (dataset, method), (low, high) in rank_intervals(summary).items():
        tags.setdefault((dataset, method), {})["rank_interval"] = f"{low}-{high}"
    return tags


def _colours(summary: Summary) -> dict[tuple[str, str], str]:
    """The colour of each method that was judged by the metric that its dataset is led by."""
    return {
        (dataset, method): colour(standing)
        for (dataset, method, metric), standing in standings(summary).items()
        if metric == leading(summary, dataset)
    }
