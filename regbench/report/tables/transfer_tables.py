"""Tables of transfer: runs on other data than they were trained on, and lambdas of another dataset or model."""

from pathlib import Path

import numpy as np
import pandas as pd

from regbench.metrics import METRICS
from regbench.report.summary_file import Summary, digits_of, finer_digits, number
from regbench.report.tables.table_format import (
    NONE,
    Form,
    Row,
    Score,
    cell,
    escape,
    header,
    plain,
    rows_of,
    write_table,
)

MOST_DIGITS = 4  # of a validation score


def optional_tables(summary: Summary) -> set[str]:
    """Those of the tables that some studies lack and this one has."""
    controls = any(entry.get("control") for entry in summary["methods"])
    known = {"controls": controls, "transfer": "transfers" in summary, "lambda_transfer": "lambda_transfers" in summary}
    known |= dict.fromkeys(("curve", "curve_verdicts"), "trade_offs" in summary) | {"looks": "looks" in summary}
    return {name for name, there in known.items() if there}


def write_transfers(summary: Summary, folder: Path) -> None:
    """Write `transfer` and `lambda_transfer`, each in four forms; nothing for a study without them."""
    study = summary["study"]
    if "transfers" in summary:
        frame = transfer_table(summary)
        write_table(
            folder / "transfer", frame, lambda form: _transfers_shown(frame, form, summary),
            f"Study {study}: every cell on the test pairs of other data, as trained (a network) or at the lambda that "
            "was chosen (optimisation of each pair); nothing was trained or tuned there. Mean ± SD over test pairs "
            "(ddof 1), seeds averaged first; in brackets the SD over seeds. Rank: among the cells of one model and "
            "training set. Against own: difference to the same cell trained on the tested set, with a 95 % interval, "
            "simultaneous over the table's cells of a model and tested set, that holds test subjects and, where they "
            "were repeated, trainings and tuning; a dash where no run was trained there.", study,
        )  # fmt: skip
    if "lambda_transfers" in summary:
        lambdas = lambda_table(summary)
        write_table(
            folder / "lambda_transfer", lambdas, lambda form: _lambdas_shown(lambdas, form, summary),
            f"Study {study}: what is lost when lambda is taken from another dataset or model: validation score at the "
            "cell's own lambda less that at the lambda taken, both off the smoothed curve of the cell's own trials, "
            "± its SD. Where several searches chose, the lowest and the highest lambda, and means over all. Positive: "
            "the own lambda is better. A dash where the lambda taken lies outside of the range that the cell searched.",
            study,
        )  # fmt: skip


def _most_digits(summary: Summary) -> int:
    """Of scores, whatever their metric: four, or more where lengths have more."""
    scores = (name for goals in summary["goals"].values() for name in (goals["leading"], *goals["selection"]))
    return max([MOST_DIGITS, *finer_digits(summary, scores).values()])


def transfer_table(summary: Summary) -> pd.DataFrame:
    """One row a tested set, training set and cell."""
    rows = []
    for entry in summary.get("transfers", []):
        row: dict[str, object] = {name: entry[name] for name in ("tested_on", "trained_on", "method", "leading")}
        row |= {name: round(number(value), digits_of(summary, name) + 1) for name, value in entry["means"].items()}
        row |= {"sd": entry["sd"], "seed_sd": entry["seed_sd"], "pairs": entry["pairs"], "failed": entry["failed"]}
        own = entry["against_own"]
        row |= {"rank": entry["rank"]} | {
            name: own[name] if own else None for name in ("difference", "low", "high", "verdict")
        }
        rows.append(row)
    frame = pd.DataFrame(rows)
    numbers = ["sd", "seed_sd", "difference", "low", "high"]
    return frame.astype(dict.fromkeys(numbers, "float64") | {"rank": "Int64"}).round(
        dict.fromkeys(numbers, _most_digits(summary) + 1)
    )


def _transfers_shown(frame: pd.DataFrame, form: Form, summary: Summary) -> pd.DataFrame:
    text = plain(frame[["tested_on", "trained_on", "method"]], form)
    leading = str(frame["leading"].iloc[0])
    for metric in (name for name in dict.fromkeys([leading, *METRICS]) if name in frame):
        scores = []
        for row in rows_of(frame):
            is_leading = metric == row["leading"]
            score = Score(row[metric], row["sd"], row["seed_sd"]) if is_leading else Score(row[metric])
            scores.append(cell(score, digits_of(summary, metric), form))
        text[header(metric, form)] = scores
    text[header("rank", form)] = [NONE if pd.isna(rank) else str(rank) for rank in frame["rank"]]
    digits = digits_of(summary, leading)
    text[header("against_own", form)] = [escape(_against(row, digits), form) for row in rows_of(frame)]
    return text


def _against(row: Row, digits: int) -> str:
    if not isinstance(row["verdict"], str):
        return NONE
    if np.isnan(row["low"]):
        return row["verdict"]
    return f"{row['difference']:+.{digits}f} [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}], {row['verdict']}"


def lambda_table(summary: Summary) -> pd.DataFrame:
    """One row a cell and a cell whose lambda it is given."""
    ends = ("own_low", "own_high", "taken_low", "taken_high")
    rows = []
    for entry in summary.get("lambda_transfers", []):
        row: dict[str, object] = {name: entry[name] for name in ("dataset", "method", "from_dataset", "from_method")}
        row |= {name: float(f"{lam:.3g}") for name, lam in zip(ends, (*entry["own"], *entry["taken"]), strict=True)}
        row |= {name: round(number(entry[name]), _most_digits(summary)) for name in ("lost", "sd")}
        rows.append(row | {"inside": entry["inside"]})
    columns = ["dataset", "method", "from_dataset", "from_method", *ends, "lost", "sd", "inside"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys((*ends, "lost", "sd"), "float64"))


def _lambdas_shown(frame: pd.DataFrame, form: Form, summary: Summary) -> pd.DataFrame:
    digits = _most_digits(summary)
    text = plain(frame[["dataset", "method", "from_dataset", "from_method"]], form)
    for name, title in (("own", "lambda"), ("taken", "taken")):
        ends = zip(frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
        text[header(title, form)] = [
            escape(f"{low:g}" if low == high else f"{low:g} to {high:g}", form) for low, high in ends
        ]
    text[header("lost", form)] = [
        escape(NONE if pd.isna(lost) else f"{lost:+.{digits}f} ± {sd:.{digits}f}", form)
        for lost, sd in zip(frame["lost"], frame["sd"], strict=True)
    ]
    return text
