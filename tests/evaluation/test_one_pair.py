"""`regbench view`: the run and the pair that a user names, registered as they were evaluated."""

import copy
import re
import shutil
import webbrowser

import pytest
import yaml
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data.cache import load as load_data
from regbench.evaluation import one_pair
from regbench.evaluation.one_pair import run_of, study_folder
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system import desktop, device, gpu_lease
from regbench.system.errors import UsageError
from regbench.system.files import write_sealed

METHOD = "voxelmorph.mse.grad_l2"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The results of a study with one run, evaluated, and `identity`; with the config that a head writes."""
    folder = tmp_path_factory.mktemp("study")
    raw = copy.deepcopy(TINY) | {"results": str(folder / "results"), "seeds": [0]}
    raw["grid"] = {"similarities": ["mse"], "regularizers": ["grad_l2"]}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    main(["prepare", str(path)])
    main(["train", str(path), "--method", METHOD, "--seed", "0", "--lam", "0.01"])
    for method in (METHOD, "identity"):
        main(["evaluate", str(path), "--method", method, "--seed", "0"])
    study = Study(load(raw))
    write_sealed(study.layout.config, study.config.model_dump(mode="json"))
    return folder / "results"


@pytest.fixture
def results(evaluated, tmp_path, monkeypatch):
    """A copy of them, moved to another place; no desktop."""
    monkeypatch.setattr(desktop, "has_desktop", lambda: False)
    return shutil.copytree(evaluated, tmp_path / "moved")


def run_folder(results, method=METHOD):
    return results / "tiny" / "runs" / "brains" / method / "seed0"


def first_pair(results):
    return load_data(results / "tiny" / "data" / "brains").pairs("test")[0]


def view(capsys, *words):
    main(["view", *map(str, words)])
    return capsys.readouterr().out.splitlines()


def test_a_pair_is_registered_as_it_was_evaluated(results, evaluated, tmp_path, capsys):
    """Wherever the results lie, a view is the same bytes."""
    fixed, moving = first_pair(results)
    said, page, *more = view(capsys, run_folder(results), f"{fixed},{moving}")
    assert said.startswith("as evaluated: Dice and mean length of 1 pair are those of ")
    assert page == str(run_folder(results) / "views" / f"{fixed}_{moving}.html")
    again = view(capsys, run_folder(evaluated) / "run.json", f"{fixed}, {moving}", "--out", tmp_path / "there")
    for one, other in zip([page, *more], again[1:], strict=True):
        content = (tmp_path / other).read_bytes()
        assert content == (tmp_path / one).read_bytes()
        assert str(evaluated).encode() not in content


def test_places_of_the_report_and_no_registration(results, capsys):
    pages = {place: view(capsys, run_folder(results), place)[1] for place in ("best", "median", "worst")}
    assert pages["best"] != pages["worst"]
    fixed, moving = first_pair(results)
    lines = view(capsys, run_folder(results, "identity"), f"{fixed},{moving}")
    assert "mean 0.00 mm, at most 0.00 mm" in (results / lines[1]).read_text()


@pytest.mark.parametrize(
    ("run", "pair", "words"),
    [
        ("tiny/runs/brains/voxelmorf.mse.grad_l2/seed0", "best", f"`runs/brains/{METHOD}/seed0`"),
        ("tiny/runs/brains/identity/seed3", "best", "near: `runs/brains/identity/seed0`"),
        (f"tiny/runs/brains/{METHOD}/seed0", "mni0001,mni0009", "PAIR must be a test pair.*`brains`.*near: `mni"),
        (f"tiny/runs/brains/{METHOD}/seed0", "middle", "best, median, worst, but got 'middle'; near: "),
        ("tiny/tables", "best", "RUN must be the folder of a run in its study"),
        ("other/runs/brains/x/seed0", "best", "config.json` must be the study's config, but is not there"),
    ],
)
def test_wrong_names_are_one_line(results, capsys, run, pair, words):
    with pytest.raises(SystemExit) as stopped:
        main(["view", str(results / run), pair])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert re.search(words, captured.err), captured.err


def test_other_folders_are_not_overwritten_in_silence(results, tmp_path, capsys):
    words = run_folder(results), "best", "--out", tmp_path / "out"
    page = view(capsys, *words)[1]
    with pytest.raises(SystemExit):
        main(["view", *map(str, words)])
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / page).write_text("old")
    view(capsys, *words, "--overwrite")
    assert (tmp_path / page).read_text() != "old"
    own = view(capsys, run_folder(results), "best")
    assert view(capsys, run_folder(results), "best") == own  # its own place, anew


def test_a_run_that_diverged_has_no_picture(results, monkeypatch, capsys):
    monkeypatch.setattr(one_pair, "load_row", lambda *_: ({"status": "diverged", "reason": "the loss is NaN"}, None))
    with pytest.raises(SystemExit) as stopped:
        main(["view", str(run_folder(results)), "best"])
    assert stopped.value.code == 1
    assert "must be complete, but is diverged: the loss is NaN" in capsys.readouterr().err


def test_a_desktop_opens_the_page(results, monkeypatch, capsys):
    links = []
    monkeypatch.setattr(webbrowser, "open", links.append)
    view(capsys, run_folder(results), "best")
    monkeypatch.setattr(desktop, "has_desktop", lambda: True)
    view(capsys, run_folder(results), "best", "--no-browser")
    assert not links
    page = view(capsys, run_folder(results), "best")[1]
    assert links == [f"file://{page}"]


def test_a_config_stands_in_for_what_no_head_wrote(results, evaluated, capsys):
    (results / "tiny" / "config.json").unlink()
    words = run_folder(results), "best"
    with pytest.raises(SystemExit):
        main(["view", *map(str, words)])
    assert "--config" in capsys.readouterr().err
    assert view(capsys, *words, "--config", evaluated.parent / "study.yaml")[0].startswith("as evaluated")


def test_it_computes_as_the_config_says(results, monkeypatch):
    class TakenError(Exception):
        pass

    def set_up(*given, **named):
        raise TakenError(given, named)

    leased = []
    monkeypatch.setattr(gpu_lease, "lease", leased.append)
    monkeypatch.setattr(device, "set_up", set_up)
    with pytest.raises(TakenError) as taken:
        main(["view", str(run_folder(results)), "best", "--threads", "2"])
    assert leased == ["auto"]
    assert taken.value.args[0][0] == 2


def test_points_of_a_curve_and_refined_rows_are_runs(tiny, tmp_path):
    tiny["models"] = [{**tiny["models"][0], "refine": {"steps": 2}}]
    study = Study(load({**tiny, "curve": 4}))
    root = tmp_path / "elsewhere" / "tiny"
    refined = next(method for method in study.methods if method.refine is not None)
    run = run_of(study, root / "runs" / "brains" / refined.id / "seed1")
    assert run[1:4] == ("brains", refined.id, 1)
    assert run.network == root / "runs" / "brains" / refined.trained_as / "seed1"
    assert run.study.layout.root == root
    point = root / "curves" / "brains" / refined.trained_as / "seed0" / "point2"
    run = run_of(study, point)
    assert run[1:] == ("brains", refined.trained_as, 0, point, point)
    with pytest.raises(UsageError, match="must have the name of its study, `tiny`"):
        run_of(study, tmp_path / "renamed" / "runs" / "brains" / refined.id / "seed1")
    assert study_folder(point) == root
