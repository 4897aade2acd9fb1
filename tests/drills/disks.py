"""Disks that fill up, turn read-only, or begin full; clocks that are wrong."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drilling import SkippedDrillError, StudyFolder, must, same, wait
from kills import SAME
from table import New, drill


@contextmanager
def small_disk(new: New, size: str) -> Iterator[Path]:
    """A tmpfs."""
    if os.geteuid() != 0:
        raise SkippedDrillError("mounts need root")
    mount = new.place()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SkippedDrillError(f"no mounts here: {done.stderr.strip()}")
    try:
        yield mount
    finally:
        new.end()
        subprocess.run(["umount", "-l", mount], check=True)


def fill(mount: Path, leave: int = 0) -> Path:
    """A file that takes all room but `leave` bytes."""
    ballast = mount / "ballast"
    free = os.statvfs(mount).f_bavail * os.statvfs(mount).f_frsize
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        for _ in range(max(free - leave, 0) // 4096 + (1 if leave == 0 else 0)):
            file.write(bytes(4096))
            file.flush()
    return ballast


@drill("the disk of the results fills up in the trainings", "an error that says so; with room, " + SAME)
def full_disk(new: New) -> str:
    with small_disk(new, "64m") as mount:
        bench = new(results=str(mount))
        head = bench.head()
        wait(300, lambda: list((bench.root / "runs").rglob("live.jsonl")), "no training began", every=0.05)
        ballast = fill(mount)
        must(head.wait() == 1, "the study must fail")
        words = _no_space(bench)
        ballast.unlink()
        bench.finish()
        return f"{words}; {same(bench, new.reference)}"


@drill("the disk has 0, 20, 100, 400 and 1,500 kB when the study begins", "errors that say so; with room, " + SAME)
def no_room_at_the_start(new: New) -> str:
    with small_disk(new, "64m") as mount:
        bench, ended = new(results=str(mount)), []
        for kilobytes in (0, 20, 100, 400, 1500):
            ballast = fill(mount, leave=1000 * kilobytes)
            ended.append(bench.head().wait())
            ballast.unlink()
        must(set(ended) == {1}, f"all must fail, but ended {ended}")
        words = _no_space(bench)
        bench.finish()
        return f"{words}; {same(bench, new.reference)}"


@drill("the results turn read-only in the trainings", "an error that says so; later, " + SAME)
def read_only(new: New) -> str:
    with small_disk(new, "64m") as mount:
        bench = new(results=str(mount))
        head = bench.head()
        wait(300, lambda: list((bench.root / "runs").rglob("live.jsonl")), "no training began", every=0.05)
        # A read-only mount of the same disk above it: files that are open stay writable, as after an error of the disk.
        subprocess.run(["mount", "--bind", mount, mount], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", mount], check=True)
        try:
            must(head.wait() == 1, "the study must fail")
            must(bench.head().wait() == 1, "a read-only folder must be refused")
            refused = bench.output()
            must("cannot be written" in refused or "Read-only" in refused, refused[-1500:])
        finally:
            subprocess.run(["umount", "-l", mount], check=True)
        lines = [line for line in bench.output(1).splitlines() if "Read-only" in line]
        words = next((line for line in lines if line.startswith("regbench:")), lines[0] if lines else "")
        must(words, f"no message names the read-only disk: {bench.output(1)[-1500:]}")
        bench.finish()
        return f"{words.strip()[:160]}; {same(bench, new.reference)}"


@drill("a clock a day ahead, then a day behind, in turn (libfaketime)", SAME)
def clocks(new: New) -> str:
    if shutil.which("faketime") is None:
        raise SkippedDrillError("no `faketime` here (Debian: apt-get install faketime)")
    bench = new()
    environment = dict(bench.environment)
    library = next(Path("/usr/lib").rglob("libfaketime.so.1"))
    for shift in ("+1d", "-1d", "+3h"):
        bench.environment |= {"LD_PRELOAD": str(library), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        head = bench.head()
        time.sleep(25)
        if head.poll() is None:
            os.killpg(head.pid, signal.SIGKILL)
        elif head.returncode:
            must("older modification time" in bench.output(), f"the file must be named: {bench.output()[-2000:]}")
        head.wait()
    bench.environment = environment
    touch_files_of_the_future(bench)
    bench.finish()
    return f"where the clock went back: refused, the file named; right again: {same(bench, new.reference)}"


@drill("all files get times of a day ahead, then of a day behind, with half of the study done", SAME)
def file_times(new: New) -> str:
    bench = new()
    must(bench.head("--until", "prepare").wait() == 0, bench.output()[-2000:])
    _move_times(bench, 86400)
    must(bench.head("--until", "select").wait() != 0, "outputs older than their inputs must be an error")
    refused = next((line for line in bench.output().splitlines() if "older modification time" in line), "")
    must("manifest.json" in refused, f"the error must name the file that is ahead: {bench.output()[-2000:]}")
    touch_files_of_the_future(bench)
    must(bench.head("--until", "select").wait() == 0, bench.output()[-2000:])
    _move_times(bench, -86400)
    bench.finish()
    return f"ahead: refused, the file named; right again, then behind: {same(bench, new.reference)}"


def touch_files_of_the_future(bench: StudyFolder) -> None:
    """As docs/cluster.md says, once the clock is right."""
    subprocess.run(["find", bench.root, "-newermt", "now", "-exec", "touch", "{}", "+"], check=True)


def _move_times(bench: StudyFolder, seconds: int) -> None:
    for path in bench.root.rglob("*"):
        status = path.stat()
        os.utime(path, (status.st_atime + seconds, status.st_mtime + seconds))


def _no_space(bench: StudyFolder) -> str:
    logs = "".join(path.read_text() for path in bench.root.rglob("*.log"))
    heads = "".join(bench.output(number) for number in range(1, len(bench.started) + 1))
    words = next((line for line in (logs + heads).splitlines() if "No space left" in line), "")
    must(words, f"no message names the full disk: {heads[-1500:]}")
    return words.strip()[:160]
