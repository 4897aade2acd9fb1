"""The curve behind noisy trials: what it says of points, of noise, and of the choice of lambda."""

import numpy as np
import pytest
from specs import propose, select

from regbench.study.job_specs import propose_spec, select_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.tuning.smoothing import smooth

JOB = {
    "cell": "s/d/m", "range": [0.01, 10.0], "trials": 9, "round_size": 3, "sampler": "gp", "seed": 0, "noisy": True,
    "repeats": 1, "training_seed": 5,
}  # fmt: skip
CHOICE = {
    "method": "m",
    "range": [0.01, 10.0],
    "value": None,
    "selection": "dice",
    "ndv_limit_percent": 0.5,
    "noisy": True,
}
PLACES = np.linspace(0.05, 0.95, 10)


def truth(place):
    return 0.75 - 0.3 * np.maximum(place - 0.6, 0) ** 2 - 0.05 * (place - 0.5) ** 2


def trial(number, lam, dice, ndv=0.0, **more):
    return {
        "number": number, "lam": lam, "status": "complete", "reason": "",
        "scores": {"dice": dice, "ndv_percent": ndv}, **more
    }  # fmt: skip


def lam_at(place):
    return float(f"{0.01 * 1000**place:.6g}")


def test_without_noise_the_curve_goes_through_its_points():
    found = smooth(PLACES[:, None], truth(PLACES))
    assert found.mean == pytest.approx(truth(PLACES), abs=1e-3)
    assert found.noise < 2e-3


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_noise_is_taken_for_noise(noise):
    random, errors, told = np.random.default_rng(0), [], []
    for _ in range(12):
        drawn = truth(PLACES) + noise * random.standard_normal(10)
        found = smooth(PLACES[:, None], drawn)
        errors.append(np.abs(found.mean - truth(PLACES)).mean() / np.abs(drawn - truth(PLACES)).mean())
        told.append(found.noise)
    assert np.mean(errors) < 0.85
    assert np.mean(told) == pytest.approx(noise, rel=0.5)


def test_repeats_tell_the_noise():
    """Ten points that lie on a line look exact, until one of them says something else with another seed."""
    places = np.append(PLACES, PLACES[4:6])
    scores = truth(places) + np.array([0.0] * 10 + [0.03, -0.03])
    seeds = [None] * 10 + [7, 8]
    assert smooth(places[:, None], scores, seeds).noise > 5 * smooth(PLACES[:, None], truth(PLACES)).noise


def test_what_a_seed_does_to_all_its_trials_moves_no_choice():
    """The second seed's trials lie .05 lower, all of them: the better half of the curve is theirs."""
    places = np.concatenate([PLACES[:6], PLACES[3:]])
    scores = np.concatenate([truth(PLACES[:6]), truth(PLACES[3:]) - 0.05])
    found = smooth(places[:, None], scores, [None] * 6 + [9] * 7)
    best = places[int(np.argmax(found.mean))]
    assert truth(best) > truth(PLACES).max() - 0.01


@pytest.mark.parametrize("places", [[[0.5]] * 3, [[0.1], [0.2]]])
def test_too_few_trials_have_no_curve(places):
    with pytest.raises(ValueError, match="at least 4"):
        smooth(places, [0.5] * len(places))


def test_a_lucky_trial_is_not_chosen():
    scores = truth(PLACES)
    scores[8] += 0.03  # far down the slope, and the highest of all
    found = select(
        CHOICE, [trial(k, lam_at(place), score) for k, (place, score) in enumerate(zip(PLACES, scores, strict=True))]
    )
    assert found["best_trial"]["number"] == 8
    assert found["best"]["number"] < 8
    assert found["lam"] == found["best"]["lam"]
    assert found["noise_sd"] > 0.005


def test_where_nothing_is_drawn_the_best_trial_is_chosen():
    scores = truth(PLACES)
    scores[8] += 0.03
    trials = [trial(k, lam_at(place), score) for k, (place, score) in enumerate(zip(PLACES, scores, strict=True))]
    found = select({**CHOICE, "noisy": False}, trials)
    assert found["lam"] == lam_at(PLACES[8])
    assert (found["alike"], found["flat"], found["noise_sd"]) == (None, False, None)


def test_a_plateau_is_flat_and_a_hill_is_not():
    random = np.random.default_rng(1)
    level = [trial(k, lam_at(place), 0.7 + 0.004 * random.standard_normal()) for k, place in enumerate(PLACES)]
    hill = [trial(k, lam_at(place), 0.7 - 2 * (place - 0.5) ** 2) for k, place in enumerate(PLACES)]
    flat, steep = select(CHOICE, level), select(CHOICE, hill)
    assert flat["flat"]
    assert flat["alike"][1] / flat["alike"][0] > 30
    assert not steep["flat"]
    assert steep["alike"][0] <= steep["lam"] <= steep["alike"][1]


def test_the_limit_on_folding_holds_on_the_curve_too():
    trials = [trial(k, lam_at(place), score, ndv=1.0 if place < 0.7 else 0.0) for k, (place, score) in
              enumerate(zip(PLACES, truth(PLACES), strict=True))]  # fmt: skip
    found = select({**CHOICE, "selection": "dice_ndv"}, trials)
    assert found["best_limited"]["lam"] == lam_at(PLACES[7])
    assert found["best"]["lam"] < found["lam"]


def test_the_order_of_trials_changes_no_byte():
    random = np.random.default_rng(2)
    trials = [trial(k, lam_at(place), truth(place) + 0.01 * random.standard_normal()) for k, place in enumerate(PLACES)]
    there, back = select(CHOICE, trials), select(CHOICE, trials[::-1])
    assert there["lam"] == back["lam"]
    assert sorted(there["alike"]) == sorted(back["alike"])


@pytest.mark.parametrize("scores", [[0.5] * 6, [0.5, None, 0.6, None, None, 0.55]])
def test_equal_and_missing_scores_are_no_trouble(scores):
    trials = [
        trial(k, lam_at(0.1 + 0.15 * k), score) if score is not None
        else {**trial(k, lam_at(0.1 + 0.15 * k), None, None), "status": "diverged", "reason": "loss not finite"}
        for k, score in enumerate(scores)
    ]  # fmt: skip
    assert select(CHOICE, trials)["lam"] is not None


# Repeats.


def searched(job, lower=0.0):
    """A whole search; trials of another seed are lower by so much."""
    results = []
    for number in range(-(-job["trials"] // job["round_size"])):
        for found in propose(job, number, results):
            again = {"seed": found["seed"]} if "seed" in found else {}
            dice = 0.7 - 0.02 * (np.log10(found["lam"]) + 0.5) ** 2 - (lower if again else 0)
            results.append(trial(found["number"], found["lam"], dice, **again))
    return results


def test_each_round_after_the_first_repeats_the_best_with_a_seed_of_its_own():
    found = searched(JOB)
    again = [result for result in found if "seed" in result]
    assert [result["number"] for result in again] == [4, 7]
    assert all(result["seed"] != JOB["training_seed"] for result in again)
    for result in again:
        before = [r for r in found if r["number"] < result["number"] // 3 * 3]
        assert result["lam"] in [r["lam"] for r in before]
    assert len({(r["lam"], r.get("seed")) for r in found}) == 9  # nothing is trained twice with one seed


@pytest.mark.parametrize("repeats", [1, 2])
def test_more_trials_later_keep_every_point_and_every_repeat(repeats):
    long = searched({**JOB, "trials": 9, "repeats": repeats})
    for trials in (4, 5, 8):
        assert searched({**JOB, "trials": trials, "repeats": repeats}) == long[:trials]


def test_a_grid_goes_on_behind_its_repeats():
    plain = searched({**JOB, "sampler": "grid", "repeats": 0})
    found = searched({**JOB, "sampler": "grid", "trials": 12})
    assert [r["lam"] for r in found if "seed" not in r] == [r["lam"] for r in plain]


def test_a_sampler_with_a_state_is_told_of_its_own_points_alone():
    job = {**JOB, "sampler": "cmaes", "trials": 15, "round_size": 5}
    new = [[r["lam"] for r in searched(job, lower) if "seed" not in r] for lower in (0.0, 0.4)]
    assert new[0] == new[1]


def test_one_lucky_trial_of_a_point_does_not_pass_the_limit_on_folding():
    trials = [trial(k, lam_at(place), 0.6 + 0.01 * k, 0.1) for k, place in enumerate((0.1, 0.3, 0.5, 0.7))]
    trials += [trial(4, lam_at(0.9), 0.7, 2.0), trial(5, lam_at(0.9), 0.7, 0.3, seed=9)]
    assert select({**CHOICE, "selection": "dice_ndv"}, trials)["lam"] == lam_at(0.7)


def test_a_study_without_repeats_proposes_as_before():
    plain = {key: value for key, value in JOB.items() if key not in ("repeats", "training_seed")}
    assert all("seed" not in result for result in searched(plain))


def test_what_trains_nothing_has_no_repeats_and_no_noise(tiny):
    tiny["models"] = ["voxelmorph", "instance"]
    tiny["tuning"] |= {"trials": 4, "round_size": 2, "repeats": 1}
    study = Study(load(tiny))
    dataset = study.config.datasets[0].id
    network, optimised = (propose_spec(study, dataset, f"{name}.mse.grad_l2") for name in ("voxelmorph", "instance"))
    assert (network.repeats, network.noisy) == (1, True)
    assert (optimised.repeats, optimised.noisy) == (0, False)
    assert not select_spec(study, "instance.mse.grad_l2").noisy
