"""A config is checked whole: every mistake at once, each with its key and what to do."""

import json
import sys

import pytest
import yaml
from tiny_study import ROOT

from regbench.orchestration.registries import check_component
from regbench.study import components
from regbench.study.config import SHORT, Config
from regbench.study.load import json_schema, load
from regbench.study.yaml_file import read_yaml
from regbench.system.errors import UsageError


def message(raw):
    with pytest.raises(UsageError) as caught:
        load(raw, check_component, where="study.yaml")
    return str(caught.value)


def test_every_config_we_ship_is_sound():
    for path in [*(ROOT / "configs").glob("*.yaml"), ROOT / "benchmarks/minutes.yaml"]:
        load(read_yaml(path), check_component, where=str(path))


def test_a_config_survives_its_own_json(tiny):
    config = load(tiny, check_component)
    again = load(json.loads(json.dumps(config.model_dump(mode="json"))), check_component)
    assert again == config


def test_all_mistakes_at_once(tiny):
    tiny["grid"]["similarities"] = ["lccc", {"name": "mse", "parameters": {"windw": 3}}]
    tiny["lambdas"] = [{"range": [-1, 1]}]
    tiny["tuning"]["trails"] = 3
    tiny["seeds"] = [1, 1]
    tiny["models"] = []
    tiny["training"]["steps"] = "many"
    del tiny["study"]
    text = message(tiny)
    assert "`study.yaml` has 8 mistakes; nothing was started" in text
    for expected in (
        "grid.similarities[0]: `lccc` is unknown; did you mean `lcc`?",
        "grid.similarities[1].parameters.windw: `mse` has no parameter `windw`",
        "lambdas[0].range[0]: input should be greater than 0, but got -1",
        "tuning.trails: unknown key; did you mean `trials`?",
        "seeds: 1 is given twice",
        "models: must not be empty",
        "training.steps: input should be a valid integer, but got 'many'",
        "study: is required, but is missing",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"stuby": 1}, "stuby: unknown key; did you mean `study`?"),
        ({"seeds": []}, "seeds: must not be empty"),
        ({"seeds": [-1]}, "seeds[0]: input should be greater than or equal to 0, but got -1"),
        ({"seeds": [True]}, "seeds[0]: input should be a valid integer"),
        ({"seeds": [1.5]}, "seeds[0]: input should be a valid integer"),
        ({"study": "../elsewhere"}, "study: string should match pattern"),
        ({"lambdas": [{"range": [1, 0.1]}]}, "lambdas[0]: range must rise"),
        ({"lambdas": [{"range": [1, 2], "value": 3}]}, "lambdas[0]: give either"),
        (
            {"lambdas": [{"value": 1}, {"similarity": "mse", "value": 2}]},
            "lambdas[1]: is never used: lambdas[0]",
        ),
        ({"lambdas": [{"similarity": "mse", "value": 1}] * 2 + [{"value": 1}]}, "lambdas[1]: is never used"),
        ({"seeds": [2**32]}, "seeds[0]: input should be less than 4294967296"),
        ({"lambdas": [{"value": -0.5}]}, "lambdas[0].value: input should be greater than 0, but got -0.5"),
        (
            {"lambdas": [{"similarity": "lc", "value": 1}]},
            "lambdas[0].similarity: `lc` is not in grid.similarities; did you",
        ),
        ({"models": [{"name": "voxelmorf"}]}, "models[0].name: `voxelmorf` is unknown; did you mean `voxelmorph`?"),
        ({"models": ["voxelmorph", "voxelmorph"]}, "models: 'voxelmorph' is given twice"),
        (
            {"models": [{"name": "voxelmorph", "parameters": {"flow": "third"}}]},
            "models[0].parameters.flow: `voxelmorph`",
        ),
        ({"training": {"steps": 5, "learning_rate": float("inf")}}, "training.learning_rate"),
        (
            {"models": [{"name": "voxelmorph", "refine": {"steps": 0}}]},
            "models[0].refine.steps: input should be greater",
        ),
        (
            {"models": [{"name": "voxelmorph", "refine": {"steps": -5}}]},
            "models[0].refine.steps: input should be greater",
        ),
        ({"models": [{"name": "voxelmorph", "refine": {}}]}, "models[0].refine.steps: is required"),
        (
            {"models": [{"name": "voxelmorph", "refine": {"steps": 5, "learning_rate": 0}}]},
            "models[0].refine.learning_rate: input should be greater than 0",
        ),
        ({"models": [{"name": "instance", "refine": {"steps": 5}}]}, "models[0].refine: `instance` has no network"),
        ({"models": [{"name": "affine", "refine": {"steps": 5}}]}, "models[0].refine: `affine` gives a matrix"),
        (
            {
                "models": [
                    {"name": "voxelmorph", "refine": {"steps": 5}},
                    {"name": "lkunet", "id": "voxelmorph_refined"},
                ]
            },
            "models[1]: the refined rows of a model have the id `voxelmorph_refined`; choose another",
        ),
        ({"baselines": [{"name": "sitk_demons", "refine": {"steps": 5}}]}, "baselines[0].refine: unknown key"),
        ({"refine": {"steps": 5}}, "refine: unknown key"),
        ({"tracking": {"uri": 5}}, "tracking.uri: input should be a valid string, but got 5"),
        ({"datasets": "brains"}, "datasets:"),
        ({"curve": {"points": 3, "levels": [0.1, -1]}}, "curve.levels[1]: input should be greater than 0, but got -1"),
    ],
)
def test_one_mistake(tiny, change, expected):
    assert expected in message({**tiny, **change})


def test_numbers_without_a_dot_are_numbers(tiny):
    text = yaml.safe_dump(tiny).replace("batch: 2", "batch: 2\n  learning_rate: 1e-3")
    assert load(yaml.safe_load(text)).training.learning_rate == 1e-3


def test_a_config_is_frozen(tiny):
    config = load(tiny)
    with pytest.raises(ValueError, match="frozen"):
        config.study = "other"
    with pytest.raises(TypeError):
        config.seeds[0] = 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "key `a` is given twice"),
        ("a: [1\n", "must be YAML"),
        ("- 1\n", "must be a mapping"),
        ("", "mapping"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, expected):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UsageError, match=rf"bad\.yaml.*{expected}"):
        read_yaml(tmp_path / "bad.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.yaml.*readable"):
        read_yaml(tmp_path / "none.yaml")


def test_the_schema_is_in_step():
    stored = json.loads((ROOT / "workflow" / "config.schema.json").read_text())
    assert stored == json.loads(json.dumps(json_schema())), "run `make schema`"


def test_the_schema_knows_every_key():
    def keys(schema):
        return set(schema.get("properties", {}))

    assert keys(json_schema()) == set(Config.model_fields) | set(SHORT)


@pytest.mark.parametrize(
    ("place", "name", "parameters", "expected"),
    [
        ("similarities", "lcc", {"window": 8}, ".parameters.window: `lcc`: window must be odd"),
        ("similarities", "lcc", {"window": [9, 9, 9]}, None),  # of a volume
        ("similarities", "lcc", {"window": 301}, None),  # of an image larger than any sample
        (
            "similarities",
            "mi",
            {"sigma": 0.01, "bins": 16},
            ".parameters.sigma: `mi`: bins must be from 2 to 1024, sigma",
        ),
        ("similarities", "mind", {"dilation": 0}, ".parameters.dilation: `mind`"),
        ("regularizers", "bending", {"spacing": [1.0, 0.0]}, ".parameters.spacing: `bending`: spacing must be"),
        ("regularizers", "grad_l2", {"spacing": [1.0, 1.0, 2.5]}, None),
        ("models", "instance", {"shrink": [4, 2], "steps": [9]}, ".parameters.shrink: `instance`: shrink and steps"),
        ("models", "voxelmorph", {"encoder": []}, ".parameters.encoder: `voxelmorph`"),
    ],
)
def test_what_a_component_would_refuse_is_a_mistake(tiny, place, name, parameters, expected):
    """Else the study starts, and its jobs fail one by one."""
    entry = [{"name": name, "parameters": parameters}]
    if place == "models":
        tiny["models"] = entry
    else:
        tiny["grid"][place] = entry
    if expected is None:
        load(tiny, check_component)
    else:
        assert expected in message(tiny)


def test_a_function_of_the_user_is_not_called(tiny, tmp_path, monkeypatch):
    """It may take long, or want what a sample does not have. That it stands in his config is leave to import it."""
    (tmp_path / "my_losses.py").write_text("def mine(fixed, moved, /, *, power=2):\n    raise SystemError\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(components, "_allowed", set())
    entry = {"name": "my_losses:mine", "parameters": {"power": 3}}
    assert check_component("similarity", **{"name": entry["name"], "given": entry["parameters"]})
    tiny["grid"]["similarities"] = [entry]
    assert load(tiny, trusted=False).grid.similarities[0].name == "my_losses:mine"
    assert "my_losses" not in sys.modules
    load(tiny, check_component)
    entry["parameters"] = {"powr": 3}
    assert "`my_losses:mine` has no parameter `powr`; did you mean `power`?" in message(tiny)


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ({"dice": -0.005}, "equivalence.dice: input should be greater than 0"),
        ({"dice": 0}, "equivalence.dice: input should be greater than 0"),
        ({"dise": 0.005}, "equivalence.dise: no verdict is given on `dise`; did you mean `dice`?"),
        ({"inference_seconds": 0.1}, "equivalence.inference_seconds: no verdict is given"),
        ({"dice": 1.0}, "must be less than the whole range of dice, 1"),
        ({"fold_central_percent": 100.0}, "must be less than the whole range of fold_central_percent, 100"),
        ({"dice": "wide"}, "equivalence.dice"),
        (0.005, "equivalence"),
    ],
)
def test_regions_of_equivalence_must_make_sense(tiny, regions, words):
    assert words in message({**tiny, "equivalence": regions})


def test_regions_of_equivalence_may_be_of_any_metric_that_is_compared(tiny):
    regions = {"dice": 0.005, "hd95_mm": 1000.0, "sdlogj": 2.0, "ndv_percent": 0.1}
    assert load({**tiny, "equivalence": regions}, check_component).equivalence == regions


@pytest.mark.parametrize(
    ("tuning", "words"),
    [
        ({"trials": 6, "round_size": 3, "repeats": 3}, "repeats must be fewer than round_size"),
        ({"trials": 3, "round_size": 3, "repeats": 1}, "repeats need a second round"),
        ({"trials": 6, "round_size": 3, "repeats": -1}, "tuning.repeats"),
    ],
)
def test_repeats_need_room(tiny, tuning, words):
    assert words in message({**tiny, "tuning": {**tiny["tuning"], **tuning}})
