"""What a terminal and a log show of a run, from the records of Snakemake's log."""

import io
import json
import logging
import re
from types import SimpleNamespace

import pytest
from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_records import info, record
from tiny_study import ROOT, TINY

from regbench.orchestration import display as module
from regbench.orchestration.display import Display, share_done, show
from regbench.orchestration.display_forms import Lines, Screen, View
from regbench.orchestration.run_events import RunningJob
from regbench.study.load import load
from regbench.study.methods import Study

STATS = {"prepare": 1, "trial": 2, "total": 3}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def study(tmp_path):
    return Study(load({**TINY, "results": str(tmp_path)}))


@pytest.fixture
def shown(study, monkeypatch):
    """A display with its stream; it looks at the files when a test says so."""
    monkeypatch.setattr(module, "PAUSE", 1000.0)
    made = []

    def make(stream: io.StringIO | None = None, logs=(), repeat=lambda: None) -> tuple[Display, io.StringIO]:
        stream = stream or io.StringIO()
        made.append(Display(study, stream, lambda: list(logs), repeat))
        return made[-1], stream

    yield make
    for one in made:
        one.close()


def test_short_lines_where_nobody_watches(shown):
    display, stream = shown()
    display.emit(record(LogEvent.RUN_INFO, stats=STATS))
    display.emit(info(1, "prepare", dataset="brains"))
    lines = stream.getvalue().splitlines()
    assert [line[10:] for line in lines] == ["study tiny: 3 jobs to run (prepare 1, trials 2)", "0 of 3 jobs done"]
    display.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    assert len(stream.getvalue().splitlines()) == 2  # no more than one in ten seconds
    assert "\x1b" not in stream.getvalue()


def test_a_line_every_ten_seconds_then_every_minute():
    stream, views = (
        io.StringIO(),
        iter(
            View("s", seconds, [("trials", number, 0.0, 9)], [("trial a", 0.25, 1.0)], ["time left: 1 s"])
            for number, seconds in enumerate([0.0, 0.5, 9.0, 10.6, 700.0, 730.0, 761.0])
        ),
    )
    lines = Lines(stream, lambda: next(views))
    lines.begin()
    for _ in range(6):
        lines.changed()
    ended = [line[10:].split()[0] for line in stream.getvalue().splitlines()[1:]]
    assert ended == ["1", "3", "4", "6"]
    assert stream.getvalue().splitlines()[1].endswith("1 of 9 jobs done; running: trial a (25%); time left: 1 s")


def test_bars_stay_in_place_in_a_terminal(shown, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    display, stream = shown(Terminal())
    display.emit(record(LogEvent.RUN_INFO, stats=STATS))
    display.emit(info(1, "trial", dataset="brains", method="m" * 80))
    display._form._live.refresh()
    text = stream.getvalue()
    assert "trials" in text
    assert "0 of 2" in text
    assert "running  trial brains mmm" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l"), "a head that is killed leaves a terminal without a cursor"
    display.close()
    assert stream.getvalue().endswith("\x1b[2K") or "\x1b[1A" in stream.getvalue(), "the bars were left behind"
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l"), "no cursor"


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    assert not Screen.fits(Terminal())
    assert not Screen.fits(io.StringIO())


def test_a_failure_is_told_with_its_reason(shown, tmp_path):
    log = tmp_path / "train.log"
    log.write_text("regbench: `lambda` must be small\n")
    display, stream = shown()
    display.emit(record(LogEvent.RUN_INFO, stats=STATS))
    display.emit(info(1, "train", dataset="brains", method="m", seed="0"))
    display._run.running[1].log = str(log)
    display.emit(
        record(LogEvent.JOB_ERROR, "Error in rule train", logging.ERROR, jobid=1, rule_name="train", log=[str(log)])
    )
    display.emit(record(LogEvent.ERROR, "RuleException:\nlong", logging.ERROR, exception="RuleException"))
    display.close()
    said = [line[10:] for line in stream.getvalue().splitlines()]
    assert said[-1] == "failed: train brains m, seed 0: `lambda` must be small"
    assert not any("RuleException" in line for line in said)
    display.emit(record(None, "Complete log(s): a.log"))
    assert stream.getvalue().endswith("every word of Snakemake: a.log\n")


def test_a_run_that_the_user_stops_has_not_failed(shown):
    display, stream = shown()
    display.emit(info(1, "train", dataset="brains", method="m", seed="0"))
    display.emit(record(None, "Terminating processes on user request, this might take some time.", logging.WARNING))
    display.emit(record(LogEvent.JOB_ERROR, "Error", logging.ERROR, jobid=1, rule_name="train", log=[]))
    display.close()
    (line,) = stream.getvalue().splitlines()
    assert line[10:] == "stopped, as you asked: the same command goes on from here"


def test_a_warning_and_an_error_are_told(shown):
    display, stream = shown()
    display.emit(record(None, "ended jobs of an earlier run", logging.WARNING))
    display.emit(record(LogEvent.ERROR, "WorkflowError:\nno such rule", logging.ERROR, exception="WorkflowError"))
    display.emit(record(None, "Building DAG of jobs..."))
    assert [line[10:] for line in stream.getvalue().splitlines() if line[2:3] == ":"] == [
        "ended jobs of an earlier run", "WorkflowError:",
    ]  # fmt: skip
    assert "Building" not in stream.getvalue()


def test_a_finished_study_prints_its_table_again(shown):
    calls = []
    display, stream = shown(repeat=lambda: calls.append(1))
    display.emit(record(None, "Nothing to be done (all requested files are present and up to date)."))
    assert stream.getvalue()[10:] == "Nothing to be done: all results are there.\n"
    assert calls == [1]


def test_what_cannot_be_shown_hurts_nobody(shown, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    display, stream = shown(Terminal())
    monkeypatch.setattr(Screen, "begin", lambda _: 1 / 0)
    display.emit(record(LogEvent.RUN_INFO, stats=STATS))
    display.emit(record(None, "still here", logging.WARNING))
    assert stream.getvalue().endswith("still here\n")


def test_a_reader_that_has_gone_hurts_nobody(shown):
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    display, _ = shown(Broken())
    display.emit(record(LogEvent.RUN_INFO, stats=STATS))
    display.emit(info(1, "prepare", dataset="brains"))
    display.close()


@pytest.mark.parametrize(
    ("seconds", "unknown", "words"),
    [(60.0, [], "1 min 0 s"), (None, ["train"], "at least 40 s; train not measured yet, not counted")],
)
def test_the_files_tell_the_time_left_and_the_best(shown, monkeypatch, seconds, unknown, words):
    best = {"dataset": "brains", "method": "m", "metric": "dice", "score": 0.71234, "lam": 0.5}
    eta = {"seconds": seconds, "work_seconds": 80.0, "unknown": unknown}
    monkeypatch.setattr(module, "status", lambda _: {"eta": eta, "best": [best]})
    display, _ = shown()
    display.emit(info(1, "trial", dataset="brains"))
    display.emit(info(2, "trial", dataset="brains"))
    assert list(display._look()) == [
        f"time left: {words}",
        "best so far: brains m, validation Dice 0.7123 at lambda 0.5",
    ]


def test_how_far_a_training_and_a_cell_are(study):
    layout, method = study.layout, "voxelmorph.lcc.grad_l2"
    train = RunningJob("train", {"dataset": "brains", "method": method, "seed": "0"}, (), "")
    assert share_done(study, train) == 0
    log = layout.run("brains", method, 0) / "live.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"training": "x"}) + "\n" + json.dumps({"at": 1}) + '\n{"at": 3')
    assert share_done(study, train) == 0.25  # of four steps
    selected = layout.selected("brains", method)
    cell = RunningJob("cell", {"dataset": "brains", "method": method}, (str(selected),), "")
    first, second = study.trial_files("brains", method)
    for path in (first, selected, second):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert share_done(study, cell) == 1
    second.unlink()
    assert share_done(study, cell) == pytest.approx(2 / 3)
    assert share_done(study, RunningJob("report", {}, (), "")) == 0


def workflow(**changes):
    """As Snakemake makes it, with a handler of the terminal and one of the log file."""
    logger = logging.Logger("test")
    quiet = changes.get("quiet", set())
    for name in ("DefaultStreamHandler", "DefaultLogFileHandler"):
        handler = logging.StreamHandler(io.StringIO())
        handler.name = name
        handler.addFilter(DefaultFilter(quiet, False, False, False, False))
        handler.setFormatter(DefaultFormatter(quiet))
        logger.addHandler(handler)
    settings = dict.fromkeys(("verbose", "printshellcmds", "debug_dag", "dryrun"), False) | {"quiet": set()} | changes
    manager = SimpleNamespace(logger=logger, get_logfile=list)
    return SimpleNamespace(
        logger_manager=manager, output_settings=SimpleNamespace(**settings), dryrun=changes.get("dryrun", False)
    )


def test_ours_takes_the_place_of_snakemakes(study):
    run = workflow()
    display = show(run, study, lambda: None)
    assert [handler.name for handler in run.logger_manager.logger.handlers] == ["DefaultLogFileHandler", None]
    assert display is run.logger_manager.logger.handlers[1]
    display.close()


@pytest.mark.parametrize("change", [{"verbose": True}, {"printshellcmds": True}, {"debug_dag": True}, {"dryrun": True}])
def test_snakemakes_own_words_on_demand(study, change):
    run = workflow(**change)
    assert show(run, study, lambda: None) is None
    assert len(run.logger_manager.logger.handlers) == 2


@pytest.mark.parametrize(
    "profile", sorted((ROOT / "workflow/profiles").glob("*/profile.yaml")), ids=lambda p: p.parent.name
)
def test_no_profile_asks_for_snakemakes_own_words(profile):
    """What `show` stands back for; the display is for clusters too, as lines."""
    asked = re.findall(r"^(verbose|printshellcmds|debug-dag|dry-run|quiet|logger)\b", profile.read_text(), re.MULTILINE)
    assert asked == []


def test_the_log_file_has_every_word_also_of_a_quiet_run(study):
    quietness = pytest.importorskip("snakemake.settings.enums").Quietness
    run = workflow(quiet={quietness.ALL})
    assert show(run, study, lambda: None) is None
    stream, file = run.logger_manager.logger.handlers
    heard = record(LogEvent.JOB_FINISHED, "Finished jobid: 1", job_id=1)
    assert not stream.filter(heard)
    assert file.filter(heard)
    assert file.formatter.quiet == set()
