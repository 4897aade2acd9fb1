"""Searched weights of further terms: points, proposals, choices, runs by hand, and the data that terms need."""

import copy

import numpy as np
import pytest
from data_files import nifti
from specs import propose, to_propose_spec
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data.prepare import prepare
from regbench.orchestration.registries import check_component
from regbench.study.job_specs import final_spec, prepare_spec, propose_spec, select_spec, trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import read_sealed
from regbench.tuning.chosen_run import run_at
from regbench.tuning.rehearsal import first_look, rehearse
from regbench.tuning.rounds import select
from regbench.tuning.space import Point, at_choice

TERMS = [
    "grad_l2",
    {"name": "jacobian", "id": "jac", "weight": {"range": [0.01, 100]}},
    {"name": "bending", "weight": 0.1},
]
CELL = "voxelmorph.lcc.sum"


def study_of(raw, terms=TERMS, **tuning):
    raw = copy.deepcopy(raw)
    raw["grid"] = {"similarities": ["lcc"], "regularizers": [{"id": "sum", "terms": terms}]}
    raw["tuning"] |= tuning
    return Study(load(raw, check_component))


def weights_of(spec):
    return [(term.id, term.weight) for term in spec.terms]


def test_a_point_gives_the_weights(tiny):
    spec = trial_spec(study_of(tiny), CELL)
    assert weights_of(spec) == [("jac", None), ("bending", 0.1)]
    applied = Point(0.5, {"weight.jac": 7.0, "similarity.window": 5}).apply(spec)
    assert weights_of(applied) == [("jac", 7.0), ("bending", 0.1)]
    assert (applied.lam, applied.similarity.parameters) == (0.5, {"window": 5})
    assert weights_of(at_choice(spec, {"lam": 0.1, "values": {"weight.jac": 2.0}})) == [("jac", 2.0), ("bending", 0.1)]
    assert weights_of(at_choice(spec, {"lam": None})) == weights_of(spec)


@pytest.mark.parametrize("sampler", ["gp", "tpe", "cmaes", "random", "grid"])
def test_weights_are_proposed_in_their_range_and_every_round_the_same(tiny, sampler):
    study = study_of(tiny, sampler=sampler, trials=6, round_size=3)
    spec = propose_spec(study, "brains", CELL).to_json()
    results = []
    for number in range(2):
        proposed = propose(spec, number, results)
        assert proposed == propose(spec, number, list(reversed(results)))
        for entry in proposed:
            weight = entry["values"]["weight.jac"]
            assert 0.01 <= weight <= 100
            assert weight == float(f"{weight:.6g}")
            dice = 0.7 - 0.02 * (np.log10(weight) - 1) ** 2
            results.append({**entry, "status": "complete", "reason": "", "cost": 3,
                            "scores": {"dice": dice, "ndv_percent": 0.1}})  # fmt: skip
    assert len({entry["values"]["weight.jac"] for entry in results}) == 6
    chosen = select(select_spec(study, CELL), results)
    best = max(results, key=lambda entry: entry["scores"]["dice"])
    assert chosen["best_trial"]["number"] == best["number"]
    assert set(chosen["values"]) == {"weight.jac"}
    assert to_propose_spec(spec).trials == 6


def test_a_run_by_hand_has_the_weights_that_are_given(tiny):
    study = study_of(tiny)
    assert weights_of(run_at(study, CELL, 0, 0.5, ["jac=3"]).spec) == [("jac", 3.0), ("bending", 0.1)]
    assert weights_of(run_at(study, CELL, 0, 0.5, ["jac=3", "bending=2e-1"]).spec) == [("jac", 3.0), ("bending", 0.2)]
    single = Study(load(copy.deepcopy(TINY), check_component))
    assert run_at(single, "voxelmorph.lcc.grad_l2", 0, 0.5).spec == final_spec(
        single, "voxelmorph.lcc.grad_l2", 0
    ).model_copy(update={"lam": 0.5})
    for given, words in (
        ([], "--lam needs a weight of jac, which is searched: --weight jac=NUMBER"),
        (["jc=1"], "did you mean `jac`"),
        (["jac"], "as ID=NUMBER, but got 'jac'"),
        (["jac=0"], "must give a positive number"),
        (["jac=nan"], "must give a positive number"),
        (["jac=x"], "must give a positive number"),
    ):
        with pytest.raises(UsageError, match=words):
            run_at(study, CELL, 0, 0.5, given)
    with pytest.raises(UsageError, match="no further term"):
        run_at(single, "voxelmorph.lcc.grad_l2", 0, 0.5, ["jac=1"])
    with pytest.raises(UsageError, match="--lam must be a positive number"):
        run_at(single, "voxelmorph.lcc.grad_l2", 0, 0.0)


def test_the_verbs_of_a_search_by_hand(tiny, tmp_path, capsys):
    import yaml

    raw = copy.deepcopy(tiny)
    raw["grid"] = {"similarities": ["lcc"], "regularizers": [{"id": "a+b", "terms": TERMS}]}
    raw["tuning"] |= {"trials": 2}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    cell = [str(path), "--method", "voxelmorph.lcc.a+b"]
    main(["prepare", str(path)])
    main(["propose", *cell, "--round", "0"])
    main(["trial", *cell, "--round", "0"])
    main(["select", *cell])
    main(["train", *cell, "--seed", "0"])
    lay = Study(load(raw)).layout
    chosen = read_sealed(lay.selected("brains", "voxelmorph.lcc.a+b", 0))
    record = read_sealed(lay.run_record("brains", "voxelmorph.lcc.a+b", 0))
    assert record["job"]["terms"][0]["weight"] == chosen["values"]["weight.jac"]
    (trials,) = Study(load(raw)).trial_files("brains", "voxelmorph.lcc.a+b")
    assert "term.jac" in read_sealed(trials)[0]["curve"]
    main(["train", *cell, "--seed", "0", "--lam", "0.5", "--weight", "jac=4", "--out", str(tmp_path / "run")])
    assert read_sealed(tmp_path / "run" / "run.json")["job"]["terms"][0]["weight"] == 4.0
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["train", *cell, "--seed", "0", "--weight", "jac=4"])
    assert end.value.code == 2
    assert "--weight must stand beside --lam" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("terms", "shape", "words"),
    [
        ([*TERMS], (16, 2, 16), r"grid.regularizers\[0\].terms\[2\]: `bending`: .* at least 3 .*\(cells: vox"),
        (["grad_l2", {"name": "gradicon", "weight": 1, "parameters": {"spacing": [1.0]}}], (32, 32),
         r"regularizers\[0\].terms\[1\].parameters.spacing: `gradicon`: spacing must be 2"),
    ],
)  # fmt: skip
def test_a_term_that_does_not_fit_the_images_is_named(tiny, terms, shape, words):
    study = Study(load({**tiny, "grid": {"similarities": ["mse"], "regularizers": [{"id": "s", "terms": terms}]}}))
    with pytest.raises(RegbenchError, match=words.replace("lcc", "mse")):
        rehearse(study, "d", shape, ("s0", "s1"), ())


def test_terms_that_fit_pass(tiny):
    terms = [*TERMS, *({"name": name, "weight": 1} for name in ("gradicon", "dice", "landmark_distance"))]
    for shape in ((32, 32), (96, 96, 96)):
        rehearse(study_of(tiny, terms), "d", shape, (), ())


def test_what_terms_must_know_is_asked_of_the_training_subjects(tiny, tmp_path):
    """From the files before they are prepared, and of what is prepared, where a term was added since."""
    root, random = tmp_path / "bare", np.random.default_rng(0)
    for number in range(6):
        nifti(root / "images" / f"s{number}.nii.gz", random.random((24, 24, 1), dtype=np.float32))
    raw = copy.deepcopy(tiny)
    raw["datasets"] = [{"id": "brains", "source": "folder", "parameters": {"path": str(root)},
                        "splits": {"train": 2, "validation": 2, "test": 2}}]  # fmt: skip
    terms = ["grad_l2", {"name": "dice", "weight": 1}, {"name": "landmark_distance", "weight": 1}]
    study = study_of(raw, terms, objective="similarity.lcc")
    assert first_look(study_of(raw, ["grad_l2"], objective="similarity.lcc"), "brains") is not None
    words = (
        r"(?s)terms\[1\]: `dice` must have labels of the training subjects of dataset `brains`, but they have none.*"
        r"terms\[2\]: `landmark_distance` must have landmarks of the training subjects .* fewer than two"
    )
    with pytest.raises(RegbenchError, match=words):
        first_look(study, "brains")
    prepare(prepare_spec(study, "brains"), study.layout.data("brains"))
    with pytest.raises(RegbenchError, match=words):
        first_look(study, "brains")
