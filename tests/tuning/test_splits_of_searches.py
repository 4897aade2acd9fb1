"""`tuning.splits`: searches and trainings with validation subjects of their own, the same test subjects in all."""

import copy
import json

import pandas as pd
import pytest
import yaml
from tiny_study import run_verbs

from regbench.cli.main import main
from regbench.data.cache import load as load_data
from regbench.orchestration.progress import progress
from regbench.study.job_specs import evaluate_spec, prepare_spec, train_spec, trial_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError
from regbench.system.files import read_sealed

NETWORK, UNTRAINED = "voxelmorph.mse.grad_l2", "instance.mse.grad_l2"


def redrawn(tiny, splits=2, replicates=4, seeds=(3, 1, 0, 2), **tuning):
    """Two splits, two searches of each, one seed of each search; all in few steps."""
    raw = copy.deepcopy(tiny)
    raw["tuning"] |= {"replicates": replicates, "splits": splits, "trials": 2, **tuning}
    raw["models"].append({"name": "instance", "parameters": {"steps": [2, 2, 1]}})
    return {**raw, "seeds": list(seeds), "grid": {"similarities": ["mse"], "regularizers": ["grad_l2"]}}


def mistakes(raw):
    with pytest.raises(UsageError) as caught:
        load(raw)
    return str(caught.value)


def test_searches_are_dealt_to_draws_in_blocks(tiny):
    study = Study(load(redrawn(tiny)))
    assert [study.draw_of(replicate) for replicate in range(4)] == [0, 0, 1, 1]
    assert [study.split_of(seed) for seed in (3, 1, 0, 2)] == [0, 0, 1, 1]
    assert study.split_of(17) == 0, "of `train --seed` with a seed that is none of the study's"
    assert [evaluate_spec(study, NETWORK, seed).split for seed in (3, 2)] == [0, 1]
    assert len(study.redraws) == 1
    wider = Study(load(redrawn(tiny, splits=4)))
    assert wider.redraws[:1] == study.redraws, "more draws change none before them"
    again = Study(load(redrawn(tiny, seed=1)))
    assert again.redraws != study.redraws


def test_a_study_of_one_split_is_as_it_was(tiny):
    plain, written = Study(load(tiny)), Study(load({**tiny, "tuning": {**tiny["tuning"], "splits": 1}}))
    assert "splits" not in plain.config.model_dump(mode="json")["tuning"]
    assert "trials_per_job" not in plain.protocol["tuning"]
    assert plain.protocol == written.protocol
    assert "redraws" not in prepare_spec(plain, "brains").to_json()
    assert "split" not in evaluate_spec(plain, "voxelmorph.lcc.grad_l2", 0).to_json()
    several = Study(load(redrawn(tiny)))
    one = Study(load({**redrawn(tiny), "tuning": {**redrawn(tiny)["tuning"], "splits": 1}}))
    assert several.config.model_dump(mode="json")["tuning"]["splits"] == 2
    for spec in (
        lambda study: trial_spec(study, NETWORK, 1),
        lambda study: train_spec(study, NETWORK, seed=1, steps=4),
    ):
        assert spec(several) == spec(one), "who validates is told by the data"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tuning": {"splits": 3}}, "tuning.splits: must divide `tuning.replicates` (4), but got 3"),
        ({"tuning": {"splits": 8}}, "tuning.splits: must divide `tuning.replicates` (4), but got 8"),
        ({"tuning": {"splits": 0}}, "tuning.splits: "),
        ({"splits": {"validation": ["a", "b"]}}, "datasets[0].splits.validation: must be a count or a share"),
        ({"splits": {"validation": "given"}}, "datasets[0].splits.validation: must be a count or a share"),
        ({"models": ["instance"], "lambdas": [{"value": 0.1}]}, "tuning.splits: has no effect: nothing is trained"),
    ],
)
def test_draws_that_cannot_be_are_mistakes_of_the_config(tiny, change, words):
    raw = redrawn(tiny)
    raw["tuning"] |= change.pop("tuning", {})
    raw["datasets"][0]["splits"] |= change.pop("splits", {})
    assert words in mistakes({**raw, "study": 3, **change})


def test_fixed_lambdas_of_networks_may_be_trained_on_other_subjects(tiny):
    assert Study(load({**redrawn(tiny), "lambdas": [{"value": 0.1}]})).redraws


def verb(raw, folder, *words):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    main([words[0], str(path), "--dataset", "brains", *words[1:]])


@pytest.mark.parametrize("method", [NETWORK, UNTRAINED])
def test_each_run_is_of_its_draw_and_all_are_tested_alike(tiny, tmp_path, method):
    raw = redrawn(tiny, replicates=2, seeds=(3, 1))
    verb(raw, tmp_path, "prepare")
    verb(raw, tmp_path, "cell", "--method", method, "--threads", "1")
    study = Study(load(raw))
    lay, data = study.layout, load_data(study.layout.data("brains"))
    scores = []
    for replicate in (0, 1):
        drawn = data.of_draw(study.draw_of(replicate))
        (path,) = study.trial_files("brains", method, replicate=replicate)
        first = read_sealed(path)[0]
        scores.append(first["scores"]["dice"])
        assert len(first["pairs"]["dice"]) == len(drawn.pairs("validation"))
    assert scores[0] != scores[1]
    tested = set()
    for seed in study.seeds(method):
        rows = pd.read_parquet(lay.pairs("brains", method, seed))
        assert set(rows["split"]) == {study.split_of(seed)}
        tested.add(tuple(zip(rows["fixed"], rows["moving"], strict=True)))
        record = read_sealed(lay.run_record("brains", method, seed))
        assert record["data_sha256"] == data.of_draw(study.split_of(seed)).checksum
    assert tested == {data.pairs("test")}
    (cell,) = (one for one in progress(study).cells if one.method == method)
    assert cell.seeds == list(study.seeds(method))
    verb({**raw, "tuning": {**raw["tuning"], "seed": 9}}, tmp_path, "prepare")
    moved = Study(load({**raw, "tuning": {**raw["tuning"], "seed": 9}}))
    look = progress(moved)
    (cell,) = (one for one in look.cells if one.method == method)
    assert cell.seeds == [3], "the run of the redrawn split was trained with other subjects"


@pytest.mark.slow
def test_tables_and_page_of_a_study_of_two_draws(tiny, tmp_path, capsys):
    raw = redrawn(tiny)
    run_verbs(raw, tmp_path)
    study = Study(load(raw))
    lay, data = study.layout, load_data(study.layout.data("brains"))
    first, second = (data.of_draw(number).split("validation") for number in (0, 1))
    assert all(cell.state == "done" for cell in progress(study).cells)
    firsts = [
        read_sealed(study.trial_files("brains", UNTRAINED, replicate=k)[0])[0]["scores"]["dice"] for k in range(4)
    ]
    assert firsts[0] == firsts[1] != firsts[2] == firsts[3], "the first lambda is the same in each search"
    judged = read_sealed(lay.summary)["verdicts"]["brains"]["instance"]["dice"]
    assert (judged["scope"], judged["noise"]["splits"], judged["noise"]["replicates"]) == ("splits", 2, 4)
    selection = pd.read_csv(lay.tables / "selection.csv")
    assert selection["split"].tolist() == [1, 1, 2, 2] * 2
    assert f"1 {', '.join(first)}; 2 {', '.join(second)}" in (lay.tables / "selection.md").read_text()
    variance = pd.read_csv(lay.tables / "variance.csv")
    score = variance[(variance["of"] == "score") & (variance["metric"] == "dice")]
    assert score[score["model"] == "instance"]["source"].tolist() == ["split", "tuning", "subject", "residual"]
    assert score[score["model"] == "voxelmorph"]["source"].tolist()[:2] == ["split", "tuning + seed"]
    told = json.loads((lay.tables / "main.provenance.json").read_text())["validation_subjects"]
    assert told == {"brains": [list(first), list(second)]}
    assert "2 (who validated" in lay.page.read_text()
    capsys.readouterr()
    for word in ("check", "plan"):
        main([word, str(tmp_path / "study.yaml")])
    printed = capsys.readouterr().out
    assert "2 draws of 2 validation subjects out of 6" in printed
    assert printed.count("splits  2 draws of validation subjects, 2 searches of each") == 2


def test_check_says_what_is_drawn_before_anything_is_prepared(tiny, tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(redrawn(tiny)))
    main(["check", str(path)])
    printed = capsys.readouterr().out
    assert "2 draws of 2 validation subjects out of 6; the test subjects stay" in printed
    assert "splits  2 draws of validation subjects, 2 searches of each" in printed
    few = redrawn(tiny)
    few["datasets"][0]["splits"] = {"train": 2, "validation": 2, "test": 2}
    few["tuning"] |= {"splits": 8, "replicates": 8}
    path.write_text(yaml.safe_dump({**few, "seeds": list(range(8))}))
    with pytest.raises(SystemExit):
        main(["check", str(path)])
    assert "`tuning.splits: 8` asks for 8 different draws of 2 validation subjects" in capsys.readouterr().err
