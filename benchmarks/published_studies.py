"""What is read of published studies: rows, tables, verdicts, trials, and the curves of lambda behind them."""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regbench.tuning.smoothing import smooth

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # decimal logarithms of lambda, smoothed Dice
TURNED = {"better": "worse", "worse": "better"}  # a verdict on b against a


@dataclass(frozen=True, eq=False)
class Published:
    """What is read of a published study; one is another than its copy, so that what follows from it is kept for it."""

    name: str
    rows: pd.DataFrame  # one per pair, method and seed
    main: pd.DataFrame
    verdicts: pd.DataFrame
    trials: pd.DataFrame
    region: float  # of Dice: two methods within it are equal

    def cells(self, model: str) -> pd.DataFrame:
        """The rows of the main table that are cells of a model."""
        return self.main[(self.main["model"] == model) & self.main["regularizer"].notna()]

    @property
    def of_cells(self) -> pd.DataFrame:
        """The rows of trained or optimised cells, without those of baselines."""
        return self.rows[self.rows["method"].isin(self.main.loc[self.main["regularizer"].notna(), "method"])]

    @property
    def of_labels(self) -> bool:
        """Whether it is judged by Dice; a study of landmarks is not."""
        return "dice_mean" in self.main

    @property
    def models(self) -> list[str]:
        """Those with more than one cell."""
        counted = self.main[self.main["regularizer"].notna()].groupby("model", sort=False).size()
        return [str(name) for name, count in counted.items() if count > 1]


def read(folder: Path) -> Published:
    """A published study."""
    verdicts = pd.read_csv(folder / "tables/verdicts.csv")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Published(
        folder.name,
        pd.read_parquet(folder / "analysis/rows.parquet"),
        pd.read_csv(folder / "tables/main.csv"),
        verdicts[verdicts["metric"] == "dice"],
        trials(folder / "records.jsonl"),
        float((config.get("equivalence") or {}).get("dice", 0.0)),
    )


def trials(records: Path) -> pd.DataFrame:
    """Every trial of every search, with its scores; `chosen` where its lambda is what the search chose."""
    tried, chosen_by = [], {}
    for line in records.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        stage, *place, name = record["file"].split("/")
        if stage != "tuning":
            continue
        search = place[1], int(place[2].removeprefix("replicate"))
        if name == "selected.json":
            chosen_by[search] = record["content"]["lam"]
        elif name.startswith("trials"):
            tried += [(*search, one["number"], one["lam"], one["scores"]) for one in record["content"]]
    return pd.DataFrame([
        {"method": method, "replicate": replicate, "number": number, "lam": lam, "dice": scores.get("dice"),
         "ndv_percent": scores.get("ndv_percent"), "chosen": lam == chosen_by.get((method, replicate))}
        for method, replicate, number, lam, scores in sorted(tried, key=lambda one: one[:3])
    ])  # fmt: skip


def claims(study: Published, model: str, family: str = "pairs") -> dict[tuple[str, str], tuple[str, float]]:
    """Each compared pair in alphabetical order: the verdict on its first, and its difference."""
    chosen = study.verdicts[(study.verdicts["model"] == model) & (study.verdicts["family"] == family)]
    found = {}
    for a, b, verdict, difference in chosen[["a", "b", "verdict", "difference"]].itertuples(index=False):
        if a < b:
            found[a, b] = verdict, difference
        else:
            found[b, a] = TURNED.get(verdict, verdict), -difference
    return found


def curve(trials: pd.DataFrame) -> Curve:
    """Decimal logarithms of lambda over what was tried, and the smoothed validation Dice there."""
    known = trials[np.isfinite(trials["dice"]) & (trials["lam"] > 0)]
    logs = np.log10(known["lam"].to_numpy())
    low, high = logs.min(), logs.max()
    places = np.linspace(0, 1, 201)
    smoothed = smooth(((logs - low) / (high - low))[:, None], known["dice"].to_numpy(), at=places[:, None])
    return low + places * (high - low), smoothed.mean


@functools.cache
def curves(study: Published, model: str) -> dict[str, Curve]:
    """The smoothed curve of each cell of a model."""
    cells = study.cells(model)["method"]
    return {cell: curve(study.trials[study.trials["method"] == cell]) for cell in cells}


def read_off(at: Curve, lambdas: Iterable[float]) -> float:
    """Mean validation Dice of a curve at some lambdas; beyond what was tried, that of its end."""
    logs, dice = at
    return float(np.mean(np.interp(np.log10(list(lambdas)), logs, dice)))


def chosen(study: Published, cell: str) -> pd.Series:
    """The lambda of each search of a cell."""
    trials = study.trials[(study.trials["method"] == cell) & study.trials["chosen"]]
    return trials.drop_duplicates("replicate").set_index("replicate")["lam"]


def by_pair(study: Published, model: str) -> pd.DataFrame:
    """Dice with one row per run and pair, one column per cell."""
    cells = list(study.cells(model)["method"])
    rows = study.rows[study.rows["method"].isin(cells)]
    return rows.pivot_table(index=["seed", "fixed", "moving"], columns="method", values="dice")[cells]
