"""Signals to the head and to jobs; the same command goes on."""

import os
import random
import signal
import time
from collections.abc import Callable

from drilling import StudyFolder, must, same, wait
from table import New, drill

SAME = "same tables and checkpoints"
VERBS = ("prepare", "propose", "trial", "select", "train", "evaluate", "runtime", "analyze", "report", "track")


def _killed(new: New, times: int, seconds: tuple[int, int], kill: Callable[[int, int], None], seed: int) -> str:
    """Heads that are killed at random times, one after the other, and a last one that ends the study."""
    bench, draw, killed = new(), random.Random(seed), []
    for _ in range(times):
        head, after = bench.head(), draw.uniform(*seconds)
        time.sleep(after)
        if head.poll() is None:
            kill(head.pid, signal.SIGKILL)
        head.wait()
        killed.append(f"{after:.1f}")
    bench.finish()
    return f"after {', '.join(killed)} s; {same(bench, new.reference)}"


@drill("`kill -9` of Snakemake at five random times", SAME)
def head_killed(new: New) -> str:
    return _killed(new, 5, (2, 20), os.kill, new.seed)  # its jobs live on, and the next head meets them


@drill("`kill -9` of Snakemake and of all its jobs at three random times", SAME)
def all_killed(new: New) -> str:
    return _killed(new, 3, (5, 25), os.killpg, new.seed + 1)


@drill("`kill -9` of one job of each verb", SAME)
def jobs_killed(new: New) -> str:
    bench, killed = new(), []
    for verb in VERBS:
        head = bench.head()
        pids = wait(300, lambda verb=verb, head=head: bench.running(verb) or (head.poll() is not None and [0]),
                    f"no job of `{verb}` began", every=0.01)  # fmt: skip
        if pids[0]:
            os.kill(pids[0], signal.SIGKILL)
            killed.append(verb)
        must(
            head.wait() == 1 or not pids[0],
            f"a head whose `{verb}` was killed must end with 1: {bench.output()[-2000:]}",
        )
    bench.finish()
    must(len(killed) >= 8, f"only {killed} were hit")
    return f"{', '.join(killed)}; {same(bench, new.reference)}"


@drill("`kill -9` of a whole cell's job (`one_job_per: cell`) at three random times", SAME)
def cell_killed(new: New) -> str:
    bench, draw, hit = new(one_job_per="cell"), random.Random(new.seed + 2), 0
    for _ in range(3):
        head = bench.head()
        pids = wait(
            300, lambda head=head: bench.running("cell") or (head.poll() is not None and [0]), "no cell", every=0.05
        )
        time.sleep(draw.uniform(2, 12))
        if pids[0] and pids[0] in bench.running("cell"):
            os.kill(pids[0], signal.SIGKILL)
            hit += 1
        head.wait()
    bench.finish()
    return f"{hit} hit; {_same_numbers(bench, new.reference)}"


@drill("SIGTERM to Snakemake in the trainings", SAME)
def head_terminated(new: New) -> str:
    return _signalled(new, lambda head: os.kill(head, signal.SIGTERM))


@drill("Ctrl-C: SIGINT to Snakemake and all its jobs in the trainings", SAME)
def interrupted(new: New) -> str:
    return _signalled(new, lambda head: os.killpg(head, signal.SIGINT))


@drill("SIGTERM to the jobs in the trainings", "state kept; " + SAME)
def jobs_terminated(new: New) -> str:
    bench = new()
    head = bench.head()
    pids = _training(bench)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    must(head.wait() == 1, "the head must end with 1")
    kept = list((bench.root / "state/training").rglob("*.pt"))
    must(len(kept) == len(pids), f"{len(pids)} trainings must keep a state, but kept {kept}")
    bench.finish()
    logs = " ".join(path.read_text() for path in (bench.root / "logs/train").rglob("*.log"))
    must("goes on from step" in logs, "no training went on from its state")
    return f"{len(pids)} trainings went on; {same(bench, new.reference)}"


@drill("SIGSTOP for 100 s (an owner is dead after 90), then SIGCONT, to Snakemake and all its jobs", SAME)
def stopped(new: New) -> str:
    bench = new()
    head = bench.head()
    _training(bench)
    os.killpg(head.pid, signal.SIGSTOP)
    time.sleep(100)
    os.killpg(head.pid, signal.SIGCONT)
    must(head.wait() == 0, f"it must go on by itself: {bench.output()[-2000:]}")
    return same(bench, new.reference)


def _training(bench: StudyFolder) -> list[int]:
    """The trainings that run, when all of them have begun their steps: before that there is no state to keep."""

    def begun() -> list[int]:
        running = bench.running("train")
        try:
            return running if len(list((bench.root / "runs").rglob("live.jsonl"))) >= len(running) else []
        except FileNotFoundError:  # a temporary folder went away in the middle of the search
            return []

    pids = wait(300, begun, "no training began", every=0.05)
    time.sleep(1)
    return pids  # and not one more, which may have begun in this second


def _signalled(new: New, send) -> str:
    bench = new()
    head = bench.head()
    _training(bench)
    send(head.pid)
    status = head.wait()
    must(status != 0, "a head that was ended must not say that all is done")
    must(not wait_gone(bench), "jobs outlive a head that was asked to end")
    bench.finish()
    return f"status {status}; {same(bench, new.reference)}"


def wait_gone(bench: StudyFolder) -> list[int]:
    end = time.monotonic() + 30
    while (left := bench.running("train")) and time.monotonic() < end:
        time.sleep(0.2)
    return left


def _same_numbers(bench: StudyFolder, reference: StudyFolder) -> str:
    """The provenance in captions names the config, which differs; numbers and weights do not."""
    must(bench.runs() == reference.runs(), "weights differ")
    ours, theirs = (
        {name: table for name, table in one.tables().items() if name.endswith(".csv")} for one in (bench, reference)
    )
    must(ours == theirs, "tables differ")
    return f"same {len(theirs)} tables and {len(reference.runs())} checkpoints"
