"""What a reader is warned of: each fault in one sentence, and no word where there is none."""

import copy

import numpy as np
import pytest

from regbench.report.caveats import caveats, made_by
from regbench.training.convergence import second_half

SPACING = {"brains": {"spacing_mm": [2.0, 2.0], "pairs": {"test": [[f"s{k}", f"s{k + 1}"] for k in range(0, 8, 2)]}}}
HERE = {
    "code": {"git_commit": "0123abcdef", "git_dirty": False, "regbench": "1"},
    "packages": {"python": "3.11.1", "torch": "2.8", "numba": "0.61", "mlflow": "3.1"},
    "device": "cpu (x86_64), 1 thread",
    "system": "Linux x86_64",
    "compiled_losses": True,
}


def identity(dice=0.5):
    return {
        "dataset": "brains", "method": "identity", "control": False, "runs": [], "trials": [], "failed_rows": 0,
        "reasons": [], "metrics": {"dice": {"mean": dice}, "displacement_mm": {"mean": 0.0}},
    }  # fmt: skip


def cell(name="m.lcc.bending", dice=0.7, seeds=4, **changes):
    selected = {"lam": 0.1, "range": [0.01, 1.0], "edge": False}
    runs = [{"seed": seed, "status": "complete", "environment": HERE} for seed in range(seeds)]
    trials = [{"number": number, "scores": {}, "environment": HERE} for number in range(6)]
    entry = identity(dice) | {"method": name, "model": "m", "trained": True, "selected": selected}
    entry |= {"runs": runs, "trials": trials}
    entry["metrics"]["displacement_mm"] = {"mean": 3.0}
    entry |= changes
    return entry | {"made_by": made_by(entry)}


DICE = {"brains": {"objective": ["dice"], "selection": ["dice"], "leading": "dice"}}
TRE = {"brains": {"objective": ["tre_mm"], "selection": ["tre_mm"], "leading": "tre_mm"}}


def warned(*entries, manifests=SPACING, steps=None, before=None, goals=DICE):
    return caveats([identity() if before is None else before, *entries], manifests, goals, steps=steps)


def test_a_sound_study_has_none():
    assert warned(cell(), cell("m.mse.bending")) == []


def test_controls_are_warned_of_nothing():
    control = cell("control_sort", 0.02, runs=[], trials=[], trained=False)
    assert warned(cell(), {**control, "control": True}) == []


def test_an_edge_says_the_range():
    chosen = {"lam": 0.0102, "range": [0.01, 1.0], "edge": True}
    (text,) = warned(cell(selected=chosen), cell("m.mse.bending"))
    assert text == "brains/m.lcc.bending: lambda 0.0102 is at the edge of its range [0.01, 1]; widen it"
    (text,) = warned(cell(selected=chosen), cell("m.mse.bending", selected=chosen))
    assert text == (
        "2 lambdas are at the edge of their range; widen it: brains/m.lcc.bending (0.0102 in [0.01, 1]), "
        "brains/m.mse.bending (0.0102 in [0.01, 1])"
    )
    searches = [chosen, {**chosen, "edge": False, "lam": 0.3}, {**chosen, "lam": 0.99}]
    assert "2 lambdas" in warned(cell(searches=searches))[0]


def test_a_range_that_was_found_at_the_end_of_what_was_tried_is_said_once_for_all_models():
    (text,) = warned(cell(range_at_end=True), cell("n.lcc.bending", range_at_end=True))
    assert text == (
        "brains/lcc.bending: its range of lambda, [0.01, 1], was found where the search for it ended; give one in "
        "`lambdas`"
    )
    (text,) = warned(cell(range_at_end=True), cell("m.mse.bending", range_at_end=True))
    assert text.startswith("2 ranges of lambda were found where the search for them ended; give them in `lambdas`: br")


def test_an_atlas_is_not_counted_as_a_test_subject():
    to_atlas = {"brains": {**SPACING["brains"], "pairs": {"test": [["atlas", f"s{k}"] for k in range(5)]}}}
    assert any("5 test subjects" in text for text in warned(cell(), manifests=to_atlas))


def test_no_lambda_is_at_no_edge():
    """Where every trial diverged there is none; its rows say why."""
    assert not [text for text in warned(cell(selected={"lam": None, "range": [1, 2], "edge": True})) if "edge" in text]


def test_lambdas_within_noise():
    flat = {"lam": 0.1, "range": [0.01, 1], "flat": True}
    (text,) = warned(cell(searches=[{**flat, "alike": [0.0123, 0.3]}, {**flat, "alike": [0.02, 0.9], "flat": False}]))
    assert text == (
        "brains/m.lcc.bending: its trials do not tell its lambdas apart, 0.012 to 0.3: another search may choose "
        "another"
    )
    (text,) = warned(cell(searches=[flat, {**flat, "flat": False}]))
    assert "its lambdas apart: another" in text
    many = [cell(f"m.lcc.r{k}", selected={"lam": 0.1, "range": [0.01, 1], "flat": True}) for k in range(8)]
    (text,) = warned(*many, cell("m.mse.bending"))
    assert text.startswith("8 of 9 tuned cells have lambdas that their trials do not tell apart")
    assert text.endswith("brains/m.lcc.r5 and 2 more")


def test_failed_rows_are_put_together_by_their_reason():
    (text,) = warned(cell(failed_rows=2, reasons=["loss not finite"]))
    assert text == "brains/m.lcc.bending: 2 rows failed: loss not finite"
    found = warned(
        cell(failed_rows=2, reasons=["why"]),
        cell("m.mse.bending", failed_rows=3, reasons=["why"]),
        cell("m.gcc.bending", failed_rows=1, reasons=["other"]),
    )
    assert found == [
        "2 methods have failed rows (why): brains/m.lcc.bending (2 rows), brains/m.mse.bending (3 rows)",
        "brains/m.gcc.bending: 1 rows failed: other",
    ]


def test_worse_than_no_registration():
    (text,) = warned(cell(dice=0.4))
    assert text == "brains/m.lcc.bending: mean Dice is below identity: the registration did not work"
    assert warned(cell(dice=float("nan"))) == []  # all failed; its rows say so
    assert warned(cell(dice=None)) == []  # the same, read back from JSON


@pytest.mark.parametrize(
    ("dice", "displacement", "expected"),
    [(0.5, 3.0, True), (0.5 + 1e-9, None, True), (0.5001, 0.02, True), (0.4999, 0.08, True), (0.5001, 0.2, False)],
)
def test_a_model_that_moves_nothing(dice, displacement, expected):
    """By its displacement, in voxels of 2 mm, or where rows have none by a Dice that is identity's to the digit."""
    entry = cell(dice=dice)
    entry["metrics"]["displacement_mm"] = {"mean": displacement}
    found = warned(entry)
    assert bool(found) == expected
    assert all("moves nothing" in text for text in found)
    assert warned(identity()) == []


def by_tre(entry, tre):
    """An entry of a dataset that has landmarks and no labels."""
    return {**entry, "metrics": {"tre_mm": {"mean": tre}, "displacement_mm": entry["metrics"]["displacement_mm"]}}


@pytest.mark.parametrize(
    ("tre", "displacement", "expected"),
    [
        (16.25, None, "it moves nothing: its TRE is that of no registration"),
        (16.2499, 0.02, "it moves nothing: its TRE is that of no registration, mean displacement 0.02 mm"),
        (17.0, 3.0, "mean TRE is above identity: the registration did not work"),
        (16.0, 3.0, None),
    ],
)
def test_without_labels_landmarks_tell_what_moves_nothing_and_what_makes_it_worse(tre, displacement, expected):
    entry = by_tre(cell(), tre)
    entry["metrics"]["displacement_mm"] = {"mean": displacement}
    found = warned(entry, before=by_tre(identity(), 16.25), goals=TRE)
    assert len(found) == (expected is not None)
    assert all(text.startswith(f"brains/m.lcc.bending: {expected}") for text in found)


def test_a_choice_by_a_similarity_is_said():
    goals = {"brains": {"objective": ["similarity.lcc"], "selection": ["similarity.lcc"], "leading": "similarity.lcc"}}
    (text,) = warned(goals=goals)
    assert text.startswith("brains: lambda was chosen by similarity.lcc of validation pairs, not by labels")


def test_longer_trainings_gain_tre_by_less_of_it():
    cells = [longer(f"m.lcc.r{k}", 0) for k in range(3)]
    for entry, gain in zip(cells, (0.5, 0.6, 0.4), strict=True):
        for run in entry["runs"]:
            run["validation"] = {"tre_mm": 6 - gain}
        for trial in entry["trials"]:
            trial["scores"] = {"tre_mm": 6.0}
    (text,) = warned(
        *(by_tre(entry, 5.0) for entry in cells), before=by_tre(identity(), 16.0), goals=TRE, steps=(200, 400)
    )
    assert "say -0.50 validation TRE for twice the steps" in text


def test_one_training_claims_nothing_and_few_claim_little():
    assert "nothing is claimed about the losses" in warned(cell(seeds=1))[0]
    assert warned(cell(seeds=2))[0].startswith("2 trainings of each cell")
    assert warned(cell(seeds=4)) == []
    assert warned(cell(seeds=1, trained=False)) == []  # where nothing is drawn, one is all
    assert warned(cell(seeds=4), cell("i.lcc.bending", seeds=1, trained=False)) == []


def test_few_test_subjects():
    few = {"brains": {**SPACING["brains"], "pairs": {"test": [["a", "b"], ["b", "c"], ["c", "a"]]}}}
    (text,) = warned(cell(), manifests=few)
    assert text.startswith("brains: 3 test subjects")


def test_where_each_number_was_made():
    other = {**HERE, "device": "H100"}
    entry = cell()
    entry["runs"][1]["environment"] = other
    found = made_by(entry)
    assert [(group["environment"]["device"], group["runs"], len(group["trials"])) for group in found] == [
        (HERE["device"], [0, 2, 3], 6), ("H100", [1], 0),
    ]  # fmt: skip
    assert made_by({"runs": [], "trials": [{"number": 0}]}) == []  # of an older regbench


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"compiled_losses": False}, "compiled losses no, not yes"),
        ({"repeatable": True}, "repeatable yes, not none"),
        ({"device": "H100"}, "device H100, not cpu (x86_64), 1 thread"),
        ({"packages": {**HERE["packages"], "torch": "2.9"}}, "torch 2.9, not 2.8"),
        ({"packages": {**HERE["packages"], "python": "3.12.0"}}, "python 3.12.0, not 3.11.1"),
        ({"packages": {"python": "3.11.1", "torch": "2.8", "mlflow": "2"}}, "numba none, not 0.61"),
        ({"code": {**HERE["code"], "git_commit": "fedcba9876"}}, "commit fedcba98, not 0123abcd"),
        ({"code": {**HERE["code"], "git_dirty": True}}, "uncommitted changes yes, not no"),
    ],
)
def test_one_environment_mixed_with_another(change, expected):
    entry = copy.deepcopy(cell())
    entry["runs"][2]["environment"] = {**HERE, **change}
    entry["trials"][5]["environment"] = {**HERE, **change}
    (text,) = warned({**entry, "made_by": made_by(entry)}, cell("m.mse.bending"))
    assert text == (f"made in another environment than the rest ({expected}): brains/m.lcc.bending (seed 2; 1 trial)")


def test_a_package_that_makes_no_number_is_no_other_environment():
    entry = copy.deepcopy(cell())
    entry["runs"][2]["environment"] = {**HERE, "packages": {**HERE["packages"], "mlflow": "2"}}
    assert warned({**entry, "made_by": made_by(entry)}) == []


def test_numbers_may_be_missing_everywhere():
    bare = {key: value for key, value in cell().items() if key not in ("made_by", "selected")}
    assert warned({**bare, "metrics": {"dice": {"mean": np.nan}}}) == []


def curve(steps, scale, *, noise=0.05, seed=0):
    """A similarity that falls from 1 to 0.2 with a time scale, seen on random pairs."""
    time = np.arange(steps)
    return 0.2 + 0.8 * np.exp(-time / scale) + np.random.default_rng(seed).normal(0, noise, steps)


def test_what_the_second_half_gained_by_hand():
    """A straight fall from 1 to 0: 0.5 in the middle, 0.1 in the last fifth, 0.99 at first."""
    found = second_half(np.linspace(1, 0, 100))
    assert found["share"] == pytest.approx(0.4 / 0.89, rel=0.01)
    assert found["se"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("steps", [110, 440, 1760])
def test_a_curve_that_has_come_to_rest_gains_nothing_in_its_second_half(steps):
    short, long = second_half(curve(steps, steps / 2)), second_half(curve(steps, steps / 20))
    assert short["share"] > 0.15
    assert abs(long["share"]) < 4 * long["se"]
    other = second_half(5 - 3 * (1 - curve(steps, steps / 2)))
    assert other["share"] == pytest.approx(short["share"])  # on any scale


def test_its_error_is_that_of_repetitions():
    found = [second_half(curve(200, 60, seed=seed)) for seed in range(300)]
    scatter = np.std([each["share"] for each in found])
    assert np.mean([each["se"] for each in found]) == pytest.approx(scatter, rel=0.15)


@pytest.mark.parametrize("values", [[1.0] * 10, [1.0] * 40, [1.0] * 39 + [np.nan], list(range(40)), []])
def test_a_curve_that_says_nothing(values):
    assert second_half(values) is None


def improving(name="m.lcc.bending", share=0.2, error=0.02, **changes):
    entry = cell(name, **changes)
    for run in entry["runs"]:
        run["second_half"] = {"share": share, "se": error}
    return entry


def test_trainings_that_were_still_improving():
    (text,) = warned(improving(), improving("m.mse.bending", share=0.045), cell("m.gcc.bending"))
    assert text == (
        "brains: 1 of 3 cells of m were still improving at their end, give more `training.steps` (in the second half "
        "came of the fall of the training similarity: lcc.bending 20 %)"
    )
    assert warned(improving(share=0.09, error=0.1)) == []  # within its error
    assert len(warned(improving(share=0.15, error=0.1))) == 1  # that of four trainings is half as large
    assert warned(improving(trained=False)) == []


def longer(name, gain, trial=0.6, **changes):
    """A cell whose trial at the chosen lambda reached less than its trainings; another trial is far from it."""
    entry = cell(name, **changes)
    for run in entry["runs"]:
        run |= {"lam": 0.1, "validation": {"dice": trial + gain}}
    # Two trials of the nearest lambda are one witness: their mean.
    near, far = (
        {"status": "complete", "lam": lam, "scores": {"dice": dice}} for lam, dice in ((0.11, trial), (5.0, 0.1))
    )
    twice = [{**near, "scores": {"dice": trial + step}} for step in (-0.01, 0.01)]
    return entry | {"trials": [far, *twice, {"status": "pruned", "lam": 0.1, "scores": {"dice": 0.2}}]}


def test_longer_trainings_that_beat_the_trials():
    cells = [longer(f"m.lcc.r{k}", gain) for k, gain in enumerate((0.05, 0.06, 0.04))]
    (text,) = warned(*cells, steps=(200, 400))
    assert text == (
        "brains: the cells of m were still improving at their end, give more `training.steps` (trials of 200 steps and "
        "trainings of 400 say +0.050 validation Dice for twice the steps)"
    )
    assert "+0.025" in warned(*cells, steps=(200, 800))[0]
    assert warned(*cells, steps=(200, 200)) == []
    much = [longer(f"m.lcc.r{k}", gain) for k, gain in enumerate((0.3, 0.31, 0.29))]
    assert warned(*much, steps=(20, 2000)) == []  # so many doublings say nothing of the last one
    assert len(warned(*much, steps=(200, 400))) == 1
    assert warned(*cells[:2], steps=(200, 400)) == []
    assert warned(*cells) == []
    assert warned(*(longer(f"m.lcc.r{k}", gain) for k, gain in enumerate((0.2, -0.05, -0.02))), steps=(200, 400)) == []


def test_both_reasons_are_one_warning():
    cells = [longer(f"m.lcc.r{k}", 0.05) for k in range(3)]
    cells[0]["runs"][0]["second_half"] = {"share": 0.3, "se": 0.01}
    (text,) = warned(*cells, steps=(200, 400))
    assert "1 of 3 cells of m" in text
    assert "lcc.r0 30 %; trials of 200 steps" in text


def test_twice_the_steps_are_a_better_witness_than_the_curve():
    cells = [longer(f"m.lcc.r{k}", gain) for k, gain in enumerate((0.002, 0.003, 0.001))]
    for run in cells[0]["runs"]:
        run["second_half"] = {"share": 0.3, "se": 0.01}
    assert warned(*cells, steps=(200, 400)) == []
    assert len(warned(*cells, steps=(200, 200))) == 1
