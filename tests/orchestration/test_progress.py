"""What runs, what failed and why, from files; the partial table that says so."""

import json
import os
import platform
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from made_study import make
from tiny_study import TINY

from regbench.cli.main import main
from regbench.orchestration import jobs, snakemake_log
from regbench.orchestration.progress import last_words, note_head, progress
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import read_sealed, write_json, write_sealed

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
    return Study(load(tiny))


@pytest.fixture
def job(study):
    return next(job for job in jobs.of_study(study) if job.name == f"train/brains/{MSE}/seed1")


def say(study, job, *blocks: str, alive: bool = False) -> None:
    """A head's log, and a head that lives or not."""
    lay = study.layout
    text = "".join(blocks).format(log=job.log, run=Path(job.output).parent, method=job.method)
    path = lay.root.parent / "head.log"
    path.write_text(text)
    note_head(lay, [str(path)])
    write_json(lay.workflow_lock, {"host": platform.node(), "pid": os.getpid() if alive else 2**22 + 1})


def cells(study):
    return {cell.method: cell for cell in progress(study).cells}


def log(job, text: str) -> None:
    path = Path(job.log)
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
def test_a_failed_job_has_its_reason(study, job, ended, words, expected):
    make(study, without=(job.name, f"evaluate/brains/{MSE}/seed1"))
    log(job, words)
    say(study, job, BLOCK, ENDED[ended], RESTART, BLOCK, ENDED[ended])
    found = cells(study)
    assert (found[MSE].state, found[LCC].state) == ("failed", "done")
    assert f"train seed1: {expected}" in found[MSE].reason
    assert "(attempt 2)" in found[MSE].reason


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("returned non-zero exit status 137.", "killed (SIGKILL)"),
        ("returned non-zero exit status 1.", "no word in its log"),
        ("died with <Signals.SIGTERM: 15>.", "ended by SIGTERM"),
    ],
)
def test_a_rule_without_a_log_has_its_reason(study, end, expected):
    """Its log is named in the command alone (as Snakemake 9.27 writes it), and its folder may have spaces."""
    proposal = next(job for job in jobs.of_study(study) if job.name.startswith("propose/"))
    make(study, without=(proposal.name,))
    command = (
        """mkdir -p -- "$(dirname -- 'a b/p.log')"; exec regbench propose c.json > 'a b/p.log' 2>&1 || """
        "{{ status=$?; cat -- 'a b/p.log' >&2; exit $status; }}; rm -- 'a b/p.log'"
    )
    say(
        study,
        proposal,
        f"[Fri Nov 27 04:47:13 2026]\nlocalrule propose:\n    output: {proposal.output}\n    jobid: 3\n",
        f"RuleException:\nCommand 'set -euo pipefail;  {command}' {end}\n[Fri Nov 27 04:47:13 2026]\n",
        f"Error in rule propose:\n    message: None\n    jobid: 3\n    output: {proposal.output}\n    shell:\n",
        f"        {command}\n        (command exited with non-zero exit code)\n",
    )
    assert expected in cells(study)[proposal.method].reason


@pytest.mark.parametrize(
    ("own", "slurm", "expected"),
    [
        ("INFO step 3\n", "slurmstepd-g1: error: Exceeded job memory limit\nJob failed\n",
         "out of memory: slurmstepd-g1: error: Exceeded job memory limit; try `rules: {train: {mem_mb: ...}}` in site"),
        ("torch.OutOfMemoryError: CUDA out of memory\n", "Job failed\n", "; try a smaller `training.batch`"),
        ("INFO step 3\n", "Job failed\n", "train seed1: INFO step 3"),
    ],
)  # fmt: skip
def test_slurms_own_log_says_that_memory_ran_out(study, job, own, slurm, expected):
    """Without cgroups the state of such a job is FAILED, and its own log has no word of it."""
    make(study, without=(job.name, f"evaluate/brains/{MSE}/seed1"))
    log(job, own)
    path = study.layout.root / "72.log"
    path.write_text(slurm)
    say(study, job, BLOCK, ENDED["failed"].replace("/x/.snakemake/slurm_logs/rule_train/72.log", str(path)))
    assert expected in cells(study)[MSE].reason


def test_a_local_job_out_of_memory_says_so(study, job):
    make(study, without=(job.name, f"evaluate/brains/{MSE}/seed1"))
    log(job, "MemoryError\n")
    say(study, job, BLOCK, ENDED["kill"].replace("137", "1"))
    assert "out of memory: MemoryError; try fewer jobs at once (--cores)" in cells(study)[MSE].reason


def test_a_rule_without_a_log_is_known_by_its_output(study):
    """Its log is there only if it failed, and not Snakemake's."""
    job = next(job for job in jobs.of_study(study) if job.name == f"propose/brains/{MSE}/replicate0/round1")
    make(study, without=tuple(f"{rule}/brains/{MSE}" for rule in ("propose", "trial", "select", "train", "evaluate")))
    block = (
        BLOCK.replace("rule train", "rule propose")
        .replace("    log: {log}\n", "")
        .replace("{run}/checkpoint.pt", "{run}/proposals.json")
    )
    ended = f"Error in rule propose:\n    message: None\n    jobid: 22\n    output: {job.output}\n"
    say(study, job, block, alive=True)
    assert cells(study)[MSE].reason == "propose replicate0/round1: sent, has not begun"
    log(job, "regbench: `trials0-1.json` must be JSON\n")
    say(study, job, block, ended)
    assert cells(study)[MSE].reason == "propose replicate0/round1: `trials0-1.json` must be JSON"
    assert cells(study)[MSE].state == "failed"


def test_a_job_that_is_tried_again_runs(study, job):
    make(study, without=(job.name, f"evaluate/brains/{MSE}/seed1"))
    log(job, "")
    say(study, job, BLOCK, ENDED["kill"], RESTART, alive=True)
    assert cells(study)[MSE].state == "running"
    say(study, job, BLOCK, ENDED["kill"], RESTART, alive=False)
    assert cells(study)[MSE].state == "stopped"


def test_a_job_in_the_queue_has_not_begun(study, job):
    make(study, without=(job.name, f"evaluate/brains/{MSE}/seed1"))
    say(study, job, BLOCK, alive=True)
    assert cells(study)[MSE].reason == "train seed1: sent, has not begun"


def test_an_owner_that_lives_is_running_without_any_head(study, job):
    make(study, without=(job.name, f"evaluate/brains/{MSE}/seed1"))
    record = {"host": platform.node(), "pid": os.getpid(), "job": "", "beat": 3}
    write_json(Path(job.owner), record)
    assert cells(study)[MSE].state == "running"
    write_json(Path(job.owner), {**record, "pid": 2**22 + 1})
    assert cells(study)[MSE].state == "not started"


def test_files_of_another_config_are_not_done(study, tiny):
    make(study)
    changed = Study(load({**tiny, "training": {**tiny["training"], "learning_rate": 0.001}}))
    found = cells(changed)[MSE]
    assert (found.state, found.seeds) == ("not started", [])
    assert "another config or code" in found.reason
    assert cells(changed)["identity"].state == "done"


def test_rows_older_than_their_run_are_not_done(study):
    make(study)
    os.utime(study.layout.pairs("brains", MSE, 0), (1, 1))
    assert cells(study)[MSE].seeds == [1]


def test_a_plain_copy_of_a_finished_study_is_done(finished_study, tmp_path):
    """`cp -r` gives the files new times, in any order; rows of another run are old all the same."""
    shutil.copytree(finished_study, tmp_path / "copy")
    study = Study(load({**TINY, "results": str(tmp_path / "copy")}))
    names = list(cells(study))
    for path in tmp_path.rglob("pairs.parquet"):
        os.utime(path, (1, 1))
    assert {name: cell.state for name, cell in cells(study).items()} == dict.fromkeys(names, "done")
    trained = next(name for name in names if study.method(name).cell)
    record = next(tmp_path.rglob(f"{trained}/seed*/run.json"))
    changed = read_sealed(record)
    write_sealed(record, {**changed, "checkpoint_sha256": "of another run"})
    assert cells(study)[trained].state == "not started"


def test_an_untrained_cell_is_one_job(tiny):
    tiny["models"] = ["instance"]
    study = Study(load(tiny))
    assert [job.rule for job in jobs.of_cell(study, "brains", "instance.mse.grad_l2")] == ["cell_untrained"]


def test_a_cell_of_networks_is_one_job(tiny, tiny_file, capsys):
    """Its runs count as they lie there; another config makes all of it old."""
    study = Study(load({**tiny, "one_job_per": "cell"}))
    (job,) = jobs.of_cell(study, "brains", MSE)
    assert job.name == f"cell/brains/{MSE}"
    make(study, without=(f"cell/brains/{LCC}",))
    found = cells(study)
    assert (found[MSE].state, found[MSE].seeds, sorted(found[MSE].records)) == ("done", [0, 1], [0, 1])
    assert (found[LCC].state, found[LCC].seeds) == ("not started", [])
    write_json(Path(job.owner), {"host": platform.node(), "pid": os.getpid(), "job": "", "beat": 3})
    assert cells(study)[MSE].state == "running"
    Path(job.owner).unlink()
    more = Study(load({**tiny, "one_job_per": "cell", "seeds": [0, 1, 2]}))
    assert (cells(more)[MSE].state, cells(more)[MSE].seeds) == ("not started", [0, 1])
    changed = Study(load({**tiny, "one_job_per": "cell", "training": {**tiny["training"], "learning_rate": 0.001}}))
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


@pytest.mark.parametrize("folder", ["My Drive, old", "a'b", 'a"b $c', "a > b"])
def test_a_job_in_a_folder_of_any_name_is_known_by_its_log(tmp_path, folder):
    log, path = f"{folder}/logs/train.log", tmp_path / "log"
    failed = f"Command 'exec regbench train > {shlex.quote(log)} 2>&1' returned non-zero exit status 137."
    path.write_text(
        BLOCK.format(log=log, run="r", method="m")
        + f"[x]\nRuleException:\n{failed}\n[x]\nError in rule train:\n    jobid: 22\n"
        + f"    log: {log}, {folder}/slurm.log (check log file(s) for error details)\n"
    )
    event = snakemake_log.events(path)[log]
    assert (event.state, event.reason) == ("failed", snakemake_log.KILLED)
    assert event.slurm_log == f"{folder}/slurm.log"


def test_the_partial_table(study, job, tiny_file, capsys):
    make(study, without=(job.name, f"evaluate/brains/{MSE}", f"evaluate/brains/{LCC}/seed0"))
    log(job, "")
    say(study, job, BLOCK, ENDED["time"])
    main(["report", "--partial", str(tiny_file)])
    folder = study.layout.partial
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
    assert not study.layout.tables.exists()


def test_a_partial_table_of_nothing(study, tiny_file, capsys):
    main(["report", "--partial", str(tiny_file)])
    assert "0 of 3 cells" in capsys.readouterr().out
