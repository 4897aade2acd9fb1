"""What runs are worth on other data, against numbers made by hand."""

import numpy as np
import pandas as pd
import pytest

from regbench.report.lambda_transfers import lambda_transfers
from regbench.report.tables.transfer_tables import _transfers_shown, lambda_table, transfer_table, write_transfers
from regbench.report.transfers import transfer_entries
from regbench.study.load import load
from regbench.study.methods import Study

PAIRS = [(f"s{k}", f"s{k + 1}") for k in range(0, 24, 2)]
NOISE = np.random.default_rng(0).normal(0, 0.001, (2, len(PAIRS)))


@pytest.fixture
def study(tiny):
    """Two datasets and a test set; the rows of its cells on them differ by what each training set is worth."""
    tiny["datasets"].append({**tiny["datasets"][0], "id": "heads"})
    tiny["test_sets"] = [{"id": "others", "source": "mni152", "parameters": {"subjects": 4}}]
    tiny["evaluate_on"] = ["brains", "others"]
    return Study(load(tiny))


def rows_of(dataset, trained_on, method, dice):
    """Two seeds on twelve pairs of own subjects, whose Dice is `dice` but for a little noise of pair and seed."""
    noise = np.roll(NOISE, len(trained_on + method), axis=1)
    rows = [
        {"dataset": dataset, "trained_on": trained_on, "method": method, "seed": seed, "replicate": 0, "fixed": fixed,
         "moving": moving, "status": "complete", "dice": dice + 0.01 * place + noise[seed, place], "ndv_percent": 0.5}
        for seed in (0, 1) for place, (fixed, moving) in enumerate(PAIRS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def entries_of(study):
    names = [method.id for method in study.methods if method.tuned]
    own = pd.concat([rows_of("brains", "brains", name, 0.7 + 0.02 * place) for place, name in enumerate(names)])
    worse = {"brains": 0.6, "others": 0.5}
    transfers = [
        rows_of(other, trained, name, worse[other] - 0.02 * place)
        for trained, other in (("heads", "brains"), ("brains", "others"), ("heads", "others"))
        for place, name in enumerate(names)
    ]
    return transfer_entries(study, own.drop(columns="trained_on"), pd.concat(transfers))


def test_every_cell_stands_beside_the_one_trained_there(study):
    entries = entries_of(study)
    places = [(entry["tested_on"], entry["trained_on"], entry["method"]) for entry in entries]
    assert len(places) == len(set(places)) == 2 * 2 + 2 * 2
    by_place = dict(zip(places, entries, strict=True))
    lcc, mse = "voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"
    own, taken = by_place["brains", "brains", mse], by_place["brains", "heads", mse]
    mean = 0.7 + 0.02 + 0.01 * 5.5 + NOISE.mean()
    assert own["means"]["dice"] == pytest.approx(mean)
    noise = np.roll(NOISE, len("brains" + mse), axis=1)
    assert own["sd"] == pytest.approx(np.std(0.01 * np.arange(12) + noise.mean(0), ddof=1))
    assert own["seed_sd"] == pytest.approx(np.std(NOISE.mean(1), ddof=1))
    assert own["against_own"] is None
    assert taken["against_own"]["difference"] == pytest.approx(0.6 - 0.02 - 0.72)
    assert taken["against_own"]["verdict"] == "worse"
    assert by_place["others", "heads", mse]["against_own"] is None
    assert (own["rank"], by_place["brains", "brains", lcc]["rank"]) == (1, 2)
    assert (taken["rank"], by_place["brains", "heads", lcc]["rank"]) == (2, 1)


def test_failed_rows_are_counted_and_a_cell_without_numbers_claims_nothing(study):
    names = [method.id for method in study.methods if method.tuned]
    own = pd.concat([rows_of("brains", "brains", name, 0.7) for name in names]).drop(columns="trained_on")
    failed = rows_of("brains", "heads", names[0], np.nan).assign(status="failed")
    entries = transfer_entries(study, own, pd.concat([failed, rows_of("brains", "heads", names[1], 0.6)]))
    (entry,) = (one for one in entries if (one["trained_on"], one["method"]) == ("heads", names[0]))
    assert (entry["failed"], entry["means"]["dice"], entry["rank"]) == (24, None, None)
    assert entry["against_own"]["verdict"] == "undecided"
    summary = {"transfers": entries, "datasets": {}, "goals": {}}
    table = _transfers_shown(transfer_table(summary), "md", summary)
    assert list(table["Against own"])[2] == "undecided", "without an interval that nobody has"


def test_seeds_that_happened_to_work_make_no_mean_and_no_rank(study):
    """The cell would win by its good seed alone, as nowhere else in the tables."""
    names = [method.id for method in study.methods if method.tuned]
    good = rows_of("brains", "heads", names[0], 0.9)
    half = good.assign(dice=good["dice"].where(good["seed"] == 0)).assign(status="complete")
    entries = transfer_entries(study, half[:0], pd.concat([half, rows_of("brains", "heads", names[1], 0.6)]))
    lost, whole = entries
    assert (lost["method"], lost["means"]["dice"], lost["sd"], lost["seed_sd"], lost["rank"]) == (
        names[0], None, None, None, None
    )  # fmt: skip
    assert (whole["method"], whole["rank"]) == (names[1], 1)


def cell(dataset, model, *, lam, curve, low=0.01, high=10.0):
    lambdas = np.geomspace(low, high, 12)
    trials = [{"number": k, "lam": lam_k, "status": "complete", "scores": {"dice": curve(np.log10(lam_k))}}
              for k, lam_k in enumerate(lambdas)]  # fmt: skip
    return {"dataset": dataset, "method": f"{model}.lcc.bending", "model": model, "similarity": "lcc",
            "regularizer": "bending", "trials": trials,
            "searches": [{"lam": lam, "metrics": ["dice"], "range": [low, high]}]}  # fmt: skip


def test_a_lambda_of_another_set_costs_what_the_curve_says():
    """On a parabola the smoothed curve is the parabola, and the loss follows by hand."""
    here = cell("a", "net", lam=1.0, curve=lambda place: 0.8 - 0.05 * place**2)
    there = cell("b", "net", lam=0.1, curve=lambda place: 0.7 - 0.05 * (place + 1) ** 2)
    instance = cell("a", "instance", lam=10.0, curve=lambda place: 0.6 + 0.01 * place)
    elsewhere = cell("b", "instance", lam=200.0, curve=lambda place: 0.6 + 0.01 * place, low=0.1, high=1000.0)
    found = {(one["dataset"], one["method"], one["from_dataset"], one["from_method"]): one
             for one in lambda_transfers([here, there, instance, elsewhere])}  # fmt: skip
    assert len(found) == 8  # both ways between sets, and between models
    one = found["a", "net.lcc.bending", "b", "net.lcc.bending"]
    assert (one["own"], one["taken"]) == ([1.0, 1.0], [0.1, 0.1])
    assert one["lost"] == pytest.approx(0.05, abs=2e-3)
    assert 0 <= one["sd"] < 2e-3
    assert found["b", "net.lcc.bending", "a", "net.lcc.bending"]["lost"] == pytest.approx(0.05, abs=2e-3)
    assert found["a", "net.lcc.bending", "a", "instance.lcc.bending"]["lost"] == pytest.approx(0.05, abs=2e-3)
    outside = found["a", "instance.lcc.bending", "b", "instance.lcc.bending"]
    assert (outside["inside"], outside["lost"]) == (False, None)


def test_several_searches_are_averaged_and_shown_by_their_ends():
    """At 0.1 and at 10 the parabola is 0.05 lower than at 1, so on average half of that is lost."""
    here = cell("a", "net", lam=1.0, curve=lambda place: 0.8 - 0.05 * place**2)
    there = cell("b", "net", lam=1.0, curve=lambda place: 0.7 - 0.05 * place**2)
    there["searches"].append({**there["searches"][0], "lam": 0.1})
    (one,) = (entry for entry in lambda_transfers([here, there]) if entry["dataset"] == "a")
    assert one["taken"] == [0.1, 1.0]
    assert one["lost"] == pytest.approx(0.025, abs=2e-3)


def test_a_fixed_lambda_has_no_curve_and_is_taken_by_none():
    fixed = cell("a", "net", lam=1.0, curve=lambda place: 0.8)
    fixed |= {"trials": [], "searches": []}
    assert lambda_transfers([fixed, cell("b", "net", lam=0.1, curve=lambda place: 0.7 - place**2)]) == []


def test_a_cell_that_searched_more_than_lambda_has_no_curve_of_lambda():
    here = cell("a", "net", lam=1.0, curve=lambda place: 0.8 - 0.05 * place**2)
    more = cell("b", "net", lam=0.1, curve=lambda place: 0.7)
    more["trials"][0]["values"] = {"similarity.window": 5}
    assert lambda_transfers([here, more]) == []


def test_tables_have_four_forms(study, tmp_path):
    lambdas = lambda_transfers([
        cell("a", "net", lam=1.0, curve=lambda place: 0.8 - 0.05 * place**2),
        cell("b", "net", lam=0.1, curve=lambda place: 0.7 - 0.05 * (place + 1) ** 2),
    ])  # fmt: skip
    summary = {"study": "tiny", "methods": [], "datasets": {}, "goals": {}, "transfers": entries_of(study)}
    summary["lambda_transfers"] = lambdas
    write_transfers(summary, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{form}" for name in ("transfer", "lambda_transfer") for form in ("csv", "md", "tex", "html")
    }
    frame = transfer_table(summary)
    assert list(frame["verdict"].dropna()) == ["worse", "worse"]
    assert lambda_table(summary)["lost"].tolist() == pytest.approx([0.05, 0.05], abs=2e-3)
    text = (tmp_path / "transfer.md").read_text()
    assert "-0.140 [" in text
    assert "worse" in text
