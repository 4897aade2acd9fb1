"""One trial of the tuning: a short training at one lambda, scored on the validation pairs."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regbench.data.cache import Dataset
from regbench.models.predict import device_of, validate
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.files import digest, write_json
from regbench.system.job_usage import clocked
from regbench.training.fit import Fit, fit
from regbench.training.training_log import stride
from regbench.tuning.sampler import SCORES, scored, with_values
from regbench.tuning.trial_store import kept_trial, log_file, trial_file

LOG = logging.getLogger(__name__)
CURVE_POINTS = 50  # of each loss term; MLflow stores them one row a point


def run_trials(
    job: Mapping[str, Any], data: Dataset, proposals: list[dict[str, Any]], state: Path, *, bar: bool = False
) -> list[dict[str, Any]]:
    """Run the proposed trials one after the other; those that `state` holds already are not run again.

    Args:
        job: slice of the config (`plan.trial_job`).
        data: prepared dataset.
        proposals: ``{"number": n, "lam": value}`` each.
        state: folder of finished trials and of the training state of the one that runs: a killed job loses minutes;
            one file beside it once the cell's lambda is chosen (`kept.put_together`).
        bar: show a progress bar.
    """
    results = []
    for proposal in proposals:
        key = digest({"job": dict(job), "proposal": proposal, "data": data.checksum})
        kept = kept_trial(state, proposal["number"])
        if kept.get("digest") != key:
            path = trial_file(state, proposal["number"])
            training = path.with_suffix(".pt")
            with clocked("trial"):
                found = run_trial(
                    job, proposal["number"], proposal["lam"], data, proposal=proposal, state=training, bar=bar
                )
            kept = {**found, "digest": key}
            write_json(path, kept)
        results.append(kept)
    return results


def run_trial(
    job: Mapping[str, Any],
    number: int,
    lam: float,
    data: Dataset,
    *,
    proposal: Mapping[str, Any] | None = None,
    state: Path | None = None,
    bar: bool = False,
) -> dict[str, Any]:
    """Train at `lam` and the proposal's other values, validate.

    A diverged training is a result with status ``diverged``, one that was ended early with ``pruned``: not errors.
    """
    proposal = proposal or {}
    began = time.monotonic()
    prune = proposal.get("prune")
    mine = {**job, "seed": proposal.get("seed", job["seed"])}
    found = fit(
        with_values(mine, proposal.get("values", {})),
        lam,
        data,
        prune=prune,
        state=state,
        live=None if state is None else log_file(state.parent, number),
        points=CURVE_POINTS,
        bar=bar,
    )
    status, reason = found.status, found.reason
    scores = validate(found.model, data) if status != "diverged" else {}
    means = {name: float(np.mean(scores[name])) if scores else None for name in SCORES}
    if scores and not scored(means):  # where each pair is optimised there is no training whose loss would tell
        status, reason = "diverged", f"Dice and NDV of the validation pairs must be numbers, but got {means}"
        scores, means = {}, dict.fromkeys(SCORES)
    if status != "complete":
        LOG.warning("%s, trial %d: %s", job["method"], number, reason)
    every = stride(job["training"]["steps"], CURVE_POINTS)
    more: dict[str, Any] = {"values": proposal["values"]} if "values" in proposal else {}
    if "seed" in proposal:
        more["seed"] = proposal["seed"]
    if prune:
        more["reports"] = found.reports
    if "cost" in job:
        more["cost"] = time.monotonic() - began if job["cost"] == "seconds" else _steps(job, found)
    return {
        "number": number,
        "lam": lam,
        **more,
        "status": status,
        "reason": reason,
        **means,
        "pairs": scores,
        "environment": provenance.environment(devices.describe(device_of(found.model))),
        "curve": {"step": list(range(1, len(found.history["loss"]) + 1, every))}
        | {name: values[::every] for name, values in found.history.items()},
    }


def _steps(job: Mapping[str, Any], found: Fit) -> int:
    """Steps that a trial took; where each pair is optimised there are none, and a trial counts as a whole one."""
    return len(found.history["loss"]) or int(job["training"]["steps"])
