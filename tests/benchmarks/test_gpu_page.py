"""`make gpu` without a GPU: its parts run, and none costs another."""

import json
import subprocess
import sys

import pytest
from script_files import script
from tiny_study import ROOT

PAGE = ROOT / "benchmarks" / "gpu_page.py"


@pytest.fixture(scope="module")
def gpu_page():
    return script("benchmarks/gpu_page.py")


@pytest.mark.slow  # `make gpu` does it too
def test_warps_and_steps_run_small_on_the_cpu(tmp_path):
    """The sums in a fixed order too, and every step of ours."""
    command = [
        sys.executable,
        str(PAGE),
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
        "--parts",
        "warps",
        "steps",
        "feeding",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert done.returncode == 0, done.stdout
    assert {part: outcome["state"] for part, outcome in found["parts"].items()} == dict.fromkeys(
        ("warps", "steps", "feeding"), "done"
    )
    rows = {row["row"]: row for outcome in found["parts"].values() for row in outcome["rows"]}
    assert {"torch", "fixed order"} == set(rows["warp 3D 3x24^3"]["milliseconds"])
    ours = {"regbench", "regbench, full flow", "regbench, bf16", "regbench, deterministic: false"}
    assert ours <= set(rows["step 2D 2x48x64 lcc"]["milliseconds"])
    assert rows["step 2D 2x48x64 lcc"]["failed"] == {}
    page = (tmp_path / "gpu.md").read_text()
    assert "no GPU: small, on the CPU" in page
    assert "a step with sums in a fixed order takes, of one without: " in page
    assert "the default" not in page
    assert "* step 3D 16x32x16 lcc, streamed, augmented: the device computes " in page
    assert all(0 < row["busy_percent"] <= 100 for name, row in rows.items() if "busy_percent" in row)
    assert sum("busy_percent" in row for row in rows.values()) == 4
    assert "* step 3D 16x32x16 lcc: regbench " in page


def test_a_part_that_fails_hangs_or_cannot_run_costs_no_other(gpu_page, tmp_path, monkeypatch):
    say = "import json, sys; open(sys.argv[1], 'a').write(json.dumps({'row': 'r', 'who': sys.argv[2]}) + '\\n'); "
    codes = {
        "exactness": say,
        "losses": say + "sys.exit('no such kernel')",
        # What it started must end with it.
        "warps": say + "import subprocess; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "steps": say,
    }

    def command_of(part, plan, rows):
        missing = gpu_page.lacking(("torch", "no_such_package")) if part == "tests" else ""
        return [sys.executable, "-c", codes.get(part, ""), str(rows), part], missing

    monkeypatch.setattr(gpu_page, "command_of", command_of)
    monkeypatch.setitem(gpu_page.SECONDS, "warps", 5)
    monkeypatch.setattr(sys, "argv", ["", "--out", str(tmp_path), "--device", "cpu", "--parts", "tests", *codes])
    with pytest.raises(SystemExit) as ended:
        gpu_page.main()
    assert ended.value.code == 1
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    states = ["skipped", "done", "failed", "over its seconds", "done"]
    assert [outcome["state"] for outcome in parts.values()] == states
    assert parts["tests"]["reason"] == "not installed: no_such_package"
    assert "no such kernel" in parts["losses"]["reason"]
    assert [row["who"] for part in codes for row in parts[part]["rows"]] == list(codes)
    page = (tmp_path / "gpu.md").read_text()
    assert "| losses | failed |" in page
    assert "| tests | skipped | 0 | not installed: no_such_package |" in page


def test_what_figures_decide(gpu_page):
    """By hand: 11 ms is 1.10 of 10 ms, at which the default goes."""

    def parts(fixed):
        times = {"regbench": fixed, "regbench, deterministic: false": 10.0, "regbench, graph": 5.5}
        rows = [{"row": "step x", "milliseconds": times, "peak_mib": {}, "failed": {}}]
        study = [{"row": "the same study twice: tables", "files": 4, "same": 3}]
        return {"steps": {"rows": rows}, "study": {"rows": study}}

    assert "* `deterministic: true` stays the default (limit 1.10)." in gpu_page._verdicts(parts(10.9), on_gpu=True)
    lines = gpu_page._verdicts(parts(11.1), on_gpu=True)
    assert "* `deterministic: true` should NOT stay the default (limit 1.10)." in lines
    assert "* a replayed step takes, of one that is called: 0.50 (x)." in lines
    assert "* the same study twice: tables: 3 of 4 files have the same bytes." in lines


def test_all_parts_fit_into_eight_minutes(gpu_page):
    assert sum(gpu_page.SECONDS.values()) <= 475
