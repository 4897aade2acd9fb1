"""What a job took, in the last line of its log."""

import json
import logging
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from regbench.system import job_usage
from regbench.system.job_usage import seconds_in


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("INFO regbench.cli.main: took 12.5 s, 9.0 s of CPU, at most 400 MiB\n", 12.5),
        ("step 1\r" * 9999 + "\n\nINFO regbench.cli.main: took 3.0 s, 9.0 s of CPU, at most 400 MiB\n\n", 3.0),
        ("INFO regbench.cli.main: took 12.5 s, 9.0 s of CPU, at most 400 MiB\nregbench: no room\n", None),
        ("", None),
    ],
)
def test_seconds_are_read_from_the_last_line(tmp_path, text, seconds):
    (tmp_path / "log").write_text(text)
    assert seconds_in(tmp_path / "log") == seconds


def test_no_log_no_seconds(tmp_path):
    assert seconds_in(tmp_path / "log") is None


def test_memory_and_processor_time_are_those_of_this_process_and_its_children():
    code = (
        "import json, subprocess, sys; from regbench.system.job_usage import took\n"
        "kept = bytearray(300 << 20); kept[::4096] = b'x' * len(kept[::4096])\n"
        "subprocess.run([sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.5: pass'])\n"
        "print(took(1.25))"
    )
    large = bytearray(1 << 30)  # of the process that starts it, and no business of its
    large[::4096] = b"x" * len(large[::4096])
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    seconds, cpu, peak = map(float, re.fullmatch(r"took (\S+) s, (\S+) s of CPU, at most (\d+) MiB\n", said).groups())
    assert seconds == pytest.approx(1.25, abs=0.06)
    assert 0.5 <= cpu < 30
    assert 300 <= peak < 900


def test_verbs_of_long_work_say_it_and_others_nothing(tiny_file):
    command = [sys.executable, "-c", "from regbench.cli.main import main; main()"]
    done = subprocess.run([*command, "prepare", str(tiny_file)], capture_output=True, text=True, check=True)
    assert re.search(r"took \d+\.\d s, .*MiB\n$", done.stderr)
    proposed = subprocess.run([*command, "plan", str(tiny_file), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(proposed.stdout)
    assert proposed.stderr == ""


def test_stages_are_said_and_summed(tmp_path, caplog, monkeypatch):
    now = {"clock": 0.0, "cpu": 0.0}

    def work(seconds, cpu=0.5):
        now["clock"], now["cpu"] = now["clock"] + seconds, now["cpu"] + cpu

    def made():
        for number in range(3):
            work(1.0)
            yield number

    clock = SimpleNamespace(monotonic=lambda: now["clock"], process_time=lambda: now["cpu"])
    monkeypatch.setattr(job_usage, "time", clock)
    with caplog.at_level(logging.INFO, "regbench.system.job_usage"):
        for _ in range(2):
            with job_usage.clocked("trial"):
                work(7.0)
        for _ in job_usage.clocked_items("register", made()):
            work(100.0)  # of who uses them, and not counted
    path = tmp_path / "job.log"
    path.write_text(
        "".join(f"INFO regbench.system.job_usage: {record.getMessage()}\n" for record in caplog.records) + "took 9.9 s"
    )
    assert job_usage.stages_in(path) == {"trial": (14.0, 1.0), "register": (3.0, 1.5)}
    assert job_usage.stages_in(tmp_path / "none") == {}
