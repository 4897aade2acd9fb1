"""The conventions as one table of a page, for print and for a terminal, and every verdict by each of them as CSV."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.report.robustness.compare import KINDS, Outcome
from regbench.report.robustness.views import OWN, POOLED_SD
from regbench.report.summary_file import Summary, digits_of
from regbench.report.tables.main_caption import regions
from regbench.report.tables.table_format import Form, plain, write_table
from regbench.study.goals import words
from regbench.system import escaping
from regbench.system.files import write_text

WIDTH = 120
NAMED = 4  # changes that a line of the printed table names; of more, their number
CONVENTION = (
    "The study's own convention: labels warped by nearest neighbour, all labels, Dice 0 of a label that vanished, HD95 "
    "the larger directed percentile, folding as NDV, SDlogJ clipped at 1e-9, landmarks and cases averaged."
)
TITLES = {
    "reversed": "Reversed",
    "gained": "Gained",
    "lost": "Lost",
    "equal_or_not": "Equal or not",
    "ranks_moved": "Ranks moved",
    "changes": "What changes",
}
GUARD = (
    "The verdicts of each convention hold together by themselves, as those of a study do; those of all conventions do "
    "not. To look at many conventions and report the one that suits is what this table guards against: report the "
    "study's own, and whether the others agree."
)


def write_robustness(found: Sequence[Outcome], summary: Summary, folder: Path) -> None:
    """Write `robustness` (csv, md, tex, html), and `verdicts.csv` and `scores.csv` with everything behind it."""
    frame, shown = table([*found], all_changes=True), foremost(found)
    write_table(
        folder / "robustness", frame, lambda form: _shown(shown, form), caption(found, summary), summary["study"]
    )
    write_text(folder / "verdicts.csv", escaping.csv_table(_verdicts(found, summary)))
    write_text(folder / "scores.csv", escaping.csv_table(_scores(found, summary)))


def table(found: Sequence[Outcome], *, all_changes: bool = False) -> pd.DataFrame:
    """One row a convention."""
    rows = [
        {"dataset": one.place.dataset, "model": one.place.model, "metric": one.place.metric, "convention": one.words}
        | {kind: one.count(kind) for kind in KINDS}
        | {"ranks_moved": one.moved, "changes": changes(one, most=None if all_changes else NAMED)}
        for one in found
    ]
    return pd.DataFrame(rows)


def changes(one: Outcome, *, most: int | None) -> str:
    """Which verdicts change and how, another best method first; else what is to be known of the convention."""
    model = f"{one.place.model}."
    parts = [
        f"{change.a.removeprefix(model)} against {change.b.removeprefix(model)}: {change.own}, now {change.now}"
        for change in one.changes
    ]
    if most is not None and len(parts) > most:
        parts = [*parts[:most], f"{len(parts) - most} more"]
    if one.own.best != one.now.best:
        before, now = (judged.best.removeprefix(model) or "none" for judged in (one.own, one.now))
        parts = [f"best {before}, now {now}", *parts]
    return "; ".join([*parts, *([one.note] if one.note else [])])


def foremost(found: Sequence[Outcome]) -> list[Outcome]:
    """Of a group of conventions the one that changes most, with how many change anything."""
    shown: list[Outcome] = []
    groups: dict[tuple[object, str], list[Outcome]] = {}
    for one in found:
        if one.group and (one.place, one.group) not in groups:
            shown.append(one)
        groups.setdefault((one.place, one.group or one.words), []).append(one)
    kept: list[Outcome] = []
    for one in found:
        if not one.group:
            kept.append(one)
        elif one in shown:
            kept.append(_worst(groups[one.place, one.group]))
    return kept


def _worst(group: Sequence[Outcome]) -> Outcome:
    def weight(one: Outcome) -> tuple[int, int, int]:
        return one.count("reversed"), len(one.changes), one.moved

    worst, changed = max(group, key=weight), sum(any(weight(one)) for one in group)
    if not changed:
        return worst._replace(words=f"{worst.group}, each of {len(group)}")
    return worst._replace(words=f"{worst.group}: {changed} of {len(group)} change, most {worst.words}")


def _shown(found: Sequence[Outcome], form: Form) -> pd.DataFrame:
    frame = table(found)
    for column in ("dataset", "model"):
        if frame[column].nunique() < 2:
            frame = frame.drop(columns=column)
    frame["metric"] = [words(metric) for metric in frame["metric"]]
    return plain(frame, form, TITLES)


def caption(found: Sequence[Outcome], summary: Summary) -> str:
    """What the table counts, and what it is not for."""
    return (
        f"Study {summary['study']}: which verdicts on every two methods of a model survive another convention. "
        f"{conclusion(found)} {CONVENTION} Reversed: better became worse. Gained: undecided became decided; lost: the "
        "other way round. Equal or not: equal became better or worse, or was. Ranks moved: methods with another rank by "
        "their mean. Nothing was trained; where there are labels, each pair was registered once more and gave its own "
        "row again, to the bit. "
        f"{regions(summary)} {GUARD}"
    )


def conclusion(found: Sequence[Outcome]) -> str:
    """The counts of all conventions in a sentence."""
    judged = [one for one in found if one.words not in (OWN, POOLED_SD)]
    counts = {kind: sum(one.count(kind) > 0 for one in judged) for kind in KINDS}
    best = sum(one.own.best != one.now.best for one in judged)
    reverse = f"{_some(counts['reversed'])} of {len(judged)} conventions reverse{_s(counts['reversed'])} a verdict"
    return (
        f"{reverse}; {_some(counts['gained']).lower()} gain{_s(counts['gained'])} a decision, "
        f"{_some(counts['lost']).lower()} lose{_s(counts['lost'])} one, and {_some(best).lower()} "
        f"change{_s(best)} the best method."
    )


def _some(count: int) -> str:
    return str(count) if count else "None"


def _s(count: int) -> str:
    return "s" if count < 2 else ""


def text(found: Sequence[Outcome], summary: Summary) -> str:
    """The table in the width of a terminal, its counts and what it is not for."""
    lines: list[str] = []
    shown = foremost(found)
    for dataset, model in dict.fromkeys((one.place.dataset, one.place.model) for one in shown):
        mine = [one for one in shown if (one.place.dataset, one.place.model) == (dataset, model)]
        pairs = mine[0].own.pairs
        lines += [f"{dataset}, {model}: {len(mine[0].own.scores)} methods, {len(pairs)} pairs of them", ""]
        lines += [*_lines(mine), ""]
    lines += textwrap.wrap(f"{conclusion(found)} {regions(summary)}", WIDTH)
    return "\n".join([*lines, *textwrap.wrap(GUARD, WIDTH)])


def _lines(found: Sequence[Outcome]) -> list[str]:
    numbers = ("reversed", "gained", "lost", "equal +-", "ranks")
    wide = max(len(one.words) for one in found)
    before = f"{'':<7}{'convention':<{wide}}  {'  '.join(numbers)}  "
    lines, metric = [before + "what changes"], ""
    for one in found:
        name, metric = ("" if one.place.metric == metric else words(one.place.metric)), one.place.metric
        counts = [*(one.count(kind) for kind in KINDS), one.moved]
        shown = [f"{count or '.':>{len(title)}}" for count, title in zip(counts, numbers, strict=True)]
        line = f"{name[:6]:<7}{one.words:<{wide}}  {'  '.join(shown)}  "
        room = max(WIDTH - len(line), 24)
        rest = textwrap.wrap(changes(one, most=2), room) or [""]
        lines += [(line + rest[0]).rstrip(), *(" " * len(line) + more for more in rest[1:])]
    return lines


def _verdicts(found: Sequence[Outcome], summary: Summary) -> pd.DataFrame:
    rows = [
        {**one.place._asdict(), "convention": one.words, "a": now["a"], "verdict": now["verdict"], "b": now["b"]}
        | {name: _rounded(now[name], one.place.metric, summary) for name in ("difference", "low", "high")}
        | {"own_verdict": own["verdict"], "reason": now["reason"]}
        for one in found
        for own, now in zip(one.own.pairs, one.now.pairs, strict=True)
    ]
    return pd.DataFrame(rows)


def _scores(found: Sequence[Outcome], summary: Summary) -> pd.DataFrame:
    rows = [
        {**one.place._asdict(), "convention": one.words, "method": method}
        | {"score": _rounded(one.now.scores[method], one.place.metric, summary)}
        | {"own_score": _rounded(one.own.scores[method], one.place.metric, summary)}
        | {"rank": one.now.ranks.get(method), "own_rank": one.own.ranks.get(method)}
        for one in found
        for method in one.own.scores
    ]
    return pd.DataFrame(rows).astype({"rank": "Int64", "own_rank": "Int64"})


def _rounded(value: float | None, metric: str, summary: Summary) -> float:
    return np.nan if value is None else round(value, digits_of(summary, metric) + 1)
