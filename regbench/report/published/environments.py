"""What made a study, against what is installed here: a clause a difference."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from regbench.study.layout import Layout
from regbench.system import provenance
from regbench.system.files import read_json

PROVENANCE = "main.provenance.json"


def differences_here(folder: Path, made_by: Mapping[str, Any]) -> Iterator[str]:
    """How this environment differs from those that a published study was made in.

    Args:
        folder: that is published.
        made_by: the code that made its tables.
    """
    here = provenance.code()
    if dict(here) != dict(made_by):
        yield f"its tables were made by {_code(made_by)}; this is {_code(here)}"
    for environment in read_json(Layout(folder).tables / PROVENANCE)["runs_made_by"]:
        system = f"{platform.system()} {platform.machine()}"
        clauses = [
            f"{name} {there} there, {now} here"
            for name, there in environment.get("packages", {}).items()
            if (now := _installed(name)) != there
        ]
        if environment.get("system") not in (None, system):
            clauses.append(f"{environment['system']} there, {system} here")
        runs = f"runs on {environment.get('device', 'an unnamed device')} by {_code(environment.get('code', {}))}"
        yield f"{runs}: {'; '.join(clauses) or 'the same packages as here'}"


def _installed(package: str) -> str:
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _code(code: Mapping[str, Any]) -> str:
    commit = str(code.get("git_commit") or "of no commit")[:12]
    changed = " with uncommitted changes" if code.get("git_dirty") else ""
    return f"regbench {code.get('regbench', '')} {commit}{changed}".replace("  ", " ")
