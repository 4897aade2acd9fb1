"""From rows to curves: what each run of a cell scores at each of its lambdas, and at levels of regularity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.report.comparison_entries import CurvePoint
from regbench.report.pooling import FOLD, with_folds
from regbench.report.summary_file import MethodEntry, stored
from regbench.statistics.trade_off import Curve, reached
from regbench.study.methods import Study
from regbench.study.pools import Pool
from regbench.system.files import RUN, read_sealed

CASE = ["fixed", "moving"]
Floats = NDArray[np.float64]


class RunCurve(NamedTuple):
    """The curve of one run on the test pairs of one dataset.

    Attributes:
        chosen: lambda of the study's own run.
        split: the draw of validation subjects that it was trained with.
        cases: (fixed, moving) of each column.
    """

    dataset: str
    seed: int
    replicate: int
    chosen: float
    cases: pd.MultiIndex
    curve: Curve
    split: int = 0


class Tried(NamedTuple):
    """What the validation pairs tell of the curve of one run."""

    least: float
    most: float
    chosen: float  # at the chosen lambda


def tried(study: Study, dataset: str, entry: MethodEntry, regularity: str) -> Iterator[Tried]:
    """The regularity of the validation pairs along the curve of each run; nothing of a run with fewer than two points.

    The run of the chosen lambda may not have been scored by it: its further points then tell, by a line between roots.
    """
    for run in entry["runs"]:
        points = {run["lam"]: run["validation"].get(regularity)}
        for point in study.further_points:
            record = read_sealed(study.layout.curve_point(dataset, entry["method"], run["seed"], point) / RUN)
            points[record["lam"]] = record["validation"].get(regularity)
        known = {lam: value for lam, value in points.items() if lam and value is not None and np.isfinite(value)}
        if len(known) < 2 or run["lam"] is None:
            continue
        lams = sorted(known)
        roots = np.sqrt([known[lam] for lam in lams])
        chosen = float(np.interp(np.log(run["lam"]), np.log(lams), roots) ** 2)
        yield Tried(min(known.values()), max(known.values()), chosen)


def run_curves(
    rows: pd.DataFrame, further: pd.DataFrame, entry: MethodEntry, names: tuple[str, str]
) -> Iterator[RunCurve]:
    """The curve of each run of a cell.

    Args:
        rows: of the cell's runs at the chosen lambda.
        further: of the further points.
        entry: of the cell.
        names: the columns of regularity and of the score.
    """
    lams = {run["seed"]: run["lam"] for run in entry["runs"]}
    drawn = [name for name in ("split",) if name in rows]
    columns = ["seed", "replicate", *drawn, "lam", *CASE, *names]
    every = pd.concat([rows[columns], further[columns]], ignore_index=True)
    for seed, lam in lams.items():
        of_run = every[every["seed"] == seed]
        cases = pd.MultiIndex.from_frame(of_run[CASE].drop_duplicates())
        tables = [_by_lambda(of_run, name, cases) for name in names]
        curve = Curve(
            tables[0].index.to_numpy(dtype=np.float64),
            tables[0].to_numpy(dtype=np.float64),
            tables[1].to_numpy(dtype=np.float64),
        )
        replicate, split = (int(of_run[name].iloc[0]) if name in of_run else 0 for name in ("replicate", "split"))
        yield RunCurve(entry["dataset"], seed, replicate, float("nan") if lam is None else lam, cases, curve, split)


def _by_lambda(rows: pd.DataFrame, column: str, cases: pd.MultiIndex) -> pd.DataFrame:
    """A line a lambda, rising, a column a case; no line where no lambda was chosen."""
    known = rows[rows["lam"].notna()]
    if known.empty:
        return pd.DataFrame(np.empty((0, len(cases))), columns=cases)
    # Two trainings at one lambda, of a range too narrow for others, are one point.
    wide: pd.DataFrame = known.groupby(["lam", *CASE], sort=False)[column].mean().unstack(CASE, sort=False)
    return wide.reindex(columns=cases).sort_index()


def heights(
    method: str, runs: Sequence[RunCurve], read: Mapping[str, Callable[[Curve], Floats]], *, pool: Pool | None
) -> pd.DataFrame:
    """Rows of a cell, one a run and pair, with what is read off its curves; the mean of a run is its number.

    Args:
        method: its id.
        runs: its curves, of all folds where these are pooled.
        read: by the name of the column, what reads ``(cases,)`` off a curve.
        pool: of the folds, where these are pooled; a run that has no number in one fold has none in any.
    """
    parts = []
    for run in runs:
        part = run.cases.to_frame(index=False).set_axis(CASE, axis=1)
        part = part.assign(method=method, seed=run.seed, replicate=run.replicate, split=run.split)
        if pool is not None:
            part = with_folds(part.assign(dataset=run.dataset), pool).drop(columns="dataset")
        parts.append(part.assign(**{name: reading(run.curve) for name, reading in read.items()}))
    frame = pd.concat(parts, ignore_index=True)
    if pool is not None:
        for name in read:
            gone = frame[name].isna().groupby([frame["seed"], frame[FOLD]]).transform("all")
            frame.loc[gone.groupby(frame["seed"]).transform("any"), name] = np.nan
    return frame


def common_reach(runs: Sequence[RunCurve]) -> tuple[float, float] | None:
    """The levels that every run reaches; None where there are none."""
    ends = [reached(run.curve) for run in runs]
    known = [end for end in ends if end is not None]
    if not known or len(known) < len(ends):
        return None
    low, high = max(low for low, _ in known), min(high for _, high in known)
    return (low, high) if low < high else None


def points_of(runs: Sequence[RunCurve]) -> list[CurvePoint]:
    """The means of every training over its test pairs."""
    points: list[CurvePoint] = []
    for run in runs:
        for lam, regularity, scores in zip(*run.curve, strict=True):
            points.append(
                {
                    "seed": run.seed,
                    "lam": float(lam),
                    "chosen": bool(lam == run.chosen),
                    "regularity": stored(_mean(regularity)),
                    "score": stored(_mean(scores)),
                }
            )
    return points


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
