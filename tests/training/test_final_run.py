"""Training, trials and evaluation of one method on tiny data."""

import logging
import platform
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from specs import at, changed, evaluate_spec, proposals_of, trial_spec
from trainings import stop_at

from regbench.data.cache import Dataset
from regbench.evaluation.evaluate import evaluate
from regbench.evaluation.timing import FEW, PAIRS, WARM_SECONDS, WARM_UP, _warm_up, peak_memory_mib, runtime
from regbench.metrics import inverse_consistency_mm
from regbench.models import predict
from regbench.models.predict import register
from regbench.study.job_specs import train_spec
from regbench.study.load import load as load_config
from regbench.study.methods import Study
from regbench.study.specs import TimedBaselineSpec, TimingSpec
from regbench.system import numba_loops
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, read_sealed, write_sealed
from regbench.training.batches import draw_pairs
from regbench.training.checkpoint import load_run
from regbench.training.convergence import second_half
from regbench.training.final_run import is_complete, outcome, train
from regbench.training.fit import fit
from regbench.training.schedule import one_cycle
from regbench.training.validation import scoring, validate
from regbench.tuning.space import Point
from regbench.tuning.trial import run_trial, run_trials
from regbench.tuning.trial_results import Proposal
from regbench.tuning.trial_store import put_together

METHOD = "voxelmorph.lcc.grad_l2"
TIMING = TimingSpec(training_device="cpu", baselines={}, code="")


@pytest.fixture
def job(tiny, device):
    tiny["training"]["device"] = device.type
    return train_spec(Study(load_config(tiny)), METHOD, seed=0, steps=4)


def weights(model):
    return torch.cat([value.detach().cpu().flatten() for value in model.state_dict().values()])


def test_a_seed_gives_the_same_weights_to_the_bit(data, tiny):
    job = train_spec(Study(load_config({**tiny, "training": {"steps": 4, "device": "cpu"}})), METHOD, seed=0, steps=4)
    first, second = fit(at(job, 0.1), data), fit(at(job, 0.1), data)
    assert torch.equal(weights(first.model), weights(second.model))
    assert first.history == second.history
    other = fit(at(changed(job, seed=1), 0.1), data)
    assert not torch.equal(weights(first.model), weights(other.model))


def test_the_loss_is_similarity_plus_lambda_times_regularizer(data, job):
    history = fit(at(job, 0.7), data).history
    expected = np.array(history["similarity"]) + 0.7 * np.array(history["regularizer"])
    assert np.allclose(history["loss"], expected, rtol=1e-5)
    assert len(history["loss"]) == 4


def test_training_lowers_the_loss(data, job):
    job = changed(job, steps=60, batch=4)
    history = fit(at(job, 0.01), data).history
    assert np.mean(history["loss"][-10:]) < np.mean(history["loss"][:10]) - 0.01


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_diverged_training_keeps_good_weights_and_says_why(data, job):
    job = changed(job, steps=100, learning_rate=1e30)
    found = fit(at(job, 0.1), data)
    assert found.status == "diverged"
    assert "not finite at step" in found.reason
    assert "lambda 0.1" in found.reason
    assert weights(found.model).isfinite().all()
    assert np.isfinite(found.history["loss"]).all()


def test_a_diverged_run_is_rows_with_a_reason(data, job, tmp_path):
    job = changed(job, steps=100, learning_rate=1e30)
    train(at(job, 0.1), data, tmp_path / "run")
    assert read_sealed(tmp_path / "run" / "run.json")["status"] == "diverged"
    evaluate(evaluate_spec(METHOD), data, tmp_path / "run", tmp_path / "pairs.parquet")
    rows = pd.read_parquet(tmp_path / "pairs.parquet")
    assert len(rows) == len(data.pairs("test"))
    assert rows["dice"].isna().all()
    assert rows["reason"].str.contains("not finite").all()


def test_a_run_whose_pairs_all_failed_has_the_columns_of_one_that_worked(data, job, tmp_path):
    """No metric is computed to learn its name; a model that never moved an image onto itself lacks that one column."""
    columns = []
    for name, spec in (("works", job), ("fails", changed(job, steps=100, learning_rate=1e30))):
        train(at(spec, 0.1), data, tmp_path / name)
        evaluate(evaluate_spec(METHOD), data, tmp_path / name, tmp_path / f"{name}.parquet")
        columns.append(list(pd.read_parquet(tmp_path / f"{name}.parquet")))
    assert [column for column in columns[0] if column != "self_displacement_mm"] == columns[1]
    assert "similarity_after" in columns[1]


def test_a_record_of_another_version_is_still_evaluated(data, job, tmp_path):
    """Of the spec in `run.json` only the similarity is asked; another version may have other keys of a training."""
    train(at(job, 0.1), data, tmp_path / "run")
    record = read_sealed(tmp_path / "run" / "run.json")
    record["job"]["training"]["momentum"] = 0.9
    write_sealed(tmp_path / "run" / "run.json", record)
    evaluate(evaluate_spec(METHOD), data, tmp_path / "run", tmp_path / "pairs.parquet")
    assert pd.read_parquet(tmp_path / "pairs.parquet")["dice"].notna().all()


def test_a_cell_without_a_lambda_is_rows_with_a_reason(data, job, tmp_path):
    train(at(job, None), data, tmp_path / "run", reason="every trial diverged")
    evaluate(evaluate_spec(METHOD), data, tmp_path / "run", tmp_path / "pairs.parquet")
    rows = pd.read_parquet(tmp_path / "pairs.parquet")
    assert (rows["reason"] == "no lambda: every trial diverged").all()
    assert rows["lam"].isna().all()


def test_a_run_says_in_a_line_what_it_came_to(data, job, tmp_path):
    train(at(job, 0.1), data, tmp_path)
    dice = load_run(tmp_path)[0]["validation"]["dice"]
    assert outcome(tmp_path).startswith(f"{METHOD}, seed 0, lambda 0.1: validation Dice {dice:.4f}")
    record = read_sealed(tmp_path / "run.json")
    write_sealed(tmp_path / "run.json", record | {"validation": {"dice": np.nan, "ndv_percent": 0.1}})
    assert "validation Dice none, NDV 0.1000" in outcome(tmp_path)
    train(at(job, None), data, tmp_path, reason="every trial diverged")
    assert outcome(tmp_path) == f"{METHOD}, seed 0: failed: no lambda: every trial diverged"


def killed(*_):
    raise KeyboardInterrupt


def test_a_run_that_is_killed_while_it_is_scored_trains_no_second_time(data, job, tmp_path, monkeypatch, caplog):
    state, spec = tmp_path / "state.pt", at(job, 0.1)
    with monkeypatch.context() as patch:
        patch.setattr("regbench.training.final_run.validate", killed)
        with pytest.raises(KeyboardInterrupt):
            train(spec, data, tmp_path / "run", state_path=state, save_every=0)
    with caplog.at_level(logging.INFO, "regbench.training.fit"):
        train(spec, data, tmp_path / "run", state_path=state)
    assert "goes on from step 4 of 4" in caplog.text
    assert is_complete(spec, data, tmp_path / "run")
    assert not state.exists()
    state.touch()  # of one that was killed between its last two lines
    train(spec, data, tmp_path / "run", state_path=state, unless_whole=True)
    assert not state.exists()


def test_a_trial_that_is_killed_while_it_is_scored_trains_no_second_time(data, job, tmp_path, monkeypatch, caplog):
    proposals, spec = proposals_of([{"number": 0, "lam": 0.1}]), trial_spec(job)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        patch.setattr("regbench.tuning.trial.validate", killed)
        with pytest.raises(KeyboardInterrupt):
            run_trials(spec, data, proposals, tmp_path)
    with caplog.at_level(logging.INFO, "regbench.training.fit"):
        (result,) = run_trials(spec, data, proposals, tmp_path)
    assert "goes on from step 4 of 4" in caplog.text
    assert len(result["curve"]["step"]) == 4
    assert not (tmp_path / "trial000.pt").exists()


def test_a_trial_costs_the_seconds_before_it_was_killed_too(data, job, monkeypatch):
    def resumed(*given, **options):
        training = fit(*given, **options)
        training.seconds += 1000
        return training

    monkeypatch.setattr("regbench.tuning.trial.fit", resumed)
    spec = trial_spec(job).model_copy(update={"cost": "seconds"})
    assert 1000 <= run_trial(spec, data, Proposal(0, Point(0.1)))["cost"] < 2000


def test_what_a_killed_training_had_begun_to_write_is_gone(data, job, tmp_path):
    left, other = tmp_path / ".0a1b2c3d.live.jsonl", tmp_path / ".0a1b2c3d"
    for path in (left, other):
        path.touch()
    train(at(job, None), data, tmp_path, reason="none")
    assert (left.exists(), other.exists()) == (False, True)


def test_a_run_is_read_back(data, job, tmp_path):
    train(at(job, 0.1), data, tmp_path)
    record, model = load_run(tmp_path)
    assert record["status"] == "complete"
    assert (record["lam"], record["seed"], record["data_sha256"]) == (0.1, 0, data.checksum)
    assert set(record["validation"]) == {"dice", "ndv_percent"}
    assert record["environment"]["packages"]["torch"]
    assert record["second_half"] is None  # of four steps
    assert torch.equal(weights(model), weights(fit(at(job, 0.1), data).model)) or job.training.device == "cuda"
    history = pd.read_parquet(tmp_path / "history.parquet")
    assert list(history["step"]) == [1, 2, 3, 4]


def test_a_run_says_what_its_second_half_gained(data, job, tmp_path):
    job = changed(job, steps=30)
    train(at(job, 0.1), data, tmp_path)
    history = pd.read_parquet(tmp_path / "history.parquet")
    assert load_run(tmp_path)[0]["second_half"] == second_half(history["similarity"])


def test_runs_and_trials_say_whether_their_losses_were_compiled(data, job, tmp_path, monkeypatch):
    for available in {numba_loops.available(), False}:
        monkeypatch.setattr(numba_loops, "available", lambda available=available: available)
        train(at(job, 0.1), data, tmp_path)
        trial = run_trial(trial_spec(job), data, Proposal(0, Point(0.1)))
        environment = load_run(tmp_path)[0]["environment"]
        on_cpu = environment["device"].startswith("cpu")
        assert environment["compiled_losses"] == (available and on_cpu)
        assert trial["environment"] == environment


def test_an_image_and_itself(data, job, tmp_path):
    """Each pair says what the model does to its fixed image alone; a failed run says nothing."""
    train(at(job, 0.1), data, tmp_path / "run")
    evaluate(evaluate_spec(METHOD), data, tmp_path / "run", tmp_path / "pairs.parquet")
    rows = pd.read_parquet(tmp_path / "pairs.parquet").set_index("fixed")
    model = load_run(tmp_path / "run")[1]
    for name, row in rows.iterrows():
        image = data.images((name,))[0]
        length = np.sqrt(((register(model, image, image) * 6.0) ** 2).sum(0)).mean()
        assert row["self_displacement_mm"] == pytest.approx(length, rel=1e-5)
        assert row["displacement_mm"] > 0


def test_an_altered_checkpoint_is_refused(data, job, tmp_path):
    train(at(job, 0.1), data, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"something else")
    with pytest.raises(RegbenchError, match=r"checkpoint\.pt"):
        load_run(tmp_path)


def test_identity_is_evaluated_without_a_run(data, tmp_path):
    evaluate(evaluate_spec("identity"), data, None, tmp_path / "new" / "pairs.parquet")
    rows = pd.read_parquet(tmp_path / "new" / "pairs.parquet")
    for _, row in rows.iterrows():
        pair = data.pair(row["fixed"], row["moving"])
        assert row["fold_central_percent"] == row["ndv_percent"] == 0
        expected = np.linalg.norm(pair.truth.astype(float), axis=0).mean() * data.spacing_mm[0]
        assert row["endpoint_error_mm"] == pytest.approx(expected, rel=1e-6)
        for label in data.labels:
            a, b = pair.fixed_labels == label, pair.moving_labels == label
            expected = 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() and b.any() else np.nan
            assert row[f"dice_{label}"] == pytest.approx(expected, nan_ok=True)


def test_both_directions_of_a_pair_are_compared(data, job, tmp_path):
    train(at(job, 0.1), data, tmp_path / "run")
    pairs = {**data._manifest["pairs"], "test": both_ways(data)}
    two = Dataset({**data._manifest, "pairs": pairs}, data._arrays)
    evaluate(evaluate_spec("m"), two, tmp_path / "run", tmp_path / "pairs.parquet")
    rows = pd.read_parquet(tmp_path / "pairs.parquet").set_index(["fixed", "moving"])
    _, model = load_run(tmp_path / "run")
    field = {names: register(model, two.pair(*names).fixed, two.pair(*names).moving) for names in rows.index}
    alone = [names for names in rows.index if names[::-1] not in field]
    assert len(alone) == 1
    for names, row in rows.iterrows():
        if names in alone:
            assert np.isnan(row["inverse_consistency_mm"])
            continue
        expected = inverse_consistency_mm(field[names], field[names[::-1]], data.spacing_mm)
        assert row["inverse_consistency_mm"] == pytest.approx(expected)
    assert not list(tmp_path.glob(".directions-*"))


def both_ways(data):
    """Two subjects in both directions, not one after the other, and a pair without its reverse."""
    a, b, c = (*data.split("test"), *data.split("train"))[:3]
    return [(a, b), (a, c), (b, a)]


def test_finished_trials_are_not_run_again(data, job, tmp_path, monkeypatch):
    proposals = [{"number": 0, "lam": 0.1}, {"number": 1, "lam": 0.2}]
    first = run_trials(trial_spec(job), data, proposals_of(proposals), tmp_path)
    monkeypatch.setattr("regbench.tuning.trial.run_trial", lambda *_, **__: pytest.fail("ran again"))
    assert run_trials(trial_spec(job), data, proposals_of(proposals), tmp_path) == first
    assert run_trials(trial_spec(job), data, proposals_of(proposals[1:]), tmp_path) == first[1:]


def test_trials_put_together_are_not_run_again(data, job, tmp_path, monkeypatch):
    """One file for a cell, not sixteen; a later choice among more trials keeps the earlier ones."""
    state = tmp_path / "state"
    proposals = [{"number": number, "lam": 0.1 * (number + 1)} for number in range(3)]
    first = run_trials(trial_spec(job), data, proposals_of(proposals[:2]), state)
    put_together(state)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    last = run_trials(trial_spec(job), data, proposals_of(proposals[2:]), state)
    put_together(state)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    monkeypatch.setattr("regbench.tuning.trial.run_trial", lambda *_, **__: pytest.fail("ran again"))
    assert run_trials(trial_spec(job), data, proposals_of(proposals), state) == first + last


def test_putting_together_leaves_a_trial_that_runs(data, job, tmp_path):
    run_trials(trial_spec(job), data, proposals_of([{"number": 0, "lam": 0.1}]), tmp_path / "state")
    (tmp_path / "state/trial001.pt").touch()
    put_together(tmp_path / "state")
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["trial001.pt"]


def test_a_trial_of_another_protocol_is_run_again(data, job, tmp_path):
    (first,) = run_trials(trial_spec(job), data, proposals_of([{"number": 0, "lam": 0.1}]), tmp_path)
    (second,) = run_trials(trial_spec(changed(job, seed=5)), data, proposals_of([{"number": 0, "lam": 0.1}]), tmp_path)
    assert first["curve"] != second["curve"]


def test_a_trial_whose_displacements_are_no_numbers_has_diverged(data, job, monkeypatch):
    monkeypatch.setattr(predict, "_displacements", lambda *given: torch.full((1, 2, 32, 32), torch.nan))
    found = run_trial(trial_spec(job), data, Proposal(0, Point(0.1)))
    assert (found["status"], found["scores"], found["pairs"]) == ("diverged", {}, {})
    assert "must be numbers" in found["reason"]


def test_a_lost_trial_is_the_same_again(data, job, tmp_path):
    proposals = [{"number": 0, "lam": 0.1}, {"number": 1, "lam": 0.2}]
    first = run_trials(trial_spec(job), data, proposals_of(proposals), tmp_path)
    (tmp_path / "trial001.json").unlink()
    if job.training.device == "cpu":
        assert canonical_json(run_trials(trial_spec(job), data, proposals_of(proposals), tmp_path)) == canonical_json(
            first
        )


def test_validation_scores_every_pair(data, job):
    scores = validate(fit(at(job, 0.1), data).model, data, scoring(job, data))
    assert len(scores["dice"]) == len(data.pairs("validation"))
    assert all(0 <= value <= 1 for value in scores["dice"])


def test_training_pairs_never_pair_a_subject_with_itself():
    draws = draw_pairs(5, 200, 4, seed=0).numpy()
    assert (draws[:, 0] != draws[:, 1]).all()
    assert {tuple(pair) for pair in draws.transpose(0, 2, 1).reshape(-1, 2)} == {
        (a, b) for a in range(5) for b in range(5) if a != b
    }


def test_the_learning_rate_rises_then_falls():
    rates = [one_cycle(step, 100, 0.1) for step in range(100)]
    assert np.argmax(rates) in (9, 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.01
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert 0 < one_cycle(0, 1, 0.0) <= 1


def test_runtime_measures_one_seed_on_a_few_pairs_once(data, job, tmp_path, monkeypatch):
    train(at(job, 0.1), data, tmp_path / "run")
    train(at(changed(job, seed=5), 0.1), data, tmp_path / "other")
    folders, asked = [tmp_path / "run", tmp_path / "other"], []
    pairs = [*data.pairs("test"), *data.pairs("validation")] * 4
    whole = "regbench.data.cache.Dataset.pairs"
    monkeypatch.setattr(whole, lambda self, split: tuple(dict.fromkeys(pairs)) * 4 if split == "test" else ())
    monkeypatch.setattr("regbench.evaluation.timing.register", lambda *given: (asked.append(1), register(*given))[1])
    runtime(TIMING, data, folders, tmp_path / "state", tmp_path / "runtime.parquet")
    every = pd.read_parquet(tmp_path / "runtime.parquet")
    rows, other = every[every["seed"] == job.seed], every[every["seed"] == 5]
    assert list(zip(rows["fixed"], rows["moving"], strict=True)) == list(data.pairs("test"))[:PAIRS]
    assert len(asked) <= WARM_UP + PAIRS + FEW
    assert rows["peak_memory_mib"].isna().tolist() == [False] * FEW + [True] * (PAIRS - FEW) or sys.platform != "linux"
    assert len(other) == 1
    assert other[["inference_seconds", "pipeline_seconds", "device"]].isna().all(axis=None)
    assert (other["training_seconds"] > 0).all()
    assert (rows["inference_seconds"] > 0).all()
    assert (rows["pipeline_seconds"] > 0).all()
    record, model = load_run(tmp_path / "run")
    assert set(rows["parameters"]) == {sum(each.numel() for each in model.parameters())}
    assert set(rows["training_seconds"]) == {record["seconds"]}
    assert record["seconds"] > 0
    monkeypatch.setattr("regbench.evaluation.timing._time", lambda *_: pytest.fail("timed again"))
    runtime(TIMING, data, folders, tmp_path / "state", tmp_path / "runtime.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runtime.parquet"), every)


def test_a_slow_method_is_warmed_up_by_one_more_call():
    calls = []
    _warm_up(lambda: (calls.append(1), time.sleep(1.5 * WARM_SECONDS)))
    assert len(calls) == 2
    calls.clear()
    _warm_up(lambda: calls.append(1))
    assert len(calls) == WARM_UP


def test_baselines_are_timed_on_a_few_pairs_and_once(data, tmp_path, monkeypatch):
    asked = []

    def slow(pair, fixed, moving, /, *, seconds: float = 0.02):
        asked.append((fixed, moving))
        time.sleep(seconds)
        if len(asked) == 3:
            raise RegbenchError("no overlap")
        return np.zeros((2, *pair.fixed.shape), np.float32)

    monkeypatch.setattr("regbench.models.own_baseline.BASELINES", {"slow": slow})
    slow_one = TimedBaselineSpec(name="slow", parameters={}, seed=7, code="0")
    job = TIMING.model_copy(update={"baselines": {"mine": slow_one}})
    runtime(job, data, [], tmp_path / "state", tmp_path / "runtime.parquet")
    rows = pd.read_parquet(tmp_path / "runtime.parquet")
    pairs = list(data.pairs("test"))[:3]
    assert asked == [pairs[0], *pairs]
    assert list(zip(rows["fixed"], rows["moving"], strict=True)) == [pairs[0], *pairs[2:]]  # the failed one has no time
    assert (rows["inference_seconds"] > 0.02).all()
    assert (rows["pipeline_seconds"] > rows["inference_seconds"]).all()
    assert rows["parameters"].isna().all()
    assert set(rows["seed"]) == {7}
    assert set(rows["device"]) == {f"cpu ({platform.machine()}), 1 thread"}
    monkeypatch.setattr("regbench.evaluation.timing._time_baseline", lambda *_: pytest.fail("timed again"))
    runtime(job, data, [], tmp_path / "state", tmp_path / "runtime.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runtime.parquet"), rows)
    slower = slow_one.model_copy(update={"parameters": {"seconds": 0.03}})
    job = TIMING.model_copy(update={"baselines": {"mine": slower}})
    with pytest.raises(pytest.fail.Exception, match="timed again"):
        runtime(job, data, [], tmp_path / "state", tmp_path / "runtime.parquet")


def test_a_baseline_more_times_no_network_again(data, job, tmp_path, monkeypatch):
    train(at(job, 0.1), data, tmp_path / "run")
    runtime(TIMING, data, [tmp_path / "run"], tmp_path / "state", tmp_path / "runtime.parquet")
    monkeypatch.setattr("regbench.evaluation.timing._time", lambda *_: pytest.fail("timed again"))
    still = TimedBaselineSpec(name="still", parameters={}, seed=0, code="0")
    zero = np.zeros((2, *data.shape), np.float32)
    monkeypatch.setattr("regbench.models.own_baseline.BASELINES", {"still": lambda pair, fixed, moving, /: zero})
    out = tmp_path / "runtime.parquet"
    runtime(
        TIMING.model_copy(update={"baselines": {"still": still}}), data, [tmp_path / "run"], tmp_path / "state", out
    )
    rows = pd.read_parquet(out)
    assert list(dict.fromkeys(rows["method"])) == ["still", job.method]
    assert rows["parameters"].isna().sum() == (rows["method"] == "still").sum() > 0


def test_peak_memory_counts_a_program_of_its_own():
    code = "for _ in map(str.strip, __import__('sys').stdin): print(len(b'x' * 2**27), flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as program:

        def work():
            program.stdin.write("go\n")
            program.stdin.flush()
            program.stdout.readline()

        peak = peak_memory_mib(work, torch.device("cpu"))
        program.stdin.close()
    assert np.isnan(peak) or 100 < peak < 250


def test_peak_memory_sees_an_allocation(device):
    def work():
        torch.ones(16, 1024, 1024, device=device).sum().item()

    peak = peak_memory_mib(work, device)
    assert np.isnan(peak) or 60 < peak < 200


def test_a_training_that_another_job_finished_is_known_by_all_it_depends_on(data, job, tmp_path):
    assert not is_complete(at(job, 0.1), data, tmp_path)
    train(at(job, 0.1), data, tmp_path)
    assert is_complete(at(job, 0.1), data, tmp_path)
    assert not is_complete(at(job, 0.2), data, tmp_path)
    assert not is_complete(at(changed(job, seed=job.seed + 1), 0.1), data, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"altered")
    assert not is_complete(at(job, 0.1), data, tmp_path)
    (tmp_path / "history.parquet").unlink()
    assert not is_complete(at(job, 0.1), data, tmp_path)
