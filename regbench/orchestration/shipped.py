"""The files of the workflow: in a clone the ones at the top, in an installed package the copies that its wheel carries.

A wheel is made from the same files (`tool.hatch` in pyproject.toml); no copy is in the repository.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from regbench.study.fingerprint import PACKAGE
from regbench.system.errors import RegbenchError, UsageError, did_you_mean

# Words of Snakemake's command line that say how many jobs run at once, or that none does.
SAYS_CORES = ("--cores", "-c", "--jobs", "-j", "--profile", "--workflow-profile", "--executor", "-e")
EXECUTORS = {"slurm": "snakemake_executor_plugin_slurm"}  # profile to the package that it needs


def root() -> Path:
    """The folder of `Snakefile`, `workflow/` and `configs/`.

    Raises:
        RegbenchError: if the installation has none.
    """
    for folder in (PACKAGE / "shipped", PACKAGE.parent):
        if (folder / "Snakefile").is_file():
            return folder
    raise RegbenchError(f"`{PACKAGE}` must come with a Snakefile, but has none. Install regbench again.")


def profile(name: str) -> Path:
    """The folder of a workflow profile: one of ours by its name, or a folder of the user.

    Raises:
        UsageError: if there is none, or its executor is not installed.
    """
    profiles = root() / "workflow" / "profiles"
    known = sorted(path.name for path in profiles.iterdir() if path.is_dir())
    if name in known:
        needed = EXECUTORS.get(name)
        if needed is not None and find_spec(needed) is None:
            raise UsageError(f"profile `{name}` needs a package that is not installed: pip install {needed}")
        return profiles / name
    if Path(name).exists():
        return Path(name)
    raise UsageError(f"--profile must be {', '.join(known)} or a folder, but got `{name}`; {did_you_mean(name, known)}")


def command(config: Path, *, cores: int | None, profile_folder: Path | None, options: Sequence[str]) -> list[str]:
    """What runs a study: Snakemake of this very Python, with every core unless something says how many.

    Args:
        config: the study's file.
        cores: that jobs may take together.
        profile_folder: of a workflow profile.
        options: more words for Snakemake.
    """
    # -P: the folder where the command runs is not searched for Python's own modules.
    words = [sys.executable, "-P", "-m", "snakemake", "--snakefile", str(root() / "Snakefile")]
    if profile_folder is not None:
        words += ["--workflow-profile", str(profile_folder)]
    if cores is not None:
        words += ["--cores", str(cores)]
    elif profile_folder is None and not any(_says_cores(word) for word in options):
        words += ["--cores", "all"]
    return [*words, f"--configfile={config}", *options]


def _says_cores(word: str) -> bool:
    return word.partition("=")[0] in SAYS_CORES or (word[:2] in ("-c", "-j") and word[2:].isdigit())


def find_own_verbs() -> None:
    """Let jobs find the `regbench` of this very Python first, also where its environment is not activated."""
    beside, path = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    if Path(beside, "regbench").exists() and not path.startswith(beside + os.pathsep):
        os.environ["PATH"] = f"{beside}{os.pathsep}{path}"
