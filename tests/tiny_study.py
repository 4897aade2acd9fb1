"""A small study run for real, verb by verb in this process: much faster than through Snakemake."""

from pathlib import Path
from typing import Any

import yaml

from regbench import jobs
from regbench.cli import main
from regbench.config import load


def run_verbs(raw: dict[str, Any], folder: Path) -> None:
    """Everything from `prepare` to `report`, but for `track`."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    for step in jobs.of_study(load(raw)):
        main([step.rule, str(path), "--dataset", step.dataset, *_options(step)])
    for verb in ("analyze", "report"):
        main([verb, str(path)])


def _options(step: jobs.Step) -> list[str]:
    if step.rule in ("prepare", "runtime"):
        return ["--threads", "1"]
    found = ["--method", step.method]
    if step.rule == "propose":
        return [*found, "--round", step.detail.removeprefix("round")]
    if step.rule == "trial":
        number, _, slots = step.detail.removeprefix("round").partition(".trials")
        return [*found, "--round", number, "--slots", *slots.split("-"), "--threads", "1"]
    if step.rule in ("train", "evaluate"):
        return [*found, "--seed", str(step.seed), "--threads", "1"]
    return found
