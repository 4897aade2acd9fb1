"""A small sound config, and its study run verb by verb in this process: much faster than through Snakemake."""

from pathlib import Path
from typing import Any

import yaml

from regbench.cli.main import main
from regbench.orchestration import jobs
from regbench.study.load import load
from regbench.study.methods import Study

ROOT = Path(__file__).parent.parent.parent

# A whole study in seconds: 2 cells, 4 trials in 2 rounds, 2 seeds, tiny images.
TINY: dict[str, Any] = {
    "study": "tiny",
    "datasets": [
        {
            "id": "brains",
            "source": "mni152",
            "parameters": {"dims": 2, "subjects": 8, "shape": [32, 32], "spacing_mm": 6.0},
            "splits": {"train": 4, "validation": 2, "test": 2},
            "pairs": {"validation": 2, "test": 2},
        }
    ],
    "models": [{"name": "voxelmorph", "parameters": {"encoder": [4, 8], "decoder": [8, 8, 4]}}],
    "grid": {"similarities": ["lcc", "mse"], "regularizers": ["grad_l2"]},
    "lambdas": [{"range": [0.01, 1.0]}],
    "tuning": {"trials": 4, "round_size": 2, "steps": 3, "trials_per_job": 2},
    "training": {"steps": 4, "batch": 2},
    "seeds": [0, 1],
}


def run_verbs(raw: dict[str, Any], folder: Path) -> None:
    """Everything from `prepare` to `report`, but for `track`."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    for words in verbs(raw, path):
        main(words)


def verbs(raw: dict[str, Any], path: Path) -> list[list[str]]:
    """The command of every job of a study, whose config `raw` is in `path`; `track` apart."""
    each = [
        [_verb(job), str(path), "--dataset", job.dataset, *_options(job)] for job in jobs.of_study(Study(load(raw)))
    ]
    return [*each, ["analyze", str(path)], ["report", str(path)]]


def _verb(job: jobs.Job) -> str:
    if job.rule in jobs.OF_CURVE:
        return "curve"
    return "cell" if job.rule in jobs.WHOLE_CELL else job.rule.replace("_", "-")


def _options(job: jobs.Job) -> list[str]:
    method, search = ["--method", job.method], ["--replicate", str(job.replicate)]
    number, slots = job.round.removeprefix("round"), job.detail.partition(".trials")[2].split("-")
    seed, threads = ["--seed", str(job.seed)], ["--threads", "1"]
    similarity, _, regularizer = job.detail.partition(".")
    return {
        "prepare": threads,
        "lambda-range": ["--similarity", similarity, "--regularizer", regularizer, *threads],
        "runtime": threads,
        "propose": [*method, *search, "--round", number],
        "trial": [*method, *search, "--round", number, "--slots", *slots, *threads],
        "select": [*method, *search],
        "train": [*method, *seed, *threads],
        "evaluate": [*method, *seed, *threads],
        "cell": [*method, *threads],
        "curve": [*method, *(["--seed", str(job.seed), "--point", str(job.point)] if job.point else []), *threads],
        "transfer": [*method, "--on", job.detail, *threads],
    }[_verb(job)]
