"""The table of looks: which cell got how many seeds, and what each look decided."""

from pathlib import Path

import pandas as pd

from regbench.report.comparison_entries import LookEntry
from regbench.report.summary_file import Summary
from regbench.report.tables.column_titles import METRIC_TITLES
from regbench.report.tables.table_format import NONE, Form, plain, write_table

OUTCOMES = ("decided", "given_up", "open")


def write_looks(summary: Summary, folder: Path) -> None:
    """Write `looks`, in four forms; nothing for a study without looks."""
    if "looks" not in summary:
        return
    frame = looks_table(summary["looks"])
    write_table(folder / "looks", frame, lambda form: _shown(frame, form), caption(summary), summary["study"])


def looks_table(entries: list[LookEntry]) -> pd.DataFrame:
    """One row a cell: the seeds that it had at each look, and how many of its pairs were decided, given up or left."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for entry in entries:
        judged = [pair for outcome in OUTCOMES for pair in _pairs(entry, outcome)]
        for method, seeds in entry["seeds"].items():
            key = entry["dataset"], method
            row = rows.setdefault(key, {"dataset": entry["dataset"], "method": method, "seeds": seeds})
            row["seeds"] = seeds
            if not any(method in pair for pair in judged):
                continue
            row[f"look{entry['look']}_seeds"] = seeds
            for outcome in OUTCOMES:
                row[f"look{entry['look']}_{outcome}"] = sum(method in pair for pair in _pairs(entry, outcome))
    frame = pd.DataFrame(list(rows.values()))
    columns = ["dataset", "method", *(name for name in frame if str(name).startswith("look")), "seeds"]
    return frame[columns].astype(dict.fromkeys(columns[2:], "Int64"))


def _pairs(entry: LookEntry, outcome: str) -> list[list[str]]:
    return {"decided": entry["decided"], "given_up": entry["given_up"], "open": entry["open"]}[outcome]


def _shown(frame: pd.DataFrame, form: Form) -> pd.DataFrame:
    """The seeds of each look, and behind them what it made of the pairs of the cell."""
    text = frame[["dataset", "method"]].copy()
    looks = [str(name).removesuffix("_seeds") for name in frame if str(name).endswith("_seeds")]
    for look in looks:
        parts = frame[[f"{look}_seeds", *(f"{look}_{outcome}" for outcome in OUTCOMES)]]
        text[look.replace("look", "look_")] = [
            NONE if pd.isna(seeds) else f"{seeds}: {decided} decided, {given_up} given up, {left} open"
            for seeds, decided, given_up, left in parts.itertuples(index=False)
        ]
    text["seeds"] = frame["seeds"]
    return plain(text, form)


def caption(summary: Summary) -> str:
    """The rule, and what each look spent and decided."""
    entries = summary["looks"]
    given, most = 0, 0
    for entry in _last(entries):
        given += sum(entry["seeds"].values())
        most += entry["most"] * len(entry["seeds"])
    judged = " and ".join(dict.fromkeys(METRIC_TITLES.get(entry["metric"], entry["metric"]) for entry in entries))
    beaten = (
        "; or another cell has beaten one of it, as the best cells are looked for" if entries[0].get("best") else ""
    )
    told = "; ".join(_told(entry, several=len(_last(entries)) > 1) for entry in entries)
    return (
        f"Study {summary['study']}: seeds given out in looks. After each batch every pair of cells of a model that was "
        f"still open was judged by {judged}: decided (better, worse or equal), given up (less than one chance in ten "
        f"to be decided by the last look, if difference and noise stay as measured{beaten}; or no seeds left), or "
        "open. Only cells with an open pair got the next batch, equally on both sides. The part of the 5 % that is "
        "spent up to a look is the cube of its share of the most seeds; the level of each pair follows from it (Lan "
        "and DeMets 1983, over all pairs by Bonferroni). "
        f"{told}. Trainings, or registrations of the test pairs: {given}, where all seeds at once would have been "
        f"{most}. In a row: the seeds of the cell at a look, and what became of its "
        "pairs; a dash where it had no open pair left."
    )


def _told(entry: LookEntry, *, several: bool) -> str:
    of = f"{entry['dataset']}, {entry['model']}, look" if several else "Look"
    return (
        f"{of} {entry['look']}: {len(entry['decided'])} decided, {len(entry['given_up'])} given up, "
        f"{len(entry['open'])} open, {100 * entry['spent']:.2g} % spent, level {entry['level']:.2g} a pair"
    )


def _last(entries: list[LookEntry]) -> list[LookEntry]:
    """The last look at the cells of each model."""
    return list({(entry["dataset"], entry["model"]): entry for entry in entries}.values())
