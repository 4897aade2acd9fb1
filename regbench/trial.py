"""One trial of the tuning: a short training at one lambda, scored on the validation pairs."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regbench.data.cache import Dataset
from regbench.files import digest, read_json, write_json
from regbench.fit import fit
from regbench.inference import validate

LOG = logging.getLogger(__name__)
CURVE_POINTS = 200


def run_trials(
    job: Mapping[str, Any], data: Dataset, proposals: list[dict[str, Any]], state: Path, *, bar: bool = False
) -> list[dict[str, Any]]:
    """Run the proposed trials one after the other; those that `state` holds already are not run again.

    Args:
        job: slice of the config (`plan.trial_job`).
        data: prepared dataset.
        proposals: ``{"number": n, "lam": value}`` each.
        state: folder of finished trials and of the training state of the one that runs: a killed job loses minutes.
        bar: show a progress bar.
    """
    results = []
    for proposal in proposals:
        key = digest({"job": dict(job), "proposal": proposal, "data": data.checksum})
        path = state / f"trial{proposal['number']:03d}.json"
        kept = read_json(path) if path.exists() else {}
        if kept.get("digest") != key:
            training = path.with_suffix(".pt")
            kept = {**run_trial(job, proposal["number"], proposal["lam"], data, state=training, bar=bar), "digest": key}
            write_json(path, kept)
        results.append(kept)
    return results


def run_trial(
    job: Mapping[str, Any], number: int, lam: float, data: Dataset, *, state: Path | None = None, bar: bool = False
) -> dict[str, Any]:
    """Train at `lam`, validate; a diverged training is a result with status ``diverged``, not an error."""
    found = fit(job, lam, data, state=state, bar=bar)
    scores = validate(found.model, data)
    finished = found.status == "complete"
    if not finished:
        LOG.warning("%s, trial %d: %s", job["method"], number, found.reason)
    stride = -(-len(found.history["loss"]) // CURVE_POINTS) or 1
    return {
        "number": number,
        "lam": lam,
        "status": found.status,
        "reason": found.reason,
        "dice": float(np.mean(scores["dice"])) if finished else None,
        "ndv_percent": float(np.mean(scores["ndv_percent"])) if finished else None,
        "pairs": scores if finished else {},
        "curve": {"step": list(range(1, len(found.history["loss"]) + 1, stride))}
        | {name: values[::stride] for name, values in found.history.items()},
    }
