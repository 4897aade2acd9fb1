"""Whether displacements that are computed anew are those of a run's rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from regbench.evaluation.measure import Registered, Within, inside
from regbench.metrics import dice, displacement_mm, mean_over_labels
from regbench.study.goals import DEFAULTS, words
from regbench.system.parquet import read_table
from regbench.training.validation import landmark_scores

LENGTH = "displacement_mm"


class AsEvaluated:
    """The rows of an evaluation, and how displacements that are computed anew compare with them.

    Dice is what counts, without labels TRE; the mean length sees the last bit.

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
        frame = read_table(path) if path.exists() else pd.DataFrame(columns=["fixed", "moving", LENGTH])
        self._metric = next((name for name in DEFAULTS if name in frame), LENGTH)
        columns = (frame[name] for name in ("fixed", "moving", self._metric, LENGTH))
        self._rows = {
            (str(a), str(b)): (float(score), float(length)) for a, b, score, length in zip(*columns, strict=True)
        }

    def compare(self, registered: Registered) -> None:
        """Note whether score and mean length of a displacement are those of its row."""
        pair, names = registered.pair, (registered.fixed, registered.moving)
        if names not in self._rows:
            return
        mask = inside(pair, self._within)
        length = displacement_mm(registered.displacement, pair.spacing_mm, mask=mask)
        score = length
        if self._metric == "dice":
            per_label = dice(pair.fixed_labels, registered.moved_labels, self._labels, moving=pair.moving_labels)
            score = mean_over_labels(per_label)
        elif self._metric == "tre_mm":
            score = landmark_scores(pair, registered.displacement, mask)["tre_mm"]
        here = (score, length)
        there = self._rows[names]
        self._compared += 1
        if not np.array_equal(here, there, equal_nan=True):
            apart = float(np.nan_to_num(abs(here[0] - there[0])))
            self._differing.append(
                (apart, f"{', '.join(names)}: {self._words(*here)}; in the rows {self._words(*there)}")
            )

    def sentences(self, where: str) -> Iterator[str]:
        """Whether what was compared is what was evaluated.

        Args:
            where: device that computed it anew.
        """
        if not self._compared:
            yield f"not compared with an evaluation: {self._path} has no rows of these pairs. Run `regbench evaluate`"
        elif not self._differing:
            pairs = f"{self._compared} pair{'s' * (self._compared > 1)}"
            yield f"as evaluated: {self._said('')}mean length of {pairs} are those of {self._path}"
        else:
            yield f"NOT as evaluated: of {self._compared} compared, {len(self._differing)} differ from {self._path}"
            yield f"the largest difference of {words(self._metric)}: {max(self._differing)[1]}"
            yield (
                f"the pairs were registered anew on {where}. Device, threads (`--threads`) and packages of the "
                "evaluation give its displacements again; if the run or its fields are newer than the rows, run "
                "`regbench evaluate`"
            )

    def _words(self, score: float, length_mm: float) -> str:
        return f"{self._said(f' {score:.6f}')}mean length {length_mm:.6f} mm"

    def _said(self, score: str) -> str:
        """The score before the mean length, where there is one."""
        if self._metric == LENGTH:
            return ""
        return f"{words(self._metric)}{score}, " if score else f"{words(self._metric)} and "
