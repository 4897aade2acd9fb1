"""SyN by ANTs, through antspyx. Its pins clash with ours, so it runs in an environment of its own: ``make ants``.

Environment:
    REGBENCH_ANTS_PYTHON: the Python that has antspyx; default: ``.venv-ants/bin/python``, relative to where the command
        runs.
"""

import atexit
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regbench.data.cache import Pair
from regbench.data.nifti import displacement_name, write_nifti
from regbench.models.classical import ants_program
from regbench.models.classical.fields import fields
from regbench.system.errors import RegbenchError, UsageError

Array = NDArray[Any]
VARIABLE = "REGBENCH_ANTS_PYTHON"
DEFAULT = ".venv-ants/bin/python"
METRICS = {"cc": "CC", "mi": "mattes", "meansquares": "meansquares"}


def ants_syn(
    pair: Pair,
    fixed: str,
    moving: str,
    /,
    *,
    metric: Literal["cc", "mi", "meansquares"] = "cc",
    radius: int = 4,
    iterations: tuple[int, ...] = (100, 60, 30),
    affine: bool = True,
) -> Array:
    """Symmetric diffeomorphic registration (SyN) by ANTs after its affine registration, multi-resolution.

    Args:
        pair: the two images.
        fixed: id of the fixed subject.
        moving: id of the moving subject.
        metric: ``cc``, local cross-correlation; ``mi``, Mattes mutual information (32 bins), many times faster; or
            ``meansquares``.
        radius: of the correlation window, in voxels; for ``cc`` only.
        iterations: on each level, the coarsest first.
        affine: whether an affine stage comes first; images that are aligned need none.

    Returns:
        ``(d, *S)`` float32, voxels.

    Raises:
        UsageError: if there is no Python with antspyx.
        RegbenchError: if ANTs fails on this pair.

    Reference:
        Avants et al. 2008, doi:10.1016/j.media.2007.06.004; Tustison et al. 2021, doi:10.1038/s41598-021-87564-6.
    """
    with tempfile.TemporaryDirectory(prefix="regbench-ants-") as name:
        folder = Path(name)
        grid = np.diag([*pair.spacing_mm, *[1.0] * (4 - pair.fixed.ndim)])
        for image, values in (("fixed", pair.fixed), ("moving", pair.moving)):
            write_nifti(folder / f"{image}.nii", np.asarray(values, dtype=np.float32), grid)
        task: ants_program.Task = {
            "fixed": str(folder / "fixed.nii"),
            "moving": str(folder / "moving.nii"),
            "out": str(folder / displacement_name("fixed", "moving")),
            "metric": METRICS[metric],
            "sampling": radius if metric == "cc" else 32,
            "iterations": list(iterations),
            "affine": affine,
        }
        _program(python()).register(task)
        return fields(replace(pair, files=()), "fixed", "moving", path=name, form="itk")


def python() -> str:
    """The Python that has antspyx.

    Raises:
        UsageError: if there is none; says how to make it.
    """
    interpreter = os.environ.get(VARIABLE, DEFAULT)
    if not Path(interpreter).is_file():
        raise UsageError(
            f"ants_syn needs a Python that has antspyx, but there is no `{interpreter}`. "
            f"Run `make ants`, or set {VARIABLE} to one."
        )
    return interpreter


def versions() -> Mapping[str, str]:
    """The versions of antspyx and of the numpy beside it."""
    return _program(python()).versions


class _Program:
    """`ants_program` in the other Python, started once: to import antspyx takes longer than to register a slice."""

    def __init__(self, interpreter: str) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the program
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        self._process = subprocess.Popen(
            [interpreter, ants_program.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=variables | ants_program.SETTINGS,
            text=True,
        )
        atexit.register(self.close)
        try:
            self.versions: dict[str, str] = self._answer()
        except RegbenchError as error:
            raise UsageError(f"`{interpreter}` cannot run antspyx: {error}. Run `make ants`.") from error

    def register(self, task: ants_program.Task) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended; the answer says why
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        failure = self._answer()["error"]
        if failure:
            raise RegbenchError(f"ANTs failed: {failure}")

    def _answer(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, str] = json.loads(line)
            return answer
        _program.cache_clear()  # the next pair gets a new one
        code = self._process.wait()
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
        raise RegbenchError(f"ANTs ended with exit status {code}: {last}")

    def close(self) -> None:
        """End the program: it stops where its input ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it may have ended with something unread
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._complaints.close()
        atexit.unregister(self.close)


@cache
def _program(interpreter: str) -> _Program:
    return _Program(interpreter)
