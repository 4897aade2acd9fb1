"""The whole job as a user runs it: tiny studies through Snakemake."""

import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import termios
import time
import zipfile
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_study import ROOT, TINY

from regbench.orchestration import jobs
from regbench.orchestration.estimate import estimate
from regbench.orchestration.site import ON_GPU
from regbench.study.load import load
from regbench.study.methods import Study

BIN = Path(sys.executable).parent
CLOSING = {"analyze": 1, "report": 1, "track": 1, "all": 1}
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}


def command(config: Path, *arguments: str, cores: int = 2) -> list[str]:
    return [str(BIN / "snakemake"), "--snakefile", str(ROOT / "Snakefile"), "--cores", str(cores),
            "--configfile", str(config), *arguments]  # fmt: skip


def snakemake(folder: Path, config: Path, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
    """Run the workflow with `folder` as the working directory, so that tests share no lock."""
    return subprocess.run(
        command(config, *arguments, cores=cores),
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def study(folder: Path, **changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.yaml"
    # Most tests have no eye on MLflow while the study runs: a process less for each.
    path.write_text(yaml.safe_dump({**TINY, "results": "results", "tracking": {"follow": False}, **changes}))
    return path


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "results/tiny/tables").glob("main.*"))}


def numbers(folder: Path) -> dict[str, bytes]:
    """The tables without their provenance, which holds the whole config, trials a job and tracking included."""
    return {name: content for name, content in tables(folder).items() if not name.endswith(".json")}


def planned(output: str) -> dict[str, int]:
    """Rule to number of jobs in a dry run; the evaluation of identity, which brings its controls, is one."""
    block = output.partition("Job stats:")[2].partition("\n\n")[0]
    found = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", block, re.MULTILINE)}
    if "evaluate_identity" in found:
        found["evaluate"] = found.get("evaluate", 0) + found.pop("evaluate_identity")
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "results/tiny/partial").mkdir(parents=True)
    done = snakemake(folder, study(folder, tracking={}))
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "copy")  # copy2 keeps the times that Snakemake compares
    return tmp_path / "copy"


def test_everything_is_there(finished):
    folder, done = finished
    root = folder / "results/tiny"
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    for stem, suffixes in {"tables/main": "csv md tex provenance.json", "tables/runtime": "csv md tex provenance.json",
                           "figures/lambda": "csv svg png", "figures/scores": "csv svg png"}.items():  # fmt: skip
        assert {f"{stem}.{suffix}" for suffix in suffixes.split()} <= names
    assert not (root / "partial").exists(), "the table of an unfinished study outlived it"
    assert not [name for name in names if Path(name).name.startswith(".")], "a temporary file was left behind"
    assert "identity" in done.stdout
    assert "regbench ui" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[0].endswith("study tiny: 24 jobs to run (prepare 1, trials 10, trainings 4, evaluation 6, report 3)")
    assert lines[1].endswith("0 of 24 jobs done")
    assert "rule train:" not in done.stderr  # Snakemake's own words are in its log
    assert "rule train:" in next((folder / ".snakemake/log").iterdir()).read_text()


def test_the_plan_foresaw_its_files_and_its_size(finished):
    folder, _ = finished
    finished_study = Study(
        load({**yaml.safe_load((folder / "tiny.yaml").read_text()), "results": str(folder / "results")})
    )
    found, root = estimate(finished_study), folder / "results/tiny"
    places = ("runs", "tuning", "runtime", "state/trials", "state/runtime", "logs")
    made = [path for place in places for path in (root / place).rglob("*") if path.is_file()]
    rules = ("propose", "trial", "select", "train", "evaluate", "runtime")
    of_jobs = [path for path in made if path.relative_to(root).parts[0] != "logs"
               or path.relative_to(root).parts[1].split(".")[0] in rules]  # fmt: skip
    assert found["files"]["files"] == len(of_jobs)
    for place, paths in {"runs": ["runs"], "tuning": ["tuning", "state/trials"], "data": ["data"]}.items():
        size = sum(path.stat().st_size for each in paths for path in (root / each).rglob("*") if path.is_file())
        assert size / 2 < found["disk_bytes"][place] < size * 2, (place, size, found["disk_bytes"][place])
    (hours,) = found["hours"]
    assert hours["device"].startswith("cpu")
    assert hours["unknown"] == hours["guessed"] == []


def test_rows_hold_every_pair_method_and_seed(finished):
    rows = pd.read_parquet(finished[0] / "results/tiny/analysis/rows.parquet")
    assert len(rows) == (1 + 2 * 2) * 2
    assert set(rows["method"]) == {"identity", "voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"}
    for metric in ("dice", "fold_central_percent", "ndv_percent", "endpoint_error_mm"):
        assert rows[metric].notna().all(), metric
    assert [name for name in rows if name.startswith("dice_")]
    trained = rows[rows["method"] != "identity"]
    assert (trained["seed"][trained["inference_seconds"] > 0] == 0).sum() == 2 * 2  # one seed of each method is timed
    assert (trained.groupby(["method", "seed"])["training_seconds"].first() > 0).all()
    assert (trained["peak_memory_mib"].fillna(0) >= 0).all()


@pytest.mark.filterwarnings("ignore")  # of MLflow's own making
def test_mlflow_has_parents_and_children(finished):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{finished[0] / 'results/mlflow.db'}")
    experiment = client.get_experiment_by_name("regbench/tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    stages = pd.Series([run.data.tags["stage"] for run in runs]).value_counts().to_dict()
    assert stages == {"report": 1, "method": 3, "trial": 8, "seed": 4}
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = {run.info.run_id: run for run in runs if run.data.tags["stage"] == "method"}
    for run in runs:
        if run.data.tags["stage"] in ("trial", "seed"):
            assert run.data.tags["mlflow.parentRunId"] in parents
            assert len(client.get_metric_history(run.info.run_id, "train/loss")) >= 3
    best = next(run for run in parents.values() if run.data.params["sim"] == "lcc")
    assert {"lam", "reg", "sim", "model"} <= set(best.data.params)
    assert {"test/dice", "test/ndv_percent", "val/dice"} <= set(best.data.metrics)
    assert {file.path for file in client.list_artifacts(best.info.run_id)} == {"tables", "figures", "thumbnail"}
    assert client.search_runs(["0"]) == [], "a run went astray into Default"


def test_mlflow_was_pushed_while_the_study_ran(finished):
    """The follower ended with the head, and left the last push to the job at the end."""
    root = finished[0] / "results/tiny"
    said = (root / "logs/follow.log").read_text()
    assert re.search(r"INFO regbench.tracking.follow: MLflow: [1-9]\d* runs pushed", said), said
    assert "state/tracked.json` is of this run: all is pushed" in said, said
    assert "may lack" not in finished[1].stderr


def test_the_table_has_the_same_bytes_again(finished, tmp_path):
    """From scratch, on one core, with one trial a job, and without MLflow."""
    assert TINY["tuning"]["trials_per_job"] > 1
    tuning = {**TINY["tuning"], "trials_per_job": 1}
    config = study(tmp_path, tuning=tuning, tracking={"enabled": False})
    done = snakemake(tmp_path, config, cores=1)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "results/mlflow.db").exists()
    assert numbers(tmp_path) == numbers(finished[0])
    for name in ("figures/lambda.svg", "figures/lambda.png", "figures/scores.svg"):
        assert (tmp_path / "results/tiny" / name).read_bytes() == (finished[0] / "results/tiny" / name).read_bytes(), (
            name
        )


@pytest.mark.slow
def test_the_local_profile_gives_each_job_one_of_two_made_up_gpus(finished, tmp_path, monkeypatch):
    """Four cores, two GPUs that no torch sees: each job takes one, none waits for one, and the tables are the same."""
    given = {"REGBENCH_GPUS": "GPU-a,GPU-b", "REGBENCH_GPU_LOCKS": str(tmp_path / "locks")}
    for name, value in given.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    monkeypatch.delitem(ENVIRONMENT, "CUDA_VISIBLE_DEVICES", raising=False)
    config = study(tmp_path, tracking={"enabled": False})
    profile = str(ROOT / "workflow/profiles/local")
    done = snakemake(tmp_path, config, "--workflow-profile", profile, cores=4)
    assert done.returncode == 0, done.stderr
    taken = Counter[str]()
    for job in jobs.of_study(Study(load(yaml.safe_load(config.read_text())))):
        if job.rule in ON_GPU:
            text = (tmp_path / job.log).read_text()
            (gpu,) = re.findall(r"computes on GPU (\S+)", text)
            assert "waiting for one" not in text
            taken[gpu] += 1
    assert set(taken) == {"GPU-a", "GPU-b"}
    assert min(taken.values()) >= 2
    assert numbers(tmp_path) == numbers(finished[0])


@pytest.mark.slow
def test_a_cell_as_one_job(finished, tmp_path):
    """Another number of jobs, killed once on the way; the same tables and checkpoints, and nothing left to do."""
    models = [*TINY["models"], "instance"]
    for one_job_per, cells in (("cell", 2), ("regularizer", 1)):
        config = study(tmp_path, one_job_per=one_job_per, models=models, tracking={"enabled": False})
        planning = snakemake(tmp_path, config, "-n")
        counts = planned(planning.stdout + planning.stderr)
        sent = jobs.processes(jobs.of_study(Study(load(yaml.safe_load(config.read_text())))))
        assert (counts["cell"], counts["cell_untrained"], counts["evaluate"]) == (cells, cells, 1)
        assert counts["total"] == sent.total() + len(CLOSING) - 1
    config = study(tmp_path, one_job_per="regularizer", tracking={"enabled": False})
    running = subprocess.Popen(command(config), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("results/tiny/state/cells/*/*/seed0/pairs.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    done = snakemake(tmp_path, config)
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path) == numbers(finished[0])
    for path in (finished[0] / "results/tiny/runs").rglob("checkpoint.pt"):
        assert (tmp_path / path.relative_to(finished[0])).read_bytes() == path.read_bytes()
    assert "Nothing to be done" in snakemake(tmp_path, config, "-n").stdout


def look_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("results/tiny/looks/brains/voxelmorph/look*"))}


@pytest.mark.slow
def test_seeds_are_given_out_in_looks(tmp_path):
    """One pair is decided at once, one is given up, one gets a third seed; killed behind look 1, on two cores and one.

    By the error of the displacement, which differs a little in each training of a few steps; Dice does not.
    """
    data = TINY["datasets"][0]
    few = {"parameters": {**data["parameters"], "subjects": 12}, "splits": {"train": 4, "validation": 2, "test": 6}}
    changes = {
        "datasets": [{**data, **few, "pairs": {"validation": 2, "test": 12}}],
        "grid": {"similarities": ["lcc", "gcc", "mse"], "regularizers": ["grad_l2"]},
        "lambdas": [{"similarity": "gcc", "value": 0.1}, {"value": 0.05}],
        "training": {"steps": 12, "batch": 2},
        "tuning": {**TINY["tuning"], "objective": "endpoint_error_mm"},
        "seeds": [0, 1, 2],
        "looks": {"first": 2},
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = snakemake(whole, study(whole, **changes))
    assert done.returncode == 0, done.stderr
    looks = [json.loads(content) for content in look_files(whole).values()]
    lcc, gcc, mse = (f"voxelmorph.{name}.grad_l2" for name in ("lcc", "gcc", "mse"))
    ended = {(p["comparison"]["a"], p["comparison"]["b"]): (p["comparison"]["verdict"], p["goes_on"])
             for p in looks[0]["pairs"]}  # fmt: skip
    assert ended == {(lcc, gcc): ("undecided", True), (lcc, mse): ("better", False), (gcc, mse): ("undecided", False)}
    assert [look["further"] for look in looks] == [{lcc: 3, gcc: 3}, {}]
    runs = {path.name: len(list(path.glob("seed*"))) for path in (whole / "results/tiny/runs/brains").iterdir()}
    assert runs == {"identity": 1, lcc: 3, gcc: 3, mse: 2}
    table = pd.read_csv(whole / "results/tiny/tables/main.csv").set_index("method")
    assert table.loc[[lcc, gcc, mse], "seeds"].tolist() == [3, 3, 2]
    assert "Looks: which cells got further seeds" in (whole / "results/tiny/report.html").read_text()
    again = snakemake(whole, whole / "tiny.yaml", "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    # The same after a kill, with another number of cores.
    config = study(killed, **changes)
    running = subprocess.Popen(command(config, cores=1), cwd=killed, env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    while not look_files(killed) and running.poll() is None:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert list(look_files(killed)) == ["look1.json"]
    done = snakemake(killed, config, cores=1)
    assert done.returncode == 0, done.stderr
    assert look_files(killed) == look_files(whole)
    assert numbers(killed) == numbers(whole)
    # A look that is lost is made again, from the same runs; of a finished study, as any file between, when asked.
    (killed / "results/tiny/looks/brains/voxelmorph/look1.json").unlink()
    lost = snakemake(killed, config, "--forcerun", "analyze", cores=1)
    assert lost.returncode == 0, lost.stderr
    assert "rule train" not in lost.stderr
    assert look_files(killed) == look_files(whole)


@pytest.mark.slow
def test_searches_with_other_validation_subjects(finished, tmp_path):
    """Each search has a draw of its own; the first is, to the byte, that of a study that knows one draw."""
    tuning = {**TINY["tuning"], "replicates": 2, "splits": 2}
    config = study(tmp_path, tuning=tuning, tracking={"enabled": False})
    counts = planned(snakemake(tmp_path, config, "-n").stdout)
    sent = estimate(Study(load(yaml.safe_load(config.read_text()))))["jobs"]
    assert {rule: counts[rule] for rule in ("prepare", "propose", "trial", "select", "train", "evaluate")} == {
        rule: sent[rule] for rule in ("prepare", "propose", "trial", "select", "train", "evaluate")
    }
    done = snakemake(tmp_path, config)
    assert done.returncode == 0, done.stderr
    root, plain = tmp_path / "results/tiny", finished[0] / "results/tiny"
    manifest = json.loads((root / "data/brains/manifest.json").read_text())
    first, (second,) = manifest["splits"], [one["splits"] for one in manifest["redrawn"]]
    assert first["test"] == second["test"]
    assert first["validation"] != second["validation"]
    sums = [manifest["data_sha256"], manifest["redrawn"][0]["data_sha256"]]
    for cell in ("voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"):
        for path in (plain / f"tuning/brains/{cell}/replicate0").rglob("*.json"):
            assert (root / path.relative_to(plain)).read_bytes() == path.read_bytes(), path
        folders = [root / f"runs/brains/{cell}/seed{seed}" for seed in (0, 1)]
        assert [json.loads((folder / "run.json").read_text())["data_sha256"] for folder in folders] == sums
        checkpoint = f"runs/brains/{cell}/seed0/checkpoint.pt"
        assert (root / checkpoint).read_bytes() == (plain / checkpoint).read_bytes()
        assert [set(pd.read_parquet(folder / "pairs.parquet")["split"]) for folder in folders] == [{0}, {1}]
    sources = pd.read_csv(root / "tables/variance.csv").query("of == 'difference' and metric == 'dice'")["source"]
    assert sources.tolist() == ["split + tuning + seed", "subject", "residual"]
    assert "tuned in this way on other validation subjects" in (root / "tables/main.md").read_text()
    assert "Nothing to be done" in snakemake(tmp_path, config, "-n").stdout


@pytest.mark.slow
def test_regularizers_of_several_terms(tmp_path):
    """Fixed and searched weights, a consistency, and a + in the id: from the config to tables, page and MLflow."""
    terms = [
        "grad_l2",
        {"name": "jacobian", "id": "jac", "weight": {"range": [0.01, 100]}},
        {"name": "gradicon", "weight": 0.1},
        {"name": "dice", "weight": 0.5},
    ]
    grid = {"similarities": ["lcc"], "regularizers": ["grad_l2", {"id": "grad+jac", "terms": terms}]}
    tuning = {**TINY["tuning"], "trials": 3, "fairness": "trials_per_weight"}
    config = study(tmp_path, grid=grid, tuning=tuning, seeds=[0])
    done = snakemake(tmp_path, config, cores=1)
    assert done.returncode == 0, done.stderr
    root, cell = tmp_path / "results/tiny", "voxelmorph.lcc.grad+jac"
    table = pd.read_csv(root / "tables/main.csv").set_index("method")
    chosen = json.loads((root / f"tuning/brains/{cell}/replicate0/selected.json").read_text())
    assert table.loc[cell, "weight.jac"] == chosen["values"]["weight.jac"]
    assert table.loc[cell, ["weight.gradicon", "weight.dice"]].tolist() == [0.1, 0.5]
    assert table.loc[["voxelmorph.lcc.grad_l2", cell], "weights_searched"].tolist() == [1, 2]
    assert table.loc[["voxelmorph.lcc.grad_l2", cell], "trials"].tolist() == [3, 6]
    page = (root / "report.html").read_text()
    assert "\u03bb grad_l2 + w(jac in [0.01, 100]) jacobian + 0.1 gradicon + 0.5 dice" in page
    assert "4 training steps are 8 forward passes" in page
    history = pd.read_parquet(root / f"runs/brains/{cell}/seed0/history.parquet")
    total = history["similarity"] + chosen["lam"] * history["regularizer"]
    for name, weight in (("jac", chosen["values"]["weight.jac"]), ("gradicon", 0.1), ("dice", 0.5)):
        total += weight * history[f"term.{name}"]
    assert history["loss"].to_numpy() == pytest.approx(total.to_numpy(), rel=1e-5)
    with closing(sqlite3.connect(tmp_path / "results/mlflow.db")) as store:
        curves = {key for (key,) in store.execute("SELECT DISTINCT key FROM metrics WHERE key LIKE 'train/term%'")}
    assert curves == {"train/term.jac", "train/term.gradicon", "train/term.dice"}
    again = snakemake(tmp_path, config, "-n", cores=1)
    assert "Nothing to be done" in again.stdout + again.stderr
    # Another weight runs the trainings that depend on it, and no other.
    terms[2]["weight"] = 0.2
    changed = snakemake(tmp_path, study(tmp_path, grid=grid, tuning=tuning, seeds=[0]), "-n", cores=1)
    assert planned(changed.stdout + changed.stderr)["train"] == 1


def test_a_dry_run_needs_no_cores(tmp_path):
    config = study(tmp_path)
    arguments = [str(BIN / "snakemake"), "--snakefile", str(ROOT / "Snakefile"), "-n", "--configfile", str(config)]
    done = subprocess.run(arguments, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    counts = planned(done.stdout + done.stderr)
    assert counts["train"] == 4
    sent = jobs.of_study(Study(load(yaml.safe_load(config.read_text()))))
    assert counts == {**Counter(job.rule for job in sent), **CLOSING, "total": len(sent) + len(CLOSING)}


def test_numbers_on_the_command_line_are_numbers_and_own_code_is_found(tmp_path):
    changes = ["seeds=[0, 1, 2]", "tuning={trials: 2, steps: 2}", "study=pilot", "lambdas=[{range: [1e-3, 0.5]}]"]
    # Of a config in another folder, with a loss of its own beside it.
    config = study(tmp_path / "configs", grid={"similarities": ["mine.py:loss", "mse"], "regularizers": ["grad_l2"]})
    config.with_name("mine.py").write_text("def loss(fixed, moved, /):\n    return (fixed - moved).square().mean()\n")
    done = snakemake(tmp_path, config, "-n", "--config", *changes)
    assert done.returncode == 0, done.stderr + done.stdout
    counts = planned(done.stdout + done.stderr)
    assert (counts["train"], counts["propose"]) == (6, 2)


def test_no_more_jobs_at_once_than_cores(finished):
    log = next((finished[0] / ".snakemake/log").iterdir()).read_text()
    running, most = 0, 0
    for started, _ in re.findall(r"Execute (\d+) jobs|(Finished jobid)", log):
        running += int(started) if started else -1
        most = max(most, running)
    assert most == 2


def test_a_finished_study_has_nothing_to_do(copied):
    done = snakemake(copied, copied / "tiny.yaml", "-n")
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_finished_study_prints_its_table_again(copied):
    done = snakemake(copied, copied / "tiny.yaml")
    assert "Nothing to be done: all results are there." in done.stderr
    assert "regbench ui" in done.stdout


@pytest.mark.slow
def test_in_a_terminal_bars_stay_in_place(tmp_path):
    """In a pseudo-terminal of 80 columns: bars, the best so far, then the table; the cursor is there again."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 80))
    config = study(tmp_path, tracking={"enabled": False})
    running = subprocess.Popen(command(config), cwd=tmp_path, env={**ENVIRONMENT, "TERM": "xterm"}, stdin=theirs,
                               stdout=theirs, stderr=theirs)  # fmt: skip
    os.close(theirs)
    written = b""
    with suppress(OSError):  # Linux: the other end was closed
        while part := os.read(ours, 65536):
            written += part
    os.close(ours)
    assert running.wait() == 0
    text = written.decode()
    screens = text.rpartition("\x1b[2K")[0]  # each frame wipes the one before it
    for words in ("trials", "of 10", "running  train brains voxelmorph", "best so far: brains voxelmorph"):
        assert words in screens
    assert "identity" in text.rpartition("\x1b[2K")[2]
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


@pytest.mark.slow
def test_a_failure_is_told_as_it_comes_and_status_knows_it_of_a_quiet_run(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for number in range(8):
            (tmp_path / kind / f"s{number}.nii.gz").write_bytes(b"no image")
    data = {**TINY["datasets"][0], "source": "folder", "parameters": {"path": str(tmp_path)}}
    config = study(tmp_path, datasets=[data])
    done = snakemake(tmp_path, config)
    (told,) = [line for line in done.stderr.splitlines() if "failed: prepare brains: " in line]
    assert done.returncode == 1
    assert "RuleException" not in done.stderr
    assert "every word of Snakemake: " in done.stderr
    quiet = snakemake(tmp_path, config, "--quiet", "all")
    status = subprocess.run([str(BIN / "regbench"), "status", str(config)], cwd=tmp_path, env=ENVIRONMENT,
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert quiet.returncode == 1
    assert told.partition("brains: ")[2] in status.stdout


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # One parameter of one loss: its cell (2 rounds, 2 seeds) and what is made of all cells.
        (
            {"grid": {**TINY["grid"], "similarities": [{"name": "lcc", "parameters": {"window": 5}}, "mse"]}},
            # ... and identity with its controls, which every similarity of the grid measures.
            {"trial": 2, "propose": 1, "select": 1, "train": 2, "evaluate": 3, "runtime": 1} | CLOSING,
        ),
        # A longer final training: no trial runs again.
        ({"training": {**TINY["training"], "steps": 5}},
         {"train": 4, "evaluate": 4, "runtime": 1} | CLOSING),
        # One more seed: only its runs.
        ({"seeds": [0, 1, 2]}, {"train": 2, "evaluate": 2, "runtime": 1} | CLOSING),
        # How many trials a job runs is no part of the protocol; the trials themselves are kept in the state folder.
        ({"description": "other words"}, CLOSING),
    ],
    ids=["one parameter of one loss", "final steps", "one more seed", "description"],
)  # fmt: skip
def test_a_change_re_runs_exactly_what_depends_on_it(copied, changes, expected):
    done = snakemake(copied, study(copied, **changes), "-n")
    assert done.returncode == 0, done.stderr
    found = planned(done.stdout + done.stderr)
    found.pop("total")
    assert found == expected


def test_what_the_report_draws_is_drawn_anew_when_it_changes(copied):
    """Also where rows and summary are the same to the byte, and the study ends between them and the report."""
    root, config = copied / "results/tiny", study(copied)
    drawn = [next((root / "runs").rglob(name)) for name in ("panels.npz", "history.parquet")]
    noted = json.loads((root / "state/drawn.json").read_text())
    for path in drawn:
        assert noted[path.relative_to(root).as_posix()][1] == path.stat().st_size
    drawn[0].write_bytes(drawn[0].read_bytes() + b"\0")
    until = snakemake(copied, config, "--until", "analyze")
    assert until.returncode == 0, until.stderr
    done = snakemake(copied, config, "-n")
    found = planned(done.stdout + done.stderr)
    assert (found["report"], found["track"], found.get("analyze", 0)) == (1, 1, 0)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(finished, tmp_path):
    """kill -9 of Snakemake and all its children, then the same command: same table, nothing doubled in MLflow."""
    config = study(tmp_path)
    running = subprocess.Popen(
        command(config),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("results/tiny/runs/*/*/*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "results/tiny/tables/main.csv").exists(), "killed too late to show anything"
    done = snakemake(tmp_path, config)
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path) == tables(finished[0])


def test_a_cell_that_is_lost_is_a_row_with_its_reason(tmp_path):
    """--keep-going: one training is killed each time; the others end, and the partial table says why."""
    grid = {"similarities": ["lcc", "mse"], "regularizers": ["grad_l2"]}
    config = study(tmp_path, grid=grid, lambdas=[{"value": 0.1}], seeds=[0], tracking={"enabled": False})
    fault = tmp_path / "fault" / "sitecustomize.py"  # every Python reads it as it starts
    fault.parent.mkdir()
    fault.write_text(
        "import os, sys\nif 'train' in sys.orig_argv and 'mse' in str(sys.orig_argv):\n    os.kill(os.getpid(), 9)\n"
    )
    searched = os.pathsep.join(filter(None, [str(fault.parent), os.environ.get("PYTHONPATH")]))
    environment = {**ENVIRONMENT, "PYTHONPATH": searched}
    arguments = command(config, "--keep-going", "--retries", "1")
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "PARTIAL table: 2 of 3 cells" in done.stdout
    rows = pd.read_csv(tmp_path / "results/tiny/partial/partial.csv").set_index("method")
    assert rows.loc["voxelmorph.mse.grad_l2", "why"].startswith("failed: train seed0: killed (SIGKILL)")
    assert "(attempt 2)" in rows.loc["voxelmorph.mse.grad_l2", "why"]
    assert rows.loc[["identity", "voxelmorph.lcc.grad_l2"], "dice_mean"].notna().all()
    assert not tables(tmp_path)


def test_a_local_run_needs_no_slurm(tmp_path):
    """Slurm's commands are installed, and its controller is down: nothing to a study that runs here."""
    fake = tmp_path / "bin" / "squeue"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    fake.chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{fake.parent}{os.pathsep}{ENVIRONMENT['PATH']}"}
    arguments = command(study(tmp_path), "--until", "prepare")
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot look for jobs of an earlier run" in done.stderr


def test_two_at_once_are_refused(tmp_path):
    config = study(tmp_path)
    first = subprocess.Popen(
        command(config),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "results/tiny/config.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        second = snakemake(tmp_path, config)
        assert second.returncode != 0
        assert "is being run by process" in second.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_a_bad_config_stops_before_any_job(tmp_path):
    config = study(
        tmp_path, seeds=[0, 0], lambdas=[{"range": [-1, 1]}], grid={"similarities": ["lccc"], "regularizers": []}
    )
    done = snakemake(tmp_path, config)
    assert done.returncode != 0
    for expected in (
        "seeds: 0 is given twice",
        "lambdas[0].range[0]",
        "did you mean `lcc`?",
        "grid.regularizers: must not be",
    ):
        assert expected in done.stderr
    assert not (tmp_path / "results").exists()


def test_keys_of_the_default_config_do_not_leak_in(tmp_path):
    config = study(tmp_path)
    raw = yaml.safe_load(config.read_text())
    del raw["study"]
    config.write_text(yaml.safe_dump(raw))
    done = snakemake(tmp_path, config, "-n")
    assert done.returncode != 0
    assert "study: is required" in done.stdout + done.stderr  # a dry run logs to stdout


def test_an_unwritable_results_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    done = snakemake(tmp_path, study(tmp_path, results="taken"))
    assert done.returncode != 0
    assert "taken" in done.stderr
    assert "must be a folder that can be written" in done.stderr


@pytest.mark.slow
def test_the_page_in_a_browser(finished, browser):
    page = browser.new_page(viewport={"width": 400, "height": 800})
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((finished[0] / "results/tiny/report.html").as_uri())
    # Nothing from elsewhere, and nothing wider than a phone but what scrolls by itself.
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == wrong == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    head = page.locator("#table-main table.sortable thead th", has_text="Dice").first
    column = head.evaluate("cell => cell.cellIndex")

    def numbers():
        rows = head.evaluate(
            "(cell, column) => [...cell.closest('table').tBodies].slice(0, -1).flatMap(body => [...body.rows])"
            ".filter(row => row.className !== 'block').map(row => row.cells[column].innerText)", column,
        )  # fmt: skip
        return [float(re.match(r"[\d.]+", text)[0]) for text in rows]

    before = sorted(numbers())
    assert len(before) > 2
    head.locator("button").click()
    assert numbers() == before
    head.locator("button").click()
    assert numbers() == before[::-1]
    assert page.locator(".answer p").count() == page.locator("#figure-verdict_grid img").count() == 1
    for name in ("pairs", "figures", "tuning"):
        page.locator(f"nav a[href='#{name}']").click()
        shown = page.locator(f"#{name} .card img").first
        shown.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=shown.element_handle())


def test_snakemakes_own_report(finished, tmp_path):
    folder, _ = finished
    done = snakemake(folder, folder / "tiny.yaml", "--report", str(tmp_path / "report.zip"))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {"report.html", "main.csv", "runtime.csv", "lambda.svg", "panels.svg", "verdict_grid.svg"} <= names
