"""The drills of docs/cluster.md on a real Slurm here, `tests/slurm/drills.py`: each is one of the table."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from drilling import SkippedDrillError, must
from table import DRILLS, Drill, New

PROGRAM = Path(__file__).parent.parent / "slurm/drills.py"


def _drills() -> dict[str, str]:
    """Names and first lines, without an import: it would want a Slurm."""
    tree = ast.parse(PROGRAM.read_text())
    marked = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    return {node.name: (ast.get_docstring(node) or "").partition("\n")[0] for node in marked}


def _on_slurm(name: str, new: New) -> str:
    if os.geteuid() != 0 or shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin") is None:
        raise SkippedDrillError("no Slurm here, or no root to start it (`make slurm-test` installs Debian's)")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        raise SkippedDrillError("no snakemake-executor-plugin-slurm (pip install '.[slurm]')")
    if name == "slow_mount" and (importlib.util.find_spec("fuse") is None or shutil.which("fusermount") is None):
        raise SkippedDrillError("no FUSE here (fusepy, fusermount)")
    done = subprocess.run(
        [sys.executable, PROGRAM, name, "--folder", new.folder / "slurm"], capture_output=True, text=True, check=False
    )
    must(done.returncode == 0, done.stdout[-1500:] + done.stderr[-500:])
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    return "; ".join(line.partition(" ")[2] for line in lines if not line.startswith("ok,"))


for _name, _words in _drills().items():
    DRILLS[f"slurm_{_name}"] = Drill(
        _words, "same tables and checkpoints", lambda new, name=_name: _on_slurm(name, new), quick=False
    )
