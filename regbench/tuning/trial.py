"""One trial of the tuning: a short training at one point, scored on the validation pairs."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

from regbench.data.cache import Dataset
from regbench.models.predict import device_of
from regbench.study.goals import words
from regbench.study.specs import TrialSpec
from regbench.system import device as devices
from regbench.system import provenance
from regbench.system.files import digest, write_sealed
from regbench.system.job_usage import clocked
from regbench.training.fit import Fit, fit
from regbench.training.training_log import stride
from regbench.training.validation import means, scoring, validate
from regbench.tuning.trial_results import Proposal, TrialResult
from regbench.tuning.trial_store import log_file, stored_trial, trial_file

LOG = logging.getLogger(__name__)
CURVE_POINTS = 50  # of each loss term; MLflow stores them one row a point


def run_trials(
    spec: TrialSpec, data: Dataset, proposals: Sequence[Proposal], state: Path, *, bar: bool = False
) -> list[TrialResult]:
    """Run the proposed trials one after the other; those that `state` holds already are not run again.

    Args:
        spec: of the search's trainings.
        data: prepared dataset.
        proposals: the trials to run.
        state: folder of finished trials and of the training state of the one that runs: a killed job loses minutes;
            one file beside it once the cell's lambda is chosen (`trial_store.put_together`).
        bar: show a progress bar.
    """
    results = []
    for proposal in proposals:
        key = digest({"spec": spec.to_json(), "proposal": proposal.to_json(), "data": data.checksum})
        result, path = stored_trial(state, proposal.number), trial_file(state, proposal.number)
        training = path.with_suffix(".pt")
        if result is None or result.get("digest") != key:
            with clocked("trial"):
                result = run_trial(spec, data, proposal, state_path=training, bar=bar)
            result["digest"] = key
            write_sealed(path, result)
        training.unlink(missing_ok=True)
        results.append(result)
    return results


def run_trial(
    spec: TrialSpec, data: Dataset, proposal: Proposal, *, state_path: Path | None = None, bar: bool = False
) -> TrialResult:
    """Train at the proposed point, validate.

    A diverged training is a result with status ``diverged``, one that was ended early with ``pruned``: not errors.

    Args:
        spec: of the search's trainings.
        data: prepared dataset.
        proposal: number, point, and for a repeat its seed.
        state_path: file that a killed training goes on from, with its log beside it; None to keep none.
        bar: show a progress bar.
    """
    began = time.monotonic()
    seeded = spec if proposal.seed is None else spec.model_copy(update={"seed": proposal.seed})
    training = fit(
        proposal.point.apply(seeded),
        data,
        prune=proposal.prune,
        state_path=state_path,
        log_path=None if state_path is None else log_file(state_path.parent, proposal.number),
        points=CURVE_POINTS,
        bar=bar,
    )
    before = max(training.seconds - (time.monotonic() - began), 0.0)  # of a process that was killed
    result: TrialResult = {
        "number": proposal.number,
        "lam": proposal.point.lam,
        "status": training.status,
        "reason": training.reason,
        "scores": {},
        "pairs": {},
        "environment": provenance.environment(devices.describe(device_of(training.model))),
        "curve": _curve(training, spec.training.steps),
    }
    if proposal.point.values:
        result["values"] = dict(proposal.point.values)
    if proposal.seed is not None:
        result["seed"] = proposal.seed
    if proposal.prune is not None:
        result["reports"] = training.reports
    if training.status != "diverged":
        _score(result, training, seeded, data)
    if result["status"] != "complete":
        LOG.warning("%s, trial %d: %s", spec.method, proposal.number, result["reason"])
    if spec.cost is not None:
        # Forward passes; where each pair is optimised there are no steps, and a trial counts as a whole one.
        steps = (len(training.history["loss"]) or spec.training.steps) * spec.passes
        result["cost"] = before + time.monotonic() - began if spec.cost == "seconds" else steps
    return result


def _score(result: TrialResult, training: Fit, spec: TrialSpec, data: Dataset) -> None:
    """Scores of the validation pairs; where their means are no numbers, the trial diverged."""
    by = scoring(spec, data)
    scores = validate(training.model, data, by)
    scored = means(scores)
    if all(math.isfinite(value) for value in scored.values()):
        result["scores"] = scored
        result["pairs"] = {name: [_or_none(value) for value in values] for name, values in scores.items()}
        return
    # Where each pair is optimised there is no training whose loss would tell.
    shown = ", ".join(f"{words(name)} {value:g}" for name, value in scored.items())
    result["status"] = "diverged"
    result["reason"] = f"the scores of the validation pairs must be numbers, but got {shown}"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _curve(training: Fit, steps: int) -> dict[str, list[float]]:
    """Every n-th step of each term."""
    every = stride(steps, CURVE_POINTS)
    curve: dict[str, list[float]] = {"step": list(range(1, len(training.history["loss"]) + 1, every))}
    return curve | {name: values[::every] for name, values in training.history.items()}
