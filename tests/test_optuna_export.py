"""Trials through pruning to an Optuna storage: a sink that says what the files say."""

import math

import optuna
import pytest

from regbench import plan
from regbench.config import load
from regbench.data.cache import load as load_data
from regbench.data.prepare import prepare
from regbench.files import write_json
from regbench.optuna_export import export_optuna
from regbench.trial import run_trials
from regbench.tune import propose

METHOD = "voxelmorph.lcc.grad_l2"


@pytest.fixture
def searched(tiny):
    tiny["tuning"] |= {"steps": 8, "pruner": "median", "budget": "steps", "budget_amount": 40, "sampler": "tpe"}
    tiny["tuning"]["search"] = [{"parameter": "training.learning_rate", "range": [1e-4, 1e-2], "scale": "log"}]
    tiny["grid"]["similarities"] = ["lcc"]
    config = load(tiny)
    lay = plan.layout(config)
    prepare(plan.prepare_job(config, "brains"), lay.data("brains"))
    data, results = load_data(lay.data("brains")), []
    for number in range(2):
        proposals = propose(plan.propose_job(config, "brains", METHOD, number), number, results)
        found = run_trials(plan.trial_job(config, METHOD), data, proposals, lay.trial_state("brains", METHOD))
        write_json(lay.trials("brains", METHOD, number, 0, 1), found)
        results += found
    return config, results


def test_pruned_trials_and_their_export(searched, tmp_path):
    config, results = searched
    assert [len(result["reports"]) for result in results[:2]] == [2, 2], "the first round has nothing to fall short of"
    for result in results:
        assert result["values"]["training.learning_rate"] > 0
        assert result["cost"] == (8 if result["status"] == "complete" else result["reports"][-1]["step"])
    url = f"sqlite:///{tmp_path}/optuna.db"
    assert export_optuna(config, url)["written"] == 1
    assert export_optuna(config, url)["unchanged"] == 1
    study = optuna.load_study(study_name=f"tiny/brains/{METHOD}", storage=url)
    states = {"complete": "COMPLETE", "pruned": "PRUNED"}
    assert [trial.state.name for trial in study.trials] == [states[result["status"]] for result in results]
    for trial, result in zip(study.trials, results, strict=True):
        assert math.isclose(trial.value, result["dice"])
        assert trial.params == {"lam": result["lam"], **result["values"]}
