"""The log that a training keeps for whoever looks on."""

import json

import pytest

from regbench.training import training_log
from regbench.training.training_log import LogWriter, read, stride

HEADER = {"training": "a", "steps": 100, "terms": ["loss", "dice"]}


def rows(first, last):
    return [[1.0 / step, float(step)] for step in range(first, last + 1)]


def test_a_curve_is_what_was_added(tmp_path):
    log = LogWriter(tmp_path / "runs" / "live.jsonl", HEADER)
    log.add(25, rows(1, 25))
    log.write()
    log.add(30, rows(6, 30))  # the last steps of a training overlap with those before
    log.write(gpu_mib=12.5)
    found = read(log.path)
    assert found.curve == {"step": [*range(1, 31)], "loss": [1 / k for k in range(1, 31)], "dice": [*range(1, 31)]}
    assert [line["at"] for line in found.lines] == [25, 30]
    assert found.lines[0]["rss_mib"] > 10
    assert [line.get("gpu_mib") for line in found.lines] == [None, 12.5]
    assert found.header["started"] <= found.lines[0]["time"] <= found.lines[1]["time"]


@pytest.mark.parametrize(
    ("steps", "points", "every"), [(5, 1000, 1), (1000, 1000, 1), (1001, 1000, 2), (60_000, 1000, 60)]
)
def test_a_long_curve_is_thinned_and_its_half_is_among_the_whole(tmp_path, steps, points, every):
    assert stride(steps, points) == every
    for name, last in (("half", steps // 2), ("whole", steps)):
        log = LogWriter(tmp_path / name, {**HEADER, "steps": steps}, points=points)
        log.add(last, rows(1, last))
        log.write()
    half, whole = (read(tmp_path / name).curve["step"] for name in ("half", "whole"))
    assert whole == [*range(1, steps + 1, every)]
    assert whole[: len(half)] == half
    assert len(whole) <= points


def test_taken_up_again_it_drops_what_is_done_anew(tmp_path):
    first = LogWriter(tmp_path / "live", HEADER)
    for last in (25, 50, 75):
        first.add(last, rows(last - 24, last))
        first.write()
    before = read(first.path)
    again = LogWriter(tmp_path / "live", HEADER, step=60)
    again.add(60, rows(1, 60))
    again.add(85, rows(61, 85))
    again.write()
    found = read(first.path)
    assert found.header == before.header, "it began when it began"
    assert found.curve["step"] == [*range(1, 86)]
    assert [(line["at"], line["time"]) for line in found.lines[:3]] == [
        (line["at"], line["time"]) for line in before.lines
    ]


@pytest.mark.parametrize("change", [{"step": 0}, {"header": {**HEADER, "training": "b"}, "step": 20}])
def test_of_another_training_nothing_is_kept(tmp_path, change):
    first = LogWriter(tmp_path / "live", HEADER)
    first.add(25, rows(1, 25))
    first.write()
    LogWriter(tmp_path / "live", change.get("header", HEADER), step=change["step"])
    assert read(first.path).curve["step"] == []


def test_a_torn_end_costs_one_line_and_no_more(tmp_path):
    log = LogWriter(tmp_path / "live", HEADER)
    for last in (25, 50):
        log.add(last, rows(last - 24, last))
        log.write()
    whole = log.path.read_bytes()
    for cut in (2, 40, 400):
        log.path.write_bytes(whole[:-cut])
        assert read(log.path).curve["step"] == [*range(1, 26)]
        LogWriter(log.path, HEADER, step=30).add(50, rows(26, 50))
    assert read(tmp_path / "none") is None
    log.path.write_bytes(whole[:20])
    assert read(log.path) is None


def test_a_line_is_due_ever_more_seldom(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(training_log.time, "monotonic", lambda: now[0])
    log = LogWriter(tmp_path / "live", HEADER)
    for second in range(100_000):
        now[0] = second
        if log.due():
            log.write()
    assert 700 < len(read(log.path).lines) < 1300


def test_a_disk_that_fails_costs_a_warning_and_no_step(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    log = LogWriter(tmp_path / "file" / "live", HEADER)
    log.add(25, rows(1, 25))
    log.write()
    log.write()
    assert len(caplog.records) == 1
    assert "goes on" in caplog.text


def test_lines_are_json(tmp_path):
    log = LogWriter(tmp_path / "live", HEADER)
    log.add(1, [[float("nan"), 0.0]])
    log.write()
    assert [type(json.loads(line)) for line in log.path.read_text().splitlines()] == [dict, dict]
