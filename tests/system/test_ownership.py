"""One owner of a state folder: on one host by the kernel, between hosts by the record."""

import json
import os
import platform
import pwd
import signal
import subprocess
import sys
import time

import pytest

from regbench.system import ownership as module
from regbench.system.errors import RegbenchError
from regbench.system.ownership import Owner, alive, owned, owning

HOLD = (
    "import sys, time; from pathlib import Path; from regbench.system.ownership import owned\n"
    "owned(Path(sys.argv[1]), 'it'); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "POLL", 0.02)
    monkeypatch.setattr(module, "STALE", 0.3)
    monkeypatch.setattr(module, "WATCHED", {})


@pytest.fixture
def other(tmp_path):
    """Another process that owns `it`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "it")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def elsewhere(path, beat=0, job=""):
    path.write_text(json.dumps({"host": "another", "pid": 7, "job": job, "beat": beat}).ljust(module.LENGTH))


def test_a_second_owner_is_told_who_the_first_is(tmp_path, other):
    with pytest.raises(RegbenchError, match=f"the study is being run by process {other.pid} on "):
        owned(tmp_path / "it", "the study")


def test_who_may_not_write_is_told_who_runs_it(tmp_path, other, monkeypatch):
    def refused(*_):
        raise PermissionError(module.errno.EACCES, "Permission denied")

    monkeypatch.setattr(module.os, "open", refused)
    user = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.raises(RegbenchError, match=f"Permission denied. User {user} runs it: process {other.pid} on "):
        owned(tmp_path / "it", "the study")
    other.kill()
    other.wait()
    (tmp_path / "it").write_text("")
    with pytest.raises(RegbenchError, match=r"Permission denied. Change `results`"):
        owned(tmp_path / "it", "the study")


def test_what_was_killed_owns_nothing(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with owning(tmp_path / "it", "it") as waited:
        assert not waited
    assert not (tmp_path / "it").exists(), "no file stays"


def test_one_waits_for_an_owner_that_lives(tmp_path, other, caplog):
    began = time.monotonic()
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.4; kill -9 {other.pid}"])
    with owning(tmp_path / "it", "it") as waited:
        assert waited
    killer.wait()
    assert time.monotonic() - began > 0.35
    assert f"process {other.pid} on" in caplog.text


def test_an_owner_on_another_host_lives_while_its_count_rises(tmp_path):
    path, owner = tmp_path / "it", Owner(tmp_path / "it", "it")
    elsewhere(path)
    assert owner._try() == ("unknown", "process 7 on another")
    elsewhere(path, beat=1)
    assert owner._try() == ("alive", "process 7 on another")
    time.sleep(0.35)
    assert owner._try() is None, "its count stood still"
    owner.release()


def test_a_head_elsewhere_that_lives_refuses_a_second(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STALE", 60)
    path = tmp_path / "it"
    elsewhere(path)
    beating = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfor n in range(9999):\n f = open(sys.argv[1], 'r+'); "
         "f.write(sys.argv[2].replace('\"beat\": 0', f'\"beat\": {n}')); f.close(); time.sleep(0.05)",
         str(path), path.read_text()]
    )  # fmt: skip
    with pytest.raises(RegbenchError, match="process 7 on another"):
        owned(path, "the study")
    beating.kill()
    beating.wait()


@pytest.mark.parametrize(("lives", "found"), [(False, None), (True, "unknown"), (None, "unknown")])
def test_slurm_says_at_once_that_a_holder_is_dead(tmp_path, monkeypatch, lives, found):
    monkeypatch.setattr(module, "holder_lives", lambda job: lives if job == "42" else pytest.fail(job))
    elsewhere(tmp_path / "it", job="42")
    owner = Owner(tmp_path / "it", "it")
    state = owner._try()
    assert (state and state[0]) == found
    owner.release()


def test_a_requeued_job_does_not_take_itself_for_dead(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "holder_lives", lambda job: False)
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    elsewhere(tmp_path / "it", job="42")
    assert Owner(tmp_path / "it", "it")._try() == ("unknown", "process 7 on another (Slurm job 42)")


def test_without_locks_the_record_decides_on_this_host_too(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(module.errno.ENOLCK, "No locks available")

    first = Owner(tmp_path / "it", "it")
    monkeypatch.setattr(module.fcntl, "flock", none)
    first.take(wait=False)
    second = Owner(tmp_path / "it", "it")
    assert second._try()[0] == "unknown"
    first.record["beat"] += 1
    first._write()
    assert second._try()[0] == "alive"
    first.release()
    assert second._try() is None
    second.release()


@pytest.mark.parametrize("text", ["process 7 on another\n", '{"beat": 3}', "[7]", "x" * 400])
def test_a_record_that_is_no_record_holds_nobody_up(tmp_path, text):
    (tmp_path / "it").write_text(text)
    with owning(tmp_path / "it", "it") as waited:
        assert not waited
        assert json.loads((tmp_path / "it").read_text())["pid"] == os.getpid(), "of the old one nothing is left"


def test_a_lock_on_a_file_that_its_owner_has_just_deleted_is_no_lock(tmp_path, monkeypatch):
    lock = module.fcntl.flock

    def late(descriptor, how):
        monkeypatch.setattr(module.fcntl, "flock", lock)
        (tmp_path / "it").unlink()
        lock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    with owning(tmp_path / "it", "it"):
        assert json.loads((tmp_path / "it").read_text())["pid"] == os.getpid()


def test_a_process_that_ends_leaves_no_file(tmp_path):
    code = HOLD.replace("time.sleep(60)", "print((Path(sys.argv[1])).exists())")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "it")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "held\nTrue\n"
    assert not (tmp_path / "it").exists()


def test_the_count_rises(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.05)
    with owning(tmp_path / "it", "it"):
        time.sleep(0.4)
        assert json.loads((tmp_path / "it").read_text())["beat"] >= 2


def here(path, pid):
    path.write_text(json.dumps({"host": platform.node(), "pid": pid, "beat": 0}))


def test_who_is_alive_on_this_host(tmp_path, other):
    assert alive(tmp_path / "it")
    other.kill()
    other.wait()
    assert not alive(tmp_path / "it")


@pytest.mark.parametrize("text", ["", "not a record", "[]", '{"pid": 1}', '{"host": "x", "pid": null}', "7"])
def test_without_a_record_nobody_is_alive(tmp_path, text):
    assert not alive(tmp_path / "it"), "no file"
    (tmp_path / "it").write_text(text)
    assert not alive(tmp_path / "it")


def test_another_users_process_is_alive(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    here(tmp_path / "it", os.getpid())
    monkeypatch.setattr(os, "kill", refused)
    assert alive(tmp_path / "it")


@pytest.mark.parametrize("hours", [-5, 0, 5], ids=["behind", "equal", "ahead"])
def test_no_two_hosts_clocks_are_compared(tmp_path, hours):
    """The file's time is of another clock: a holder elsewhere is dead when its count stands still, and not before."""
    path = tmp_path / "it"
    elsewhere(path)
    then = time.time() + 3600 * hours
    os.utime(path, (then, then))
    assert alive(path)
    time.sleep(0.35)
    elsewhere(path, beat=1)
    os.utime(path, (then, then))
    assert alive(path), "its count rose"
    time.sleep(0.35)
    assert not alive(path), "its count stood still"
    elsewhere(path, beat=2)
    assert alive(path), "it was only slow"


@pytest.mark.parametrize(("lives", "found"), [(False, False), (True, True), (None, True)])
def test_slurm_says_who_is_alive_on_another_host(tmp_path, monkeypatch, lives, found):
    monkeypatch.setattr(module, "holder_lives", lambda job: lives if job == "42" else pytest.fail(job))
    elsewhere(tmp_path / "it", job="42")
    assert alive(tmp_path / "it") is found


def test_who_looks_takes_nothing(tmp_path):
    here(tmp_path / "it", 2**22 + 1)
    before = (tmp_path / "it").read_bytes()
    assert not alive(tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == before
