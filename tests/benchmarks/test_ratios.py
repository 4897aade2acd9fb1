"""The one command of all benchmarks: its tables are those of the files, and a part that fails costs no other."""

import argparse
import json
import shutil
import subprocess
import sys

import pytest
from script_files import script
from tiny_study import ROOT

SCRIPT = ROOT / "benchmarks/ratios.py"


@pytest.fixture(scope="module")
def ratios():
    return script("benchmarks/ratios.py")


def cells(text, what):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {what} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_what_is_committed_is_shown(ratios):
    shown = subprocess.run([sys.executable, str(SCRIPT), "--show"], check=True, capture_output=True, text=True).stdout
    for name in ratios.PARTS:
        assert f"## {name}\n" in shown
    assert "Not measured" not in shown


def test_a_ratio_is_the_fastest_peer_over_ours(ratios, tmp_path):
    rows = [
        {"row": "lcc", "milliseconds": {"regbench": 2.0, "regbench by formula": 1.0, "monai": 8.0, "voxelmorph": 5.0}},
        {"row": "ours alone", "milliseconds": {"regbench": 2.0}},
    ]
    (tmp_path / "losses.json").write_text(json.dumps({"default": rows}))
    text = ratios.table("losses", tmp_path)
    assert cells(text, "lcc") == ["lcc", "2", "8", "5", "2.5"]
    assert "ours alone" not in text
    assert "before dates and versions" in text
    steps = {"regbench": 2.0, "regbench, full flow": 4.0, "voxelmorph": 6.0}
    (tmp_path / "training.json").write_text(json.dumps({"steps": [{"row": "2D", "threads": 1, "milliseconds": steps}]}))
    text = ratios.table("training", tmp_path)
    assert cells(text, "2D, 1 thread") == ["2D, 1 thread", "2", "6", "3"]
    assert cells(text, "2D, 1 thread, full flow")[-1] == "1.5"


@pytest.mark.parametrize("part", ["quick", "minutes"])
def test_orchestration_is_a_share_of_the_whole(ratios, tmp_path, part):
    parts = {"no_job_seconds": 6.0, "start_seconds": 4.0}
    (tmp_path / f"{part}.json").write_text(json.dumps({"study": part, "wall_seconds": 200.0, "orchestration": parts}))
    assert cells(ratios.table(part, tmp_path), "orchestration, a share of the whole")[-1] == "5.0%"


def test_the_short_form_leaves_out_what_has_none(ratios, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(ratios, "measure", lambda name, *_: measured.append(name) or "")
    monkeypatch.setattr(sys, "argv", ["ratios", "--out", str(tmp_path), "--quick"])
    assert ratios.main() == 0
    assert measured == [name for name in ratios.PARTS if name != "minutes"]


@pytest.mark.parametrize(("part", "argument"), [("training", "--only"), ("minutes", "minutes.yaml")])
def test_a_short_form_runs_by_its_own_arguments_and_is_marked(ratios, tmp_path, monkeypatch, part, argument):
    commands = []

    def measured(command, **_):
        commands.append(command)
        (tmp_path / f"{part}.new").write_text("{}")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(ratios.subprocess, "run", measured)
    assert ratios.measure(part, tmp_path, argparse.Namespace(quick=True)) == ""
    assert argument in " ".join(commands[0])
    assert json.loads((tmp_path / "ratios.json").read_text())[part]["quick"] is (part == "training")


def test_a_part_that_fails_costs_no_other_and_no_number(ratios, tmp_path, monkeypatch, capsys):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "tracking.py").write_text("raise SystemExit(3)")
    (scripts / "data.py").write_text(
        "import sys; open(sys.argv[sys.argv.index('--json') + 1], 'w').write("
        '\'[{"data": "d", "regbench": {"seconds": 2}, "minimum": {"seconds": 1}}]\')'
    )
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(ROOT / "benchmarks/results/tracking.json", out)
    before = (out / "tracking.json").read_bytes()
    monkeypatch.setattr(ratios, "HERE", scripts)
    monkeypatch.setattr(sys, "argv", ["ratios", "--out", str(out), "--only", "tracking", "data"])
    assert ratios.main() == 1
    printed = capsys.readouterr()
    assert "tracking: `tracking.py` ended with status 3" in printed.err
    assert cells(printed.out, "d") == ["d", "2", "1", "0.5"]
    assert (out / "tracking.json").read_bytes() == before
    known = json.loads((out / "ratios.json").read_text())
    assert list(known) == ["data"]
    assert known["data"]["versions"]["torch"].startswith("2.")


def test_no_job_and_starts(tmp_path):
    """Two jobs side by side from 10 to 20 and 15 to 30 s, then one from 35 to 45; the study takes 50 s."""
    module = script("benchmarks/quick.py")
    jobs = [
        {"rule": "cell", "ended": 20.0, "seconds": 10.0, "stages": {"train": (8.0, 8.0)}},
        {
            "rule": "cell_untrained",
            "ended": 30.0,
            "seconds": 15.0,
            "stages": {"register": (9.0, 9.0), "evaluate": (11.0, 11.0)},
        },  # the registrations are in it
        {"rule": "report", "ended": 45.0, "seconds": 10.0, "stages": {}},
    ]
    found = module.orchestration(jobs, {"began": 0.0, "ended": 50.0, "wall_seconds": 50.0}, cores=2)
    assert found["no_job_seconds"] == 50 - 20 - 10
    assert found["start_seconds"] == (2 + 4 + 3) / 2
    assert found["share_of_wall"] == pytest.approx(24.5 / 50)


def test_jobs_that_decide_count_whole_and_outputs_of_a_job_once(tmp_path):
    """`propose` for 3 s, then a trial of two outputs for 10 s, of which 8 compute."""
    module = script("benchmarks/quick.py")
    log = tmp_path / "trial.log"
    log.write_text(
        "INFO regbench.system.job_usage: clock: trial 8.000 s, 7.500 s of CPU\n"
        "INFO regbench.cli.main: took 8.5 s, 8.1 s of CPU, at most 300 MiB\n"
    )
    records = [
        ("propose", "regbench propose", 1.0, 4.0, []),
        ("trial", "regbench trial", 4.1, 14.0, [str(log)]),  # Snakemake notes its outputs one after the other
        ("trial", "regbench trial", 4.0, 13.5, [str(log)]),
    ]
    folder = tmp_path / ".snakemake/metadata/deep"
    folder.mkdir(parents=True)
    for number, (rule, command, began, ended, logs) in enumerate(records):
        record = {"rule": rule, "shellcmd": command, "starttime": began, "endtime": ended, "log": logs}
        (folder / str(number)).write_text(json.dumps(record))
    jobs = module.jobs_of(tmp_path)
    assert [(job["rule"], job["seconds"], job["cpu"], job["peak_mib"]) for job in jobs] == [
        ("propose", 3.0, 0.0, 0),
        ("trial", 10.0, 8.1, 300),
    ]
    found = module.orchestration(jobs, {"began": 0.0, "ended": 20.0, "wall_seconds": 20.0}, cores=2)
    assert found["no_job_seconds"] == pytest.approx(20 - 13)
    assert found["start_seconds"] == pytest.approx((3 + 2) / 2)
