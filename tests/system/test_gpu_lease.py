"""One GPU a job where no scheduler gives one; devices are made up, locks are real."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
import yte
from tiny_study import ROOT

from regbench.system import gpu_lease
from regbench.system.errors import UsageError

LISTED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c8a)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-77b1)
  MIG 3g.20gb     Device  0: (UUID: MIG-aa/1/0)
  MIG 3g.20gb     Device  1: (UUID: MIG-bb)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-0f0f)
"""
JOB = """
import os, sys, time
from regbench.system.gpu_lease import lease
print(lease("auto"), os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
began = time.monotonic()
time.sleep(float(sys.argv[1]))
print(began, time.monotonic(), flush=True)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Two GPUs that nobody uses."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("REGBENCH_GPUS", "GPU-a,GPU-b")
    monkeypatch.setenv("REGBENCH_GPU_LOCKS", str(tmp_path / "locks"))
    return monkeypatch


def job(seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def chosen(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    identity, visible = running.stdout.readline().split()
    assert identity == visible
    return identity


def end(*running: subprocess.Popen[str]) -> None:
    for process in running:
        process.kill()
        process.communicate()


def test_the_folder_is_the_users_own(machine, tmp_path):
    machine.delenv("REGBENCH_GPU_LOCKS")
    folder = tmp_path / f"regbench-gpus-{os.getuid()}"
    machine.setattr(gpu_lease, "Path", lambda text: Path(str(text).replace("/tmp/regbench", f"{tmp_path}/regbench")))
    assert gpu_lease.lease("cuda") == "GPU-a"
    assert folder.stat().st_mode & 0o777 == 0o700
    machine.delenv("CUDA_VISIBLE_DEVICES")
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="not a folder that you own"):
        gpu_lease.lease("cuda")
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="not a folder that you own"):
        gpu_lease.lease("cuda")
    folder.unlink()
    folder.write_text("")
    with pytest.raises(UsageError, match=r"regbench-gpus-.* must be usable.*REGBENCH_GPU_LOCKS"):
        gpu_lease.lease("cuda")
    if os.getuid() == 0:
        folder.unlink()
        folder.mkdir(mode=0o700)
        os.chown(folder, 65534, 65534)
        with pytest.raises(UsageError, match="not a folder that you own"):
            gpu_lease.lease("cuda")


@pytest.mark.parametrize("kind", ["pipe", "link", "second name", "folder", "socket"])
def test_what_is_put_there_first_neither_hangs_nor_misleads(machine, tmp_path, kind):
    path, other = tmp_path / "locks" / "GPU-a.0.lock", tmp_path / "other"
    path.parent.mkdir()
    other.write_text("")
    with socket.socket(socket.AF_UNIX) as listener:
        {
            "pipe": lambda: os.mkfifo(path),
            "link": lambda: path.symlink_to(other),
            "second name": lambda: path.hardlink_to(other),
            "folder": path.mkdir,
            "socket": lambda: listener.bind(str(path)),
        }[kind]()
        with pytest.raises(UsageError, match=r"GPU-a\.0\.lock` must be usable.*REGBENCH_GPU_LOCKS"):
            gpu_lease.lease("cuda")


def test_two_jobs_have_two_gpus_and_a_third_waits_until_one_is_killed(machine):
    first, second = job(60), job(60)
    ids = {chosen(first), chosen(second)}
    third = job(0)
    try:
        assert ids == {"GPU-a", "GPU-b"}
        assert third.stderr is not None
        assert "waiting for one" in third.stderr.readline()
        first.send_signal(signal.SIGKILL)
        assert chosen(third) in ids
    finally:
        end(first, second, third)


def test_never_two_on_one_at_a_time(machine):
    running = [job(0.3) for _ in range(6)]
    spans = []
    for process in running:
        out, _ = process.communicate(timeout=60)
        identity, _, began, ended = out.split()
        spans.append((identity, float(began), float(ended)))
    for one, start, stop in spans:
        others = [span for span in spans if span[0] == one and span[1:] != (start, stop)]
        assert not [span for span in others if span[1] < stop and start < span[2]]
    assert len({identity for identity, *_ in spans}) == 2


def test_shared_only_when_asked_and_evenly(machine):
    machine.setenv("REGBENCH_GPU_SHARE", "2")
    assert gpu_lease.slots() == 4
    running = []
    try:
        ids = []
        for _ in range(4):
            running.append(job(60))
            ids.append(chosen(running[-1]))
        assert Counter(ids) == {"GPU-a": 2, "GPU-b": 2}
        assert ids[0] != ids[1], "shared while another was free"
    finally:
        end(*running)


@pytest.mark.parametrize("given", ["3", "0,1", "", "NoDevFiles"])
def test_left_alone_where_a_scheduler_or_user_chose(machine, tmp_path, given):
    machine.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpu_lease.lease("cuda") is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == given
    assert not (tmp_path / "locks").exists()


def test_a_job_on_the_cpu_takes_none(machine):
    assert gpu_lease.lease("cpu") is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_machine_without_gpus(machine):
    machine.setenv("REGBENCH_GPUS", "")
    assert gpu_lease.lease("auto") is None
    assert gpu_lease.slots() == 0
    machine.delenv("REGBENCH_GPUS")
    machine.setenv("PATH", "/nonexistent")
    assert gpu_lease.devices() == []


def test_slices_stand_for_their_gpu():
    assert gpu_lease.parse(LISTED) == ["GPU-5c8a", "MIG-aa/1/0", "MIG-bb", "GPU-0f0f"]


def test_what_nvidia_smi_lists_is_used(machine, tmp_path):
    machine.delenv("REGBENCH_GPUS")
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    fake.chmod(0o755)
    machine.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert gpu_lease.devices()[0] == "GPU-5c8a"


@pytest.mark.parametrize(
    ("name", "value"), [("REGBENCH_GPU_SHARE", "0"), ("REGBENCH_GPU_SHARE", "x"), ("REGBENCH_GPUS", "0,0"),
                        ("REGBENCH_GPUS", "0;rm")]
)  # fmt: skip
def test_nonsense_is_refused(machine, name, value):
    machine.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        gpu_lease.lease("auto")


def test_locks_that_cannot_be_made_are_named(machine, tmp_path):
    (tmp_path / "file").write_text("")
    machine.setenv("REGBENCH_GPU_LOCKS", str(tmp_path / "file" / "locks"))
    with pytest.raises(UsageError, match="REGBENCH_GPU_LOCKS"):
        gpu_lease.lease("auto")


def test_a_link_is_not_followed(machine, tmp_path):
    """The folder is anybody's: a link laid there must not make us open another file."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "GPU-a.0.lock").symlink_to(tmp_path / "made")
    with pytest.raises(UsageError, match="must be usable"):
        gpu_lease.lease("auto")
    assert not (tmp_path / "made").exists()


def test_a_verb_sees_its_gpu_before_torch_does(machine, tiny_file, tmp_path):
    """`train` leases before CUDA is initialised: torch reads the variable then, and never again."""
    code = (
        "import os, sys, torch\nfrom regbench.cli import main as cli\n"
        "seen = []\ntorch.cuda.is_available = lambda: seen.append(os.environ.get('CUDA_VISIBLE_DEVICES')) or False\n"
        "import regbench.training.final_run, regbench.data.cache\n"
        f"try: cli.main(['prepare', {str(tiny_file)!r}])\nexcept SystemExit: pass\n"
        f"cli.main(['train', {str(tiny_file)!r}, '--method', 'voxelmorph.mse.grad_l2', '--seed', '0', '--lam', '1'])\n"
        "import json; print(json.dumps(seen))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert set(seen) == {"GPU-a"}


@pytest.mark.parametrize("profile", ["local", "kubernetes"])
@pytest.mark.parametrize(
    ("ids", "share", "expected"), [("a,b", "1", ["gpu=2"]), ("a", "3", ["gpu=3"]), ("", "1", None)]
)
def test_the_profiles_of_one_machine_count_them(machine, profile, ids, share, expected):
    """Without a GPU there must be no limit: `gpu=0` would be a study that never starts."""
    machine.setenv("REGBENCH_GPUS", ids)
    machine.setenv("REGBENCH_GPU_SHARE", share)
    text = (ROOT / f"workflow/profiles/{profile}/profile.yaml").read_text()
    assert yte.process_yaml(text).get("resources") == expected


def test_a_pod_uses_each_gpu_that_it_has(machine, tmp_path):
    """The variables of the pod's manifest name no GPU that is not there."""
    machine.delenv("REGBENCH_GPUS")
    _, pod = yaml.safe_load_all((ROOT / "workflow/profiles/kubernetes/job.yaml").read_text())
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        machine.setenv(variable["name"], variable["value"])
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    fake.chmod(0o755)
    machine.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert gpu_lease.devices() == gpu_lease.parse(LISTED)
