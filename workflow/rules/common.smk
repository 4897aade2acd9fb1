# The config, checked before anything else, and the functions that the rules share.

import inspect
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version, update_config

from regbench.orchestration.head import (
    Head,
    checked,
    hide_password,
    resume_by_itself,
    sends_to_slurm,
)
from regbench.orchestration.shipped import find_own_verbs
from regbench.orchestration.site import first_attempt
from regbench.study import job_specs, report_files
from regbench.study.config_paths import read_config
from regbench.study.load import load
from regbench.study.looks import read_look
from regbench.study.yaml_file import typed
from regbench.study.layout import CONTROLS, IDENTITY
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json
from regbench.system.terminal import show_everywhere

# Up to 9.16, a job that is the only one ready takes no cores from the count but gives some back: ever more jobs at once.
min_version("9.19")


show_everywhere()
find_own_verbs()


# Without `--configfile`, the embedded default; with it, nothing of the default may leak in.
if not workflow.configfiles:

    configfile: "configs/quick.yaml"


try:
    # Snakemake's reader lets pass what ours refuses, such as a key given twice, and knows no file's folder.
    given = {}
    for path in workflow.configfiles:
        update_config(given, read_config(Path(path)))
    update_config(given, typed(workflow.config_settings.config))
    if workflow.is_main_process:
        STUDY = checked(given, workflow.configfiles)
        hide_password(STUDY)
    else:
        STUDY = Study(load(given))
except RegbenchError as error:
    raise WorkflowError(str(error)) from None

LAYOUT = STUDY.layout
HEAD = Head(STUDY, logger.warning)
CONFIG_FILE = str(LAYOUT.config)
REPLICATES = STUDY.config.tuning.replicates
CELLS = [method for method in STUDY.methods if method.tuned]
TABLES = report_files.table_names(STUDY.optional_tables)
FIGURES = report_files.figure_names(STUDY.optional_figures)

if workflow.is_main_process:
    resume_by_itself(workflow, HEAD.prefix)
    HEAD.show(workflow)


def cores():
    """Cores that the user gave; 1 where none are needed, as in a dry run."""
    try:
        return workflow.cores
    except WorkflowError:
        return 1


wildcard_constraints:
    dataset="[A-Za-z0-9_-]+",
    other="[A-Za-z0-9_-]+",
    method=r"[A-Za-z0-9_.+-]+",
    similarity="[A-Za-z0-9_-]+",
    regularizer="[A-Za-z0-9_+-]+",
    seed="[0-9]+",
    replicate="[0-9]+",
    round="[0-9]+",
    point="[0-9]+",
    first="[0-9]+",
    last="[0-9]+",
    look="[0-9]+",


def start(log):
    """Before the first job: one run at a time; the study as the jobs read it, overrides of the command line included."""
    try:
        HEAD.start(log, on_slurm=sends_to_slurm(workflow))
    except RegbenchError as error:
        raise WorkflowError(str(error)) from None


def targets():
    tracked = [LAYOUT.tracked] if STUDY.config.tracking.enabled else []
    return [LAYOUT.tables / "main.csv", LAYOUT.tables / "runtime.csv", *tracked]


def needs(rule):
    """The resources of a rule; the profile of a cluster makes more of them."""
    return first_attempt(rule, STUDY.config.training.device)


def quiet(command):
    """A rule of seconds: its log stays only where it fails. Snakemake would keep an empty one of each (`log:`)."""
    return (
        'mkdir -p -- "$(dirname -- {params.log:q})"; '
        + command
        + " > {params.log:q} 2>&1 || {{ status=$?; cat -- {params.log:q} >&2; exit $status; }}; rm -- {params.log:q}"
    )


def spec(kind, **given):
    """A function for `params`: all that a job depends on, as text. Snakemake re-runs the job when it changes."""
    spec_of = getattr(job_specs, f"{kind}_spec")
    names = set(inspect.signature(spec_of).parameters) - {"study", *given}

    def text(wildcards):
        ids = {"dataset", "method", "model", "other", "similarity", "regularizer"}
        values = {name: wildcards[name] for name in names & ids}
        for name in names & {"seed", "replicate", "look"}:
            values[name] = int(wildcards[name])
        if "number" in names:
            values["number"] = int(wildcards["round"])
        return canonical_json(spec_of(STUDY, **values, **given).to_json())

    return text


def found_range(wildcards):
    """The range of a cell's lambda, where no rule of the config gives it."""
    if not STUDY.finds_range(wildcards.method):
        return []
    return [
        LAYOUT.lambda_range(wildcards.dataset, STUDY.method(wildcards.method).losses)
    ]


def trials(wildcards):
    """All trials of a search; for a round's proposals, those of the rounds before it."""
    before = int(wildcards["round"]) if "round" in wildcards.keys() else None
    cell = wildcards["dataset"], wildcards["method"]
    return STUDY.trial_files(*cell, before, int(wildcards["replicate"]))
