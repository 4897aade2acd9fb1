"""How busy a GPU was, by a made-up `nvidia-smi`."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from regbench.system import gpu_usage
from regbench.system.job_usage import busy_in, seconds_in, took

SMI = """#!{python}
import sys, time, pathlib
pathlib.Path({seen!r}).write_text(" ".join(sys.argv[1:]))
for sample in {samples!r}:
    print(sample, flush=True)
while True:
    time.sleep(0.05)
    print({rest!r}, flush=True)
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A driver's tool that says some samples, then the rest again and again; and the file of how it was called."""
    monkeypatch.setattr(gpu_usage, "_WATCH", [])

    def make(samples: list[str], rest: str = "") -> Path:
        seen = tmp_path / "seen"
        file = tmp_path / "bin" / "nvidia-smi"
        file.parent.mkdir(exist_ok=True)
        file.write_text(SMI.format(python=sys.executable, seen=str(seen), samples=samples, rest=rest))
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{file.parent}{os.pathsep}{os.environ['PATH']}")
        return seen

    return make


def watched(seen: Path) -> float | None:
    gpu_usage.watch("GPU-5c8a")
    until = time.monotonic() + 20
    while not seen.exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.2)
    return gpu_usage.busy_percent()


@pytest.mark.parametrize(
    ("samples", "busy"),
    [(["10", "90", "50"], 50.0), (["0"], 0.0), (["[N/A]"], None), (["No devices were found"], None)],
)
def test_the_mean_of_the_samples(samples, busy, smi):
    seen = smi(samples)
    assert watched(seen) == busy
    assert seen.read_text() == "--id=GPU-5c8a --query-gpu=utilization.gpu --format=csv,noheader,nounits --loop=5"
    assert gpu_usage.busy_percent() is None  # sampling has ended


def test_without_the_drivers_tool_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_usage, "_WATCH", [])
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu_usage.watch("GPU-5c8a")
    assert gpu_usage.busy_percent() is None
    assert "GPU" not in took(1.0)


def test_a_job_that_is_killed_leaves_no_sampling_behind(smi, tmp_path):
    seen = smi([], "7")
    code = (
        "import os, time; from regbench.system import gpu_usage; gpu_usage.watch('GPU-a'); gpu_usage.watch('GPU-b')\n"
        "print(gpu_usage._WATCH[0].pid, len(gpu_usage._WATCH), flush=True); time.sleep(60)"
    )
    job = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    pid, count = map(int, job.stdout.readline().split())
    assert count == 1
    while not seen.exists():
        time.sleep(0.02)
    job.kill()
    job.communicate()
    until = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_last_line_of_a_log_says_it(tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(gpu_usage, "busy_percent", lambda: 43.21)
    log.write_text(f"INFO regbench.cli.main: {took(12.5)}\n")
    assert (seconds_in(log), busy_in(log)) == (12.5, 43.2)
    monkeypatch.setattr(gpu_usage, "busy_percent", lambda: None)
    log.write_text(f"INFO regbench.cli.main: {took(12.5)}\n")
    assert (seconds_in(log), busy_in(log)) == (12.5, None)
    assert busy_in(tmp_path / "none") is None
