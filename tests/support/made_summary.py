"""A summary as `analyze` writes it, made from means alone."""

import json

from regbench.report.analyze import ranked
from regbench.system.files import _finite


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
    manifest["references"] = {"validation": ["labels"], "test": ["labels"]}
    datasets = dict.fromkeys(["brains", *(one["dataset"] for one in entries)])
    goals = {name: {"objective": ["dice"], "selection": ["dice"], "leading": "dice"} for name in datasets}
    made = {
        "study": "s", "seeds": [0, 1], "goals": goals, "limited": False, "ndv_limit_percent": 0.5,
        "nsd_tolerance_mm": 1.0, "steps": 10, "warnings": [],
        "datasets": {"brains": manifest}, "methods": ranked(list(entries), dict.fromkeys(datasets, "dice")),
        "comparisons": {},
    }  # fmt: skip
    return json.loads(json.dumps(_finite(made)))  # as `analyze` stores it
