"""What a terminal shows while Snakemake runs a study: one live display; short lines where nobody watches.

It takes the place of Snakemake's own handler of the terminal. Snakemake's log file has every word all the same, also
with `--quiet`, for `regbench status` reads it. Nothing here may hurt a study: what cannot be shown is left out.
"""

import atexit
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from regbench.orchestration.display_forms import Form, Lines, Screen, View
from regbench.orchestration.progress import why_failed
from regbench.orchestration.run_events import RunEvents, RunningJob
from regbench.orchestration.status import Eta, duration, status
from regbench.study import goals
from regbench.study.methods import Study
from regbench.system.files import LIVE
from regbench.system.job_usage import last_lines

STREAM_HANDLER, FILE_HANDLER = "DefaultStreamHandler", "DefaultLogFileHandler"  # Snakemake's names (seen in 9.27)
NOTHING = "Nothing to be done"
# Errors of Snakemake that only say again that a job failed.
ABOUT_JOBS = ("RuleException", "CalledProcessError")
INTERRUPTED = "Terminating processes on user request"
AT_THE_END = "At least one job did not complete"
PAUSE = 1.0  # seconds between two looks at the running jobs
SHARE = 50  # a look at all files of a study waits this many times what the last one took
WHOLE = ("cell", "cell_untrained")


def show(workflow: Any, study: Study, repeat: Callable[[], None]) -> "Display | None":
    """Show the run of `workflow` in our way, unless the user asked for Snakemake's own words, or for none.

    Args:
        workflow: Snakemake's.
        study: that it runs.
        repeat: what is printed where all is done already.

    Returns:
        The display; None where Snakemake speaks for itself: with `--verbose`, `--printshellcmds`, `--debug-dag`,
        `--dry-run`, `--quiet all` or another `--logger`.
    """
    logger, settings = workflow.logger_manager.logger, workflow.output_settings
    for handler in logger.handlers:
        if handler.name == FILE_HANDLER:
            for part in (*handler.filters, handler.formatter):
                part.quiet = set()
    spoken = settings.verbose or settings.printshellcmds or settings.debug_dag or settings.dryrun
    silent = any(getattr(kind, "name", "") == "ALL" for kind in settings.quiet or ())
    own = next((handler for handler in logger.handlers if handler.name == STREAM_HANDLER), None)
    if spoken or silent or own is None:
        return None
    display = Display(study, own.stream, workflow.logger_manager.get_logfile, repeat)
    logger.removeHandler(own)
    logger.addHandler(display)
    return display


class Display(logging.Handler):
    """Shows the records of Snakemake's log, and what the study's files say beside them."""

    def __init__(
        self, study: Study, stream: TextIO, logs: Callable[[], Sequence[str]], repeat: Callable[[], None]
    ) -> None:
        """Nothing is shown before the first job.

        Args:
            study: that runs.
            stream: of the terminal.
            logs: the paths of Snakemake's own log.
            repeat: what is printed where all is done already.
        """
        super().__init__()
        self._study, self._logs, self._repeat = study, logs, repeat
        self._run, self._began = RunEvents(), time.monotonic()
        self._interrupted = False
        self._facts = list[str]()  # what the files say: time left, the best so far
        self._form: Form = Screen(stream, self._view) if Screen.fits(stream) else Lines(stream, self._view)
        self._stream, self._ended = stream, threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="display", daemon=True)
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record of Snakemake's log, and show what a user should see of it."""
        try:
            before = self._run.total
            self._run.take(record)
            if self._run.total and not before and not self._ended.is_set():
                self._form.begin()
                self._watcher.start()
            self._say(record)
            self._form.changed()
        except OSError:  # nobody reads any more
            self._form = Form()
        except Exception:  # noqa: BLE001  a study is worth more than what is shown of it
            self._give_up()

    def close(self) -> None:
        """End the display; what is said after it is printed as plain lines."""
        if not self._ended.is_set():
            self._ended.set()
            try:
                self._tell_failures()
                self._form.end()
            except Exception:  # noqa: BLE001  a study is worth more than what is shown of it
                self._give_up()
            self._form = Lines(self._stream, self._view)
            with suppress(RuntimeError):
                atexit.unregister(self.close)
        super().close()

    def _give_up(self) -> None:
        """Plain lines, whatever happened."""
        with suppress(Exception):
            self._form.end()
        self._form = Lines(self._stream, self._view)

    def _say(self, record: logging.LogRecord) -> None:
        """What is no event of a job, and matters."""
        message = str(record.msg or "").strip()
        event = getattr(getattr(record, "event", None), "value", "")
        if message.startswith(NOTHING):
            self._form.say("Nothing to be done: all results are there.")
            self._repeat()
        elif message.startswith(INTERRUPTED):
            self._interrupted = True  # what its jobs say of their end is no failure
            self._form.say("stopped, as you asked: the same command goes on from here")
        elif event == "error" or (not event and record.levelno >= logging.WARNING):
            if message and getattr(record, "exception", "") not in ABOUT_JOBS and AT_THE_END not in message:
                self._form.say(message, loud=record.levelno >= logging.ERROR)
        elif message.startswith("Complete log") and self._run.any_failed and not self._interrupted:
            self._form.say(f"every word of Snakemake: {message.partition(': ')[2]}")

    def _tell_failures(self) -> None:
        """Of each failed job, why: its own last words, or what the head's log knows."""
        failed, self._run.failed = self._run.failed, []
        if self._interrupted:
            return
        for job in failed:
            reason = why_failed(job.rule, job.log, job.outputs, self._logs())
            self._form.say(f"failed: {job.name}: {reason}", loud=True)

    def _watch(self) -> None:
        """Look at the files now and then, until the end."""
        wait = 0.0
        while not self._ended.wait(PAUSE):
            with suppress(Exception):  # a file that is just being written, a folder that vanished
                self._tell_failures()
            wait -= PAUSE
            if wait <= 0:
                began = time.monotonic()
                with suppress(Exception):
                    self._facts = list(self._look())
                wait = SHARE * (time.monotonic() - began)
            try:
                self._form.changed()
            except OSError:
                self._form = Form()
            except Exception:  # noqa: BLE001  a study is worth more than what is shown of it
                self._give_up()

    def _look(self) -> Iterable[str]:
        answer = status(self._study)
        if answer["eta"]["work_seconds"]:
            yield _time_left(answer["eta"], len(self._run.running))
        for entry in answer["best"]:
            yield (
                f"best so far: {entry['dataset']} {entry['method']}, validation {goals.words(entry['metric'])} "
                f"{entry['score']:.4f} at lambda {entry['lam']:.3g}"
            )

    def _view(self) -> View:
        """What there is to show at this moment."""
        now = time.monotonic()
        running = list(self._run.running.values())
        shares = [share_done(self._study, job) for job in running]
        inside = dict.fromkeys(self._run.total, 0.0)
        for job, share in zip(running, shares, strict=True):
            inside[job.stage] = inside.get(job.stage, 0.0) + share
        return View(
            self._study.name,
            now - self._began,
            [(stage, self._run.finished[stage], inside[stage], count) for stage, count in self._run.total.items()],
            [(job.name, share, now - job.since) for job, share in zip(running, shares, strict=True)],
            self._facts,
        )


def _time_left(eta: Eta, running: int) -> str:
    seconds = eta["seconds"] or eta["work_seconds"] / max(running, 1)
    unknown = ", ".join(eta["unknown"])
    return f"time left: {'at least ' if unknown else ''}{duration(seconds)}" + (
        f"; {unknown} not measured yet, not counted" if unknown else ""
    )


def share_done(study: Study, job: RunningJob) -> float:
    """How far a running job is, from 0 to 1: by the files of a whole cell, by the steps of a training; else 0."""
    dataset, layout = job.wildcards.get("dataset", ""), study.layout
    if job.rule in WHOLE:
        trials = [
            path
            for method in study.methods
            for replicate in study.replicates(method.id)
            if str(layout.selected(dataset, method.id, replicate)) in job.outputs
            for path in study.trial_files(dataset, method.id, None, replicate)
        ]
        files = [*trials, *map(Path, job.outputs)]
        return sum(path.exists() for path in files) / max(len(files), 1)
    if job.rule == "train":
        log = layout.run(dataset, job.wildcards["method"], job.wildcards["seed"]) / LIVE
        return min(_step(log) / study.config.training.steps, 1.0)
    return 0.0


def _step(log: Path) -> int:
    """The step that a training's log has come to; its first line has none, its last may be half written."""
    for line in reversed(last_lines(log)):
        with suppress(ValueError):
            return int(json.loads(line).get("at", 0))
    return 0
