"""A refined row from its evaluation to page, MLflow and `register`: the same networks, ranked apart, timed whole."""

import copy
import os

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tiny_study import TINY, run_verbs

from regbench.cli.main import main
from regbench.evaluation.refined_run import load_row
from regbench.models.predict import register
from regbench.orchestration.estimate import estimate
from regbench.orchestration.progress import progress
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import read_sealed, write_sealed
from regbench.system.parquet import read_table
from regbench.tracking.records import study_items

NETWORK, REFINED = "voxelmorph.mse.grad_l2", "voxelmorph_refined.mse.grad_l2"
STEPS = 9


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One cell whose networks are refined, run from `prepare` to `report`, tested on other data too."""
    folder = tmp_path_factory.mktemp("study")
    raw = copy.deepcopy(TINY) | {
        "results": str(folder / "results"),
        "grid": {"similarities": ["mse"], "regularizers": ["grad_l2"]},
        "lambdas": [{"value": 0.01}],
        "evaluate_on": ["others"],
        "controls": False,
    }
    raw["models"][0]["refine"] = {"steps": STEPS}
    other = copy.deepcopy(raw["datasets"][0]) | {"id": "others", "splits": {"test": 3}, "pairs": {"test": 2}}
    raw["test_sets"] = [other | {"parameters": {**other["parameters"], "subjects": 3, "seed": 5}}]
    run_verbs(raw, folder)
    return folder / "study.yaml", Study(load(raw))


def rows_of(study, method):
    return pd.concat([read_table(study.layout.pairs("brains", method, seed)) for seed in (0, 1)])


def entry_of(study, method):
    summary = read_sealed(study.layout.summary)
    return next(entry for entry in summary["methods"] if entry["method"] == method)


def test_the_objective_falls_on_every_pair_by_the_same_lambda(study):
    _, study = study
    network, refined = (rows_of(study, method) for method in (NETWORK, REFINED))
    assert list(refined["fixed"]) == list(network["fixed"])
    assert set(refined["status"]) == {"complete"}
    assert set(refined["lam"]) == set(network["lam"]) == {0.01}
    assert list(refined["similarity_before"]) == list(network["similarity_before"])
    assert (refined["similarity_after"] < 0.95 * network["similarity_after"]).all()
    assert refined["self_displacement_mm"].notna().any()


def test_nothing_is_trained_or_searched_for_it(study):
    _, study = study
    lay = study.layout
    for seed in (0, 1):
        assert {path.name for path in lay.run("brains", REFINED, seed).iterdir()} == {"pairs.parquet", "panels.npz"}
    assert not (lay.root / "tuning/brains" / REFINED).exists()
    network, refined = entry_of(study, NETWORK), entry_of(study, REFINED)
    assert refined["trials"] == []
    assert refined["lam"] == network["lam"]
    assert [run["checkpoint_sha256"] for run in refined["runs"]] == [
        run["checkpoint_sha256"] for run in network["runs"]
    ]
    assert refined["refined"] == {"method": NETWORK, "steps": STEPS, "learning_rate": 0.1}


def test_it_is_ranked_apart_and_the_caption_says_what_it_is(study):
    _, study = study
    assert (entry_of(study, NETWORK)["rank"], entry_of(study, REFINED)["rank"]) == (1, 1)
    table = pd.read_csv(study.layout.tables / "main.csv")
    assert list(table["model"]) == ["identity", "voxelmorph", "voxelmorph_refined"]
    assert list(table["seeds"]) == [1, 2, 2]
    compared = pd.read_csv(study.layout.tables / "verdicts.csv")
    together = [pair for pair in zip(compared["a"], compared["b"], strict=True) if set(pair) == {NETWORK, REFINED}]
    assert {*compared["a"], *compared["b"]} >= {NETWORK, REFINED}
    assert together == []
    words = "voxelmorph_refined: the trained networks of voxelmorph, each test pair refined by 9 steps of Adam (0.1)"
    assert words in (study.layout.tables / "main.md").read_text()
    assert "voxelmorph_refined" in study.layout.page.read_text()
    warnings = read_sealed(study.layout.summary)["warnings"]
    assert not [words for words in warnings if REFINED in words and "improving" in words]


def test_its_time_is_of_the_network_and_of_what_comes_after_it(study):
    _, study = study
    table = pd.read_csv(study.layout.tables / "runtime.csv").set_index("method")
    network, refined = table.loc[NETWORK], table.loc[REFINED]
    assert refined["inference_ms_median"] > 2 * network["inference_ms_median"]
    assert refined["pairs"] == 2
    for column in ("parameters", "training_s_median"):  # those of the network
        assert refined[column] == network[column]


def test_export_gives_what_was_evaluated(study, tmp_path, capsys):
    path, _ = study
    main(["export", str(path), "--method", REFINED, "--seed", "1", "--prepared", "--out", str(tmp_path / "out")])
    words = capsys.readouterr().out
    assert "NOT" not in words
    assert "as evaluated: Dice and mean length of 2 pairs" in words


def test_register_gives_the_displacement_of_the_row(study, tmp_path):
    """From files, which `export-images` writes: the same network, objective and steps as in the table."""
    path, study = study
    images, out = tmp_path / "images", tmp_path / "out"
    main(["export-images", str(path), str(images)])
    main(["export", str(path), "--method", REFINED, "--seed", "0", "--prepared", "--out", str(tmp_path / "row")])
    fixed, moving = pd.read_csv(images / "pairs.csv").astype(str).to_numpy()[0]
    files = [str(images / "images" / f"{name}.nii.gz") for name in (fixed, moving)]
    run = str(study.layout.run("brains", NETWORK, 0))
    words = ["register", "--model", run, "--fixed", files[0], "--moving", files[1], "--intensity", "none"]
    main([*words, "--out", str(out), "--refine", str(STEPS)])
    main([*words, "--out", str(tmp_path / "plain")])
    name = next((tmp_path / "row").glob(f"*{fixed}*{moving}*")).name
    row = nib.load(tmp_path / "row" / name).get_fdata()
    refined, plain = (nib.load(next(folder.glob("disp_*"))).get_fdata() for folder in (out, tmp_path / "plain"))
    np.testing.assert_allclose(refined, row, atol=1e-3)
    assert np.abs(plain - row).max() > 0.05


def test_instance_and_wrong_steps_are_refused(study, tmp_path, capsys):
    images = [str(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz")]
    for image in images:
        nib.save(nib.Nifti1Image(np.random.default_rng(0).random((20, 20, 1), dtype=np.float32), np.eye(4)), image)
    words = ["register", "--fixed", images[0], "--moving", images[1], "--out", str(tmp_path / "out")]
    for model, steps, expected in (
        ("instance", "5", "--refine must go with a trained network"),
        ("instance", "0", "--refine': Input should be greater than or equal to 1"),
        ("instance", "-3", "--refine': Input should be greater than or equal to 1"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--model", model, "--refine", steps])
        assert stopped.value.code == 2
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--seed", "0"], f"`{REFINED}` trains nothing: it takes the networks of `{NETWORK}`"),
        (["train", "--seed", "0", "--lam", "1"], f"`{REFINED}` trains nothing"),
        (["cell"], f"a lambda of their own, but `{REFINED}` has none"),
        (["select"], f"a lambda of its own, but `{REFINED}` has none"),
        (["propose", "--round", "0"], f"nothing of `{REFINED}` is"),
    ],
)
def test_verbs_of_trainings_name_the_network(study, words, expected, capsys):
    path, _ = study
    with pytest.raises(SystemExit) as stopped:
        main([words[0], str(path), "--method", REFINED, *words[1:]])
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err


def test_mlflow_has_a_run_of_it(study):
    _, study = study
    items = {item.key: item for item in study_items(study)}
    record = items[f"tiny/brains/{REFINED}"].make()
    assert record.params["model"] == "voxelmorph_refined"
    values = {metric[0]: metric[1] for metric in record.metrics}
    mean = float(rows_of(study, REFINED).groupby(["fixed", "moving"])["dice"].mean().mean())
    assert values["test/dice"] == pytest.approx(mean, rel=1e-5)
    assert not [key for key in items if key.startswith(f"tiny/brains/{REFINED}/")]


def test_status_and_plan_know_it(study):
    _, study = study
    assert {(cell.method, cell.state) for cell in progress(study).cells} == {
        (name, "done") for name in ("identity", NETWORK, REFINED)
    }
    plan = estimate(study)
    assert plan["jobs"]["train"] == 2
    assert plan["jobs"]["evaluate"] == 5
    assert plan["trials"] == 0
    assert plan["training_steps"] == 2 * study.config.training.steps
    # A network that is trained again makes the refined rows old.
    record = study.layout.run_record("brains", NETWORK, 1)
    time, content = record.stat(), record.read_bytes()
    write_sealed(record, {**read_sealed(record), "checkpoint_sha256": "of another training"})
    try:
        states = {cell.method: cell.state for cell in progress(study).cells}
    finally:
        record.write_bytes(content)
        os.utime(record, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert states == {"identity": "done", NETWORK: "not started", REFINED: "not started"}


def test_on_other_data_the_same_networks_are_refined(study, data):
    _, study = study
    rows = {name: read_table(study.layout.transfer("brains", name, "others")) for name in (NETWORK, REFINED)}
    assert set(rows[REFINED]["method"]) == {REFINED}
    assert (rows[REFINED]["similarity_after"] < rows[NETWORK]["similarity_after"]).all()
    table = pd.read_csv(study.layout.tables / "transfer.csv")
    assert set(table["method"]) == {NETWORK, REFINED}


def test_the_row_is_of_the_checkpoint_beside_it(study, data):
    """By hand: the model of the row on a pair."""
    _, study = study
    folder = study.layout.run("brains", NETWORK, 0)
    _, model = load_row(folder, study.config.models[0].refine)
    first = rows_of(study, REFINED).iloc[0]
    pair = data.pair(first["fixed"], first["moving"])
    u = register(model, pair.fixed, pair.moving)
    lengths = np.sqrt((u.astype(float) ** 2).sum(0)) * data.spacing_mm[0]
    assert lengths.mean() == pytest.approx(first["displacement_mm"], rel=1e-4)
