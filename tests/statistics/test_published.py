"""The published per-case results of 18 methods on IXI give the published table here, but for one row."""

import numpy as np
import pandas as pd
import pytest
from tiny_study import ROOT

from regbench.statistics import case_scores, compare, friedman, pooled_sd, rank_after_tests

DATA = ROOT.parent / "shared" / "data" / "ixi_published" / "percase_long.csv.gz"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="../shared/data/ixi_published is not here")

# Dice, its SD over structures and cases, folded voxels in percent and their SD: as printed by the TransMorph
# repository (IXI/TransMorph_on_IXI.md, MIT). None: printed as < 0.0001.
PUBLISHED = {
    "Affine": (0.386, 0.195, None, None),
    "SyN": (0.645, 0.152, None, None),
    "NiftyReg": (0.645, 0.167, 0.020, 0.046),
    "LDDMM": (0.680, 0.135, None, None),
    "deedsBCV": (0.733, 0.126, 0.147, 0.050),
    "VoxelMorph-1": (0.729, 0.129, 1.590, 0.339),
    "VoxelMorph-2": (0.732, 0.123, 1.522, 0.336),
    "VoxelMorph-diff": (0.580, 0.165, None, None),
    "CycleMorph": (0.737, 0.123, 1.719, 0.382),
    "MIDIR": (0.742, 0.128, None, None),
    "ViT-V-Net": (0.734, 0.124, 1.609, 0.319),
    "CoTr": (0.735, 0.135, 1.298, 0.343),
    "PVT": (0.727, 0.128, 1.858, 0.314),
    "nnFormer": (0.747, 0.135, 1.595, 0.358),
    "TransMorph": (0.753, 0.123, 1.579, 0.328),
    "TransMorph-Bayes": (0.754, 0.124, 1.560, 0.333),
    "TransMorph-bspl": (0.761, 0.122, None, None),
    "TransMorph-diff": (0.594, 0.163, None, None),
}


@pytest.fixture(scope="module")
def structures():
    long = pd.read_csv(DATA)
    return long[long["structure_or_metric"] != "fold_percent"]


@pytest.fixture(scope="module")
def dice(structures):
    return case_scores(structures, "value", case=["subject"])


def test_mean_dice_gives_17_of_the_18_published_rows(dice):
    assert set(dice.columns) == set(PUBLISHED)
    assert len(dice) == 115
    found = {name: round(float(dice[name].mean()), 3) for name in dice}
    wrong = {name: (found[name], row[0]) for name, row in PUBLISHED.items() if found[name] != row[0]}
    assert wrong == {"TransMorph-Bayes": (0.753, 0.754)}


def test_the_published_sd_is_the_pooled_one(structures, dice):
    pooled = structures.groupby("method")["value"].agg(pooled_sd)
    wrong = {name for name, row in PUBLISHED.items() if round(pooled[name], 3) != row[1]}
    assert wrong == {"VoxelMorph-2", "TransMorph", "TransMorph-Bayes"}
    assert max(abs(pooled[name] - row[1]) for name, row in PUBLISHED.items()) < 0.003
    # What varies over patients is about four times smaller.
    over_cases = dice.std(ddof=1)
    assert round(pooled["VoxelMorph-1"], 3) == 0.129
    assert round(over_cases["VoxelMorph-1"], 3) == 0.029
    assert (pooled / over_cases).min() > 2.7
    assert 4 < (pooled / over_cases).mean() < 5


def test_folds_give_the_published_rows_but_three():
    long = pd.read_csv(DATA)
    folds = case_scores(long[long["structure_or_metric"] == "fold_percent"], "value", case=["subject"])
    wrong = set()
    for name, (_, _, mean, sd) in PUBLISHED.items():
        got = round(float(folds[name].mean()), 3), round(float(folds[name].std(ddof=0)), 3)
        if mean is not None and got != (mean, sd):
            wrong.add(name)
    assert wrong == {"VoxelMorph-1", "TransMorph", "TransMorph-Bayes"}


def test_what_can_be_said_of_the_published_methods(dice):
    found = friedman(dice, "higher")
    assert found.p < 1e-100
    assert found.mean_ranks.idxmin() == "TransMorph-bspl"
    assert found.mean_ranks.idxmax() == "Affine"
    ranked = rank_after_tests(dice, "higher")
    assert ranked.loc["TransMorph-bspl", "rank"] == 1
    assert ranked.loc["Affine", "rank"] == 18
    one = compare(dice, np.random.default_rng(0), pairs=[("TransMorph-Bayes", "TransMorph")], resamples=999).iloc[0]
    assert not one["too_few"]
    # 0.0004 Dice: an order of magnitude less than the choice of label interpolation.
    assert 0 < one["mean_difference"] < 0.001
