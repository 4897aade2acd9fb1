"""The head: the Snakemake process that sends a study's jobs. What it does when it starts, beside its jobs, and at its
end; and what of Snakemake it changes, so that the same command goes on after any fault.

Snakemake itself is not imported: the workflow hands over what is needed of it.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regbench.orchestration import display
from regbench.orchestration.display import Display
from regbench.orchestration.progress import note_head
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system import slurm
from regbench.system.credentials import without_password
from regbench.system.errors import RegbenchError
from regbench.system.files import check_folder, write_sealed
from regbench.system.ownership import Owner, owned, run_by

LAST_PUSH = 120.0  # seconds that the head waits for it; it goes on by itself


def checked(raw: Mapping[str, Any], files: Sequence[object]) -> Study:
    """The study of a head, every component and the results folder checked before any job starts.

    Args:
        raw: the config with overrides of the command line, paths from the working folder on.
        files: that it comes from, for the message.

    Raises:
        RegbenchError: with every mistake, or the folder that cannot be written.
    """
    from regbench.orchestration.registries import (  # noqa: PLC0415  torch, which no other process needs
        check_component,
        check_installed,
    )

    study = Study(load(raw, check_component, where=", ".join(map(str, files)), data_there=True))
    check_installed(study)
    layout = study.layout
    for folder in (Path(study.config.results), layout.root):
        check_folder(folder, run_by(layout.workflow_lock))
    return study


def hide_password(study: Study) -> None:
    """Mask the password of a URI that `--config` gave: Snakemake prints its command line, and logs it."""
    if study.has_password and study.config.tracking.uri:
        sys.argv[:] = [without_password(word, study.config.tracking.uri) for word in sys.argv]


class Head:
    """One run of the workflow over a study."""

    def __init__(self, study: Study, warn: Callable[[str], None]) -> None:
        """Nothing happens yet: every job's process reads the Snakefile too.

        Args:
            study: to run.
            warn: shows a warning to the user.
        """
        self.study, self.warn = study, warn
        self.layout = study.layout
        self.prefix = slurm.job_prefix(study.name, self.layout.root)
        self.lock: Owner | None = None
        self.follower: subprocess.Popen[bytes] | None = None
        self.display: Display | None = None

    def show(self, workflow: Any) -> None:
        """Show the run of a workflow in the terminal, from here on.

        Args:
            workflow: Snakemake's.
        """
        self.display = display.show(workflow, self.study, self._print_table)

    def start(self, log: Sequence[str], *, on_slurm: bool) -> None:
        """Before the first job: own the study, end orphans, write the config as the jobs read it, follow.

        Args:
            log: path of Snakemake's own log, if it has one.
            on_slurm: whether jobs are sent to Slurm.

        Raises:
            RegbenchError: if another head runs the study, Slurm is needed and silent, or the folder cannot be written.
        """
        self.lock = owned(self.layout.workflow_lock, f"study `{self.study.name}`")
        self.end_orphans(on_slurm=on_slurm)
        self._write_config()
        if words := self.study.unused_uri(os.environ):
            self.warn(words)
        note_head(self.layout, log)  # a killed job leaves no word of its own; the head's log has its exit status
        self.follow()

    def _write_config(self) -> None:
        """As the jobs read it; for nobody else's eyes where the tracking URI has a password."""
        users = os.umask(0)
        os.umask(users | 0o077 if self.study.has_password else users)
        try:
            write_sealed(self.layout.config, self.study.config.model_dump(mode="json"))
        finally:
            os.umask(users)

    def end_orphans(self, *, on_slurm: bool) -> None:
        """End jobs of a head that was killed: they answer to nobody. Their trainings keep their state."""
        try:
            orphans = slurm.cancel(self.prefix)
        except RegbenchError as error:
            if on_slurm:
                raise
            self.warn(f"cannot look for jobs of an earlier run: {error}")  # a local run needs no Slurm
            return
        if orphans:
            self.warn(f"ended jobs ({slurm.summary(orphans)}) of an earlier run of this study that was killed")

    def follow(self) -> None:
        """Let MLflow see the study grow, by a process that no job waits for and that ends when the head does."""
        if not (self.study.config.tracking.enabled and self.study.config.tracking.follow):
            return
        path = self.layout.log("follow")
        path.parent.mkdir(parents=True, exist_ok=True)
        # `nice`: on a machine of few cores it would take a share of every training.
        command = ["nice", "-n", "19", *self._command("track", "--follow", "--head", str(os.getpid()))]
        with path.open("w") as file:
            # Of a session of its own: Ctrl-C is for the head, which then ends the follower.
            self.follower = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)

    def succeeded(self) -> None:
        """After the last job: the table in the terminal, while the follower pushes what is left."""
        self._end_display()
        self._end_follower()
        self._print_table()
        self._wait_for_follower()

    def failed(self) -> None:
        """After a job that failed for good: a table of what there is, with the reasons for the rest."""
        self._end_display()
        subprocess.run(self._command("report", "--partial"), check=False)
        self._end_follower()
        self._wait_for_follower()

    def _print_table(self) -> None:
        """The main table, the verdict and where things are; nothing with `--until` an earlier stage."""
        if (self.layout.tables / "main.csv").exists():
            subprocess.run(self._command("show"), check=True)

    def _end_display(self) -> None:
        if self.display is not None:
            self.display.close()

    def _end_follower(self) -> None:
        """It pushes once more, so that a study that stopped is in MLflow as far as it came."""
        if self.follower is not None:
            self.follower.terminate()

    def _wait_for_follower(self) -> None:
        if self.follower is None:
            return
        log = self.layout.log("follow")
        try:
            status = self.follower.wait(LAST_PUSH)
        except subprocess.TimeoutExpired:
            self.warn(f"the last push to MLflow still goes on ({log})")
            return
        if status != 0:
            again = shlex.join(self._command("track"))
            self.warn(f"MLflow may lack the latest runs ({log}); `{again}` pushes them")

    def _command(self, verb: str, *options: str) -> list[str]:
        return ["regbench", verb, str(self.layout.config), *options]


def resume_by_itself(workflow: Any, prefix: str) -> None:
    """Let the same command go on after a `kill -9`, and let `regbench cancel` find the jobs by their names.

    Snakemake's own lock and marks of incomplete files outlive its process, and the same command would refuse to go on
    until given ``--unlock`` and ``--rerun-incomplete``. The lock that a head takes dies with its holder, and our jobs
    leave whole files or none. The settings reach Snakemake after the Snakefile is read, hence the detour through a
    private method (seen in 9.5 to 9.27; a test holds that it is still there).

    Args:
        workflow: Snakemake's.
        prefix: of the names of Slurm jobs.
    """
    prepare_dag = workflow._prepare_dag

    def prepare(**settings: Any) -> None:
        workflow.dag_settings.force_incomplete = True
        if sends_to_slurm(workflow):
            workflow.executor_settings.jobname_prefix = prefix
        prepare_dag(**settings | {"nolock": True})

    workflow._prepare_dag = prepare


def sends_to_slurm(workflow: Any) -> bool:
    """Whether Snakemake sends its jobs to Slurm."""
    return hasattr(workflow.executor_settings, "jobname_prefix")
