"""What runs, what failed and why, from files; the partial table that says so."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from made_study import make

from regbench.cli.main import main
from regbench.orchestration import jobs, snakemake_log
from regbench.orchestration.progress import last_words, lives, note_head, progress
from regbench.study import plan
from regbench.study.config import load
from regbench.system.files import write_json

MSE = "voxelmorph.mse.grad_l2"
LCC = "voxelmorph.lcc.grad_l2"
BLOCK = """[Fri Nov 27 04:47:13 2026]
localrule train:
    input: a
    output: {run}/checkpoint.pt
    log: {log}
    jobid: 22
    wildcards: dataset=brains, method={method}, seed=1
"""
ENDED = {  # what Snakemake writes, as seen from 9.27 and the Slurm plugin 2.8
    "kill": """RuleException:
CalledProcessError in file "/x/train.smk", line 25:
Command 'set -euo pipefail;  regbench train c.json --seed 1 > {log} 2>&1' returned non-zero exit status 137.
[Fri Nov 27 04:47:13 2026]
Error in rule train:
    message: None
    jobid: 22
    log: {log} (check log file(s) for error details)
    shell:
        regbench train c.json --seed 1 > {log} 2>&1
        (command exited with non-zero exit code)
""",
    "time": """Error in rule train:
    message: SLURM-job '72' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable (status command is \
not 'sacct').For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 22
    log: {log}, /x/.snakemake/slurm_logs/rule_train/72.log (check log file(s) for error details)
    external_jobid: 72
Logfile {log}: empty file
""",
}
ENDED["memory"] = ENDED["time"].replace("TIMEOUT", "OUT_OF_MEMORY")
ENDED["failed"] = ENDED["time"].replace("TIMEOUT", "FAILED")
RESTART = "Trying to restart job 22.\nSelect jobs to execute...\n"


@pytest.fixture
def study(tiny):
    return load(tiny)


@pytest.fixture
def step(study):
    return next(s for s in jobs.of_study(study) if s.name == f"train/brains/{MSE}/seed1")


def say(study, step, *blocks: str, alive: bool = False) -> None:
    """A head's log, and a head that lives or not."""
    lay = plan.layout(study)
    text = "".join(blocks).format(log=jobs.log_of(lay.root, step), run=Path(step.output).parent, method=step.method)
    path = lay.root.parent / "head.log"
    path.write_text(text)
    note_head(lay.root, [str(path)])
    pid = os.getpid() if alive else 2**22 + 1
    (lay.root / "state" / "workflow.lock").write_text(f"process {pid} on {platform.node()}\n")


def cells(study):
    return {cell.method: cell for cell in progress(study).cells}


def log(study, step, text: str) -> None:
    path = Path(jobs.log_of(plan.layout(study).root, step))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_whole_study_is_done(study):
    make(study)
    assert {cell.state for cell in cells(study).values()} == {"done"}
    assert cells(study)[MSE].seeds == [0, 1]


def test_nothing_has_begun(study):
    found = cells(study)
    assert {cell.state for cell in found.values()} == {"not started"}
    assert found[MSE].reason == "nothing has begun"


@pytest.mark.parametrize(
    ("ended", "words", "expected"),
    [
        ("kill", "", "killed (SIGKILL), as the kernel does when memory runs out"),
        ("kill", "torch.OutOfMemoryError: CUDA out of memory.\n", "killed (SIGKILL)"),
        ("time", "regbench: stopped at step 3 of 9, state kept\n", "time limit"),
        ("memory", "", "out of memory (killed by Slurm)"),
        ("failed", "INFO x\nRuntimeError: CUDA out of memory. Tried\n", "out of memory: RuntimeError: CUDA out of"),
        (
            "failed",
            "step 1\nregbench: `x` must be writable, but got: No space left on device.\n",
            "`x` must be writable",
        ),
        ("failed", "", "no word in its log"),
    ],
)
def test_a_failed_job_has_its_reason(study, step, ended, words, expected):
    make(study, without=(step.name, f"evaluate/brains/{MSE}/seed1"))
    log(study, step, words)
    say(study, step, BLOCK, ENDED[ended], RESTART, BLOCK, ENDED[ended])
    found = cells(study)
    assert (found[MSE].state, found[LCC].state) == ("failed", "done")
    assert f"train seed1: {expected}" in found[MSE].reason
    assert "(attempt 2)" in found[MSE].reason


@pytest.mark.parametrize(
    ("own", "slurm", "expected"),
    [
        ("INFO step 3\n", "slurmstepd-g1: error: Exceeded job memory limit\nJob failed\n",
         "out of memory: slurmstepd-g1: error: Exceeded job memory limit; try `rules: {train: {mem_mb: ...}}` in site"),
        ("torch.OutOfMemoryError: CUDA out of memory\n", "Job failed\n", "; try a smaller `training.batch`"),
        ("INFO step 3\n", "Job failed\n", "train seed1: INFO step 3"),
    ],
)  # fmt: skip
def test_slurms_own_log_says_that_memory_ran_out(study, step, own, slurm, expected):
    """Without cgroups the state of such a job is FAILED, and its own log has no word of it."""
    make(study, without=(step.name, f"evaluate/brains/{MSE}/seed1"))
    log(study, step, own)
    path = plan.layout(study).root / "72.log"
    path.write_text(slurm)
    say(study, step, BLOCK, ENDED["failed"].replace("/x/.snakemake/slurm_logs/rule_train/72.log", str(path)))
    assert expected in cells(study)[MSE].reason


def test_a_local_job_out_of_memory_says_so(study, step):
    make(study, without=(step.name, f"evaluate/brains/{MSE}/seed1"))
    log(study, step, "MemoryError\n")
    say(study, step, BLOCK, ENDED["kill"].replace("137", "1"))
    assert "out of memory: MemoryError; try fewer jobs at once (--cores)" in cells(study)[MSE].reason


def test_a_rule_without_a_log_is_known_by_its_output(study):
    """Its log is there only if it failed, and not Snakemake's."""
    step = next(s for s in jobs.of_study(study) if s.name == f"propose/brains/{MSE}/replicate0/round1")
    make(study, without=tuple(f"{rule}/brains/{MSE}" for rule in ("propose", "trial", "select", "train", "evaluate")))
    block = (
        BLOCK.replace("rule train", "rule propose")
        .replace("    log: {log}\n", "")
        .replace("{run}/checkpoint.pt", "{run}/proposals.json")
    )
    ended = f"Error in rule propose:\n    message: None\n    jobid: 22\n    output: {step.output}\n"
    say(study, step, block, alive=True)
    assert cells(study)[MSE].reason == "propose replicate0/round1: sent, has not begun"
    log(study, step, "regbench: `trials0-1.json` must be JSON\n")
    say(study, step, block, ended)
    assert cells(study)[MSE].reason == "propose replicate0/round1: `trials0-1.json` must be JSON"
    assert cells(study)[MSE].state == "failed"


def test_a_job_that_is_tried_again_runs(study, step):
    make(study, without=(step.name, f"evaluate/brains/{MSE}/seed1"))
    log(study, step, "")
    say(study, step, BLOCK, ENDED["kill"], RESTART, alive=True)
    assert cells(study)[MSE].state == "running"
    say(study, step, BLOCK, ENDED["kill"], RESTART, alive=False)
    assert cells(study)[MSE].state == "stopped"


def test_a_job_in_the_queue_has_not_begun(study, step):
    make(study, without=(step.name, f"evaluate/brains/{MSE}/seed1"))
    say(study, step, BLOCK, alive=True)
    assert cells(study)[MSE].reason == "train seed1: sent, has not begun"


def test_an_owner_that_lives_is_running_without_any_head(study, step):
    make(study, without=(step.name, f"evaluate/brains/{MSE}/seed1"))
    record = {"host": platform.node(), "pid": os.getpid(), "job": "", "beat": 3}
    write_json(Path(step.owner), record)
    assert cells(study)[MSE].state == "running"
    write_json(Path(step.owner), {**record, "pid": 2**22 + 1})
    assert cells(study)[MSE].state == "not started"


def test_who_lives(tmp_path):
    path = tmp_path / "lock"
    assert not lives(path)
    path.write_text("not a record")
    assert not lives(path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for text in ("process {} on {}\n", '{{"pid": {}, "host": "{}", "beat": 1}}' + " " * 300):
        path.write_text(text.format(os.getpid(), platform.node()))
        assert lives(path)
        path.write_text(text.format(dead.pid, platform.node()))
        assert not lives(path)
        path.write_text(text.format(dead.pid, "another-node"))
        assert lives(path)
        os.utime(path, (time.time() - 200,) * 2)
        assert not lives(path)


def test_another_users_process_lives(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    (tmp_path / "lock").write_text(f"process {os.getpid()} on {platform.node()}\n")
    monkeypatch.setattr(os, "kill", refused)
    assert lives(tmp_path / "lock")


def test_files_of_another_config_are_not_done(study, tiny):
    make(study)
    changed = load({**tiny, "training": {**tiny["training"], "learning_rate": 0.001}})
    found = cells(changed)[MSE]
    assert (found.state, found.seeds) == ("not started", [])
    assert "another config or code" in found.reason
    assert cells(changed)["identity"].state == "done"


def test_rows_older_than_their_run_are_not_done(study):
    make(study)
    run = plan.layout(study).run("brains", MSE, 0)
    os.utime(run / "pairs.parquet", (1, 1))
    assert cells(study)[MSE].seeds == [1]


def test_an_untrained_cell_is_one_job(tiny):
    tiny["models"] = ["instance"]
    study = load(tiny)
    assert [s.rule for s in jobs.of_cell(study, "brains", "instance.mse.grad_l2")] == ["untrained"]


def test_a_cell_of_networks_is_one_job(tiny, tiny_file, capsys):
    """Its runs count as they lie there; another config makes all of it old."""
    study = load({**tiny, "one_job_per_cell": True})
    (step,) = jobs.of_cell(study, "brains", MSE)
    assert step.name == f"cell/brains/{MSE}"
    make(study, without=(f"cell/brains/{LCC}",))
    found = cells(study)
    assert (found[MSE].state, found[MSE].seeds, sorted(found[MSE].records)) == ("done", [0, 1], [0, 1])
    assert (found[LCC].state, found[LCC].seeds) == ("not started", [])
    write_json(Path(step.owner), {"host": platform.node(), "pid": os.getpid(), "job": "", "beat": 3})
    assert cells(study)[MSE].state == "running"
    Path(step.owner).unlink()
    more = load({**tiny, "one_job_per_cell": True, "seeds": [0, 1, 2]})
    assert (cells(more)[MSE].state, cells(more)[MSE].seeds) == ("not started", [0, 1])
    changed = load({**tiny, "one_job_per_cell": True, "training": {**tiny["training"], "learning_rate": 0.001}})
    assert (cells(changed)[MSE].state, cells(changed)[MSE].seeds) == ("not started", [])
    assert "another config or code" in cells(changed)[MSE].reason


def test_last_words(tmp_path):
    path = tmp_path / "log"
    path.write_text("first\n" * 9999 + "  0%|          |\rregbench: it must hold\nsomething after\n\n")
    assert last_words(str(path)) == "it must hold"
    assert last_words(str(tmp_path / "none")) == ""


def test_a_finished_job_is_no_failure(tmp_path):
    path = tmp_path / "log"
    path.write_text(BLOCK.format(log="l", run="r", method="m") + "[x]\nFinished jobid: 22 (Rule: train)\n")
    assert snakemake_log.events(path)["l"].state == "finished"


def test_the_partial_table(study, step, tiny_file, capsys):
    make(study, without=(step.name, f"evaluate/brains/{MSE}", f"evaluate/brains/{LCC}/seed0"))
    log(study, step, "")
    say(study, step, BLOCK, ENDED["time"])
    main(["report", "--partial", str(tiny_file)])
    folder = plan.layout(study).partial
    assert "time limit" in capsys.readouterr().out
    frame = pd.read_csv(folder / "partial.csv").set_index("method")
    assert frame.loc[MSE, "why"].startswith("failed: train seed1: time limit")
    assert pd.isna(frame.loc[MSE, "dice_mean"])
    assert (frame.loc[LCC, "seeds"], frame.loc[LCC, "dice_mean"]) == ("1 of 2", pytest.approx(0.7))
    assert frame.loc[LCC, "state"] == "not started"
    assert frame.loc["identity", "state"] == "done"
    for ending in ("md", "tex", "html"):
        text = (folder / f"partial.{ending}").read_text()
        assert "PARTIAL TABLE of study tiny, NOT ITS RESULT: 1 of 3 cells" in text
        assert "time limit" in text
    assert json.loads((folder / "partial.json").read_text())["complete"] is False
    assert not plan.layout(study).tables.exists()


def test_a_partial_table_of_nothing(study, tiny_file, capsys):
    main(["report", "--partial", str(tiny_file)])
    assert "0 of 3 cells" in capsys.readouterr().out
