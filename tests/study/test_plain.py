"""What YAML makes of a word, named with its key and what to do; never a traceback."""

import copy

import pytest
import yaml
from tiny_study import TINY

from regbench.orchestration.registries import check_component
from regbench.study.load import load
from regbench.study.yaml_file import read_yaml
from regbench.system.errors import UsageError

BASE = yaml.safe_dump(TINY, sort_keys=False)


def message(path, text, encoding="utf-8"):
    """What is said of a config file."""
    path.write_bytes(text.encode(encoding))
    with pytest.raises(UsageError) as caught:
        load(read_yaml(path), check_component, where=str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2024-05-01", "study: must be text or a number, but YAML reads 2024-05-01 as a date; put it in quotes"),
        ("2024-05-01 10:00:00", "as a date"),
        ("2024-13-45", "line 1, column 8"),
        ("no", "got False (YAML reads off, no and false"),
        ("1:30", "got 90 (YAML reads a number, of 1:30"),
        ("0123", "got 83"),
        ("!!set {a, b}", "as a value of the type set"),
        ("!!binary aGVsbG8=", "as a value of the type bytes"),
        ("&a [*a]", "nor contain itself"),
        (".nan", "must be a finite number"),
    ],
)
def test_the_name_of_a_study_names_its_key(tmp_path, value, words):
    said = message(tmp_path / "a.yaml", BASE.replace("study: tiny", f"study: {value}"))
    assert words in said
    assert "study: " in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("- lcc", "- {name: lcc, parameters: {eps: 1e-5}}", "parameters.eps: `lcc`: `eps` got '1e-5'"),
        ("- lcc", "- {name: lcc, parameters: {eps: 1e-5}}", "write 1.0e-05 without quotes"),
        ("- lcc", "- {name: lcc, parameters: {eps: '0,1'}}", "write 0.1 without quotes"),
        ("steps: 3", "steps: 1e3", "tuning.steps: input should be a valid integer, but got '1e3'"),
        ("steps: 3", "steps: 1e3", "write 1000 without quotes"),
        ("- lcc", "- no", "got False (YAML reads off, no and false"),
    ],
)
def test_values_that_yaml_reads_otherwise(tmp_path, old, new, words):
    assert words in message(tmp_path / "a.yaml", BASE.replace(old, new))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("on: 3", "True: the key must be text"),
        ("2024-05-01: 3", "2024-05-01: the key must be text"),
        ("? [1, 2]\n: 3", "a key must be one word or number, but is a list"),
        ("\tx: 3", "Indent with spaces"),
        ("a: " + "[" * 3000, "nested deeper than 32"),
        ("1: 2\n'1': 3", "given twice, once as text"),
    ],
)
def test_keys_and_forms(tmp_path, line, words):
    assert words in message(tmp_path / "a.yaml", f"{BASE}{line}\n")


def test_encodings(tmp_path):
    path = tmp_path / "a.yaml"
    assert "must be text in UTF-8" in message(path, BASE + "description: J\xfcrgen", "latin-1")
    assert "must be text in UTF-8" in message(path, BASE, "utf-16")
    assert "is empty" in message(path, "")
    path.write_text("\ufeff" + BASE, encoding="utf-8")
    assert load(read_yaml(path), check_component).study == "tiny"


def test_a_number_that_the_message_proposes_is_one():
    from regbench.study.components import as_yaml_reads

    for text in ("1e-5", "1e5", "0,25", "1.5e-7", "3", "1e300", "-2e-3"):
        proposed = as_yaml_reads(text, "a valid number").partition("write ")[2].split()[0]
        assert float(yaml.safe_load(proposed)) == float(text.replace(",", "."))
        assert not isinstance(yaml.safe_load(proposed), str)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("training",), {"steps": 2, "device": "cpu", "deterministic": False}, "`deterministic: false` has no effect"),
        (("training",), {"steps": 2, "device": "cpu", "graph": True}, "`graph: true` has no effect with `device: cpu`"),
        (("training",), {"steps": 2, "graph": True, "compile": True}, "cannot be had with `compile: true`"),
        (("training",), {"steps": 2, "graph": True, "precision": "fp16"}, "had with `precision: fp16`"),
        (("training", "atlas_is"), "fixed", "training: atlas_is has no effect without `atlas`"),
        (("tuning", "prune_at"), [0.3], "tuning: prune_at has no effect without a pruner"),
        (("datasets", 0, "preprocessing"), {"window": [0, 100]}, "window: has no effect with `intensity: per"),
        (("datasets", 0, "preprocessing"), {"intensity": "window"}, "preprocessing.window: `intensity: window` needs"),
        (("datasets", 0, "preprocessing"), {"intensity": "none", "percentiles": [1, 99]}, "percentiles: has no"),
        (("datasets", 0, "preprocessing"), {"align_to": "s0"}, "preprocessing.align_to: has no effect without `align:"),
        (("datasets", 0, "preprocessing"), {"shape": [32, 32], "multiple_of": 8}, "multiple_of: has no"),
    ],
)  # fmt: skip
def test_an_option_without_effect_is_a_mistake(tmp_path, path, value, words):
    raw = copy.deepcopy(TINY)
    raw["datasets"][0] |= {"source": "folder", "parameters": {"path": "x"}}
    place = raw
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert words in message(tmp_path / "a.yaml", yaml.safe_dump(raw))


def test_a_number_that_is_none_is_one_mistake(tmp_path):
    said = message(tmp_path / "a.yaml", BASE.replace("- 0.01", "- .nan"))
    assert "has 1 mistake;" in said
