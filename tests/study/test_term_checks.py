"""Regularizers of several terms in a config: what may stand together, and what follows from it."""

import copy
import json

import pytest
import yaml
from tiny_study import TINY

from regbench.cli.main import main
from regbench.orchestration.registries import check_component
from regbench.study.job_specs import propose_spec, range_spec, search_of, select_spec, train_spec, trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.study.specs import TrainSpec, TrialSpec
from regbench.system.errors import UsageError
from regbench.system.files import canonical_json

SUM = {
    "id": "grad+jac",
    "terms": [
        {"name": "grad_l2"},
        {"name": "jacobian", "id": "jac", "weight": {"range": [0.01, 100]}},
        {"name": "inverse_consistency", "weight": 0.1},
    ],
}
CELL = "voxelmorph.lcc.grad+jac"


def raw_with(regularizers, **more):
    raw = copy.deepcopy(TINY)
    raw["grid"]["regularizers"] = regularizers
    for key, value in more.items():
        raw[key] = {**raw[key], **value} if isinstance(raw.get(key), dict) else value
    return raw


def study_with(regularizers, **more):
    return Study(load(raw_with(regularizers, **more), check_component))


def mistakes_of(regularizers, **more):
    with pytest.raises(UsageError) as error:
        load(raw_with(regularizers, **more), check_component)
    return str(error.value)


def listed(*terms, **more):
    return [{"id": "sum", "terms": ["grad_l2", *terms], **more}]


def weighted(name, weight=1, **more):
    return {"name": name, "weight": weight, **more}


@pytest.mark.parametrize(
    ("regularizers", "more", "key", "words"),
    [
        (listed(weighted("jacobian", 0)), {}, "regularizers[0].terms[1].weight", "greater than 0, but got 0"),
        (listed(weighted("jacobian", -2)), {}, "regularizers[0].terms[1].weight", "greater than 0, but got -2"),
        (listed(weighted("jacobian", float("nan"))), {}, "regularizers[0].terms[1].weight", "finite number"),
        (listed(weighted("jacobian", float("inf"))), {}, "regularizers[0].terms[1].weight", "finite number"),
        (listed(weighted("jacobian", "big")), {}, "regularizers[0].terms[1].weight", "valid number, but got 'big'"),
        (listed(weighted("jacobian", True)), {}, "regularizers[0].terms[1].weight", "valid number, but got True"),
        (listed(weighted("jacobian", {"range": [1, 0.1]})), {}, "terms[1].weight", "range must rise"),
        (listed(weighted("jacobian", {"range": [1]})), {}, "terms[1].weight.range", ""),
        (listed(weighted("jacobian", {"rnge": [1, 2]})), {}, "terms[1].weight.rnge", "did you mean `range`"),
        (listed("jacobian"), {}, "terms[1].weight", "is required: a number, or {range: [low, high]}"),
        ([{"id": "a", "terms": [weighted("grad_l2")]}], {}, "terms[0].weight", "must be left out"),
        (listed(weighted("jacobian"), weighted("jacobian")), {}, "terms[2].id", "`jacobian` is given twice"),
        (listed(weighted("jacobian"), weighted("bending", id="Jacobian")), {}, "terms", "differ in more than case"),
        (["grad_l2", {"id": "grad_l2", "terms": ["bending"]}], {}, "grid.regularizers", "'grad_l2' is given twice"),
        ([{"name": "grad_l2", "terms": ["grad_l2"]}], {}, "regularizers[0]", "exclude each other"),
        ([{"id": "a", "terms": ["grad_l2"], "parameters": {"spacing": [1.0, 1.0]}}], {}, "[0].parameters",
         "give each of the `terms` its own"),
        ([{"id": "a", "terms": []}], {}, "regularizers[0].terms", "must not be empty"),
        ([{"id": "a", "terms": "grad_l2"}], {}, "regularizers[0].terms", "array"),
        ([{"id": "a"}], {}, "regularizers[0].name", "is required, unless `terms` are given"),
        ([{"id": "a+", "terms": ["grad_l2"]}, {"id": "+a", "name": "bending"}], {}, "regularizers[1].id", "pattern"),
        (["dice"], {}, "regularizers[0]", "`dice` must stand behind a regularizer among `terms`"),
        (listed(weighted("dice")), {"models": ["instance"]}, "terms[1]", "`dice` does not fit models[0], `instance`"),
        (listed(weighted("landmark_distance")), {"models": ["voxelmorph", "instance"]}, "terms[1]", "its landmarks"),
        (listed(weighted("dice")), {"training": {"dice_weight": 1}}, "terms[1]", "is the same term, in every cell"),
        (listed(weighted("affine_identity_l2")), {}, "terms[1]", "does not fit model `voxelmorph`"),
        (listed(weighted("bending")), {"models": ["affine"]}, "terms[1]", "does not fit model `affine`"),
        (listed(weighted("gradicn")), {}, "terms[1].name", "did you mean `gradicon`"),
        (listed(weighted("jacobian", parameters={"margn": 1.0})), {}, "terms[1].parameters.margn", "`margin`"),
        (listed(weighted("jacobian", {"range": [1, 2]})), {"lambdas": [{"value": 1}]}, "terms[1].weight",
         "cannot be searched where lambda is fixed, and lambdas[0] fixes it"),
        (listed(weighted("jacobian")), {"tuning": {"fairness": "trials_per_weight"}}, "tuning.fairness", "no effect"),
        (listed(weighted("jacobian")), {"training": {"directions": "two"}}, "training.directions", "'one' or 'both'"),
        (["gradicon"], {"tuning": {"budget": "steps", "budget_amount": 4}}, "tuning.budget_amount",
         "one trial of 3 steps, each of two forward passes"),
        (listed(weighted("no.such:function")), {}, "terms[1].name", "must be importable"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key(regularizers, more, key, words):
    lines = mistakes_of(regularizers, **more).splitlines()[1:]
    assert any(key in line and words in line for line in lines), lines


def test_all_mistakes_are_said_at_once(tmp_path, capsys):
    wrong = [
        *listed(weighted("jacobian", -1), weighted("affine_identity_l1"), weighted("dice")),
        {"id": "b", "terms": []},
        {"name": "bending", "terms": ["bending"]},
    ]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw_with(wrong, models=["voxelmorph", "instance"], training={"dice_weight": 1})))
    with pytest.raises(SystemExit) as end:
        main(["check", str(path)])
    assert end.value.code == 2
    said = capsys.readouterr().err
    for words in ("greater than 0", "does not fit model `voxelmorph`", "does not fit models[1]", "not be empty",
                  "exclude each other", "is the same term"):  # fmt: skip
        assert words in said


def test_a_fixed_lambda_of_another_cell_forbids_no_search():
    rules = [{"regularizer": "sum", "range": [0.1, 1]}, {"value": 1.0}]
    assert study_with([*listed(weighted("jacobian", {"range": [1, 2]})), "bending"], lambdas=rules)


def test_what_a_job_reads_back_is_the_same():
    study = study_with([SUM, "bending", {"terms": ["grad_l1", weighted("bending", 2)]}])
    dumped = study.config.model_dump(mode="json")
    again = load(json.loads(json.dumps(dumped)), check_component)
    assert again == study.config
    assert dumped["grid"]["regularizers"][0]["terms"][0] == {"name": "grad_l2", "id": "grad_l2", "parameters": {}}
    assert dumped["grid"]["regularizers"][1] == {"name": "bending", "id": "bending", "parameters": {}}
    assert [method.id for method in study.methods[1:4]] == [
        CELL, "voxelmorph.lcc.bending", "voxelmorph.lcc.grad_l1+bending"
    ]  # fmt: skip


def test_the_short_form_takes_terms(tmp_path):
    from data_files import folder_of

    raw = {"study": "six", "data": str(folder_of(tmp_path / "data")), "models": ["voxelmorph"],
           "similarities": ["lcc"], "regularizers": ["grad_l2", SUM], "steps": 30}  # fmt: skip
    assert [one.id for one in load(raw, check_component).grid.regularizers] == ["grad_l2", "grad+jac"]
    raw["regularizers"][1] = {**SUM, "terms": [*SUM["terms"], weighted("bending", 0)]}
    with pytest.raises(UsageError, match=r"regularizers\[1\].terms\[3\].weight: .*greater than 0"):
        load(raw, check_component)


def test_specs_hold_the_terms_and_nothing_new_without_any():
    study = study_with([SUM, "grad_l2"])
    spec = train_spec(study, CELL, seed=0, steps=4)
    assert spec.regularizer.name == "grad_l2"
    assert [(term.id, term.name, term.weight) for term in spec.terms] == [
        ("jac", "jacobian", None), ("inverse_consistency", "inverse_consistency", 0.1)
    ]  # fmt: skip
    assert TrainSpec.from_json(json.loads(canonical_json(spec.to_json()))) == spec
    plain = train_spec(study, "voxelmorph.lcc.grad_l2", seed=0, steps=4)
    assert "terms" not in plain.to_json()
    assert plain.code != spec.code  # the modules of its terms are in it
    assert TrialSpec.from_json(trial_spec(study, CELL).to_json()).terms == spec.terms


def test_a_searched_weight_is_a_dimension():
    eps = {"parameter": "similarity.eps", "similarity": "lcc", "range": [1e-6, 1e-4]}
    study = study_with([SUM, "grad_l2"], tuning={"search": [eps]})
    assert [(one.name, one.range, one.scale) for one in search_of(study, CELL)] == [
        ("weight.jac", (0.01, 100.0), "log"),
        ("similarity.eps", (1e-6, 1e-4), "linear"),
    ]
    assert [one.name for one in search_of(study, "voxelmorph.lcc.grad_l2")] == ["similarity.eps"]
    assert select_spec(study, CELL).search == propose_spec(study, "brains", CELL).search


def test_a_keyword_of_the_first_term_can_be_searched():
    one = {"parameter": "regularizer.spacing", "type": "choice", "choices": [[1.0, 1.0], [2.0, 1.0]]}
    assert study_with([{"id": "icon", "terms": ["gradicon", weighted("bending")]}], tuning={"search": [one]})
    assert "`gradicon` has no parameter `margin`" in mistakes_of(
        ["gradicon"], tuning={"search": [{"parameter": "regularizer.margin", "range": [0, 1]}]}
    )


@pytest.mark.parametrize(("fairness", "counts"), [("trials", (5, 5)), ("trials_per_weight", (10, 5))])
def test_both_rules_of_fairness(fairness, counts):
    study = study_with([SUM, "grad_l2"], tuning={"fairness": fairness, "trials": 5})
    cells = (CELL, "voxelmorph.lcc.grad_l2")
    assert tuple(study.trials(cell) for cell in cells) == counts
    assert [sum(study.round_size(cell, n) for n in range(study.rounds(cell))) for cell in cells] == list(counts)
    assert [propose_spec(study, "brains", cell).trials for cell in cells] == list(counts)
    # A round that is there knows no later ones: more trials change no earlier proposal.
    assert propose_spec(study, "brains", CELL, number=0).trials == 2
    assert study.batches(CELL, study.rounds(CELL) - 1) == [(0, 1 if counts[0] == 10 else 0)]


def test_a_budget_counts_forward_passes():
    budget = {"budget": "steps", "budget_amount": 12, "fairness": "trials_per_weight"}
    study = study_with([SUM, "grad_l2", "gradicon"], tuning=budget)
    cells = (CELL, "voxelmorph.lcc.grad_l2", "voxelmorph.lcc.gradicon")
    specs = [propose_spec(study, "brains", cell) for cell in cells]
    assert [(spec.steps, spec.budget.amount) for spec in specs] == [(6, 24), (3, 12), (6, 12)]
    assert [study.passes(cell) for cell in cells] == [2, 1, 2]
    assert [train_spec(study, cell, seed=0, steps=4).passes for cell in cells] == [2, 1, 2]
    both = study_with([SUM, "grad_l2"], training={"directions": "both"})
    assert [both.passes(cell) for cell in cells[:2]] == [2, 2]


def test_the_range_of_lambda_is_that_of_the_first_term():
    study = study_with([SUM, "grad_l2"], lambdas=[])
    one, other = (range_spec(study, "lcc", name) for name in ("grad+jac", "grad_l2"))
    assert one == other


def test_fewest_letters_of_an_id(tmp_path):
    many = study_with([{"terms": ["grad_l2", *(weighted("jacobian", id=f"j{k}" + "x" * 20) for k in range(9))]}])
    (method,) = many.methods[1:2]
    assert len(method.regularizer.id) <= 64
