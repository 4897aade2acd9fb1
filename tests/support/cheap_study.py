"""A study of one cell whose trials cost nothing: a formula in place of a training; all files as the jobs have them."""

import copy
import math
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from specs import proposals_of
from tiny_study import TINY

from regbench.orchestration.registries import check_component
from regbench.study.job_specs import propose_spec, select_spec, trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import canonical_json, read_sealed, write_sealed
from regbench.tuning import trial
from regbench.tuning.rounds import propose, select

METHOD = "voxelmorph.lcc.grad_l2"
DATA = SimpleNamespace(checksum="of the data")
SEARCH = [
    {"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 12], "step": 2},
    {"parameter": "training.batch", "type": "int", "range": [1, 16], "scale": "log"},
    {"parameter": "model.decoder", "type": "choice", "choices": [[8, 8, 4], [8, 4, 4], [4, 4, 4]]},
    {"parameter": "similarity.eps", "similarity": "lcc", "range": [1e-6, 1e-2], "scale": "log"},
]


def one_cell(folder, sampler, trials, *, size=3, per_job=2, seed=0, seeds=(0, 1), **more):
    """A config of one cell, read back from its JSON as each job does."""
    raw = {**copy.deepcopy(TINY), "results": str(folder), "seeds": list(seeds)}
    raw["grid"]["similarities"] = ["lcc"]
    raw["tuning"] |= {"sampler": sampler, "trials": trials, "round_size": size, "trials_per_job": per_job, "seed": seed}
    raw["tuning"] |= {
        "search": copy.deepcopy(SEARCH),
        "objective": "dice_ndv" if sampler == "nsga2" else "dice",
        **more,
    }
    first = Study(load(raw, check_component))
    write_sealed(Path(folder) / "config.json", first.config.model_dump(mode="json"))
    return Study(load(read_sealed(Path(folder) / "config.json"), check_component))


def cheap(spec, data, proposal, **more):
    """A trial without a training: it diverges below a lambda."""
    lam, values = proposal.point.lam, dict(proposal.point.values)
    assert type(values["similarity.window"]) is int
    assert values["similarity.window"] % 2 == 1
    assert type(values["training.batch"]) is int
    dice = 0.7 - 0.02 * (math.log10(lam) + 1) ** 2 - 0.001 * abs(values["similarity.window"] - 7)
    diverged = lam < 0.03
    again = {} if proposal.seed is None else {"seed": proposal.seed}
    # As `run_trial` has it, cut to what proposals and the choice read.
    return {"number": proposal.number, "lam": lam, "values": values, **again,
            "status": "diverged" if diverged else "complete",
            "reason": "loss not finite at step 2" if diverged else "", "cost": 3,
            "scores": {} if diverged else {"dice": dice, "ndv_percent": 0.01 / lam}}  # fmt: skip


@contextmanager
def counted():
    """Trials are cheap, and the numbers of those that ran are listed."""
    ran = []

    def run(spec, data, proposal, **more):
        ran.append(proposal.number)
        return cheap(spec, data, proposal, **more)

    whole, trial.run_trial = trial.run_trial, run
    try:
        yield ran
    finally:
        trial.run_trial = whole


def work(study, draw=None, replicate=0):
    """Every job of a search, as Snakemake orders them; with `draw`, jobs of a round in any order, some lost midway."""
    lay = study.layout
    for number in range(study.rounds(METHOD)):
        files = study.trial_files("brains", METHOD, number, replicate)
        earlier = [row for path in files for row in read_sealed(path)]
        at = lay.proposals("brains", METHOD, number, replicate)
        proposals = propose(propose_spec(study, "brains", METHOD, number, replicate), number, earlier)
        write_sealed(at, [proposal.to_json() for proposal in proposals])
        jobs = study.batches(METHOD, number)
        if draw:
            draw.shuffle(jobs)
            jobs += [job for job in jobs if draw.random() < 0.4]  # run again: the output was lost
        for first, last in jobs:
            state = lay.trial_state("brains", METHOD, replicate)
            if draw and draw.random() < 0.3:  # the trial itself is lost, too
                (state / f"trial{number * study.config.tuning.round_size + first:03d}.json").unlink(missing_ok=True)
            job = trial_spec(study, METHOD, replicate)
            results = trial.run_trials(job, DATA, proposals_of(read_sealed(at)[first : last + 1]), state)
            write_sealed(lay.trials("brains", METHOD, number, (first, last), replicate), results)
    files = study.trial_files("brains", METHOD, replicate=replicate)
    results = [row for path in files for row in read_sealed(path)]
    chosen = select(select_spec(study, METHOD, replicate), results)
    return sorted(results, key=lambda row: row["number"]), canonical_json(chosen)
