"""The published per-case results of 18 methods on IXI through these statistics give the published table, but for one row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regbench.statistics import case_scores, compare, friedman, pooled_sd, rank_after_tests

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "ixi_published" / "percase_long.csv.gz"
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
