"""Ranges of lambda that find themselves: their rule by hand, the recorded curves, and the files of a study."""

import math

import numpy as np
import pytest
import torch
import yaml
from masked_study import masked, masked_folder
from tiny_study import ROOT

from regbench.cli.main import main
from regbench.data.prepare import prepare
from regbench.data.prepared import load_prepared
from regbench.losses.masks import Masks
from regbench.losses.objective import MaskRule, objective
from regbench.metrics import dice
from regbench.models.instance import Instance
from regbench.orchestration import jobs
from regbench.orchestration.registries import check_component
from regbench.spatial import warp_labels
from regbench.study.job_specs import prepare_spec, propose_spec, range_spec, select_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import read_json
from regbench.tuning import find_ranges, lambda_range
from regbench.tuning.find_ranges import find_lambda_ranges
from regbench.tuning.lambda_range import WIDEST, curve_of, few_pairs, range_of, unit_at
from regbench.tuning.range_files import proposing, selecting
from regbench.tuning.rounds import select


def test_a_range_by_hand():
    """Gain 0.4, a quarter lost at 0.7: half a decade below the best one, a quarter of a decade above it."""
    curve = {-2: 0.4, -1: 0.6, 0: 0.8, 1: 0.4, 2: 0.3}
    low, high = range_of(curve, 0.4)
    assert low == 0.003  # 10 ** -0.5 / 100, rounded down
    assert high == 6.0  # 10 ** 0.25 * 3 = 5.3, rounded up


def test_of_a_plateau_the_larger_end_counts():
    """Otherwise noise picks a lambda without effect, and the range ends before the fall."""
    curve = {-6: 0.801, -5: 0.8, -4: 0.8, -3: 0.8, -2: 0.8, -1: 0.8, 0: 0.8, 1: 0.3}
    low, high = range_of(curve, 0.3)
    assert low == 0.0001
    assert 3.0 < high < 30.0


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "factor"), [("displacement_l1", 0.5), ("grad_l1", 1.0), ("grad_l2", 1.0), ("bending", 4.0)]
)
def test_what_a_regularizer_weighs_at_half_the_resolution(name, factor, dims):
    """In voxels of twice the side a displacement is half as long, its slope the same, its curvature twice."""
    regularizer = ComponentSpec(name=name, parameters={})
    assert unit_at(regularizer, (96,) * dims, 2) == pytest.approx(factor, rel=0.06)
    assert unit_at(regularizer, (96,) * dims, 1) == 1.0


def test_where_nothing_is_gained_the_range_is_the_widest():
    assert range_of({-1: 0.3, 0: 0.4, 1: 0.3}, 0.5) == (0.0001, 300.0)


@pytest.mark.parametrize(
    ("peak", "tried"), [(0, range(-6, 4)), (-8, range(-9, 4)), (5, range(-6, 7)), (99, range(-6, 8))]
)
def test_the_grid_is_extended_while_the_best_is_at_its_end(peak, tried):
    asked = []

    def merit(exponent):
        asked.append(exponent)
        return -abs(exponent - peak)

    assert list(curve_of(merit, (-6, 3))) == list(tried)
    assert sorted(asked) == list(tried)


def test_the_best_lambda_of_each_recorded_curve_is_inside():
    """Of the curves of docs/tuning.md, at the powers of ten that a search would try of them."""
    curves = read_json(ROOT / "benchmarks" / "results" / "tuning_curves.json")["cells"]
    assert len(curves) == 12
    for name, curve in curves.items():
        places, dice = np.log10(curve["lam"]), curve["dice"]
        tried = range(math.ceil(places[0] - 0.01), math.floor(places[-1] + 0.01) + 1)
        low, high = range_of({k: float(np.interp(k, places, dice)) for k in tried}, dice[-1])  # so much lambda: none
        best = curve["lam"][int(np.argmax(dice))]
        assert low < best < high, name
        assert 2 < math.log10(high / low) <= WIDEST * 2 + 2.5 + 0.7, name  # rounding to one digit included


def test_pairs_are_spread():
    pairs = [(f"f{k // 5}", f"m{k}") for k in range(30)]
    assert len({fixed for fixed, _ in few_pairs(pairs, 4)}) == 4
    assert few_pairs(pairs[:2], 4) == pairs[:2]


@pytest.fixture
def study(tiny):
    del tiny["lambdas"]
    made = Study(load(tiny, check_component))
    prepare(prepare_spec(made, "brains"), made.layout.data("brains"))
    return made


def test_a_range_is_found_once_and_read_by_the_search(study, monkeypatch, tmp_path):
    data = load_prepared(study, "brains")
    calls, whole = [], lambda_range._score

    def counted(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(lambda_range, "_score", counted)
    with pytest.raises(KeyboardInterrupt):
        find_lambda_ranges(study, data, ["mse"], "grad_l2")
    (path,) = find_lambda_ranges(study, data, ["mse"], "grad_l2")
    first, record = path.read_bytes(), read_json(path)
    assert len(calls) == 1 + len(record["lam"])  # none of the three before the kill was done again
    assert find_lambda_ranges(study, data, ["mse"], "grad_l2")[0].read_bytes() == first
    low, high = record["range"]
    assert low < record["best"] < high
    method = "voxelmorph.mse.grad_l2"
    assert propose_spec(study, "brains", method).range is None
    assert proposing(study, "brains", method).range == (low, high)
    assert select(selecting(study, "brains", method), [])["found"] is True
    path.write_text(path.read_text().replace(str(record["best"]), "7.0", 1))
    with pytest.raises(RegbenchError, match=path.name):
        proposing(study, "brains", method)


def test_a_job_of_several_ranges_does_nothing_again(study, monkeypatch):
    """Snakemake deletes what a job that failed has written: the first range too, which was whole."""
    data, calls, whole = load_prepared(study, "brains"), [], lambda_range._score
    monkeypatch.setattr(lambda_range, "_score", lambda *given: calls.append(1) or whole(*given))
    (alone,) = find_lambda_ranges(study, data, ["lcc"], "grad_l2")
    of_one, once = alone.read_bytes(), len(calls)
    calls.clear()

    def stopping(*given):
        calls.append(1)
        if len(calls) == once + 2:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(lambda_range, "_score", stopping)
    with pytest.raises(KeyboardInterrupt):
        find_lambda_ranges(study, data, ["lcc", "mse"], "grad_l2")
    assert alone.read_bytes() == of_one
    alone.unlink()
    paths = find_lambda_ranges(study, data, ["lcc", "mse"], "grad_l2")
    assert [path.name for path in paths] == ["lcc.grad_l2.json", "mse.grad_l2.json"]
    assert alone.read_bytes() == of_one
    assert len(calls) == 1 + once + len(read_json(paths[1])["lam"])
    assert not any(study.layout.lambda_range_state("brains", f"{one}.grad_l2").exists() for one in ("lcc", "mse"))


@pytest.mark.parametrize(
    ("words", "similarities"), [([], ["lcc", "mse"]), (["--similarity", "mse"] * 2, ["mse"])], ids=["all", "one"]
)
def test_the_verb_finds_the_ranges_that_are_named_or_all(tiny, tmp_path, monkeypatch, words, similarities):
    del tiny["lambdas"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    prepare(prepare_spec(Study(load(tiny, check_component)), "brains"), Study(load(tiny)).layout.data("brains"))
    asked = []
    monkeypatch.setattr(find_ranges, "find_lambda_ranges", lambda *given: asked.append(given[2:]) or [])
    main(["lambda-range", str(path), "--regularizer", "grad_l2", *words])
    assert asked == [(similarities, "grad_l2")]


@pytest.mark.parametrize(
    ("words", "wrong"), [(["--regularizer", "bending"], "any x bending"),
                         (["--similarity", "lcc", "--similarity", "ngf", "--regularizer", "grad_l2"], "ngf x grad_l2")],
)  # fmt: skip
def test_the_verb_names_a_range_that_is_not_found(tiny, tmp_path, capsys, words, wrong):
    del tiny["lambdas"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    with pytest.raises(SystemExit) as stopped:
        main(["lambda-range", str(path), *words])
    assert stopped.value.code == 2
    assert f"but got {wrong}. Such are: lcc x grad_l2, mse x grad_l2." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "lambdas", "together"),
    [
        ("regularizer", [], ("lcc", "mse")),
        ("cell", [], ()),
        ("regularizer", [{"similarity": "lcc", "range": [0.01, 1.0]}], ("mse",)),
        ("regularizer", [{"regularizer": "grad_l2", "range": [0.01, 1.0]}], ("lcc", "mse")),
        ("regularizer", [{"similarity": "lcc", "regularizer": "grad_l2", "range": [0.01, 1.0]}], ()),
    ],
)
def test_which_ranges_one_job_finds(tiny, size, lambdas, together):
    grid = {"similarities": ["lcc", "mse"], "regularizers": ["grad_l2", "bending"]}
    made = Study(load({**tiny, "grid": grid, "lambdas": lambdas, "one_job_per": size}, check_component))
    assert made.ranges_together == together
    found = jobs.of_ranges(made, "brains")
    assert {job.cells for job in found} == {len(together) or 1}
    assert len({job.log for job in found}) == len(found) / (len(together) or 1)
    assert {job.output for job in found} == {
        str(made.layout.lambda_range("brains", f"{one.id}.{other.id}")) for one, other in made.found_ranges
    }


def test_a_lambda_without_a_score_is_remembered_too(study, tmp_path):
    data, state = load_prepared(study, "brains"), tmp_path / "state.json"
    given = state, range_spec(study, "mse", "grad_l2"), data
    assert math.isnan(find_ranges._remembering(*given)(10.0, lambda: math.nan))
    assert math.isnan(find_ranges._remembering(*given)(10.0, lambda: pytest.fail("computed again")))


def test_a_rule_that_is_given_wins(tiny):
    tiny["lambdas"] = [{"similarity": "lcc", "range": [0.01, 1.0]}]
    made = Study(load(tiny, check_component))
    assert [f"{one.id}.{other.id}" for one, other in made.found_ranges] == ["mse.grad_l2"]
    assert select_spec(made, "voxelmorph.lcc.grad_l2").range == (0.01, 1.0)
    assert "found" not in select(select_spec(made, "voxelmorph.lcc.grad_l2"), [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "similarity.lcc"}, "lambdas: must have a rule for lcc x grad_l2, where trials are scored by"),
        (
            {"objective": "rank", "rank_by": ["similarity.lcc", "dice"]},
            r"for lcc x grad_l2, where trials are scored by a similarity \(`similarity.lcc`\)",
        ),
        (None, "lambdas: must have a rule for affine_identity_l2"),
    ],
)
def test_where_none_can_be_found_check_asks_for_it(tiny, changes, words):
    del tiny["lambdas"]
    if changes is None:
        tiny |= {"models": ["affine"], "grid": {"similarities": ["lcc"], "regularizers": ["affine_identity_l2"]}}
    else:
        tiny["tuning"] |= changes
    with pytest.raises(UsageError, match=words):
        load(tiny, check_component)


def score_by_hand(data, pairs, spec, rule):
    """Mean Dice of the pairs, each registered by an optimisation with the masks of a rule."""
    scores = []
    for names in pairs:
        pair = data.pair(*names)
        model = Instance(
            2, objective(spec.similarity, spec.regularizer, 1.0, rule),
            list(zip(lambda_range.SHRINK, lambda_range.STEPS, strict=True)), (0.3, 2, 0),
        )  # fmt: skip
        images = [torch.from_numpy(np.array(one))[None, None] for one in (pair.fixed, pair.moving)]
        masks = [torch.from_numpy(np.array(one, np.float32))[None, None] for one in (pair.fixed_mask, pair.moving_mask)]
        field = model(*images, Masks(*masks))[0]
        moved = warp_labels(torch.from_numpy(np.array(pair.moving_labels)), field)
        labels = [
            label for label in data.labels if (pair.fixed_labels == label).any() and (pair.moving_labels == label).any()
        ]
        scores.append(np.mean(list(dice(torch.from_numpy(np.array(pair.fixed_labels)), moved, labels).values())))
    return float(np.mean(scores))


def test_a_range_is_found_by_the_masks_that_the_training_counts_by(study, tiny, tmp_path):
    folder = masked_folder(load_prepared(study, "brains"), tmp_path / "files", spoiled=True)
    found = {}
    for mask in ("none", "both"):
        made = Study(load(masked({**tiny, "results": str(tmp_path / mask)}, folder, mask=mask), check_component))
        prepare(prepare_spec(made, "brains"), made.layout.data("brains"))
        data = load_prepared(made, "brains")
        spec = range_spec(made, "mse", "grad_l2").model_copy(update={"decades": (0, 0)})
        record = lambda_range.find_range(spec, data, "cpu", lambda _, compute: compute())
        found[mask] = record["scores"][record["lam"].index(1.0)]
        by_hand = score_by_hand(data, record["pairs"], spec, MaskRule(mask))
        assert found[mask] == pytest.approx(by_hand, abs=2e-3)
        assert ("mask" in spec.to_json()) is (mask == "both")
    assert found["both"] > found["none"] + 0.01
