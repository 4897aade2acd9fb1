"""Tables on repetitions: whether verdicts come again, and what all trainings and searches decide together."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from published_studies import TURNED, Published, by_pair, claims
from verdict_findings import COMPARED, means_of, tau_of, usual_claims

from regbench.report.comparison_entries import Families
from regbench.report.study_verdicts import GridCell, study_verdicts

AGAIN = "_again"  # the name of a repetition: `quick_again` of `quick`


def repeated(studies: list[Published]) -> Iterator[tuple[Published, Published]]:
    """Each study that was run again, with its repetition."""
    known = {study.name: study for study in studies}
    return ((study, known[study.name + AGAIN]) for study in studies if study.name + AGAIN in known)


def agreement(studies: list[Published]) -> pd.DataFrame:
    """The verdicts of a study in its repetition with other seeds of trainings and searches."""
    lines = []
    for study, again in repeated(studies):
        for model in study.models:
            for family, words in COMPARED.items():
                first, second = claims(study, model, family), claims(again, model, family)
                both = [(first[pair][0], second[pair][0]) for pair in first if pair in second]
                decided = [(a, b) for a, b in both if a != "undecided"]
                lines.append({
                    "study": study.name, "model": model,
                    "Kendall's tau of cells": tau_of(means_of(study, model), means_of(again, model)),
                    "compared": words, "decided first": len(decided), "confirmed": sum(a == b for a, b in decided),
                    "then undecided": sum(b == "undecided" for _, b in decided),
                    "contradicted": sum(b not in (a, "undecided") for a, b in decided),
                    "decided then only": sum(a == "undecided" != b for a, b in both), "of": len(both),
                })  # fmt: skip
    return pd.DataFrame(lines)


def usual_again(studies: list[Published]) -> pd.DataFrame:
    """What the usual tests say of one training of each cell, and of one training of the repetition, on average."""
    lines = []
    for study, again in repeated(studies):
        for model, corrected in ((m, c) for m in study.models for c in (False, True)):
            first, second = (
                [usual_claims(scores, corrected=corrected) for _, scores in by_pair(one, model).groupby("seed")]
                for one in (study, again)
            )
            claimed = np.mean([len(claims_of_one) for claims_of_one in first])
            pairs = [(verdict, two.get(pair)) for one in first for two in second for pair, verdict in one.items()]
            count = len(first) * len(second)
            same = sum(verdict == other for verdict, other in pairs) / count
            opposite = sum(TURNED[verdict] == other for verdict, other in pairs) / count
            lines.append({
                "study": study.name, "model": model, "p": "Holm's" if corrected else "as it is",
                "called different": f"{claimed:.1f}", "again the same": f"{same:.1f}",
                "then no difference": f"{claimed - same - opposite:.1f}", "then the other one": f"{opposite:.1f}",
                "share": f"{opposite / claimed if claimed else 0:.0%}",
            })  # fmt: skip
    return pd.DataFrame(lines)


def together(studies: list[Published]) -> pd.DataFrame:
    """The verdicts of a study, of its repetition, and of the searches and trainings of both taken for one study."""
    lines = []
    for study, again in repeated(studies):
        for model in study.models:
            both = judged(study, model, rows_of_both(study, again))
            place = {"study": study.name, "model": model}
            compared = {"similarity": both["similarity"], "regularizer": both["regularizer"]}
            for family, one in ((name, one) for name, entries in compared.items() for one in entries):
                lines.append(place | {
                    "": f"{one['a']} against {one['b']}",
                    "first": verdict_on(claims(study, model, family), one["a"], one["b"]),
                    "again": verdict_on(claims(again, model, family), one["a"], one["b"]),
                    "together": one["verdict"], "Dice": f"{one['difference']:+.4f}",
                    "interval": f"{one['low']:+.4f} to {one['high']:+.4f}",
                })  # fmt: skip
            counted = {
                "first": [verdict for verdict, _ in claims(study, model).values()],
                "again": [verdict for verdict, _ in claims(again, model).values()],
                "together": [one["verdict"] for one in both["pairs"]],
            }
            decided = {
                name: f"{sum(verdict != 'undecided' for verdict in verdicts)} of {len(verdicts)}"
                for name, verdicts in counted.items()
            }
            lines.append(place | {"": "pairs of cells decided"} | decided)
    return pd.DataFrame(lines).fillna("")


def verdict_on(known: dict[tuple[str, str], tuple[str, float]], a: str, b: str) -> str:
    """The verdict on a against b, of claims in alphabetical order."""
    return known[a, b][0] if (a, b) in known else TURNED.get(known[b, a][0], known[b, a][0])


def rows_of_both(study: Published, again: Published) -> pd.DataFrame:
    """The rows of a study and of its repetition, whose searches get numbers of their own.

    Raises:
        ValueError: if the two share a seed: the same training would count twice.
    """
    if shared := {*study.of_cells["seed"]} & {*again.of_cells["seed"]}:
        raise ValueError(f"a repetition must have seeds of its own, but `{again.name}` shares {sorted(shared)}")
    numbers = again.of_cells["replicate"] + study.of_cells["replicate"].max() + 1
    return pd.concat([study.of_cells, again.of_cells.assign(replicate=numbers)], ignore_index=True)


def judged(study: Published, model: str, rows: pd.DataFrame) -> Families:
    """The verdicts on the cells of a model by Dice, from rows of its study and perhaps of others.

    All runs count as drawn: searches are, also of a model that trains nothing.
    """
    table = study.cells(model)
    cells = {row.method: GridCell(model, row.similarity, row.regularizer) for row in table.itertuples(index=False)}
    return study_verdicts(rows, "dice", [*cells], cells=cells, trained=True, region=study.region or None)
