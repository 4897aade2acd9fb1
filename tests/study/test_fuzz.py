"""Configs drawn from the typed config: each passes `check` and then `prepare`, or is refused with a key.

Nothing else ever leaves them: no traceback, no refusal without a key. `make fuzz` runs the same with more examples.
"""

import copy
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from data_files import folder_of
from fuzzing import FUZZ
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter
from tiny_study import TINY

from regbench.cli.main import main
from regbench.data import DATASETS
from regbench.data.preprocessing.preprocess import preprocess
from regbench.losses import AFFINE_REGULARIZERS, REGULARIZERS, SIMILARITIES
from regbench.models import AFFINE_MODELS, MODELS
from regbench.study.components import parameters
from regbench.study.load import json_schema
from regbench.system.files import read_json

# Of one mistake: a key of the config, then what is wrong with it; or the file, dataset, study or subject by name.
NAMED = re.compile(r"^  [A-Za-z(0-9_'-][^:]*: ", re.MULTILINE)
ELSEWHERE = re.compile(r"regbench: (config|dataset|study|subject|preprocessing|`)")
ODD = st.sampled_from(
    [None, True, False, 0, -1, 1, 2, 3, 5, 9, 33, 0.0, 0.2, 0.5, 0.9, 1.5, -0.5, 1e-300, 1e300, float("inf"),
     float("nan"), "", "1e-3", "0,5", "no", "rest", "given", "*", "x", "lcc", "../x", "a b", [], [1], [0.1, 0.2], {},
     {"a": 1}, [[1, 2], [3]], "\u00e9", "\n", "half", "full", [3, 3], [2, 4, 8]]
)  # fmt: skip


def of_schema(schema: dict, definitions: dict) -> st.SearchStrategy:
    """Values that a part of the schema allows, small ones; odd ones where it allows anything."""
    if "$ref" in schema:
        return of_schema(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    parts = schema.get("anyOf", schema.get("oneOf"))
    if parts:
        return st.one_of(*(of_schema(part, definitions) for part in parts))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    return _of_object(schema, definitions) if kind in ("object", "array") else _of_scalar(schema)


def _of_object(schema: dict, definitions: dict) -> st.SearchStrategy:
    if "properties" in schema:
        known = {name: of_schema(part, definitions) for name, part in schema["properties"].items()}
        needed = {name: known.pop(name) for name in schema.get("required", ())}
        return st.fixed_dictionaries(needed, optional=known)
    if "prefixItems" in schema:
        return st.tuples(*(of_schema(part, definitions) for part in schema["prefixItems"])).map(list)
    return st.lists(of_schema(schema["items"], definitions), max_size=2) if schema.get("items") else ODD


def _of_scalar(schema: dict) -> st.SearchStrategy:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    simple = {
        "integer": st.integers(int(least), int(min(schema.get("maximum", 6), 6))),
        "number": st.floats(0.01, 0.9),
        "boolean": st.booleans(),
        "null": st.none(),
        "string": st.sampled_from(["tiny", "lcc", "mse", "grad_l2", "*"]),
    }
    return simple.get(schema.get("type"), ODD)


LARGE = {"integer": st.integers(-1, 40), "number": st.floats(-1, 1e3)}
SCHEMA = json_schema()
REGISTRIES = {
    ("grid", "similarities"): SIMILARITIES,
    ("grid", "regularizers"): {**REGULARIZERS, **AFFINE_REGULARIZERS},
    ("models",): {**MODELS, **AFFINE_MODELS},
}


def component(registry) -> st.SearchStrategy:
    """A component with some of its own parameters: values that their types allow, of any size, and odd ones."""
    return st.sampled_from(sorted(registry)).flatmap(lambda name: _with_parameters(name, registry[name]))


def _with_parameters(name: str, function) -> st.SearchStrategy:
    fitting = {}
    for key, parameter in parameters(function).items():
        schema = TypeAdapter(parameter.annotation, config=ConfigDict(arbitrary_types_allowed=True)).json_schema()
        fitting[key] = of_schema(schema, schema.get("$defs", {})) | LARGE.get(schema.get("type"), st.nothing())
    one_odd = st.dictionaries(st.sampled_from([*fitting, "unknown"]), ODD, max_size=1)
    given = st.fixed_dictionaries({}, optional=fitting)
    return st.fixed_dictionaries({"name": st.just(name), "parameters": given | one_odd})


def changes() -> st.SearchStrategy:
    """(path, value) of one change to a sound config."""
    sections = {
        (name,): of_schema(part, SCHEMA["$defs"]) for name, part in SCHEMA["properties"].items()
        if name not in ("results", "study", "datasets", "models", "grid", "tracking")
    }  # fmt: skip
    of_sections = {
        (name, key): of_schema(part, SCHEMA["$defs"]) | ODD
        for name, model in (("training", "Training"), ("tuning", "Tuning"))
        for key, part in SCHEMA["$defs"][model]["properties"].items()
    }
    components = {path: st.lists(component(registry), min_size=1, max_size=2) for path, registry in REGISTRIES.items()}
    split = st.dictionaries(st.sampled_from(["train", "validation", "test", "seed", "folds", "fold", "x"]), ODD)
    own = st.sampled_from([*parameters(DATASETS["mni152"]), "unknown"])
    data = {
        ("datasets", 0, "splits"): split,
        ("datasets", 0, "parameters"): st.dictionaries(own, ODD, max_size=2).map(
            lambda given: {**TINY["datasets"][0]["parameters"], **given}
        ),
        ("datasets", 0, "pairs"): st.dictionaries(st.sampled_from(["validation", "test", "train"]), ODD, max_size=2),
        ("datasets", 0, "preprocessing"): st.dictionaries(st.sampled_from(["shape", "labels", "x"]), ODD, max_size=1),
        ("study",): ODD,
        ("unknown",): ODD,
    }
    groups = (sections, of_sections, components, components, data)  # a component's own numbers are most of a config
    return st.one_of(
        *(
            st.sampled_from(sorted(group, key=str)).flatmap(
                lambda path, group=group: st.tuples(st.just(path), group[path])
            )
            for group in groups
        )
    )


def with_changes(changed, results: str) -> dict:
    raw = {**copy.deepcopy(TINY), "results": results, "tracking": {"enabled": False}}
    raw["training"]["device"] = "cpu"
    for path, value in changed:
        place = raw
        for part in path[:-1]:
            place = place[part] if isinstance(place, list) else place.setdefault(part, {})
            if not isinstance(place, dict | list):
                break
        else:
            if isinstance(place, dict):
                place[path[-1]] = value
    return raw


def outcome(capsys, *words: str) -> tuple[int, str]:
    """Exit status and words of a verb; an exception that is no exit goes on, and fails the test."""
    try:
        main(list(words))
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().err
    return 0, capsys.readouterr().err


@FUZZ
@given(changed=st.lists(changes(), max_size=3))
def test_a_config_is_prepared_or_refused_with_a_key(capsys, changed):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(with_changes(changed, f"{folder}/results")))
        status, said = outcome(capsys, "check", str(path))
        if not status:
            status, said = outcome(capsys, "prepare", str(path))
        assert status in (0, 1, 2)
        assert not status or NAMED.search(said) or ELSEWHERE.search(said), said


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of six small images with labels, of which preprocessing makes a grid."""
    return folder_of(tmp_path_factory.mktemp("pictures") / "data", shape=(24, 20))


def preprocessing() -> st.SearchStrategy:
    """Some of its settings: values that their types allow, of any size, and odd ones."""
    fitting = {}
    for key, parameter in parameters(preprocess).items():
        schema = TypeAdapter(parameter.annotation, config=ConfigDict(arbitrary_types_allowed=True)).json_schema()
        fitting[key] = of_schema(schema, schema.get("$defs", {})) | HUGE
    one = st.sampled_from([*fitting, "unknown"]).flatmap(
        lambda key: st.fixed_dictionaries({key: fitting.get(key, ODD) | LARGE["integer"] | LARGE["number"] | ODD})
    )
    return one | st.tuples(one, one).map(lambda two: {**two[0], **two[1]})


HUGE = st.sampled_from(
    [2.0, 24, 0.001, 500.0, 1e-320, 1e308, 10**6, 2**62, [32, 32], [2, 2], [1, 1], [10**6, 10**6], [2**62, 2**62],
     [1.0, 1e-9], [1.0, 500.0], {"1": "a", "2": "a"}, {"1": "a"}, {"9" * 5000: "a"}, {"1": [2]}, {"9" * 5000: [1]},
     {"2": [1, 1]}, {"0": [1]}, [1, 2], [3], "RAS", "LIA", "keep", "window", "zscore", "none", "foreground", "zero",
     "drop",
     "error", "s1", [99.0, 99.0001], [-1e300, 1e300]]
)  # fmt: skip


@FUZZ
@given(settings=preprocessing(), small=st.booleans())
def test_preprocessing_is_done_or_refused_with_a_key(capsys, pictures, settings, small):
    with TemporaryDirectory() as folder:
        raw = with_changes([], f"{folder}/results")
        split = {"train": 2, "validation": 2, "test": 2}
        raw["datasets"] = [{"id": "d", "source": "folder", "parameters": {"path": str(pictures)}, "splits": split}]
        raw["datasets"][0]["preprocessing"] = {**({"multiple_of": 8} if small else {}), **settings}
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(raw))
        status, said = outcome(capsys, "check", str(path))
        if not status:
            status, said = outcome(capsys, "prepare", str(path))
        assert status in (0, 1, 2)
        assert not status or NAMED.search(said) or ELSEWHERE.search(said), said
        settings = raw["datasets"][0]["preprocessing"]
        if not status and not {"shape", "spacing_mm"} & {key for key in settings if settings[key] is not None}:
            shape = sorted(read_json(Path(folder) / "results/tiny/data/d/manifest.json")["shape"])
            assert [side % settings.get("multiple_of", 16) for side in shape] == [0, 0]
            assert shape[0] >= 20
            assert shape[1] >= 24


TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "2024-05-01",
        "2024-13-45",
        "1:30",
        "012",
        "no",
        "~",
        "!!set {a}",
        "!!binary YQ==",
        "&a [*a]",
        "*b",
        "<<: 3",
        "- 1",
    ]
)


@FUZZ
@given(
    key=st.sampled_from(["study", "description", "seeds", "on", "? [1]", "training", "lambdas"]),
    value=TEXT,
    cut=st.none() | st.integers(0, 900),
)
def test_text_is_a_study_or_refused(capsys, key, value, cut):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        raw = {name: part for name, part in {**TINY, "results": f"{folder}/results"}.items() if name != key}
        path.write_text(
            (yaml.safe_dump(raw, sort_keys=False) + f"{key}: {value}\n")[:cut], encoding="utf-8", newline=""
        )
        status, said = outcome(capsys, "check", str(path))
        assert status in (0, 1, 2)
        assert not status or NAMED.search(said) or ELSEWHERE.search(said), said


def test_the_sound_config_is_prepared(capsys, tmp_path):
    """Else the fuzzing would fuzz nothing."""
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(with_changes([], str(tmp_path / "results"))))
    assert outcome(capsys, "check", str(path))[0] == 0
    assert outcome(capsys, "prepare", str(path))[0] == 0
    assert pytest.importorskip("numpy").load(tmp_path / "results/tiny/data/brains/images.npy").shape == (8, 32, 32)
