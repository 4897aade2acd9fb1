"""The conventions as one table of a page, for print and for a terminal, and every verdict by each of them as CSV."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.report.robustness.compare import KINDS, Change, Kind, Outcome
from regbench.report.robustness.views import OWN, POOLED_SD, SAME
from regbench.report.summary_file import Summary, digits_of
from regbench.report.tables.main_caption import regions
from regbench.report.tables.table_format import Form, plain, write_table
from regbench.study.goals import words
from regbench.system import escaping
from regbench.system.files import write_text

WIDTH, INDENT = 120, 7  # letters of a terminal's line, and of a metric's name in it
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
KIND_WORDS: Mapping[Kind, str] = {
    "reversed": "reversed",
    "gained": "gained",
    "lost": "lost",
    "equal_or_not": "no longer",
}
SIGNS = {"better": ">", "worse": "<", "equal": "=", "undecided": "?"}
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
    """Another best method, and which verdicts change, as ``a > b`` where a is better; then what else is to be known.

    Args:
        one: a convention.
        most: verdicts of a kind that are named; of more, their number.
    """
    model, parts = f"{one.place.model}.", list[str]()
    if one.own.best != one.now.best:
        before, now = (judged.best.removeprefix(model) or "none" for judged in (one.own, one.now))
        parts.append(f"best {now}, not {before}")
    for kind in KINDS:
        named = [_named(change, model) for change in one.changes if change.kind == kind]
        if named:
            more = f" and {len(named) - most} more" if most is not None and len(named) > most else ""
            parts.append(f"{KIND_WORDS[kind]} {', '.join(named[:most])}{more}")
    return "; ".join([*parts, *([one.note] if one.note else [])])


def _named(change: Change, model: str) -> str:
    """The verdict that was lost or won, in signs; of what stays decided both."""
    a, b = change.a.removeprefix(model), change.b.removeprefix(model)
    own, now = f"{a} {SIGNS[change.own]} {b}", f"{a} {SIGNS[change.now]} {b}"
    return {"lost": own, "gained": now}.get(change.kind, f"{own} (now {SIGNS[change.now]})")


def foremost(found: Sequence[Outcome]) -> list[Outcome]:
    """A line for each convention; of a group the one that changes most, and one for all that give the same numbers."""
    lines: dict[tuple[object, str], list[Outcome]] = {}
    for one in found:
        lines.setdefault((one.place, one.group or (SAME if one.note == SAME else one.words)), []).append(one)
    places = list(dict.fromkeys(one.place for one in found))
    ordered = sorted(lines, key=lambda key: (places.index(lines[key][0].place), key[1] == SAME))
    return [_one(lines[key]) for key in ordered]


def _one(alike: Sequence[Outcome]) -> Outcome:
    if len(alike) == 1:
        return alike[0]
    if alike[0].group:
        return _worst(alike)
    return alike[0]._replace(words=f"{len(alike)} others", note=f"{SAME}: {'; '.join(one.words for one in alike)}")


def _worst(group: Sequence[Outcome]) -> Outcome:
    def weight(one: Outcome) -> tuple[int, int, int]:
        return one.count("reversed"), len(one.changes), one.moved

    worst, changed = max(group, key=weight), sum(any(weight(one)) for one in group)
    if not changed:
        return worst._replace(words=f"{worst.group}: 0 of {len(group)} change")
    return worst._replace(words=f"{worst.group}: {changed} of {len(group)} change", note=f"most {worst.words}")


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
        f"{conclusion(found)} {CONVENTION} Reversed: better became worse. Gained: undecided became decided. Lost: the "
        "other way round. Equal or not: equal became better or worse, or was. Ranks moved: methods of another rank by "
        "their mean. In the last column > is better than. Nothing was trained; where there are labels, each pair was "
        "registered once more and gave its own row again, to the bit. "
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
        methods, count = len(mine[0].own.scores), len(mine[0].own.pairs)
        plural = "s" if count > 1 else ""
        lines += [f"{dataset}, {model}: {methods} methods, {count} comparison{plural}", "", *_lines(mine), ""]
    lines += textwrap.wrap(f"{conclusion(found)} {regions(summary)}", WIDTH)
    return "\n".join([*lines, *textwrap.wrap(GUARD, WIDTH)])


def _lines(found: Sequence[Outcome]) -> list[str]:
    """Counts in columns; what changes beside them where it fits, else below."""
    numbers = ("reversed", "gained", "lost", "equal/not", "ranks")
    wide = max(len(one.words) for one in found)
    lines, metric = [f"{'':<{INDENT}}{'convention':<{wide}}  {'  '.join(numbers)}  what changes"], ""
    for one in found:
        name, metric = ("" if one.place.metric == metric else words(one.place.metric)), one.place.metric
        counts = [*(one.count(kind) for kind in KINDS), one.moved]
        shown = [f"{count or '.':>{len(title)}}" for count, title in zip(counts, numbers, strict=True)]
        line = f"{name[: INDENT - 1]:<{INDENT}}{one.words:<{wide}}  {'  '.join(shown)}"
        rest, before = changes(one, most=NAMED), " " * (INDENT + 2)
        if len(line) + 2 + len(rest) <= WIDTH:
            lines.append(f"{line}  {rest}".rstrip())
        else:
            lines += [line, *textwrap.wrap(rest, WIDTH, initial_indent=before, subsequent_indent=before)]
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
