"""Which jobs `cancel` ends, which live and which go back into the queue; against a stand-in for Slurm."""

import os
import signal
import subprocess
import sys

import pytest

from regbench.cli.main import VERBS, main
from regbench.system import slurm
from regbench.system.errors import InterruptedTrainingError, RegbenchError
from regbench.system.ownership import owned


def test_names_of_jobs_are_of_the_folder(tmp_path):
    prefix = slurm.job_prefix("my.study", tmp_path / "a")
    assert prefix.startswith("regbench-my-study-")
    assert prefix != slurm.job_prefix("my.study", tmp_path / "b")
    assert len(slurm.job_prefix("x" * 99, tmp_path)) <= slurm.LONGEST


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A Slurm that lists the test's files `queue` and `others` (other users') and notes what it is to cancel."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "others").touch()
    listed = f'cat "{tmp_path}/queue"; case "$*" in *--me*) ;; *--states=all*) ;; *) cat "{tmp_path}/others" ;; esac'
    for name, does in {"squeue": listed, "scancel": f'echo "$@" >> "{tmp_path}/cancelled"'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    slurm._own_jobs.cache_clear()
    yield tmp_path / "queue"
    slurm._own_jobs.cache_clear()


def test_cancel_ends_the_jobs_of_this_folder_only(queue, tiny_file, tmp_path, capsys):
    root = tmp_path / "results/tiny"
    mine, others = slurm.job_prefix("tiny", root), slurm.job_prefix("tiny", tmp_path / "elsewhere/tiny")
    queue.write_text(
        f"1|RUNNING|{mine}_x\n7|RUNNING|{mine}_x\n2|PENDING|{mine}_x\n"
        f"3|RUNNING|{others}_x\n4|RUNNING|{mine}9_x\n5|RUNNING|sh\n"
    )
    (tmp_path / "others").write_text(f"6|RUNNING|{mine}_x\n")
    main(["cancel", str(tiny_file)])
    assert capsys.readouterr().out == "ended: 2 running, 1 pending\n"
    assert (tmp_path / "cancelled").read_text() == "--quiet 1 7 2\n"


def test_cancel_leaves_the_jobs_of_a_head_that_lives(queue, tiny_file, tmp_path, capsys):
    root = tmp_path / "results/tiny"
    queue.write_text(f"1|RUNNING|{slurm.job_prefix('tiny', root)}_x\n")
    head = owned(root / "state/workflow.lock", "it")
    with pytest.raises(SystemExit):
        main(["cancel", str(tiny_file)])
    head.release()
    assert "is being run by process" in capsys.readouterr().err
    assert not (tmp_path / "cancelled").exists()


def test_a_slurm_that_does_not_answer_is_named(queue, tmp_path):
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: no contact' >&2; exit 1\n")
    with pytest.raises(RegbenchError, match=r"squeue.*no contact"):
        slurm.jobs("regbench")
    assert slurm.holder_lives("7") is None


def test_a_slurm_that_hangs_is_named(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "ANSWER", 0.2)
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\nexec sleep 20\n")
    with pytest.raises(RegbenchError, match=r"squeue` must answer in 0.2 s"):
        slurm.jobs("regbench")


@pytest.mark.parametrize(
    ("state", "lives"), [("RUNNING", True), ("COMPLETING", True), ("PENDING", False), ("NODE_FAIL", False)]
)
def test_whether_a_holder_lives(queue, tmp_path, state, lives):
    queue.write_text(f"{state}\n")
    (tmp_path / "others").write_text("RUNNING\n" if not lives else "PENDING\n")  # shown if not asked for all states
    assert slurm.holder_lives("7") is lives


def test_a_job_that_slurm_forgot_is_dead(queue, tmp_path):
    asked_for_it = "echo 'error: Invalid job id specified' >&2; exit 1"
    (tmp_path / "bin/squeue").write_text(f'#!/bin/sh\ncase "$*" in *--jobs=*) {asked_for_it};; esac\n')
    assert slurm.holder_lives("7") is False


RECORD = (
    "JobId=7 JobState=RUNNING Requeue=1 StartTime=2026-01-02T03:04:05 PreemptTime=2026-01-02T04:00:00 Command=(null)"
)


def test_hundreds_of_holders_are_one_question(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "LISTED", 3600)
    queue.write_text("7|RUNNING\n8|COMPLETING\n9|PENDING\n")
    asked = tmp_path / "asked"
    (tmp_path / "bin/squeue").write_text(f'#!/bin/sh\necho "$@" >> "{asked}"; cat "{queue}"\n')
    assert [slurm.holder_lives(job) for job in ("7", "8", "9") * 50] == [True, True, False] * 50
    assert len(asked.read_text().splitlines()) == 1


@pytest.fixture
def record(queue, tmp_path, monkeypatch):
    """This process is in job 7, of which `scontrol` says what is in the file; it notes what it is to requeue."""
    path, told = tmp_path / "record", tmp_path / "bin/scontrol"
    told.write_text(f'#!/bin/sh\n[ $1 = show ] && exec cat "{path}"; echo "$@" >> "{tmp_path}/requeued"\n')
    told.chmod(0o755)
    path.write_text(RECORD)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return path


@pytest.mark.parametrize(
    ("instead", "of"),
    [
        ("PreemptTime=None", "PreemptTime=2026-01-02T04:00:00"),  # SIGTERM from a hand
        ("PreemptTime=2026-01-02T03:00:00", "PreemptTime=2026-01-02T04:00:00"),  # pre-empted before; now from a hand
        ("JobState=CANCELLED", "JobState=RUNNING"),
        ("JobState=TIMEOUT", "JobState=RUNNING"),
        ("Requeue=0", "Requeue=1"),
        ("", RECORD),
    ],
)
def test_only_a_job_under_preemption_goes_back(record, tmp_path, instead, of):
    record.write_text(RECORD.replace(of, instead))
    assert not slurm.requeue_preempted()
    assert not (tmp_path / "requeued").exists()
    record.write_text(RECORD)
    assert slurm.requeue_preempted()
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_a_preempted_job_that_slurm_does_not_take_back_ends(record, tmp_path, caplog):
    (tmp_path / "bin/scontrol").write_text(
        f'#!/bin/sh\n[ $1 = show ] && exec cat "{record}"; echo denied >&2; exit 1\n'
    )
    assert not slurm.requeue_preempted()
    assert "denied" in caplog.text


def test_an_interrupted_training_goes_back(record, tmp_path, monkeypatch):
    def interrupted():
        raise InterruptedTrainingError("stopped at step 1")

    monkeypatch.setitem(VERBS, "list", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["list"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.value.code == 75
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_other_verbs_go_back_and_end_by_the_signal(record, tmp_path):
    waits = "import time\nfrom regbench.cli import main as cli\n"
    waits += "cli.VERBS['list'] = lambda: print('on', flush=True) or time.sleep(60)\n"
    process = subprocess.Popen([sys.executable, "-c", f"{waits}cli.main(['list'])"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    process.terminate()
    process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_a_verb_outside_slurm_ends_by_the_signal_as_ever(record, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID")
    assert not slurm.requeue_preempted()
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        slurm.go_back_when_preempted()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_slurm_there_are_no_jobs(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm.cancel("regbench") == {}
    assert slurm.holder_lives("7") is None
