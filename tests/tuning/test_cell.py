"""A cell as one job: the same bytes as with a job for each stage, and nothing that was finished is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time

import cheap_study
import pytest
import yaml
from tiny_study import run_verbs

from regbench.cli.main import main
from regbench.data.prepare import prepare
from regbench.study.job_specs import prepare_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, read_sealed
from regbench.tracking.records import study_items
from regbench.tuning.cell import OUTPUTS, publish

LCC = "voxelmorph.lcc.grad_l2"
FILES = ("checkpoint.pt", "pairs.parquet", "panels.npz")
TABLES = ("main.csv", "main.md", "main.tex", "significance.csv", "selection.csv", "per_structure.csv", "grid.csv")


@pytest.fixture
def prepared_cell(tiny, tmp_path):
    """A prepared study of one cell, and the command that does it."""
    tiny |= {"one_job_per": "cell", "seeds": [0, 1, 2], "tracking": {"enabled": False}}
    tiny["grid"] = {"similarities": ["lcc"], "regularizers": ["grad_l2"]}

    def write(**changes):
        tiny.update(changes)
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(tiny))
        return Study(load(tiny))

    study = write()
    prepare(prepare_spec(study, "brains"), study.layout.data("brains"))
    write.command = ["cell", str(tmp_path / "study.yaml"), "--method", LCC]
    return write


def run_bytes(study, seeds=None):
    lay = study.layout
    return {(seed, name): (lay.run("brains", LCC, seed) / name).read_bytes()
            for seed in seeds or study.config.seeds for name in FILES}  # fmt: skip


def delete_outputs(study):
    """As Snakemake does when a job failed or begins again."""
    lay = study.layout
    shutil.rmtree(lay.root / "runs", ignore_errors=True)
    lay.selected("brains", LCC).unlink(missing_ok=True)


@pytest.fixture
def trained(monkeypatch):
    """Seeds of the final trainings that begin, in order; one of them may be made to fail."""
    import regbench.training.final_run

    begun, whole = [], regbench.training.final_run.fit
    begun_or_fails = {"fail": None}

    def fit(job, *given, **more):
        begun.append(job.seed)
        if job.seed == begun_or_fails["fail"]:
            raise RegbenchError("the node is gone")
        return whole(job, *given, **more)

    monkeypatch.setattr(regbench.training.final_run, "fit", fit)
    begun_or_fails["begun"] = begun
    return begun_or_fails


@pytest.fixture
def evaluated(monkeypatch):
    """How often an evaluation was done."""
    import regbench.evaluation.run_rows

    done, whole = [], regbench.evaluation.run_rows.evaluate
    monkeypatch.setattr(
        regbench.evaluation.run_rows, "evaluate", lambda job, *given: (done.append(job.seed), whole(job, *given))
    )
    return done


def test_the_same_bytes_as_with_a_job_for_each_stage(tiny, tmp_path):
    made = []
    for whole in (False, True):
        folder = tmp_path / str(whole)
        folder.mkdir()
        raw = {**tiny, "results": str(folder / "results"), "one_job_per": "cell" if whole else "stage"}
        run_verbs(raw, folder)
        study = Study(load(raw))
        root = study.layout.root
        runs = {str(path.relative_to(root)): path.read_bytes() for name in FILES for path in root.rglob(name)
                if path.is_relative_to(root / "runs")}  # fmt: skip
        tables = {name: (root / "tables" / name).read_bytes() for name in TABLES}
        made.append((runs, tables, (root / "analysis/summary.json").read_bytes()))
    assert len(made[0][0]) == 2 * (1 + 2 * 2) + 4
    assert made[0] == made[1]


@pytest.mark.parametrize("sampler", ["gp", "random", "nsga2"])
def test_the_same_choice_as_with_a_job_for_each_stage(sampler, tmp_path, monkeypatch):
    """Trials that cost nothing, a space of four more dimensions: proposals and choice are the same to the byte."""
    study = cheap_study.one_cell(tmp_path / "apart", sampler, 7)
    with cheap_study.counted():
        _, expected = cheap_study.work(study)
    whole = cheap_study.one_cell(tmp_path / "whole", sampler, 7, size=3)
    whole = Study(load({**whole.config.model_dump(mode="json"), "one_job_per": "cell"}))
    prepare(prepare_spec(whole, "brains"), whole.layout.data("brains"))
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(whole.config.model_dump(mode="json")))
    monkeypatch.setattr("regbench.tuning.cell.final_runs", lambda *_, **__: None)
    monkeypatch.setattr("regbench.training.final_run.outcome", lambda _: "")  # of runs that were not trained
    with cheap_study.counted() as ran:
        main(["cell", str(path), "--method", LCC])
        main(["cell", str(path), "--method", LCC])
    assert ran == list(range(7))
    for number in range(study.rounds(LCC)):
        one, other = (each.layout.proposals("brains", LCC, number).read_bytes() for each in (study, whole))
        assert one == other
    assert canonical_json(read_sealed(whole.layout.selected("brains", LCC))) == expected


def test_what_is_finished_survives_a_failure(prepared_cell, trained, evaluated):
    study = prepared_cell()
    main(prepared_cell.command)
    expected = run_bytes(study)
    shutil.rmtree(study.layout.root / "state")
    delete_outputs(study)
    trained["begun"].clear()
    evaluated.clear()
    trained["fail"] = 2
    with pytest.raises(SystemExit):
        main(prepared_cell.command)
    assert not (study.layout.root / "runs").exists(), "half a cell was put into its place"
    trained["fail"] = None
    delete_outputs(study)
    main(prepared_cell.command)
    assert trained["begun"] == [0, 1, 2, 2]
    assert evaluated == [0, 1, 2]
    assert run_bytes(study) == expected


def test_one_more_seed_is_one_more_training(prepared_cell, trained, evaluated):
    main(prepared_cell.command)
    delete_outputs(prepared_cell())
    study = prepared_cell(seeds=[0, 1, 2, 5])
    main(prepared_cell.command)
    assert trained["begun"] == [0, 1, 2, 5]
    assert evaluated == [0, 1, 2, 5]
    lay = study.layout
    for seed in study.config.seeds:
        rows, record = lay.pairs("brains", LCC, seed), lay.run("brains", LCC, seed) / "run.json"
        assert rows.stat().st_nlink == 2, "the bytes are there twice"
        assert rows.stat().st_mtime_ns >= record.stat().st_mtime_ns
        assert record.stat().st_mtime_ns > lay.manifest("brains").stat().st_mtime_ns
        assert not [path for path in rows.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("what", ["training", "rows", "slices", "checkpoint"])
def test_what_waits_is_taken_only_whole_and_for_this_study(prepared_cell, trained, evaluated, what):
    study = prepared_cell()
    main(prepared_cell.command)
    expected = run_bytes(study)
    waiting = study.layout.waiting("brains", LCC, 1)
    if what == "training":
        study = prepared_cell(training={**study.config.training.model_dump(mode="json"), "steps": 5})
    else:
        name = {"rows": "pairs.parquet", "slices": "panels.npz", "checkpoint": "checkpoint.pt"}[what]
        altered = (waiting / name).read_bytes()[:-3]
        (waiting / name).unlink()
        (waiting / name).write_bytes(altered)
    delete_outputs(study)
    trained["begun"].clear()
    evaluated.clear()
    main(prepared_cell.command)
    assert trained["begun"] == {"training": [0, 1, 2], "checkpoint": [1]}.get(what, [])
    assert evaluated == ([0, 1, 2] if what == "training" else [1])
    assert (run_bytes(study) == expected) == (what != "training")


def test_without_hard_links_files_are_moved(prepared_cell, trained, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    main(prepared_cell.command)
    study = prepared_cell()
    assert run_bytes(study)
    assert not list(study.layout.waiting("brains", LCC, 0).iterdir())
    main(prepared_cell.command)
    assert trained["begun"] == [0, 1, 2, 0, 1, 2]


def test_what_a_killed_cell_had_begun_to_put_in_place_is_gone(tmp_path):
    waiting, folder = tmp_path / "waiting", tmp_path / "run"
    for place in (waiting, folder):
        place.mkdir()
    for name in OUTPUTS:
        (waiting / name).touch()
    (folder / ".0a1b2c3d.run.json").touch()
    publish(waiting, folder)
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS)


def test_a_cell_is_for_methods_with_a_lambda(prepared_cell, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*prepared_cell.command[:-1], "identity"])
    assert "`cell` is for methods with a lambda of their own, but `identity` has none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_killed_in_the_middle_of_a_seed(prepared_cell, tmp_path, how):
    """The seeds before it are kept, of the one that trained its state; whoever looks on sees both."""
    steps = 1500
    study = prepared_cell(training={"steps": steps, "batch": 2, "device": "cpu"})
    lay = study.layout
    regbench = [sys.executable, "-c", "from regbench.cli.main import main; main()"]
    process = subprocess.Popen([*regbench, *prepared_cell.command, "--save-every", "0"], stderr=subprocess.PIPE)
    state = lay.training_state("brains", LCC, 1)
    deadline = time.monotonic() + 240
    while not state.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    seeds = {item.key.rpartition("/")[2]: item.make() for item in study_items(study) if "/seed" in item.key}
    assert {key: record.status for key, record in seeds.items()} == {"seed0": "FINISHED", "seed1": "RUNNING"}
    process.send_signal(how)
    said = process.communicate()[1].decode()
    assert process.returncode == (75 if how == signal.SIGTERM else -how), said
    assert state.exists()
    assert not lay.run("brains", LCC, 0).exists()
    delete_outputs(study)
    done = subprocess.run([*regbench, *prepared_cell.command], capture_output=True, text=True, check=True)
    assert "goes on from step" in done.stderr
    assert not state.exists()
    found = run_bytes(study)
    shutil.rmtree(lay.root / "state")
    shutil.rmtree(lay.root / "runs")
    subprocess.run([*regbench, *prepared_cell.command], capture_output=True, check=True)
    assert run_bytes(study) == found
