"""Any sampler, any space: the same points for any order of workers, and after rounds are added to a finished study."""

import json
import math
import warnings

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import propose, select, to_propose_spec

from regbench.orchestration.registries import check_component
from regbench.study.job_specs import final_spec, propose_spec, search_of
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.study.specs import DimensionSpec, GoalSpec, SearchSpec
from regbench.system.errors import UsageError
from regbench.system.files import canonical_json
from regbench.training.pruning import verdict
from regbench.tuning.rounds import affordable
from regbench.tuning.space import Point, anchors, dimensions, halton, lattice, primes, rounded, value_at
from regbench.tuning.trial_results import pruning_against

SEARCH = [
    {"name": "similarity.window", "type": "int", "range": [3, 15], "scale": "linear", "step": 2},
    {"name": "training.learning_rate", "type": "float", "range": [1e-4, 1e-2], "scale": "log"},
]
JOB = {"cell": "s/d/m", "range": [0.01, 10.0], "trials": 8, "round_size": 3, "sampler": "tpe", "seed": 0}
SPACES = {"lambda": [], "three": SEARCH, "choice": [{"name": "model.flow", "type": "choice", "choices": ["a", "b"]}]}
SAMPLERS = ("gp", "tpe", "cmaes", "random", "grid", "nsga2")


def job_of(sampler, space="lambda", **more):
    objective = "dice_ndv" if sampler == "nsga2" else "dice"
    return {**JOB, "sampler": sampler, "search": SPACES[space], "objective": objective, **more}


def outcome(proposal):
    lam, values = proposal["lam"], proposal.get("values", {})
    dice = 0.7 - 0.02 * (math.log10(lam) + 0.5) ** 2 - 0.001 * abs(values.get("similarity.window", 9) - 9)
    diverged = lam < 0.02
    return {**{key: value for key, value in proposal.items() if key != "prune"}, "reason": "",
            "status": "diverged" if diverged else "complete",
            "scores": {} if diverged else {"dice": dice, "ndv_percent": 0.1 / lam}}  # fmt: skip


def run(job, order=lambda proposals: proposals):
    results, number = [], 0
    while number * job["round_size"] < job["trials"]:
        results += [outcome(each) for each in order(propose(job, number, results))]
        number += 1
    return sorted(results, key=lambda result: result["number"])


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_workers_and_added_rounds_change_nothing(sampler, space):
    job = job_of(sampler, space)
    whole = run(job)
    assert whole == run(job, lambda proposals: proposals[::-1])
    assert run({**job, "trials": 6}) == whole[:6]
    assert [result["number"] for result in whole] == list(range(8))
    for result in whole:
        point = Point.from_json(result)
        assert rounded(to_propose_spec(job), point) == point
        for dimension in dimensions(to_propose_spec(job)):
            value = point.coordinates()[dimension.name]
            if dimension.type == "choice":
                assert value in dimension.choices
            else:
                assert dimension.range[0] <= value <= dimension.range[1]
                assert (value - dimension.range[0]) % (dimension.step or 1e-30) < 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["tpe", "cmaes", "random", "grid", "nsga2"]), st.permutations(range(3)))
def test_any_seed_and_any_order(seed, sampler, order):
    job = job_of(sampler, "three", seed=seed)
    assert run(job) == run(job, lambda found: [found[k] for k in order if k < len(found)])


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_constraint_is_heeded(sampler):
    free, bound = (run(job_of(sampler, ndv_limit_percent=limit, trials=12)) for limit in (None, 0.02))
    # Feasible from lambda 5; the free optimum is at 0.3.
    assert np.median([r["lam"] for r in bound[3:]]) > np.median([r["lam"] for r in free[3:]])


def test_halton_by_hand():
    assert [halton(k, 2) for k in (1, 2, 3, 4)] == [0.5, 0.25, 0.75, 0.125]
    assert halton(4, 3) == pytest.approx(4 / 9)


@given(st.floats(0, 1, exclude_max=True))
def test_integers_keep_their_step(share):
    assert value_at(DimensionSpec.from_json(SEARCH[0]), share) in range(3, 16, 2)


def test_a_step_that_does_not_fill_its_range(recwarn):
    """3 to 8 by 2 is 3, 5, 7; Optuna would warn at every proposal."""
    space = [{"name": "similarity.window", "type": "int", "range": [3, 8], "scale": "linear", "step": 2}]
    job = {**job_of("tpe"), "search": space}
    assert {result["values"]["similarity.window"] for result in run(job)} <= {3, 5, 7}
    assert not recwarn.list


def test_values_reach_their_places(tiny):
    tiny["grid"]["similarities"] = [{"name": "lcc", "parameters": {"eps": 1.0}}]
    spec = final_spec(Study(load(tiny)), "voxelmorph.lcc.grad_l2", 0)
    changed = Point(0.5, {"similarity.window": 5, "training.learning_rate": 0.1, "similarity.eps": 2.0}).apply(spec)
    assert changed.similarity.parameters == {"eps": 2.0, "window": 5}
    assert changed.training == spec.training.model_copy(update={"learning_rate": 0.1})
    assert (changed.lam, changed.model, changed.regularizer) == (0.5, spec.model, spec.regularizer)
    assert (spec.lam, spec.similarity.parameters) == (None, {"eps": 1.0})


def test_budgets():
    job = {**JOB, "budget": {"unit": "steps", "amount": 100}, "steps": 40}
    assert affordable(to_propose_spec(job), [], 3) == 2
    assert affordable(to_propose_spec(job), [{"cost": 10}, {"cost": 40}], 3) == 1
    assert affordable(to_propose_spec(job), [{"cost": 80}], 3) == 0
    assert affordable(to_propose_spec({**job, "budget": {"unit": "seconds", "amount": 10.0}}), [{"cost": 3.0}], 3) == 2
    assert propose({**job, "budget": {"unit": "steps", "amount": 30}}, 0, []) == []


def test_what_is_chosen_has_its_values():
    choice = {"method": "m", "range": [0.01, 10.0], "value": None, "selection": "dice", "ndv_limit_percent": 0.5}
    results = run(job_of("tpe", "three"))
    chosen = select({**choice, "search": SEARCH}, results)
    best = max((r for r in results if r["scores"]), key=lambda r: r["scores"]["dice"])
    assert (chosen["lam"], chosen["values"]) == (best["lam"], best["values"])


def reported(number, pairs, status="complete"):
    return {"number": number, "status": status, "scores": {"dice": float(np.mean(pairs)), "ndv_percent": 0.0},
            "reports": [{"step": 4, "scores": {"dice": list(pairs)}}]}  # fmt: skip


def ends(rule, earlier, pairs, metric="dice"):
    """Whether a trial with these scores of pairs is ended."""
    reference = pruning_against(rule, [4], GoalSpec(metrics=(metric,)), earlier)
    return bool(verdict(reference, 4, {metric: list(pairs)}, {metric: float(np.mean(pairs))}))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_pruners_agree_with_optuna(seed, count):
    draw = np.random.default_rng(seed)
    earlier = [reported(k, draw.normal(0.5, 0.05, 12)) for k in range(count)]
    mine = draw.normal(0.48, 0.05, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rule in ("median", "wilcoxon"):
            study = optuna.create_study(direction="maximize")
            for result in earlier:
                pairs = result["reports"][0]["scores"]["dice"]
                steps = dict(enumerate(pairs)) if rule == "wilcoxon" else {4: float(np.mean(pairs))}
                study.add_trial(optuna.trial.create_trial(value=result["scores"]["dice"], intermediate_values=steps))
            trial = study.ask()
            if rule == "median":
                study.pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0)
                trial.report(float(mine.mean()), 4)
            else:
                study.pruner = optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=2)
                for step, value in enumerate(mine):
                    trial.report(value, step)
            assert ends(rule, earlier, mine) == trial.should_prune(), rule


def test_halving_keeps_the_better_half():
    earlier = [reported(k, [value] * 3, "pruned") for k, value in enumerate((0.1, 0.2, 0.3))]
    assert [ends("halving", earlier, [value] * 3) for value in (0.15, 0.25, 0.35)] == [True, False, False]
    assert not ends("halving", [], [0.0])


def test_the_config_names_every_mistake(tiny):
    tiny["tuning"]["search"] = [
        {"parameter": "similarity.windw", "similarity": "lcc", "type": "int", "range": [3, 9]},
        {"parameter": "training.learning_rat", "range": [0.1, 0.2]},
        {"parameter": "similarity.window", "similarity": "lccc", "type": "int", "range": [9, 3]},
        {"parameter": "training.learning_rate", "range": [-1, 0.2]},
    ]
    tiny["tuning"]["sampler"] = "nsga2"
    with pytest.raises(UsageError) as caught:
        load(tiny, check_component)
    for words in (
        "did you mean `window`", "did you mean `learning_rate`", "did you mean `lcc`", "range must rise",
        "training.learning_rate: input should be greater than 0",
    ):  # fmt: skip
        assert words in str(caught.value), str(caught.value)


WHOLE = [
    {"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 9.0], "step": 2},
    {"parameter": "similarity.bins", "similarity": "mi", "type": "int", "range": [8, 64], "scale": "log"},
    {"parameter": "training.batch", "type": "int", "range": [1, 4]},
    {"parameter": "model.decoder", "type": "choice", "choices": [[8, 8, 4], [4, 4, 4]]},
    {"parameter": "regularizer.spacing", "type": "choice", "choices": [None, [1.0, 2.0]]},
    {"parameter": "similarity.eps", "similarity": "lcc", "type": "choice", "choices": ["1e-5", 1]},
    {"parameter": "training.learning_rate", "range": [1, "2e0"]},
]


def json_of(study, method):
    return [dimension.to_json() for dimension in search_of(study, method)]


def test_whole_numbers_stay_whole_in_the_json_that_jobs_read(tiny):
    tiny["tuning"]["search"], tiny["grid"]["similarities"] = WHOLE, ["lcc", "mi"]
    study = Study(load(tiny, check_component))
    again = Study(load(json.loads(json.dumps(study.config.model_dump(mode="json"))), check_component))
    for name in ("voxelmorph.lcc.grad_l2", "voxelmorph.mi.grad_l2"):
        assert canonical_json(json_of(again, name)) == canonical_json(json_of(study, name))
    found = {each["name"]: each for each in json_of(again, "voxelmorph.lcc.grad_l2")}
    assert canonical_json(found["similarity.window"]["range"]) == "[3,9]"
    assert canonical_json(found["similarity.eps"]["choices"]) == "[1e-05,1]"
    assert canonical_json(found["training.learning_rate"]["range"]) == "[1.0,2.0]"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"parameter": "similarity.window", "similarity": "lcc", "range": [3, 9]}, "valid integer"),
        ({"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 9]}, "odd .* but got 4"),
        ({"parameter": "similarity.window", "type": "int", "range": [3, 10], "step": 7}, "odd .* but got 10"),
        ({"parameter": "similarity.window", "type": "int", "range": [3, 12], "step": 3}, "odd .* but got 6"),
        ({"parameter": "similarity.eps", "similarity": "lcc", "range": [0.0, 0.1]}, "eps must be positive"),
        ({"parameter": "training.batch", "range": [1, 4]}, "valid integer"),
        ({"parameter": "similarity.window", "similarity": "lcc", "type": "choice", "choices": [3, 5, 3]}, "distinct"),
        ({"parameter": "training.batch", "type": "int", "range": [1, math.inf]}, "finite number"),
    ],
)
def test_a_dimension_that_no_trial_could_use_is_refused(tiny, entry, words):
    tiny["tuning"]["search"] = [entry]
    with pytest.raises(UsageError, match=words):
        load(tiny, check_component)


@pytest.mark.parametrize(
    "entry", [{"range": [3, 12], "step": 2}, {"range": [3, 4], "step": 2}, {"range": [3, 11], "step": 4}]
)
def test_an_end_that_no_step_reaches_may_be_even(tiny, entry):
    tiny["tuning"]["search"] = [{"parameter": "similarity.window", "similarity": "lcc", "type": "int", **entry}]
    load(tiny, check_component)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_come_back_as_they_were_declared(sampler):
    space = [
        {"name": "similarity.window", "type": "int", "range": [3, 15], "scale": "linear", "step": 2},
        {"name": "similarity.bins", "type": "int", "range": [8, 64], "scale": "log"},
        {"name": "model.decoder", "type": "choice", "choices": [[8, 8], [4, 4], {"a": 1}, None, "x"]},
    ]
    for result in run({**job_of(sampler), "search": space, "trials": 12}):
        values = json.loads(json.dumps(result["values"]))
        assert (type(values["similarity.window"]), type(values["similarity.bins"])) == (int, int)
        assert values["similarity.window"] in range(3, 16, 2)
        assert values["similarity.bins"] in range(8, 65)
        assert values["model.decoder"] in space[2]["choices"]


def test_dimensions_reach_the_cells_that_they_name(tiny):
    tiny["tuning"]["search"] = [
        {"parameter": "similarity.window", "similarity": "lcc", "type": "int", "range": [3, 9], "step": 2},
        {"parameter": "training.learning_rate", "range": [1e-4, 1e-2], "scale": "log"},
    ]
    study = Study(load(tiny, check_component))
    assert [dimension.name for dimension in search_of(study, "voxelmorph.lcc.grad_l2")] == [
        "similarity.window", "training.learning_rate"]  # fmt: skip
    assert [dimension.name for dimension in search_of(study, "voxelmorph.mse.grad_l2")] == ["training.learning_rate"]


def test_added_rounds_change_no_earlier_slice(tiny):
    more = {**tiny, "tuning": {**tiny["tuning"], "trials": 8}}
    jobs = [propose_spec(Study(load(raw)), "brains", "voxelmorph.lcc.grad_l2", 1) for raw in (tiny, more)]
    assert jobs[0] == jobs[1]


def test_a_space_of_many_dimensions_leaves_none_out():
    assert [prime for prime, _ in zip(primes(), range(12), strict=False)] == [
        2,
        3,
        5,
        7,
        11,
        13,
        17,
        19,
        23,
        29,
        31,
        37,
    ]
    search = tuple(DimensionSpec(name=f"weight.w{k}", range=(0.1, 10.0), scale="log") for k in range(20))
    spec = SearchSpec(range=(0.01, 1.0), search=search)
    wanted = {dimension.name for dimension in dimensions(spec)}
    for point in (*anchors(spec, 3), lattice(spec, 0)):
        assert set(point.coordinates()) == wanted
