"""Summaries for tests of tables and figures, with verdicts or with tests, and the columns of a table."""

import json

import numpy as np
import pandas as pd
from made_summary import entry, summary
from made_verdicts import family
from made_verdicts import verdicts as made_verdicts

from regbench.report.compare_methods import compare_methods
from regbench.report.study_verdicts import GridCell
from regbench.system.files import _finite

CELLS = (entry("identity", 0.9), entry("lcc.bending", 0.7004), entry("mse.bending", 0.6996), entry("gcc.bending", 0.65))


def judged(*entries, verdicts=(), metric="dice", **changes):
    """A summary with verdicts between its methods, 'a b': verdict; 'better' where nothing is said."""
    names = [one["method"] for one in entries if one["method"] != "identity"]
    found = made_verdicts(family(names, dict(verdicts)), identity={} if len(names) > 1 else {names[0]: "better"})
    return {**summary(*entries), "verdicts": {"brains": {"voxelmorph": {metric: {**found, **changes}}}}}


def column(text, title, wanted="|"):
    """A column of a Markdown table by the beginning of its title."""
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    place = next(k for k, name in enumerate(lines[0].split("|")) if name.strip().startswith(title))
    return [line.split("|")[place].strip() for line in lines[2:]]


def summary_of_scores(scores, **changes):
    """A summary whose comparisons come from these Dice scores: method to one number a pair."""
    pairs = [(f"s{a}", f"s{b}") for a in range(4) for b in range(4) if a != b]
    rows = pd.DataFrame(
        [
            {"method": method, "seed": 0, "fixed": fixed, "moving": moving, "dice": value}
            for method, values in scores.items()
            for (fixed, moving), value in zip(pairs, values, strict=True)
        ]
    )
    cells = {method: GridCell("voxelmorph", *method.split(".")) for method in scores if method != "identity"}
    made = summary(*(entry(name, float(np.mean(values))) for name, values in scores.items()))
    found = {"brains": compare_methods(rows, cells, {"objective": ["dice"], "selection": ["dice"], "leading": "dice"})}
    return {**made, "comparisons": json.loads(json.dumps(_finite(found))), **changes}
