"""The house's rules that a machine can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "regbench"

# Imports point down (or sideways within L1 where listed), never up.
LAYERS = {
    "errors": 0, "files": 0, "heap": 0, "kept": 0, "lock": 0, "took": 0,
    "compiled": 0, "fingerprint": 0, "config": 0, "spatial": 0, "determinant": 0, "provenance": 0,
    "components": 1, "losses": 1, "metrics": 1, "models": 1, "data": 1, "device": 1, "gpu": 1, "statistics": 1,
    "live": 1, "adam": 1, "convergence": 1, "prune": 1, "search": 1, "slurm": 1, "owner": 1,
    "registry": 2, "objective": 2, "plan": 2, "baselines": 2, "controls": 2, "jobs": 2,
    "augment": 3, "batches": 3, "inference": 3, "loop": 3, "precision": 3, "register": 3, "resume": 3, "schedule": 3,
    "fit": 3, "trial": 3, "tune": 3, "curve": 0, "train": 3, "evaluate": 3, "export": 3, "optuna_export": 3,
    "summary": 3,
    "caveats": 3, "compare": 3, "panels": 3, "study_verdicts": 2, "row_verdicts": 3, "pilot": 3, "cell": 3,
    "headlog": 3, "progress": 3, "status": 3,
    "sizes": 3, "estimate": 3, "runtime": 3, "analyze": 3, "report": 3, "tracking": 3, "view": 3, "ui": 3,
    "cli": 4,
}  # fmt: skip
# What the Snakefile reads in every job, and the verbs that only move JSON, must start fast.
LIGHT = (
    "regbench.study.config",
    "regbench.study.plan",
    "regbench.tuning.rounds",
    "regbench.cli.main",
    "regbench.system.files",
    "regbench.system.errors",
    "regbench.system.gpu_lease",
    "regbench.orchestration.status",
)
HEAVY = ("torch", "mlflow", "optuna", "pandas", "scipy", "matplotlib", "snakemake")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    mine = part(path)
    if mine == "__init__":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("regbench"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("regbench")]
        for name in names:
            other = [*name.split("."), ""][1]
            if other in LAYERS and other != mine:
                assert LAYERS[other] <= LAYERS[mine], f"{mine} (L{LAYERS[mine]}) imports {other} (L{LAYERS[other]})"


def test_every_module_has_a_layer():
    assert {part(path) for path in modules()} - {"__init__"} <= set(LAYERS)


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_nothing_heavy(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_slices_import_nothing_heavy(tiny_file):
    """Snakemake computes slices when it starts, and starts in every cluster job."""
    code = (
        "import sys, pathlib\nfrom regbench import config, plan\n"
        f"study = config.load(config.read_yaml(pathlib.Path({str(tiny_file)!r})))\n"
        "method = plan.methods(study)[-1].id\n"
        "plan.prepare_job(study, 'brains'), plan.trial_job(study, method), plan.cell_job(study, 'brains', method)\n"
        "plan.study_job(study, 'report.write'), plan.runtime_job(study)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_is_light():
    code = (
        "import sys, contextlib\n"
        "from regbench.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None): main(['--help'])\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("stage", ["fit", "trial", "train", "evaluate", "runtime"])
def test_training_jobs_import_no_mlflow(stage):
    code = f"import sys, regbench.{stage}; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
