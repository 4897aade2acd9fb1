"""Six lines are a whole study: what the short keys stand for, what is filled in, and what is said where both meet."""

import json

import pytest
import yaml
from data_files import folder_of

from regbench.orchestration.registries import check_component
from regbench.study.load import json_schema, load
from regbench.study.methods import Study
from regbench.study.short_form import expanded
from regbench.study.shown_config import whole_config
from regbench.system.errors import UsageError


@pytest.fixture
def six(tmp_path):
    """A config of six lines, of a folder that is there."""
    return {
        "study": "mine",
        "data": str(folder_of(tmp_path / "my brains", count=8)),
        "models": ["voxelmorph"],
        "similarities": ["lcc", {"name": "mse", "id": "squares"}],
        "regularizers": ["grad_l2"],
        "steps": 100,
    }


def message(raw):
    with pytest.raises(UsageError) as caught:
        load(raw, check_component, where="study.yaml")
    return str(caught.value)


def test_six_lines_are_the_long_form(six):
    config = load(six, check_component)
    long = {
        "study": "mine",
        "datasets": [
            {
                "id": "my_brains",
                "source": "folder",
                "parameters": {"path": six["data"]},
                "most_pairs": {"validation": 20, "test": 100},
            }
        ],
        "models": ["voxelmorph"],
        "grid": {"similarities": six["similarities"], "regularizers": ["grad_l2"]},
        "training": {"steps": 100},
        "tuning": {"steps": 34, "trials": 6, "round_size": 3, "repeats": 1, "replicates": 4},
        "seeds": [0, 1, 2, 3],
        "equivalence": {"dice": 0.005},
    }
    assert config == load(long, check_component)


def test_the_long_form_is_taken_as_it_is(tiny):
    assert expanded(tiny, []).raw == tiny
    assert expanded(tiny, []).origins == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"seeds": [5]}, {"seeds": (5,), "replicates": 1}),
        ({"seeds": [3, 1, 2]}, {"seeds": (3, 1, 2), "replicates": 3}),
        ({"tuning": {"replicates": 2}}, {"seeds": (0, 1), "replicates": 2}),
        ({"tuning": {"replicates": 2}, "seeds": [0, 1, 2, 3]}, {"seeds": (0, 1, 2, 3), "replicates": 2}),
        ({"tuning": {"trials": 3}}, {"trials": 3, "repeats": 0}),
        ({"tuning": {"round_size": 1}}, {"round_size": 1, "repeats": 0}),
        ({"tuning": {"sampler": "tpe", "trials": 9}}, {"sampler": "tpe", "trials": 9, "repeats": 1, "steps": 34}),
        ({"training": {"batch": 1}, "steps": 1}, {"batch": 1, "steps": 1}),
        ({"lambdas": [{"value": 0.5}]}, {"value": 0.5}),
        ({"equivalence": {}}, {"equivalence": {}}),
    ],
)
def test_what_is_given_wins(six, given, expected):
    """And what is filled in fits it: a search for each seed, repeats where there is a second round."""
    config = load({**six, **given}, check_component)
    parts = {**config.training.model_dump(), **config.tuning.model_dump(), "seeds": config.seeds}
    parts |= {"value": config.lambdas[0].value if config.lambdas else None, "equivalence": config.equivalence}
    assert {key: parts[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"datasets": []}, "data: is short for `datasets`, which is given too; leave one of them out"),
        ({"grid": {"similarities": ["lcc"]}}, "similarities: is short for `grid.similarities`, which is given too"),
        ({"grid": {"regularizers": ["lcc"]}}, "regularizers: is short for `grid.regularizers`, which is given too"),
        ({"training": {"steps": 5}}, "steps: is short for `training.steps`, which is given too"),
        ({"tuning": {"steps": 5}}, "steps: is short for `tuning.steps`, which is given too"),
        ({"simlarities": ["lcc"]}, "simlarities: unknown key; did you mean `similarities`?"),
        ({"step": 3}, "step: unknown key; did you mean `steps`?"),
        ({"dat": "x"}, "dat: unknown key; did you mean `data`?"),
        (
            {"steps": "many"},
            "1 mistake; nothing was started:\n  steps: input should be a valid integer, but got 'many'",
        ),
        ({"steps": 0}, "  steps: input should be greater than or equal to 1, but got 0"),
        ({"steps": None}, "  steps: input should be a valid integer, but got None"),
        ({"similarities": ["lccc"]}, "  similarities[0]: `lccc` is unknown; did you mean `lcc`?"),
        ({"similarities": []}, "  similarities: must not be empty"),
        (
            {"similarities": [{"name": "lcc", "parameters": {"windw": 3}}]},
            "  similarities[0].parameters.windw: `lcc` has no parameter `windw`",
        ),
        ({"regularizers": "grad_l2"}, "  regularizers: input should be a valid array"),
        ({"data": "no/such/folder"}, "  data: must be a folder or file on this machine"),
        ({"data": ["a"]}, "  data: must be the path of a folder or a file, but got ['a']"),
        ({"data": ""}, "  data: must be the path of a folder or a file, but got ''"),
        ({"tuning": {"trails": 3}}, "tuning.trails: unknown key; did you mean `trials`?"),
        ({"tuning": 3}, "tuning: input should be an object"),
        ({"training": [1]}, "training: input should be an object"),
        ({"grid": 3}, "grid: "),
    ],
)
def test_what_is_wrong_is_said_of_the_key_that_was_written(six, given, expected):
    assert expected in message({**six, **given})


def test_what_is_missing_has_a_short_name(six):
    text = message({"study": "mine", "models": ["voxelmorph"]})
    assert "datasets: is required, but is missing; the short form is `data`" in text
    assert "grid: is required, but is missing; the short form is `similarities` or `regularizers`" in text
    assert "training: is required, but is missing; the short form is `steps`" in text
    del six["regularizers"]
    assert "grid.regularizers: is required, but is missing" in message(six)


def test_a_study_can_be_read_where_its_data_are_not(six):
    six["data"] = "my/brains"
    assert Study(load(six)).config.datasets[0].parameters == {"path": "my/brains"}


def test_a_function_of_the_user_in_a_short_key_may_be_imported(six, tmp_path, monkeypatch):
    (tmp_path / "mine_short.py").write_text("def far(fixed, moved, /):\n    return (fixed - moved).abs().mean()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert (
        load({**six, "similarities": ["mine_short:far"]}, check_component).grid.similarities[0].id == "mine_short_far"
    )


def test_the_whole_config_loads_to_the_same_study(six, tiny):
    six |= {"tuning": {"trials": 7}, "evaluate": None}
    del six["evaluate"]
    for raw in (six, tiny):
        config = load(raw, check_component)
        assert load(yaml.safe_load(whole_config(raw, config)), check_component) == config


def test_the_whole_config_marks_what_was_not_written(six):
    six["tuning"] = {"trials": 7}
    text = whole_config(six, load(six, check_component))
    for line in (
        "study: mine",
        "results: results  # default",
        "  - id: my_brains  # from `data`",
        "    splits: {}  # default: whom the data put there, else {train: rest, validation: 0.1, test: 0.2}",
        "  - name: voxelmorph",
        "    id: voxelmorph  # default",
        "  similarities:  # from `similarities`",
        "    - name: lcc",
        "      id: squares",
        "  trials: 7",
        "  round_size: 3  # default",
        "  steps: 34  # from `steps`",
        "seeds: [0, 1, 2, 3]  # default",
    ):
        assert f"\n{line}\n" in f"\n{text}", line


def test_nothing_is_marked_that_was_written(tiny):
    text = whole_config(tiny, load(tiny, check_component))
    assert "\n    splits:\n      train: 4\n" in text
    assert "# from" not in text
    assert "  steps: 3\n" in text


def test_the_schema_takes_both_forms(six, tiny):
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json.loads(json.dumps(json_schema()))).is_valid
    assert check(six)
    assert check(tiny)
    for key in ("data", "similarities", "regularizers", "steps", "models", "study"):
        assert not check({name: value for name, value in six.items() if name != key}), key
    for key in ("datasets", "grid", "training", "tuning", "seeds"):
        assert not check({name: value for name, value in tiny.items() if name != key}), key
    assert not check({**six, "datasets": tiny["datasets"]})
