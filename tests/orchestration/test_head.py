"""The head of a study: one at a time, orphans ended, the config for the jobs, a follower that ends with it."""

import inspect
import os
import re
import signal
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from regbench.orchestration import head as module
from regbench.orchestration.head import Head, checked, hide_password, resume_by_itself, sends_to_slurm
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system import slurm
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import read_json, read_sealed
from regbench.system.ownership import alive, owned


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A `regbench` that notes what it is asked and, as a follower, waits for SIGTERM; gives the file of its notes."""
    folder, notes = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    follows = f"trap 'echo pushed >> \"{notes}\"; exit ${{STATUS:-0}}' TERM; echo ready; while :; do sleep 0.02; done"
    (folder / "regbench").write_text(
        f'#!/bin/bash\necho "$@" >> "{notes}"\ncase "$*" in *--follow*) {follows};; esac\n'
    )
    (folder / "squeue").write_text("#!/bin/bash\n")  # a Slurm without jobs, whatever this machine has
    for name in ("regbench", "squeue"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return notes


@pytest.fixture
def new(tiny, programs):
    """Makes heads of the tiny study, their warnings in `warned`; lets go of all at the end."""
    heads = []

    def make(**changes):
        warned = []
        head = Head(Study(load({**tiny, **changes})), warned.append)
        head.warned = warned
        heads.append(head)
        return head

    yield make
    for head in heads:
        if head.lock is not None:
            head.lock.release()
        if head.follower is not None and head.follower.poll() is None:
            head.follower.kill()
            head.follower.wait()


def following(head) -> bool:
    """Wait until the follower has set its trap."""
    until = time.monotonic() + 20
    while "ready" not in head.layout.log("follow").read_text() and time.monotonic() < until:
        time.sleep(0.01)
    return head.follower.poll() is None


UNTRACKED = {"tracking": {"enabled": False}}


def test_a_start_takes_the_lock_and_writes_what_jobs_read(new, tmp_path):
    head = new(**UNTRACKED)
    head.start([str(tmp_path / "snakemake.log")], on_slurm=False)
    assert alive(head.layout.workflow_lock)
    assert load(read_sealed(head.layout.config)) == head.study.config
    assert read_json(head.layout.head_note)["log"] == str(tmp_path / "snakemake.log")
    assert head.follower is None
    head.succeeded()  # nothing follows, no table lies there
    assert head.warned == []


def test_a_second_head_is_an_error_that_names_the_first(new):
    first = new(**UNTRACKED)
    first.start([], on_slurm=False)
    assert read_json(first.layout.head_note)["log"] is None
    with pytest.raises(RegbenchError, match=rf"study `tiny` is being run by process {os.getpid()} on "):
        new(**UNTRACKED).start([], on_slurm=False)


@pytest.mark.parametrize(
    ("uri", "mode"), [("postgresql://me:secret@host/db", 0o600), ("https://host", 0o644)], ids=["password", "none"]
)
def test_a_config_with_a_password_is_for_its_user_alone(new, uri, mode):
    before = os.umask(0o022)
    try:
        head = new(tracking={"uri": uri, "follow": False})
        head.layout.root.mkdir(parents=True)
        head.layout.config.touch(0o644)  # of an earlier run
        head.start([], on_slurm=False)
        assert stat.S_IMODE(head.layout.config.stat().st_mode) == mode
        assert os.umask(0o022) == 0o022, "of other files nothing changed"
    finally:
        os.umask(before)


def test_snakemake_repeats_no_password_of_its_command_line(new, monkeypatch):
    uri = "postgresql://me:sec ret@host/db?api_key=secret2"
    words = ["snakemake", "--config", f'tracking={{"uri": "{uri}"}}', f"tracking={{uri: {uri}}}", "study=a@b"]
    monkeypatch.setattr(sys, "argv", list(words))
    hide_password(new(tracking={"uri": "https://host/x"}).study)
    assert sys.argv == words
    hide_password(new(tracking={"uri": uri}).study)
    assert not [word for word in sys.argv if "ret@" in word or "secret2" in word]
    assert sys.argv[0] == "snakemake"
    assert sys.argv[2] == 'tracking={"uri": "postgresql://***@host/db?api_key=***"}'
    assert sys.argv[4] == "study=a@b"


def test_the_follower_pushes_once_more_and_ends_with_the_head(new, programs):
    head = new()
    head.start([], on_slurm=False)
    assert following(head)
    assert os.getsid(head.follower.pid) != os.getsid(0), "Ctrl-C is not for it"
    assert f"track {head.layout.config} --follow --head {os.getpid()}" in programs.read_text()
    (head.layout.tables).mkdir()
    (head.layout.tables / "main.csv").touch()
    head.succeeded()
    assert head.follower.returncode == 0
    asked = programs.read_text().splitlines()
    assert f"show {head.layout.config}" in asked
    assert "pushed" in asked
    assert head.warned == []


def test_after_a_failure_the_partial_table_comes_first(new, programs):
    head = new()
    head.start([], on_slurm=False)
    assert following(head)
    head.failed()
    assert programs.read_text().splitlines()[1:] == [f"report {head.layout.config} --partial", "pushed"]


def test_a_partial_table_that_fails_hides_no_error(new, programs):
    (programs.parent / "bin/regbench").write_text("#!/bin/sh\nexit 3\n")
    new(**UNTRACKED).failed()


def test_a_last_push_that_fails_says_how_to_push(new, monkeypatch):
    monkeypatch.setenv("STATUS", "1")
    head = new()
    head.start([], on_slurm=False)
    assert following(head)
    head.succeeded()
    (words,) = head.warned
    assert "MLflow may lack the latest runs" in words
    assert f"`regbench track {head.layout.config}` pushes them" in words


def test_a_last_push_that_takes_long_goes_on_by_itself(new, programs, monkeypatch):
    monkeypatch.setattr(module, "LAST_PUSH", 0.1)
    (programs.parent / "bin/regbench").write_text("#!/bin/bash\ntrap '' TERM; echo ready; exec sleep 60\n")
    head = new()
    head.start([], on_slurm=False)
    assert following(head)
    head.succeeded()
    assert "the last push to MLflow still goes on" in head.warned[0]
    assert head.follower.poll() is None


def slurm_of(programs, queue: str):
    """Add a Slurm whose queue is `queue`, or that is silent if that is empty."""
    folder = programs.parent / "bin"
    answer = f"printf '{queue}'" if queue else "echo 'no contact' >&2; exit 1"
    for name, does in (("squeue", answer), ("scancel", f'echo scancel "$@" >> "{programs}"')):
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)


def test_orphans_are_ended_and_named(new, programs):
    head = new(**UNTRACKED)
    slurm_of(programs, f"7|RUNNING|{head.prefix}_a\\n8|PENDING|{head.prefix}_b\\n9|RUNNING|other_c\\n")
    head.start([], on_slurm=True)
    assert programs.read_text() == "scancel --quiet 7 8\n"
    assert head.warned == ["ended jobs (1 running, 1 pending) of an earlier run of this study that was killed"]


def test_a_slurm_that_is_silent_stops_a_study_on_slurm_only(new, programs):
    slurm_of(programs, "")
    head = new(**UNTRACKED)
    head.start([], on_slurm=False)
    assert "cannot look for jobs of an earlier run: `squeue` must work" in head.warned[0]
    head.lock.release()
    with pytest.raises(RegbenchError, match="`squeue` must work"):
        head.start([], on_slurm=True)


def test_a_study_is_checked_with_its_components_and_its_folder(tiny, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text("study: tiny\n")
    assert checked(tiny, [path]).config == load(tiny)
    with pytest.raises(UsageError, match="did you mean `lcc`"):
        checked({**tiny, "grid": {**tiny["grid"], "similarities": ["lccc"]}}, [path])
    (tmp_path / "taken").touch()
    with pytest.raises(RegbenchError, match="must be a folder that can be written"):
        checked({**tiny, "results": str(tmp_path / "taken")}, [path])


def test_another_users_study_is_named_before_any_job(tiny, tmp_path, monkeypatch):
    layout = Study(load(tiny)).layout
    lock = owned(layout.workflow_lock, "it")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(RegbenchError, match=f"runs it: process {os.getpid()} on "):
        checked(tiny, [])
    lock.release()


def made_workflow(*, on_slurm: bool):
    calls = []
    executor = SimpleNamespace(jobname_prefix="") if on_slurm else None
    return SimpleNamespace(
        dag_settings=SimpleNamespace(force_incomplete=False), executor_settings=executor, calls=calls,
        _prepare_dag=lambda **settings: calls.append(settings),
    )  # fmt: skip


@pytest.mark.parametrize("on_slurm", [False, True])
def test_the_same_command_goes_on_after_a_kill(on_slurm):
    workflow = made_workflow(on_slurm=on_slurm)
    resume_by_itself(workflow, "regbench-tiny-01234567")
    workflow._prepare_dag(forceall=False, nolock=False)
    assert workflow.calls == [{"forceall": False, "nolock": True}]
    assert workflow.dag_settings.force_incomplete
    assert sends_to_slurm(workflow) is on_slurm
    if on_slurm:
        assert workflow.executor_settings.jobname_prefix == "regbench-tiny-01234567"


def test_snakemake_still_has_what_is_changed_in_it():
    """Private, so it may go with any release: then a killed study asks for --unlock and --rerun-incomplete again."""
    import snakemake.api  # first, or the others import each other in a circle
    from snakemake.settings.types import DAGSettings
    from snakemake.workflow import Workflow

    assert "nolock" in inspect.signature(Workflow._prepare_dag).parameters
    assert "force_incomplete" in inspect.signature(DAGSettings).parameters
    (call,) = re.findall(r"self\._prepare_dag\(\s*(\w+=[^()]*,?\s*)\)", inspect.getsource(Workflow.execute))
    assert "=" in call, "a run calls it once, by keywords alone"
    assert snakemake.api


def test_a_head_is_light_in_every_job():
    """Snakemake reads the rules again in every job's process."""
    heavy = ("torch", "pandas", "mlflow", "optuna", "scipy", "matplotlib")
    code = f"import sys, regbench.orchestration.head; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_head_that_is_killed_leaves_a_lock_that_counts_for_nothing(new):
    head = new(**UNTRACKED)
    code = (
        "import sys, time; from pathlib import Path; from regbench.system.ownership import owned\n"
        "owned(Path(sys.argv[1]), 'it'); print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(head.layout.workflow_lock)], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"held\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    assert head.layout.workflow_lock.exists()
    assert slurm.job_prefix("tiny", head.layout.root) == head.prefix
    head.start([], on_slurm=False)
    assert alive(head.layout.workflow_lock)


def test_a_tracking_uri_that_is_not_used_is_said(new, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://lab:5000")
    head = new()
    head.start([], on_slurm=False)
    (words,) = head.warned
    assert words.startswith("MLFLOW_TRACKING_URI is set (http://lab:5000) and not used")
