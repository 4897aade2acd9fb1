"""What torch is told before a job computes, and small tensors that no GPU waits for."""

import os
import subprocess
import sys

import pytest
import torch

from regbench.system import device, provenance

STATE = (
    "print(torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(), "
    "os.environ.get('CUBLAS_WORKSPACE_CONFIG'), watched)"
)


@pytest.mark.parametrize(
    ("gpu", "name", "deterministic", "printed"),
    [
        (True, "auto", True, "True True :4096:8"),
        (True, "cuda", False, "False False None"),
        (True, "cpu", True, "False False None"),  # a CPU has one order whatever torch is told
        (False, "auto", True, "False False None"),
    ],
)
def test_what_torch_is_told(gpu, name, deterministic, printed):
    """In a process of its own, for it holds for the whole process; with a GPU that is not there."""
    code = (
        "import os, torch\nfrom types import SimpleNamespace\nfrom regbench.system import device, gpu_usage\n"
        f"torch.cuda.is_available = lambda: {gpu}\nwatched = []\ngpu_usage.watch = watched.append\n"
        "torch.cuda.get_device_properties = lambda number: SimpleNamespace(uuid='5c8a')\n"
        f"device.set_up(1, {name!r}, deterministic={deterministic})\n{STATE}"
    )
    environment = {key: value for key, value in os.environ.items() if key != "CUBLAS_WORKSPACE_CONFIG"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == f"{printed} {['GPU-5c8a'] if gpu and name != 'cpu' else []}"


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_few_numbers(filled, dtype, monkeypatch):
    """To the bit what torch makes of them, in the way that a GPU takes too."""
    values = [2 / 191, 0.1, 3, 1e-7]
    monkeypatch.setattr(device, "_copies", lambda place: not filled)
    made = device.vector(values, torch.zeros(1, dtype=dtype))
    assert torch.equal(made, torch.tensor(values, dtype=dtype))
    assert made.dtype == dtype


def test_provenance_names_what_is_repeatable_on_a_gpu_alone():
    assert "repeatable" not in provenance.environment("cpu (x86_64), 1 thread")
    assert provenance.environment("NVIDIA H200")["repeatable"] is False
    try:
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        assert provenance.environment("NVIDIA H200")["repeatable"] is True
    finally:
        torch._C._set_deterministic_algorithms(False)
