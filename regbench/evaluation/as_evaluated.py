"""Whether displacements that are computed anew are those of a run's rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.evaluation.measure import Registered, Within, inside
from regbench.metrics import dice, displacement_mm, mean_over_labels
from regbench.system.parquet import read_table


class AsEvaluated:
    """The rows of an evaluation, and how displacements that are computed anew compare with them.

    Dice is what counts; the mean length sees the last bit.

    Args:
        path: parquet file of the rows; may be missing.
        labels: that Dice is the mean of.
        within: what the length is restricted to.

    Raises:
        RegbenchError: if the file is damaged.
    """

    def __init__(self, path: Path, labels: list[int], within: Within = "none") -> None:
        self._path, self._labels, self._within = path, labels, within
        self._compared, self._differing = 0, list[tuple[float, str]]()
        columns = ["fixed", "moving", "dice", "displacement_mm"]
        frame = read_table(path, columns) if path.exists() else pd.DataFrame(columns=columns)
        self._rows = {(str(row[1]), str(row[2])): (float(row[3]), float(row[4])) for row in frame.itertuples()}

    def compare(self, registered: Registered) -> None:
        """Note whether Dice and mean length of a displacement are those of its row."""
        pair, names = registered.pair, (registered.fixed, registered.moving)
        if names not in self._rows:
            return
        per_label = dice(pair.fixed_labels, registered.moved_labels, self._labels, moving=pair.moving_labels)
        mask = inside(pair, self._within)
        here = (mean_over_labels(per_label), displacement_mm(registered.displacement, pair.spacing_mm, mask=mask))
        there = self._rows[names]
        self._compared += 1
        if not np.array_equal(here, there, equal_nan=True):
            apart = float(np.nan_to_num(abs(here[0] - there[0])))
            self._differing.append((apart, f"{', '.join(names)}: {_words(*here)}; in the rows {_words(*there)}"))

    def sentences(self, where: str) -> Iterator[str]:
        """Whether what was compared is what was evaluated.

        Args:
            where: device that computed it anew.
        """
        if not self._compared:
            yield f"not compared with an evaluation: {self._path} has no rows of these pairs. Run `regbench evaluate`"
        elif not self._differing:
            yield f"as evaluated: Dice and mean length of {self._compared} pairs are those of {self._path}"
        else:
            yield f"NOT as evaluated: {len(self._differing)} of {self._compared} pairs differ from {self._path}"
            yield f"the largest difference of Dice: {max(self._differing)[1]}"
            yield (
                f"the pairs were registered anew on {where}. Device, threads (`--threads`) and packages of the "
                "evaluation give its displacements again; if the run or its fields are newer than the rows, run "
                "`regbench evaluate`"
            )


def _words(score: float, length_mm: float) -> str:
    return f"Dice {score:.6f}, mean length {length_mm:.6f} mm"
