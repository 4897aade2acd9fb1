"""MLflow's store: killed at its birth, full, asked by many at once; studies that are copied and moved."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from disks import fill, small_disk
from drilling import BIN, StudyFolder, must
from table import New, drill

COUNTED = ("experiments", "runs", "metrics", "latest_metrics", "params")
WHOLE = "the same runs and points as from one push"


def counts(results: Path) -> dict[str, int]:
    """Rows of the store by table."""
    with contextlib.closing(sqlite3.connect(results / "mlflow.db")) as database:
        return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in COUNTED}


def without_store(new: New, results: str | None = None) -> StudyFolder:
    bench = new.finished(results=results)
    for name in ("../mlflow.db", "state/tracked.json", "tables/mlflow_runs.json", "identity.json"):
        (bench.root / name).unlink(missing_ok=True)
    shutil.rmtree(bench.root.parent / "mlartifacts")
    return bench


def pushed(bench: StudyFolder, new: New) -> str:
    done = bench.verb("track", "study.yaml")
    must(done.returncode == 0, done.stderr[-2000:])
    ours, wanted = counts(bench.root.parent), counts(new.reference.root.parent)
    must(ours == wanted, f"{ours} instead of {wanted}")
    return ", ".join(f"{number} {name}" for name, number in ours.items())


def tracker(bench: StudyFolder) -> subprocess.Popen:
    return subprocess.Popen(
        [BIN / "regbench", "track", "study.yaml"], cwd=bench.folder, env=bench.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@drill("`kill -9` of eight pushes into a new SQLite store at random times", WHOLE)
def store_killed(new: New) -> str:
    bench, draw, times = without_store(new), random.Random(new.seed + 3), []
    for _ in range(8):
        (bench.root.parent / "mlflow.db").unlink(missing_ok=True)
        running, after = tracker(bench), draw.uniform(1, 9)
        time.sleep(after)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        times.append(f"{after:.1f}")
    shutil.rmtree(bench.root.parent / "mlartifacts", ignore_errors=True)
    return f"after {', '.join(times)} s; {pushed(bench, new)}"


@drill("the disk has 0, 100, 300 and 900 kB when the store is made", "an error that says so; with room, " + WHOLE)
def store_full(new: New) -> str:
    with small_disk(new, "64m") as mount:
        bench, ended = without_store(new, results=str(mount)), []
        for kilobytes in (0, 100, 300, 900):
            ballast = fill(mount, leave=1000 * kilobytes)
            done = bench.verb("track", "study.yaml")
            must(done.returncode == 1 and "Traceback" not in done.stderr, f"{kilobytes} kB: {done.stderr[-1500:]}")
            ended.append(done.stderr.strip().splitlines()[-1][:120])
            ballast.unlink()
        return f"{ended[-1]}; {pushed(bench, new)}"


@drill("16 pushes and 32 readers (`status`, `show`) at once", WHOLE)
def many_at_once(new: New) -> str:
    bench = without_store(new)
    pushes = [tracker(bench) for _ in range(16)]
    readers = [
        subprocess.Popen([BIN / "regbench", ("status", "show")[number % 2], "study.yaml"], cwd=bench.folder,
                         env=bench.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for number in range(32)
    ]  # fmt: skip
    failed = [
        words[-300:] for process in (*pushes, *readers) if (words := process.communicate()[1]) and process.returncode
    ]
    must(not failed, f"{len(failed)} failed: {failed[0] if failed else ''}")
    return pushed(bench, new)


@drill(
    "a copy of the results pushes; a moved study pushes",
    "each to itself; the original's files and runs stay as they were",
    quick=True,
)
def copied_and_moved(new: New) -> str:
    bench = new.finished()
    done = bench.verb("track", "study.yaml")  # a copy itself: from now on the original
    must(done.returncode == 0, done.stderr[-1500:])
    before = everything(bench.root.parent)
    copy = new(begun=bench.root.parent)
    done = copy.verb("track", "study.yaml")
    must(done.returncode == 0, done.stderr[-1500:])
    must(everything(bench.root.parent) == before, "the push of the copy changed the original")
    moved = new()
    shutil.rmtree(moved.root.parent, ignore_errors=True)
    bench.root.parent.rename(moved.root.parent)
    done = moved.verb("track", "study.yaml")
    must(done.returncode == 0, done.stderr[-1500:])
    must(not bench.root.parent.exists(), "the push of the moved study made the old folder anew")
    return f"{len(before)} files of the original unchanged; the moved study has its runs"


def everything(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))
    }  # fmt: skip
