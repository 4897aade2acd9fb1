# The config, checked before anything else, and the functions that the rules share.

import os
import re
import subprocess
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version, update_config

from regbench.study import plan
from regbench.system import slurm
from regbench.study.config import load, read_yaml, typed
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, check_folder, write_json
from regbench.system.ownership import owned, run_by
from regbench.orchestration.progress import note_head

# Up to 9.16, a job that is the only one ready takes no cores from the count but gives some back: ever more jobs at once.
min_version("9.19")


# Without `--configfile`, the embedded default; with it, nothing of the default may leak in.
if not workflow.configfiles:

    configfile: "configs/quick.yaml"


def checked():
    """The typed study, or one message with every mistake."""
    try:
        for path in workflow.configfiles:
            read_yaml(
                Path(path)
            )  # refuses what Snakemake's reader lets pass, such as a key given twice
        update_config(config, typed(workflow.config_settings.config))
        if not workflow.is_main_process:
            return load(config)
        from regbench.orchestration.registries import check_component

        study = load(
            config,
            check_component,
            where=", ".join(str(path) for path in workflow.configfiles),
        )
        lay = plan.layout(study)
        for folder in (Path(study.results), lay.root):
            check_folder(folder, run_by(lay.root / "state" / "workflow.lock"))
        return study
    except RegbenchError as error:
        raise WorkflowError(str(error)) from None


def cores():
    """Cores that the user gave; 1 where none are needed, as in a dry run."""
    try:
        return workflow.cores
    except WorkflowError:
        return 1


STUDY = checked()
LAYOUT = plan.layout(STUDY)
CONFIG_FILE = str(LAYOUT.config)
JOB_PREFIX = slurm.job_prefix(STUDY.study, LAYOUT.root)
CORES = cores()
REPLICATES = STUDY.tuning.replicates
GPU = 0 if STUDY.training.device == "cpu" else 1


# Methods of cells: those that train a network, and those that do not.
NETWORKS = [
    method.id
    for method in plan.methods(STUDY)
    if method.tuned and not plan.untrained(STUDY, method.id)
]
UNTRAINED = [
    method.id for method in plan.methods(STUDY) if plan.untrained(STUDY, method.id)
]


def pattern(names):
    """These names as a regular expression; one that matches nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset="[A-Za-z0-9_-]+",
    method=r"[A-Za-z0-9_.-]+",
    seed="[0-9]+",
    replicate="[0-9]+",
    round="[0-9]+",
    first="[0-9]+",
    last="[0-9]+",


# Snakemake's own lock and marks of incomplete files outlive a `kill -9`, and the same command would then refuse to go
# on until given --unlock and --rerun-incomplete. The lock that `start` takes dies with its holder, and our jobs leave
# whole files or none. The settings reach Snakemake after this file is read, hence the detour (private: seen in 9.5 to 9.27).
def resumable(prepare_dag):
    def prepare(**settings):
        workflow.dag_settings.force_incomplete = True
        if hasattr(
            workflow.executor_settings, "jobname_prefix"
        ):  # Slurm: `regbench cancel` finds our jobs by name
            workflow.executor_settings.jobname_prefix = JOB_PREFIX
        prepare_dag(**settings | {"nolock": True})

    return prepare


if workflow.is_main_process:
    workflow._prepare_dag = resumable(workflow._prepare_dag)


def end_orphans():
    """No other head lives, so its jobs answer to nobody; their trainings keep their state and are taken up again."""
    try:
        orphans = slurm.cancel(JOB_PREFIX)
    except RegbenchError as error:
        if hasattr(workflow.executor_settings, "jobname_prefix"):
            raise
        logger.warning(
            f"cannot look for jobs of an earlier run: {error}"
        )  # a local run needs no Slurm
        return
    if orphans:
        logger.warning(
            f"ended jobs ({slurm.summary(orphans)}) of an earlier run of this study that was killed"
        )


def start(log):
    """Before the first job: one run at a time; the study as the jobs read it, overrides of the command line included."""
    global HELD
    try:
        HELD = owned(LAYOUT.root / "state" / "workflow.lock", f"study `{STUDY.study}`")
        end_orphans()
        write_json(LAYOUT.config, STUDY.model_dump(mode="json"))
        if plan.tracking_uri(STUDY) != (STUDY.tracking.uri or plan.tracking_uri(STUDY)):
            LAYOUT.config.chmod(0o600)  # the URI has a password in it
        note_head(
            LAYOUT.root, log
        )  # a killed job leaves no word of its own; ours has its exit status
    except RegbenchError as error:
        raise WorkflowError(str(error)) from None
    follow()


FOLLOWER = None
LAST_PUSH = 120  # seconds that the head waits for it; it goes on by itself


def follow():
    """MLflow sees the study grow: a process of its own, which no job waits for, and which ends when this one does."""
    global FOLLOWER
    if not (STUDY.tracking.enabled and STUDY.tracking.follow):
        return
    path = LAYOUT.log("follow")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        FOLLOWER = subprocess.Popen(
            # Whatever else computes comes first: on a machine of few cores it would take a share of every training.
            [
                "nice",
                "-n",
                "19",
                "regbench",
                "track",
                CONFIG_FILE,
                "--follow",
                "--head",
                str(os.getpid()),
            ],
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for the head, which then ends this one
        )


def show():
    """The table in the terminal; not there with `--until` an earlier stage."""
    if (LAYOUT.tables / "main.csv").exists():
        shell("regbench show {CONFIG_FILE:q}")


def end_following(meanwhile=lambda: None):
    """The last push, so that a study that stopped is in MLflow as far as it came; `meanwhile` needs not wait for it."""
    if FOLLOWER is not None:
        FOLLOWER.terminate()
    meanwhile()
    if FOLLOWER is None:
        return
    try:
        if FOLLOWER.wait(LAST_PUSH) != 0:
            logger.warning(
                f"MLflow may lack the latest runs ({LAYOUT.log('follow')}); `regbench track {CONFIG_FILE}` pushes them"
            )
    except subprocess.TimeoutExpired:
        logger.warning(
            f"the last push to MLflow still goes on ({LAYOUT.log('follow')})"
        )


def stopped():
    """After a job that failed for good: a table of what there is, with the reasons for the rest."""
    shell("regbench report --partial {CONFIG_FILE:q} || true")


def targets():
    tracked = [LAYOUT.tracked] if STUDY.tracking.enabled else []
    return [LAYOUT.tables / "main.csv", LAYOUT.tables / "runtime.csv", *tracked]


def quiet(command):
    """A rule of seconds: its log stays only where it fails. Snakemake would keep an empty one of each (`log:`)."""
    return (
        "mkdir -p $(dirname {params.log:q}); "
        + command
        + " > {params.log:q} 2>&1 || {{ status=$?; cat {params.log:q} >&2; exit $status; }}; rm {params.log:q}"
    )


def job(slice_of_config):
    """A slice as text, for `params`: Snakemake re-runs the job when it changes."""
    return canonical_json(slice_of_config.to_json())


def prepare_job(wildcards):
    return job(plan.prepare_job(STUDY, wildcards.dataset))


def propose_job(wildcards):
    return job(
        plan.propose_job(
            STUDY,
            wildcards.dataset,
            wildcards.method,
            int(wildcards.round),
            int(wildcards.replicate),
        )
    )


def trial_job(wildcards):
    return job(plan.trial_job(STUDY, wildcards.method, int(wildcards.replicate)))


def select_job(wildcards):
    return job(plan.select_job(STUDY, wildcards.method, int(wildcards.replicate)))


def final_job(wildcards):
    return job(plan.final_job(STUDY, wildcards.method, int(wildcards.seed)))


def cell_job(wildcards):
    return job(plan.cell_job(STUDY, wildcards.dataset, wildcards.method))


def evaluate_job(wildcards):
    return job(plan.evaluate_job(STUDY, wildcards.method, int(wildcards.seed)))


def cell_files(seeds):
    """What a job that does a whole cell leaves of its runs."""
    run = [LAYOUT.run("{dataset}", "{method}", seed) for seed in seeds]
    names = ("checkpoint.pt", "history.parquet", "run.json")
    return [folder / name for folder in run for name in names] + [
        path("{dataset}", "{method}", seed)
        for seed in seeds
        for path in (LAYOUT.pairs, LAYOUT.panels)
    ]


def earlier_trials(wildcards):
    return plan.trial_files(
        STUDY,
        wildcards.dataset,
        wildcards.method,
        before=int(wildcards.round),
        replicate=int(wildcards.replicate),
    )


def all_trials(wildcards):
    return plan.trial_files(
        STUDY,
        wildcards.dataset,
        wildcards.method,
        replicate=int(wildcards.replicate),
    )


def chosen_lambda(wildcards):
    """The choice that a seed trains with."""
    replicate = plan.replicate_of(STUDY, int(wildcards.seed))
    return LAYOUT.selected(wildcards.dataset, wildcards.method, replicate)


def run_files(wildcards):
    """What a run's evaluation reads; only what is trained has a run."""
    if not plan.find_method(STUDY, wildcards.method).tuned:
        return []
    folder = LAYOUT.run(wildcards.dataset, wildcards.method, wildcards.seed)
    return [folder / "run.json", folder / "checkpoint.pt"]


def trained_runs(wildcards):
    return [
        LAYOUT.run(*run) / "run.json"
        for run in plan.tuned_runs(STUDY)
        if run[0] == wildcards.dataset
    ]


def selections():
    return [
        LAYOUT.selected(dataset.id, method.id, replicate)
        for dataset in STUDY.datasets
        for method in plan.methods(STUDY)
        if method.tuned
        for replicate in plan.replicates(STUDY, method.id)
    ]
