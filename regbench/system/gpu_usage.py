"""How busy the GPU of a job was, by what the driver says of it every few seconds; nothing where it says nothing.

``nvidia-smi`` writes its samples into a pipe that is read at the end: no thread of ours, and no waiting. When the job
dies, the pipe has no reader, and the next sample ends `nvidia-smi` too.
"""

import subprocess
from contextlib import suppress

EVERY = 5  # seconds between two samples
_WATCH: list["subprocess.Popen[str]"] = []  # at most one


def watch(gpu: str) -> None:
    """Sample a GPU from now on; no second time in a process.

    Args:
        gpu: its UUID, as `nvidia-smi` takes it.
    """
    if _WATCH:
        return
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--loop={EVERY}"]
    with suppress(OSError):  # no driver's tool here, as in some containers
        _WATCH.append(
            subprocess.Popen(
                ["nvidia-smi", f"--id={gpu}", *query],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )


def busy_percent() -> float | None:
    """Mean share of time in which the GPU computed anything, for whatever process, in percent; sampling ends.

    None where nothing was watched, or nothing said: before the first sample, and of MIG slices.
    """
    if not _WATCH:
        return None
    process = _WATCH.pop()
    process.terminate()
    try:
        samples = [float(word) for word in process.communicate(timeout=10)[0].split() if word.isdecimal()]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return sum(samples) / len(samples) if samples else None
