"""A small study run for real, verb by verb in this process: much faster than through Snakemake."""

from pathlib import Path
from typing import Any

import yaml

from regbench import jobs
from regbench.cli import main
from regbench.config import load

VERBS = {"untrained": "cell"}  # what a rule's verb is called, where it has another name


def run_verbs(raw: dict[str, Any], folder: Path) -> None:
    """Everything from `prepare` to `report`, but for `track`."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    for step in jobs.of_study(load(raw)):
        main([VERBS.get(step.rule, step.rule), str(path), "--dataset", step.dataset, *_options(step)])
    for verb in ("analyze", "report"):
        main([verb, str(path)])


def _options(step: jobs.Step) -> list[str]:
    method, search = ["--method", step.method], ["--replicate", str(step.replicate)]
    number, slots = jobs.round_of(step).removeprefix("round"), step.detail.partition(".trials")[2].split("-")
    seed, threads = ["--seed", str(step.seed)], ["--threads", "1"]
    return {
        "prepare": threads,
        "runtime": threads,
        "propose": [*method, *search, "--round", number],
        "trial": [*method, *search, "--round", number, "--slots", *slots, *threads],
        "select": [*method, *search],
        "train": [*method, *seed, *threads],
        "evaluate": [*method, *seed, *threads],
        "cell": [*method, *threads],
        "untrained": [*method, *threads],
    }[step.rule]
