"""The drills by name, and what a drill is given."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from drilling import StudyFolder


class New:
    """Makes the folders of a drill."""

    def __init__(self, folder: Path, reference: StudyFolder, *, quick: bool, seed: int) -> None:
        self.folder, self.reference, self.quick, self.seed, self.name = folder, reference, quick, seed, ""
        self.made: list[StudyFolder] = []

    def place(self) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.folder))

    def __call__(self, *, begun: Path | None = None, results: str | None = None, **changes) -> StudyFolder:
        """A study that has not begun, or whose results are a copy of `begun`."""
        made = StudyFolder(self.place(), {**self.reference.study, **changes}, begun=begun, results=results)
        self.made.append(made)
        return made

    def finished(self, **changes) -> StudyFolder:
        """A copy of the undisturbed study at its end."""
        return self(begun=self.reference.root.parent, **changes)

    def end(self) -> None:
        for made in self.made:
            made.end()
        self.made.clear()


class Drill(NamedTuple):
    done: str  # what happens to the study
    expected: str
    run: Callable[[New], str]  # returns what was seen
    quick: bool


DRILLS: dict[str, Drill] = {}


def drill(done: str, expected: str, *, quick: bool = False) -> Callable[[Callable[[New], str]], Callable[[New], str]]:
    def add(function: Callable[[New], str]) -> Callable[[New], str]:
        DRILLS[function.__name__] = Drill(done, expected, function, quick)
        return function

    return add


def study_of(base: Mapping[str, Any]) -> dict[str, Any]:
    """Two cells, and trainings that last long enough to be hit."""
    tuning = {"trials": 4, "round_size": 2, "steps": 3, "trials_per_job": 2}
    training = {"steps": 1500, "batch": 2, "device": "cpu"}
    return {**base, "study": "drill", "results": "results", "tuning": tuning, "training": training, "seeds": [0],
            "tracking": {"follow": False}}  # fmt: skip
