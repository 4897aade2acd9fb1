"""Controls: a registration that cannot fail and one that means nothing, in every table and in no comparison."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from made_results import make_results, twelve

from regbench.data.cache import Dataset, Pair
from regbench.evaluation.controls import CONTROLS as CONTROL_PAIRS
from regbench.evaluation.controls import control_pairs, sort_intensities
from regbench.evaluation.evaluate import evaluate
from regbench.evaluation.measure import Measured, Registered, measure
from regbench.metrics import SIMILARITY, inverse_consistency_mm
from regbench.orchestration.registries import check_component
from regbench.report.tables.controls_table import caption, controls_table, fooled
from regbench.report.write import report
from regbench.spatial import warp, warp_labels
from regbench.study.job_specs import evaluate_spec
from regbench.study.layout import CONTROLS, IDENTITY
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import read_sealed


def pair_of(fixed, moving, spacing=(1.5, 2.0, 0.5), **more):
    fixed, moving = (np.asarray(image, np.float32) for image in (fixed, moving))
    labels = [(image > 0).astype(np.int16) for image in (fixed, moving)]
    return Pair(fixed, moving, *labels, None, spacing[: fixed.ndim], **more)


def test_sorting_by_hand():
    """Fixed ranks 2 0 1 take the moving voxels of rank 2 0 1, which lie at 0, 2 and 1."""
    pair = pair_of([[5.0, 1.0, 3.0]], [[9.0, 8.0, 7.0]])
    np.testing.assert_array_equal(sort_intensities(pair), [[[0, 0, 0]], [[0, 1, -1]]])


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 6)])
def test_every_voxel_is_taken_once_and_lands_in_order(shape):
    generator = np.random.default_rng(0)
    pair = pair_of(generator.normal(size=shape), generator.normal(size=shape))
    field = sort_intensities(pair)
    assert (field.dtype, field.shape) == (np.float32, (len(shape), *shape))
    moved = warp(*(torch.from_numpy(values)[None] for values in (pair.moving[None], field)))[0, 0].numpy()
    order = np.argsort(pair.fixed, axis=None)
    np.testing.assert_allclose(moved.ravel()[order], np.sort(pair.moving, axis=None), atol=1e-5)
    labels = warp_labels(pair.moving_labels, field)
    np.testing.assert_array_equal(np.bincount(labels.ravel()), np.bincount(pair.moving_labels.ravel()))
    other = sort_intensities(pair_of(pair.moving, pair.fixed))
    assert inverse_consistency_mm(field, other, pair.spacing_mm) == 0  # a perfect score for nonsense


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_equal_intensities_stay_where_they_are(value):
    pair = pair_of(np.full((4, 5), value), np.full((4, 5), 3.0))
    assert not sort_intensities(pair).any()


def test_an_image_with_gaps_is_no_error():
    generator = np.random.default_rng(0)
    fixed, moving = generator.normal(size=(2, 8, 9))
    fixed[2:4], moving[:, 3] = np.nan, -np.inf
    pair = pair_of(fixed, moving, fixed_landmarks=np.array([[1.5, 2.0]]), moving_landmarks=np.ones((1, 2)))
    found = measure(Registered("a", "b", pair, sort_intensities(pair)), Measured([1], landmarks=True))
    assert np.isfinite([found[name] for name in ("dice", "ndv_percent", "tre_mm", "displacement_mm")]).all()


@pytest.fixture(scope="module")
def rows(data, tmp_path_factory):
    """Rows of `identity` and of both controls on the data of the tiny study."""
    study, folder = Study(load(_raw(tmp_path_factory))), tmp_path_factory.mktemp("rows")
    evaluate(evaluate_spec(study, IDENTITY, 0), data, None, folder / "pairs.parquet")
    assert {path.suffix for path in folder.glob("control_*")} == {".parquet", ".npz"}
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("pairs", *CONTROLS)}


def _raw(factory):
    from tiny_study import TINY

    return {**TINY, "results": str(factory.mktemp("results"))}


def test_an_image_and_itself_are_the_best_that_a_metric_can_say(rows, data):
    mine = rows["control_self"]
    assert all((rows[name]["method"] == name).all() for name in CONTROLS)
    assert (mine["fixed"] == mine["moving"]).all()
    assert sorted(mine["fixed"]) == sorted({fixed for fixed, _ in data.pairs("test")})
    assert (mine["dice"] == 1).all()
    zero = ["hd95_mm", "assd_mm", "hd95_l2r", "fold_central_percent", "ndv_percent", "displacement_mm"]
    assert (mine[zero] == 0).all(axis=None)
    assert mine[f"{SIMILARITY}mse"].max() < 1e-6
    assert mine["endpoint_error_mm"].max() < 0.2  # how exact the truth itself is


def test_sorting_fools_similarities_and_not_labels(rows):
    before, after = rows["pairs"].mean(numeric_only=True), rows["control_sort"].mean(numeric_only=True)
    assert len(rows["control_sort"]) == len(rows["pairs"])
    assert after[f"{SIMILARITY}mse"] < before[f"{SIMILARITY}mse"] / 2
    assert after["dice"] < before["dice"] / 2
    assert after["ndv_percent"] > 1000
    assert after["inverse_consistency_mm"] == 0


def test_a_control_has_thirty_pairs_at_most(rows, data, monkeypatch):
    monkeypatch.setattr("regbench.evaluation.controls.MOST", 1)
    assert control_pairs("control_sort", data) == data.pairs("test")[:1]
    assert control_pairs("control_self", data) == ((data.pairs("test")[0][0],) * 2,)


def test_volumes_with_landmarks(tiny, tmp_path):
    """3D, spacing that differs by axis, landmarks: every number of a control is finite but what none has."""
    study = Study(load(tiny, check_component))
    generator = np.random.default_rng(0)
    shape, subjects = (12, 14, 11), ("a", "b")
    images = generator.normal(size=(2, *shape)).astype(np.float32)
    points = np.array([[k, *generator.uniform(2, 8, 3)] for k in (0, 0, 1, 1)])
    arrays = {"images": images, "labels": (images > 0).astype(np.uint8) + 1, "landmarks": points}
    manifest = {"id": "brains", "subjects": subjects, "data_sha256": "0", "shape": shape, "spacing_mm": [1.0, 2.0, 0.5]}
    manifest |= {"labels": {"1": "one", "2": "two"}, "pairs": {"test": [["a", "b"], ["b", "a"]]}}
    manifest["references"] = {"test": ["labels", "landmarks"]}
    job = evaluate_spec(study, IDENTITY, 0)
    evaluate(
        job.model_copy(update={"similarities": job.similarities[1:]}),
        Dataset(manifest, arrays),
        None,
        tmp_path / "p.parquet",
    )
    own, sort = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in CONTROLS)
    assert (own["tre_mm"] == 0).all()
    assert (own["dice"] == 1).all()
    numbers = ["dice", "hd95_mm", "ndv_percent", "tre_mm", "tre_l2r_mm", "displacement_mm", f"{SIMILARITY}mse"]
    assert np.isfinite(sort[numbers]).all(axis=None)
    assert (sort["inverse_consistency_mm"] == 0).all()
    assert sort["dice"].mean() > 0.9  # two classes of tissue, told by intensity alone: overlap is fooled


def test_controls_can_be_left_out(tiny):
    study = Study(load({**tiny, "controls": False}, check_component))
    assert not study.controls
    assert not list(study.control_runs())
    assert set(evaluate_spec(study, "identity", 0).to_json()) == {"method", "seed", "replicate", "code"}


def test_controls_are_no_methods_and_come_with_identity(tiny):
    study = Study(load(tiny, check_component))
    lay = study.layout
    assert tuple(method.id for method in study.controls) == CONTROLS == tuple(CONTROL_PAIRS)
    assert list(study.control_runs()) == [("brains", name, 0) for name in CONTROLS]
    assert not set(CONTROLS) & {method.id for method in study.methods}
    with pytest.raises(UsageError, match="evaluated with `identity`"):
        evaluate_spec(study, "control_sort", 0)
    folder = lay.pairs("brains", "identity", 0).parent
    assert {
        path.parent for name in CONTROLS for path in (lay.pairs("brains", name, 0), lay.panels("brains", name, 0))
    } == {folder}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_baseline_cannot_take_the_name_of_a_control(tiny, name):
    with pytest.raises(UsageError, match=r"baselines\[0\].*`controls` adds"):
        load({**tiny, "baselines": [{"name": "sitk_demons", "id": name}]}, check_component)


def test_what_an_evaluation_depends_on(tiny):
    """Another similarity changes the job of `identity`, which has the controls, and no method that is trained."""
    more = {**tiny, "grid": {**tiny["grid"], "similarities": ["lcc", "mse", "gcc"]}}
    one, two = Study(load(tiny, check_component)), Study(load(more, check_component))
    changed = {
        method.id for method in one.methods if evaluate_spec(one, method.id, 0) != evaluate_spec(two, method.id, 0)
    }
    assert changed == {IDENTITY}


def _small(results, regularizers=("grad_l2", "bending")):
    grid = {"similarities": ["lcc", "mse"], "regularizers": list(regularizers)}
    return {**twelve(results), "grid": grid, "lambdas": [{"range": [0.001, 100.0]}]}


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A study with made-up results, its summary and its tables."""
    study = Study(load(_small(tmp_path_factory.mktemp("results")), check_component))
    make_results(study)
    report(study)
    return study


def test_controls_stand_below_the_rule_and_in_no_comparison(reported):
    lay = reported.layout
    summary = read_sealed(lay.summary)
    ids = [entry["method"] for entry in summary["methods"]]
    assert tuple(ids[-2:]) == CONTROLS
    assert [entry["rank"] for entry in summary["methods"][-2:]] == [None, None]
    assert "control_" not in str(summary["comparisons"])
    assert not set(CONTROLS) & set(pd.read_parquet(lay.rows)["method"])
    main = (lay.tables / "main.tex").read_text().partition(r"\end{tabular}")[0].split(r"\midrule")
    assert [part.count(r"\\") for part in main] == [1, 1, 4, 2]
    assert r"control\_sort" in main[3]
    page = (lay.tables / "main.html").read_text()
    assert [part.count("<tr") for part in page.split("<tbody>")[1:]] == [5, 2]
    assert page.count("</tbody>") == 2
    assert "control_self" in (lay.tables / "main.md").read_text().splitlines()[-2]
    assert "Controls" in lay.page.read_text()
    assert lay.thumbnail("brains", "control_sort").exists()


def test_the_table_says_what_is_fooled(reported):
    summary = read_sealed(reported.layout.summary)
    frame = controls_table(summary)
    assert len(frame) == 7
    by_name = {entry["method"]: entry for entry in summary["methods"]}
    improved, other = fooled(summary, "brains")
    for name in improved:
        sorted_, none = (frame.set_index("method").loc[method, name] for method in ("control_sort", "identity"))
        assert sorted_ > none if name == "dice" else sorted_ < none
    assert "similarity_mse" in improved
    assert "dice" in other
    assert by_name["control_sort"]["similarities"]["mse"] < by_name["identity"]["similarities"]["mse"]
    text = caption(summary)
    assert "in similarity lcc, similarity mse; not in Dice, HD95, Folding, NDV." in text
    shown = (reported.layout.tables / "controls.md").read_text()
    assert "| Dice ↑" in shown
    assert "| similarity mse ↓" in shown
    assert (reported.layout.tables / "controls.tex").exists()
    best = {entry["method"] for entry in summary["methods"] if entry["rank"] == 1}
    printed = {method for method in by_name if re.search(rf"\| \**{re.escape(method)}\** *\|", shown)}
    assert printed == {"identity", "control_self", "control_sort", *best}, "of the cells the best stands for all"
    assert len(by_name) > len(printed)


def test_a_column_that_beats_every_method_is_fooled_though_identity_has_it_perfect(reported):
    """Inverse consistency of no displacement is 0, and so is that of a rearrangement: only the methods tell."""
    summary = read_sealed(reported.layout.summary)
    for entry in summary["methods"]:
        score = 0.0 if entry["similarity"] is None else 0.4
        entry["metrics"]["inverse_consistency_mm"] = {"mean": score, "median": score, "infinite": 0}
    assert "inverse_consistency_mm" in fooled(summary, "brains")[0]


def test_a_study_without_controls_has_no_table_of_them(tmp_path):
    study = Study(load({**_small(tmp_path, ["bending"]), "controls": False}, check_component))
    make_results(study)
    report(study)
    lay = study.layout
    assert not (lay.tables / "controls.csv").exists()
    assert "Controls" not in lay.page.read_text()
