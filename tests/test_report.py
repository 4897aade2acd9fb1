"""Numbers of the tables: seeds averaged first, SD over cases, one rounding rule, honest marks."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from regbench.analyze import _ranked, _spread
from regbench.compare import compare_methods
from regbench.files import _finite
from regbench.report import tables
from regbench.report.details import grid_table, selection_table, significance_table, structures_table, write_details
from regbench.report.figures import dice_figure, lambda_figure
from regbench.report.judging import (
    difference_figure,
    hypervolume,
    pareto_figure,
    pareto_front,
    speed_figure,
    stability_figure,
)
from regbench.report.qualitative import write_thumbnail
from regbench.report.tables import caption, main_table, runtime_table, terminal_table, write_main


def entry(method, dice, sd=0.01, **changes):
    model, similarity, regularizer = (None, None, None) if method == "identity" else ("voxelmorph", *method.split("."))
    metrics = {"dice": dice, "fold_central_percent": 0.12345, "ndv_percent": 0.00005, "endpoint_error_mm": 2.0}
    return {
        "dataset": "brains", "method": method, "model": model, "similarity": similarity, "regularizer": regularizer,
        "lam": None if method == "identity" else 0.123456, "edge": False, "trials": [], "runs": [], "rank": None,
        "pairs": 30, "failed_rows": 0, "reasons": [], "selected": {"range": [0.01, 1.0]},
        "metrics": {
            name: {"mean": value, "sd": sd, "seed_sd": 0.001, "median": value, "infinite": 0, "cases": 30}
            for name, value in metrics.items()
        },
        "dice30": 0.5,
        "structures": [{"label": 1, "name": "a", "dice_mean": dice, "dice_sd": sd, "dice_cases": 30}], **changes,
    }  # fmt: skip


def summary(*entries):
    manifest = {"shape": [80, 96], "spacing_mm": [2.0, 2.0], "labels": {"1": "a"}, "data_sha256": "0"}
    made = {
        "study": "s", "seeds": [0, 1], "selection": "dice", "ndv_limit_percent": 0.5, "steps": 10,
        "datasets": {"brains": manifest}, "methods": _ranked(list(entries)), "warnings": [],
        "comparisons": {},
    }  # fmt: skip
    return json.loads(json.dumps(_finite(made)))  # as `analyze` stores it


CELLS = (entry("identity", 0.9), entry("lcc.bending", 0.7004), entry("mse.bending", 0.6996), entry("gcc.bending", 0.65))


def test_seeds_are_averaged_before_the_spread_over_cases():
    rows = pd.DataFrame(
        {"fixed": ["a", "a", "b", "b"], "moving": ["c"] * 4, "seed": [0, 1, 0, 1], "dice": [0.5, 0.7, 0.8, 0.9]}
    )
    found = _spread(rows, "dice")
    assert found["mean"] == pytest.approx((0.6 + 0.85) / 2)
    assert found["sd"] == pytest.approx(np.std([0.6, 0.85], ddof=1))
    assert found["seed_sd"] == pytest.approx(np.std([0.65, 0.8], ddof=1))


def test_seeds_that_happened_to_work_do_not_make_a_mean():
    """Otherwise a method would be rewarded for diverging; the row says `failed`, and why."""
    rows = pd.DataFrame({"fixed": ["a", "a"], "moving": ["c"] * 2, "seed": [0, 1], "dice": [0.5, np.nan]})
    assert np.isnan(_spread(rows, "dice")["mean"])


def test_a_pair_that_failed_is_left_out_and_counted():
    rows = pd.DataFrame(
        {"fixed": list("aabb"), "moving": ["c"] * 4, "seed": [0, 1, 0, 1], "dice": [0.5, np.nan, 0.6, 0.8]}
    )
    found = _spread(rows, "dice")
    assert (found["mean"], found["cases"]) == (pytest.approx(0.7), 1)


def test_an_infinite_distance_is_counted_and_the_median_stands():
    rows = pd.DataFrame({"fixed": list("abc"), "moving": ["d"] * 3, "seed": [0] * 3, "hd95_mm": [1.0, 2.0, np.inf]})
    found = _spread(rows, "hd95_mm")
    assert (found["infinite"], found["median"]) == (1, 2.0)
    assert not np.isfinite(found["mean"])
    made = entry("lcc.bending", 0.7)
    made["metrics"]["hd95_mm"] = found
    text = tables._shown(main_table(summary(CELLS[0], made)), {}, "md").to_string()
    assert "median 2.00 (1 infinite)" in text
    assert "vanished" in caption(summary(CELLS[0], made))


def test_ranks_leave_identity_and_failures_out():
    ranked = _ranked(
        [entry("identity", 0.9), entry("lcc.bending", 0.6), entry("mse.bending", 0.7), entry("gcc.x", np.nan)]
    )
    assert [one["rank"] for one in ranked] == [None, 2, 1, None]


def test_rounding_is_by_the_metric():
    frame = main_table(summary(*CELLS))
    assert list(frame["dice_mean"]) == [0.9, 0.7, 0.7, 0.65]
    assert frame["fold_central_percent_mean"][0] == pytest.approx(0.123)
    assert frame["ndv_percent_mean"][0] == pytest.approx(0.0001, abs=1e-4)


def test_best_and_second_are_marked_by_the_printed_number(tmp_path):
    write_main(summary(*CELLS), tmp_path, {})
    text = (tmp_path / "main.md").read_text()
    dice = [line.split("|")[6].strip() for line in text.splitlines() if "| brains" in line]
    assert dice == ["0.900 ± 0.010", "**0.700** ± 0.010", "**0.700** ± 0.010", "<u>0.650</u> ± 0.010"]


def test_a_failed_cell_says_so(tmp_path):
    write_main(summary(CELLS[0], CELLS[1], entry("gcc.bending", np.nan, failed_rows=30)), tmp_path, {})
    assert "failed" in (tmp_path / "main.md").read_text()
    assert not re.search(r"\bnan\b", (tmp_path / "main.md").read_text(), re.IGNORECASE)


def test_latex_is_balanced_and_escaped(tmp_path):
    write_main(summary(*CELLS), tmp_path, {})
    text = (tmp_path / "main.tex").read_text()
    assert r"\textbf{0.700}" in text
    assert r"\underline{0.650}" in text
    assert r"\toprule" in text
    body = "\n".join(line.removesuffix("%") for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#]", body)
    assert not re.search(r"(?<!\\)_", re.sub(r"\\label\{[^}]*\}", "", body))
    assert body.count("{") == body.count("}")


def test_the_caption_says_what_convention_changes():
    text = caption(summary(*CELLS))
    for expected in (
        "ddof 1",
        "2 seeds",
        "nearest neighbour",
        "80x96",
        "best validation Dice",
        "lower is better",
        "10 training",
    ):
        assert expected in text


def test_the_terminal_table_starts_with_identity():
    lines = terminal_table(summary(*CELLS)).splitlines()
    assert "identity" in lines[1]
    assert "lcc" in lines[2]
    assert max(map(len, lines)) <= 100


def test_runtime_quotes_the_median_and_quartiles():
    rows = pd.DataFrame(
        {
            "dataset": "d",
            "method": "m",
            "seed": [0, 0, 1, 1],
            "inference_seconds": [0.001, 0.002, 0.003, np.nan],
            "pipeline_seconds": [0.004, 0.005, 0.007, np.nan],
            "peak_memory_mib": 5.0,
            "parameters": 12,
            "training_seconds": [10.0, 10.0, 14.0, 14.0],
            "device": "cpu",
        }
    )
    found = runtime_table(rows).iloc[0]
    assert (found["inference_ms_median"], found["inference_ms_q1"], found["inference_ms_q3"]) == (2.0, 1.5, 2.5)
    assert found["pairs"] == 3
    assert (found["pipeline_ms_median"], found["parameters"], found["training_s_median"]) == (5.0, 12, 12.0)


def test_a_mean_over_the_pairs_that_worked_says_so(tmp_path):
    """A method that fails on the hard pairs must not pass for the best in print."""
    lucky = entry("mse.bending", 0.9, failed_rows=25, runs=[{"seed": 0}, {"seed": 1}])
    made = summary(CELLS[0], entry("lcc.bending", 0.7), lucky)
    frame, form = main_table(made), "md"
    shown = tables._shown(frame, {}, form)
    assert shown["failed"].tolist() == ["0", "0", "25 of 60"]
    assert "the means are of the pairs that have one" in caption(made)
    sound = summary(*CELLS)
    assert "failed" not in tables._shown(main_table(sound), {}, form)
    assert "Failed" not in caption(sound)


def test_a_baseline_has_times_but_neither_parameters_nor_a_training(tmp_path):
    common = {"dataset": "brains", "seed": 0, "inference_seconds": 0.5, "pipeline_seconds": 0.6, "peak_memory_mib": 5.0}
    rows = pd.DataFrame(
        [
            {"method": "identity", **common, "inference_seconds": np.nan, "device": None},
            {"method": "sitk_demons", **common, "device": "cpu (x), 1 thread"},
            {"method": "lcc.bending", **common, "parameters": 12, "training_seconds": 9.0, "device": "H100"},
        ]
    )
    made = summary(CELLS[0], {**entry("identity", 0.6), "method": "sitk_demons"}, CELLS[1])
    tables.write_runtime(rows, made, tmp_path, {})
    text = (tmp_path / "runtime.md").read_text()
    assert re.search(r"sitk_demons .*\| – +\| – +\| cpu \(x\), 1 thread", text)  # noqa: RUF001
    assert re.search(r"lcc.bending .*\| 12 +\| 9.0 +\| H100", text)
    speed_figure(made, rows, tmp_path)
    frame = pd.read_csv(tmp_path / "runtime_dice.csv")
    assert frame["series"].tolist() == ["sitk_demons", "voxelmorph.lcc"]
    assert frame["device"].tolist() == ["cpu (x), 1 thread", "H100"]
    assert "devices differ" in (tmp_path / "runtime_dice.svg").read_text()
    speed_figure(made, rows.iloc[:1], tmp_path)
    assert "nothing timed" in (tmp_path / "runtime_dice.svg").read_text()


def test_figures_have_the_same_bytes_each_time(tmp_path):
    trials = [
        {"number": k, "lam": 10.0**k, "dice": 0.5 + k / 10, "ndv_percent": 0.1, "status": "complete"} for k in range(3)
    ]
    made = summary(CELLS[0], entry("lcc.bending", 0.7, trials=trials, lam=10.0))
    rows = pd.DataFrame(
        {
            "dataset": "d",
            "method": ["a", "a", "b", "b"],
            "fixed": list("ffff"),
            "moving": list("mnmn"),
            "dice": [0.1, 0.2, 0.3, 0.4],
        }
    )
    for folder in (tmp_path / "a", tmp_path / "b"):
        lambda_figure(made, folder)
        dice_figure(rows, folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["dice.csv", "dice.png", "dice.svg", "lambda.csv", "lambda.png", "lambda.svg"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_study_without_trials_has_its_figure_too(tmp_path):
    lambda_figure(summary(*CELLS), tmp_path)
    assert (tmp_path / "lambda.png").exists()


def compared(scores, **changes):
    """A summary whose comparisons come from these Dice scores: method to one number a pair."""
    pairs = [(f"s{a}", f"s{b}") for a in range(4) for b in range(4) if a != b]
    rows = pd.DataFrame(
        [
            {"method": method, "seed": 0, "fixed": fixed, "moving": moving, "dice": value}
            for method, values in scores.items()
            for (fixed, moving), value in zip(pairs, values, strict=True)
        ]
    )
    cells = {method: ("voxelmorph", *method.split(".")) for method in scores if method != "identity"}
    made = summary(*(entry(name, float(np.mean(values))) for name, values in scores.items()))
    found = {"brains": compare_methods(rows, cells)}
    return {**made, "comparisons": json.loads(json.dumps(_finite(found))), **changes}


@pytest.fixture(scope="module")
def grid():
    """A full 2 x 2 grid: lcc is better by 0.2, and bending adds 0.1 to it alone."""
    noise = np.random.default_rng(0).normal(0, 0.01, (5, 12))
    means = {"identity": 0.3, "lcc.bending": 0.8, "lcc.grad_l2": 0.7, "mse.bending": 0.5, "mse.grad_l2": 0.5}
    return compared({name: mean + noise[k] for k, (name, mean) in enumerate(means.items())})


def test_comparisons_find_what_was_planted(grid):
    found = significance_table(grid)
    against = found[found["family"] == "against_best"].set_index("a")
    assert set(against["b"]) == {"lcc.bending"}
    assert against.loc["lcc.grad_l2", "significant"]
    assert against.loc["lcc.grad_l2", "mean_difference"] == pytest.approx(-0.1, abs=0.02)
    assert against.loc["lcc.grad_l2", "ci_high"] < 0
    same = found[(found["family"] == "pairs") & (found["a"] == "mse.bending") & (found["b"] == "mse.grad_l2")]
    assert not same["significant"].item()
    assert len(found[found["family"] == "against_identity"]) == 4
    effects = grid_table(grid).set_index(["term", "similarity", "regularizer"])
    assert effects.loc[("similarity", "lcc", "*"), "effect"] == pytest.approx(0.125, abs=0.01)
    assert effects.loc[("interaction", "lcc", "bending"), "effect"] == pytest.approx(0.025, abs=0.01)


def test_who_is_not_worse_than_the_best_is_marked():
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 12))
    made = compared({"lcc.bending": 0.7 + noise[0], "lcc.grad_l2": 0.7 + noise[1], "mse.bending": 0.5 + noise[2]})
    text = tables._shown(main_table(made), tables._like_best(made), "md").set_index(["similarity", "regularizer"])
    cells = text[next(name for name in text if name.startswith("dice"))]
    best = made["comparisons"]["brains"]["voxelmorph"]["dice"]["best"].split(".")
    other = ["lcc", "grad_l2" if best[1] == "bending" else "bending"]
    assert "†" not in cells[tuple(best)]
    assert "†" in cells[tuple(other)]
    assert "†" not in cells["mse", "bending"]


def test_so_few_pairs_that_nothing_can_be_said_is_said():
    rows = pd.DataFrame(
        [
            {"method": method, "seed": 0, "fixed": f"s{k}", "moving": "t", "dice": value + 0.01 * k}
            for method, value in (("lcc.a", 0.7), ("mse.a", 0.5))
            for k in range(4)
        ]
    )
    found = compare_methods(rows, {"lcc.a": ("m", "lcc", "a"), "mse.a": ("m", "mse", "a")})
    assert found["m"]["dice"]["against_best"][0]["too_few"]
    made = {**summary(*CELLS), "comparisons": {"brains": found}}
    assert tables._like_best(made) == {("brains", "dice"): set()}


def test_details_are_written_in_four_forms_with_equal_bytes(grid, tmp_path):
    trials = [{"number": 0, "lam": 0.1, "dice": 0.5, "ndv_percent": 0.1, "status": "complete"}]
    chosen = {"lam": 0.1, "dice": 0.5, "ndv_percent": 0.1, "number": 0}
    for method in grid["methods"][1:]:
        method |= {"trials": trials, "selected": {"by_dice": chosen, "by_dice_ndv": None, "range": [0.01, 1.0]}}
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_details(grid, folder)
        for draw in (pareto_figure, difference_figure, stability_figure):
            draw(grid, folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    stems = ("per_structure", "selection", "significance", "grid")
    assert {f"{stem}.{form}" for stem in stems for form in ("csv", "md", "tex", "html")} <= set(names)
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert selection_table(grid)["by_dice_ndv_lambda"].isna().all()
    assert set(structures_table(grid)["name"]) == {"a"}


def test_a_pareto_front_by_hand():
    dice, ndv = np.array([0.5, 0.6, 0.55, 0.7]), np.array([0.0, 1.0, 2.0, 3.0])
    front = pareto_front(dice, ndv)
    np.testing.assert_array_equal(front, [[0.5, 0.0], [0.6, 1.0], [0.7, 3.0]])
    assert hypervolume(front, 0.4, 4.0) == pytest.approx(0.1 * 1 + 0.2 * 2 + 0.3 * 1)


def test_methods_that_all_tie_are_no_error(tmp_path):
    made = compared({"lcc.a": np.full(12, 0.5), "mse.a": np.full(12, 0.5), "gcc.a": np.full(12, 0.5)})
    stability_figure(made, tmp_path)
    difference_figure(made, tmp_path)
    assert not significance_table(made)["significant"].any()


def test_a_thumbnail_shows_the_median_pair_upright_and_its_folds(tmp_path):
    fixed, determinant = np.zeros((4, 6), np.float32), np.ones((4, 6), np.float32)
    fixed[3, 5] = 1  # the end of both axes: right, up
    determinant[0, 0] = -0.5  # left, down
    parts = {"fixed": fixed, "moving": fixed, "moved": fixed, "determinant": determinant}
    stored = {f"median_{name}": values for name, values in parts.items()} | {
        "median_about": np.array(["a", "b", "0.5"])
    }
    for name in ("a.png", "b.png"):
        write_thumbnail(stored, (1.0, 2.0), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = Image.open(tmp_path / "a.png")
    width, height = (image.width + 2) // 4 - 2, image.height
    assert width / height == pytest.approx(4 / 12, abs=0.02)  # in mm
    assert image.getpixel((width - 1, 0)) == (255, 255, 255)
    assert image.getpixel((0, height - 1)) == (0, 0, 0)
    assert image.getpixel((3 * (width + 2), height - 1)) == (255, 0, 255)
    write_thumbnail({}, (1.0, 2.0), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
