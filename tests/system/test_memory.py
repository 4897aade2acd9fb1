"""Freed buffers stay or go, as the job asked; in processes of their own, for the allocator is the process's."""

import platform
import subprocess
import sys

import pytest

from regbench.cli.main import main
from regbench.system import memory

CODE = """
import sys
from pathlib import Path

import numpy as np

from regbench.system import memory


def resident():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


getattr(memory, sys.argv[1])()
before = resident()
buffers = [np.ones(2**20) for _ in range(20)]  # 8 MiB each
held = resident() - before
pins = [np.ones(2**10) for _ in range(100)]  # above them in the heap, if they lie there
del buffers
print(held, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="nothing is set elsewhere")
@pytest.mark.parametrize(("asked", "stays"), [("keep", True), ("give_back", False)])
def test_freed_buffers_stay_or_go(asked, stays):
    done = subprocess.run([sys.executable, "-c", CODE, asked], capture_output=True, text=True, check=True)
    held, left = map(float, done.stdout.split())
    assert held > 150
    assert left > 150 if stays else left < 30


@pytest.mark.parametrize("verb", ["prepare", "inspect"])
def test_what_reads_volumes_gives_them_back(verb, tiny_file, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(memory, "give_back", lambda: asked.append(verb))
    main([verb, str(tiny_file)])
    assert asked == [verb]
