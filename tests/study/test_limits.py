"""What no study needs is refused by its key before it costs time or memory."""

import time

import pytest
import yaml
from tiny_study import TINY

from regbench.orchestration.registries import check_component
from regbench.study.load import load
from regbench.study.yaml_file import MOST_VALUES, read_yaml
from regbench.system.errors import UsageError

BASE = yaml.safe_dump(TINY, sort_keys=False)
BILLION = {
    "lists": "[{}]".format(", ".join(["*a{}"] * 10)),
    "mappings": "{{{{{}}}}}".format(", ".join(f"k{n}: *a{{}}" for n in range(10))),
}


def refused(path, text):
    """What is said of a config, which must not take long."""
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(UsageError) as caught:
        load(read_yaml(path), check_component, where=str(path))
    assert time.process_time() - began < 2
    assert len(str(caught.value)) < 3000
    return str(caught.value)


def laughs(form):
    lines = ["a0: &a0 [x]" if form == "lists" else "a0: &a0 {k: x}"]
    for n in range(1, 12):
        entries = ", ".join(f"*a{n - 1}" if form == "lists" else f"k{k}: *a{n - 1}" for k in range(10))
        lines.append(f"a{n}: &a{n} " + (f"[{entries}]" if form == "lists" else f"{{{entries}}}"))
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["lists", "mappings"])
def test_aliases_that_grow_are_refused_while_they_are_read(tmp_path, form):
    said = refused(tmp_path / "a.yaml", f"{laughs(form)}\n{BASE}")
    assert "each alias counted as all that it stands for" in said
    assert "line 5" in said


@pytest.mark.parametrize("form", ["lists", "mappings"])
def test_aliases_that_came_through_another_reader_are_refused_too(form):
    """Of Snakemake, which reads the file by itself."""
    raw = yaml.safe_load(f"{laughs(form)}\n{BASE}")
    with pytest.raises(UsageError, match=f"at most {MOST_VALUES} values.* at `a[3-9]` there are more"):
        load(raw, check_component)


def test_a_few_aliases_are_no_harm(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(BASE.replace("seeds:", "seeds: &s").replace("study:", "study:") + "")
    assert load(read_yaml(path), check_component).seeds == tuple(TINY["seeds"])


@pytest.mark.parametrize(
    "value",
    ["[" * 3000, "{a: " * 3000, "\n" + "".join(" " * n + "- \n" for n in range(1, 500)), "&a [*a, *a]", "&a {b: *a}"],
)
def test_depth_is_limited(tmp_path, value):
    said = refused(tmp_path / "a.yaml", f"{BASE}unknown: {value}\n")
    assert "nested deeper than 32" in said or "nor contain itself" in said


@pytest.mark.parametrize("content", ["x" * 2**21, "- 1\n" * 2**19])
def test_the_size_of_a_file_is_limited(tmp_path, content):
    assert "must have at most 1048576 bytes" in refused(tmp_path / "a.yaml", content)


def test_a_device_without_an_end_is_no_config():
    from pathlib import Path

    with pytest.raises(UsageError, match="must have at most"):
        read_yaml(Path("/dev/zero"))


def test_many_values_are_limited(tmp_path):
    assert f"more than {MOST_VALUES} values" in refused(tmp_path / "a.yaml", f"unknown: [{'1,' * 2 * MOST_VALUES}]")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("seeds",), [10**30], "seeds[0]: must be a whole number of at most 64 bits"),
        (("seeds",), [2**63], "seeds[0]: must be a whole number of at most 64 bits"),
        (("seeds",), list(range(3000)), "seeds: must have at most 1000 entries, but has 3000"),
        (("tuning", "seed"), 10**30, "tuning.seed: must be a whole number of at most 64 bits"),
        (("datasets", 0, "splits", "seed"), 10**30, "datasets[0].splits.seed: must be a whole number"),
        (("datasets", 0, "parameters", "seed"), 10**30, "datasets[0].parameters.seed: must be a whole number"),
        (("datasets", 0, "pairs"), {"test": 10**15}, "datasets[0].pairs.test: input should be less than"),
        (
            ("datasets", 0, "splits"),
            {"folds": 10**12, "fold": 1},
            "datasets[0].splits.folds: input should be less than or equal to 10000",
        ),
        (("tuning", "trials"), 10**9, "tuning.trials: input should be less than or equal to 10000, but got 1000000000"),
        (("tuning", "round_size"), 10**9, "tuning.round_size: input should be less than"),
        (("tuning", "trials_per_job"), 10**9, "tuning.trials_per_job: input should be less than"),
        (("tuning", "replicates"), 10**9, "tuning.replicates: input should be less than"),
        (("tuning", "steps"), 10**18, "tuning.steps: input should be less than"),
        (("training", "steps"), 10**18, "training.steps: input should be less than or equal to 100000000"),
        (("training", "steps"), 10**40, "training.steps: must be a whole number of at most 64 bits"),
        (("training", "batch"), 10**9, "training.batch: input should be less than"),
        (("training", "validate_every"), 10**18, "training.validate_every: input should be less than"),
        (("training", "learning_rate"), 1e300, "training.learning_rate: must be 0, or from 1e-30 to 1e+30"),
        (("training", "learning_rate"), "1e400", "training.learning_rate"),
        (("training", "dice_weight"), 1e-300, "training.dice_weight: must be 0, or from 1e-30 to 1e+30"),
        (("lambdas",), [{"range": [1e-300, 1]}], "lambdas[0].range[0]: must be 0, or from 1e-30"),
        (("lambdas",), [{"value": 1e300}], "lambdas[0].value: must be 0, or from 1e-30"),
        (("lambdas",), [{"value": 1.0}] * 2000, "lambdas: must have at most 1000 entries"),
        (("grid", "similarities"), [f"x{n}" for n in range(3000)], "grid.similarities: must have at most 1000 entries"),
        (("grid", "similarities"), [{"name": "mi", "parameters": {"bins": 10**7}}], "bins must be from 2 to 1024"),
        (("models",), [f"x{n}" for n in range(3000)], "models: must have at most 1000 entries"),
        (
            ("models",),
            [{"name": "voxelmorph", "parameters": {"encoder": [50000, 50000], "decoder": [8, 8]}}],
            "must have at most 536870912 weights, but has",
        ),
        (
            ("datasets", 0, "parameters", "subjects"),
            10**12,
            "datasets[0].parameters.subjects: mni152: `subjects` must be",
        ),
        (
            ("datasets", 0, "parameters", "shape"),
            [10**6] * 2,
            "datasets[0].parameters.shape: mni152: `shape` must have",
        ),
        (("datasets", 0, "parameters", "spacing_mm"), 1e-9, "datasets[0].parameters.spacing_mm: mni152"),
        (("datasets", 0, "parameters", "coarse_mm"), 1e300, "datasets[0].parameters.coarse_mm: mni152"),
        (("datasets", 0, "parameters", "seed"), -1, "datasets[0].parameters.seed: mni152"),
        (("study",), "m" * 300, "study: string should have at most 64 characters"),
        (("description",), "m" * 10**6, "description: string should have at most 100000 characters"),
        (("tracking",), {"uri": "gopher://x/y"}, "tracking.uri: must begin with one of http://"),
        (("tracking",), {"uri": "htp://x:5000"}, "tracking.uri: must begin with one of http://"),
        (("tracking",), {"uri": "sqlite:/x"}, "tracking.uri: must begin with one of http://"),
        (("tracking",), {"uri": "http://x:99999999"}, "tracking.uri: must name a host, and a port from 1 to 65535"),
        (("tracking",), {"uri": "http://"}, "tracking.uri: must name a host"),
        (("tracking",), {"uri": ""}, "tracking.uri"),
    ],
)
def test_numbers_and_lists_are_limited(tmp_path, tiny, path, value, words):
    place = tiny
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert words in refused(tmp_path / "a.yaml", yaml.safe_dump(tiny))


@pytest.mark.parametrize("digits", ["9" * 5000, "0x" + "f" * 5000, ":".join(["1"] * 3000)])
def test_numbers_of_many_letters_are_refused_unread(tmp_path, digits):
    said = refused(tmp_path / "a.yaml", f"{BASE}unknown: {digits}\n")
    assert "a number of" in said
    assert "more than 64" in said


def test_the_product_of_a_grid_is_limited(tmp_path, tiny):
    parts = {"similarities": "mse", "regularizers": "grad_l2"}
    tiny["grid"] = {kind: [{"name": name, "id": f"p{n}"} for n in range(300)] for kind, name in parts.items()}
    tiny["lambdas"] = [{"value": 1.0}]
    said = refused(tmp_path / "a.yaml", yaml.safe_dump(tiny))
    assert "must have at most 100000 runs (datasets x methods x seeds), but has" in said


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:5000", "https://user:p@ss@lab.org/x", "sqlite:////tmp/a.db", "postgresql+psycopg2://u:p@h/db",
     "file:///tmp/x", "mlruns", "./mlruns", "/tmp/mlruns", "databricks", "databricks://profile"],
)  # fmt: skip
def test_uris_that_mlflow_knows_are_taken(tiny, uri):
    tiny["tracking"] = {"uri": uri}
    assert load(tiny).tracking.uri == uri
