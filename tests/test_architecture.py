"""The house's rules that a machine can check."""

import subprocess
import sys

import pytest
from script_files import script
from tiny_study import ROOT

# What the Snakefile reads in every job, and the verbs that only move JSON, must start fast.
LIGHT = (
    "regbench.study.config",
    "regbench.study.load",
    "regbench.study.yaml_file",
    "regbench.study.job_specs",
    "regbench.study.layout",
    "regbench.study.methods",
    "regbench.tuning.rounds",
    "regbench.tuning.search_files",
    "regbench.cli.main",
    "regbench.system.files",
    "regbench.system.errors",
    "regbench.system.gpu_lease",
    "regbench.orchestration.status",
)
HEAVY = ("torch", "mlflow", "optuna", "pandas", "scipy", "matplotlib", "snakemake")


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_nothing_heavy(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_slices_import_nothing_heavy(tiny_file):
    """Snakemake computes slices when it starts, and starts in every cluster job."""
    code = (
        "import sys, pathlib\nfrom regbench.study import job_specs\nfrom regbench.study.load import load\n"
        "from regbench.study.methods import Study\nfrom regbench.study.yaml_file import read_yaml\n"
        f"study = Study(load(read_yaml(pathlib.Path({str(tiny_file)!r}))))\n"
        "method = study.methods[-1].id\n"
        "job_specs.prepare_spec(study, 'brains'), job_specs.trial_spec(study, method)\n"
        "job_specs.cell_spec(study, 'brains', method)\n"
        "job_specs.study_spec(study, 'report.write'), job_specs.timing_spec(study)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "stage",
    ["training.fit", "tuning.trial", "training.final_run", "evaluation.evaluate", "evaluation.timing", "tuning.rounds"],
)
def test_training_jobs_import_no_mlflow(stage):
    code = f"import sys, regbench.{stage}; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_mutant_breaks_a_line_that_is_there():
    """`make mutants` takes minutes and is run by hand: a module that moves would be noticed there alone."""
    module = script("tests/mutants.py")
    stale = [
        mutant.what
        for mutant in module.MUTANTS
        if (ROOT / "regbench" / mutant.file).read_text().count(mutant.old) <= mutant.nth
        or not (ROOT / "tests" / f"{mutant.tests}.py").is_file()
    ]
    assert stale == []
