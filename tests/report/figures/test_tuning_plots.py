"""Optuna's plots in the page: of each cell what says something, and the same bytes each time."""

import io

import pytest
from cheap_study import METHOD, SEARCH, counted, one_cell, work
from PIL import Image

from regbench.report.figures.tuning_plots import search_plots, searches
from regbench.report.method_entries import OF_TRIAL
from regbench.report.tables.secondary_tables import selection_table
from regbench.study.methods import Study


def summary(study):
    """What the analysis hands on of the trials; `identity` has none."""
    with counted():
        trials, _ = work(study)
    kept = [{key: row[key] for key in OF_TRIAL if key in row} for row in trials]
    return {"methods": [{"dataset": "brains", "method": "identity", "trials": []},
                        {"dataset": "brains", "method": METHOD, "trials": kept}]}  # fmt: skip


def tuning_plots(study, made):
    return [search_plots(study, *search) for search in searches(study, made)]


@pytest.mark.parametrize(
    ("sampler", "search", "count"),
    [("tpe", SEARCH[:2], 2), ("nsga2", SEARCH[:2], 5)],
    ids=["slice and importance", "slices, importances and front"],
)
def test_every_cell_has_its_plots_and_the_same_bytes(sampler, search, count, tmp_path):
    study = one_cell(tmp_path, sampler, 6, search=search)
    found = summary(study)
    plots = tuning_plots(study, found)
    ((words, images),) = plots
    assert words == f"brains / {METHOD}: 6 trials."
    assert len(images) == count
    for image in images:
        pixels = Image.open(io.BytesIO(image))
        assert pixels.width > 300
        assert len(pixels.convert("L").getcolors()) > 20, "an empty plot"
    assert tuning_plots(study, found) == plots


def test_lambda_alone_has_no_importance(tmp_path):
    study = one_cell(tmp_path, "grid", 8, search=SEARCH)
    found = summary(study)
    for trial in found["methods"][1]["trials"]:
        del trial["values"]
    tuning = study.config.tuning.model_copy(update={"search": ()})
    alone = Study(study.config.model_copy(update={"tuning": tuning}))
    ((_, images),) = tuning_plots(alone, found)
    assert len(images) == 1


def test_a_cell_whose_trials_all_diverged_has_none(tmp_path):
    study = one_cell(tmp_path, "random", 4)
    found = summary(study)
    found["methods"][1]["trials"] = [
        {**trial, "status": "diverged", "scores": {}} for trial in found["methods"][1]["trials"]
    ]
    assert tuning_plots(study, found) == []


def test_equal_scores_are_no_error(tmp_path):
    study = one_cell(tmp_path, "random", 6)
    found = summary(study)
    for trial in found["methods"][1]["trials"]:
        trial |= {"status": "complete", "scores": {"dice": 0.5, "ndv_percent": 0.0}}
    ((_, images),) = tuning_plots(study, found)
    assert len(images) == 1, "nothing is important where nothing differs"


def test_searched_values_stand_in_the_tables_as_they_are():
    def entry(method, values):
        found = {"lam": 0.1, "scores": {"dice": 0.7, "ndv_percent": 0.0}, "values": values}
        return {"dataset": "d", "method": method, "trials": [{}], "edge": False, "values": values,
                "selected": {"metrics": ["dice"], "best": found, "best_limited": None}}  # fmt: skip

    methods = [entry("a", {"similarity.window": 9}), entry("b", {"similarity.bins": 16, "model.decoder": [8, 4]})]
    text = selection_table({"methods": methods, "datasets": {}}).to_csv(index=False)
    head, first, second = (line.replace('"', "").split(",", 7) for line in text.splitlines())
    assert head[3:7] == [
        "by_dice_lambda",
        "by_dice_similarity.window",
        "by_dice_similarity.bins",
        "by_dice_model.decoder",
    ]
    assert first[3:7] == ["0.1", "9", "", ""]
    assert second[3:] == ["0.1", "", "16", "[8", "4],0.7,0.0,,,,,,,no"]
