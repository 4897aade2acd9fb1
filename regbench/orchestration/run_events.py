"""What Snakemake says of a run while it goes on: how many jobs of each stage there are, which run, which failed.

Its log handlers get records with an `event` (snakemake-interface-logger-plugins); this is what we take of them.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# Rules by stage, in the order of a study. A rule that is not named here is a stage of its own.
STAGES: Mapping[str, tuple[str, ...]] = {
    "prepare": ("prepare",),
    "lambda ranges": ("lambda_range",),
    "trials": ("propose", "trial", "select"),
    "cells": ("cell", "cell_untrained"),
    "trainings": ("train",),
    "looks": ("look",),
    "evaluation": ("evaluate", "evaluate_identity", "transfer", "runtime"),
    "curves": ("curve", "curve_cell", "curve_cell_untrained"),
    "report": ("analyze", "report", "track"),
}
STAGE_OF = {rule: stage for stage, rules in STAGES.items() for rule in rules}
TARGET = "all"  # the rule that does nothing, and the name of the sum in Snakemake's counts
SUM = "total"
NUMBERED = ("seed", "replicate", "round", "point", "look")  # wildcards that are numbers


@dataclass
class RunningJob:
    """A job that Snakemake has sent."""

    rule: str
    wildcards: dict[str, str]
    outputs: tuple[str, ...]
    log: str
    since: float = field(default_factory=time.monotonic)

    @property
    def stage(self) -> str:
        """The stage that it belongs to."""
        return _stage(self.rule)

    @property
    def name(self) -> str:
        """``trial embedded voxelmorph.lcc.grad_l2, round 0, trials 0 to 3``."""
        known = dict(self.wildcards)
        first, last = known.pop("first", ""), known.pop("last", "")
        if known.get("replicate") == "0":  # most studies have one search
            del known["replicate"]
        numbered = [f"{key} {value}" for key, value in known.items() if key in NUMBERED]
        named = [value for key, value in known.items() if key not in NUMBERED]
        return ", ".join([" ".join([self.rule, *named]), *numbered, *([f"trials {first} to {last}"] if last else [])])


class RunEvents:
    """The state of a run, by the records of Snakemake's log."""

    def __init__(self) -> None:
        self.total = Counter[str]()  # jobs of each stage, in the order of the study
        self.finished = Counter[str]()
        self.running: dict[int, RunningJob] = {}
        self.failed: list[RunningJob] = []  # that nobody was told of yet
        self.any_failed = False
        self._jobs: dict[int, RunningJob] = {}

    def take(self, record: logging.LogRecord) -> None:
        """Take in one record; one without an event, or of another kind, changes nothing."""
        event = getattr(getattr(record, "event", None), "value", "")
        values = vars(record)
        if event == "run_info":
            self._count(values["stats"])
        elif event == "job_info":
            self._announce(values)
        elif event == "job_started":
            for number in values["jobs"]:
                self._start(number)
        elif event == "job_finished":
            self._finish(values["job_id"])
        elif event == "job_error":
            self._fail(values)

    def _count(self, stats: Mapping[str, int]) -> None:
        counts = {rule: count for rule, count in stats.items() if rule not in (TARGET, SUM)}
        total = Counter[str]()
        for stage in dict.fromkeys([*STAGES, *map(_stage, counts)]):
            jobs = sum(count for rule, count in counts.items() if _stage(rule) == stage)
            if jobs:
                total[stage] = jobs
        self.total = total

    def _announce(self, values: Mapping[str, object]) -> None:
        rule, number = str(values["rule_name"]), values["jobid"]
        wildcards, outputs, logs = values["wildcards"], values["output"], values["log"]
        if rule == TARGET or not isinstance(number, int):
            return
        known = {str(key): str(value) for key, value in wildcards.items()} if hasattr(wildcards, "items") else {}
        job = RunningJob(rule, known, tuple(_texts(outputs)), next(iter(_texts(logs)), ""))
        self._jobs[number] = self.running[number] = job
        # A checkpoint adds jobs that no count of Snakemake had.
        at_least = self.finished[job.stage] + sum(other.stage == job.stage for other in self.running.values())
        self.total[job.stage] = max(self.total[job.stage], at_least)

    def _start(self, number: int) -> None:
        if number in self._jobs:  # again, after a failure
            self.running[number] = self._jobs[number]
            self.running[number].since = time.monotonic()

    def _finish(self, number: int) -> None:
        job = self.running.pop(number, None)
        if job is not None:
            self.finished[job.stage] += 1

    def _fail(self, values: Mapping[str, object]) -> None:
        number = values["jobid"]
        job = self.running.pop(number, None) if isinstance(number, int) else None
        self.failed.append(job or RunningJob(str(values["rule_name"]), {}, (), next(iter(_texts(values["log"])), "")))
        self.any_failed = True


def _stage(rule: str) -> str:
    return STAGE_OF.get(rule, rule)


def _texts(values: object) -> list[str]:
    return list(map(str, values)) if isinstance(values, Iterable) and not isinstance(values, str) else []
