"""What runs in the Python of ANTs, whose pins clash with ours: it imports nothing of regbench.

A line of JSON on standard input is a registration, a line on standard output its answer; the first, unasked, holds the
versions. By hand, on what ``regbench export-images`` wrote::

    .venv-ants/bin/python regbench/models/classical/ants_program.py exported fields/ants
    regbench evaluate-fields configs/mine.yaml fields/ants --form itk
"""

import csv
import ctypes
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict


class Settings(TypedDict):
    """How to register."""

    metric: str
    sampling: int
    iterations: Sequence[int]
    affine: bool


class Task(Settings):
    """A registration: what to register, and how; paths of NIfTI files."""

    fixed: str
    moving: str
    out: str


DEFAULTS: Settings = {"metric": "CC", "sampling": 4, "iterations": [100, 60, 30], "affine": True}
# Sums depend on the number of threads in the last bit, and the affine stage draws its samples.
SETTINGS = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "1", "OMP_NUM_THREADS": "1"}


def register(ants: Any, task: Task) -> None:
    """Register `moving` to `fixed` and write the displacement to `out`: paths of NIfTI files, `out` a `.nii.gz`.

    The field is ITK's: vectors in mm, axes LPS, on the grid of `fixed`; affine and deformable stages in one.
    """
    fixed, moving = ants.image_read(task["fixed"]), ants.image_read(task["moving"])
    out = Path(task["out"])
    with tempfile.TemporaryDirectory(prefix=".ants-", dir=out.parent) as folder:
        result = ants.registration(
            fixed,
            moving,
            type_of_transform="SyN" if task["affine"] else "SyNOnly",
            syn_metric=task["metric"],
            syn_sampling=task["sampling"],
            reg_iterations=tuple(task["iterations"]),
            outprefix=f"{folder}/stage_",
        )
        whole = ants.apply_transforms(fixed, moving, result["fwdtransforms"], compose=f"{folder}/whole_")
        Path(whole).replace(out)
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # what is free goes back, or the next one would seem to need no memory


def serve(ants: Any, answers: Any) -> None:
    """Answer each line of standard input."""

    def say(answer: dict[str, str]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # a registration of an hour must not outlive who asked for it
    say({name: version(name) for name in ("antspyx", "numpy")})
    for line in sys.stdin:
        try:
            register(ants, json.loads(line))
            say({"error": ""})
        except Exception as error:  # noqa: BLE001  whatever ANTs raises; the next pair may go well
            say({"error": f"{type(error).__name__}: {error}"})


def by_hand(ants: Any, exported: Path, out: Path) -> None:
    """Every pair of `files.csv` in the folder of ``regbench export-images``."""
    out.mkdir(parents=True, exist_ok=True)
    with (exported / "files.csv").open(newline="", encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))
    for pair in pairs:
        fixed, moving = (str(exported / "images" / f"{pair[f'{name}_file']}.nii.gz") for name in ("fixed", "moving"))
        path = out / f"{pair['displacement_file']}.nii.gz"
        register(ants, {**DEFAULTS, "fixed": fixed, "moving": moving, "out": str(path)})
        sys.stderr.write(f"{path}\n")


def main() -> None:
    os.environ.update(SETTINGS)  # before the libraries are loaded, which read them once
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what ANTs prints is no answer
    import ants

    if len(sys.argv) == 3:
        by_hand(ants, *map(Path, sys.argv[1:]))
    elif len(sys.argv) == 1:
        serve(ants, answers)
    else:
        sys.exit("usage: ants_program.py EXPORTED OUT")


if __name__ == "__main__":
    main()
