"""Python on the pages and in the notebook runs, the table of stable names holds, docstrings have examples."""

import doctest
import importlib
import inspect
import json
import re

import matplotlib.pyplot as plt
import pytest
from doc_blocks import blocks
from tiny_study import ROOT

PACKAGES = ("regbench.losses", "regbench.metrics", "regbench.spatial", "regbench.statistics")
RUN = ("README", "docs/faq", "docs/losses")
NOTEBOOK = ROOT / "docs" / "library.ipynb"


@pytest.mark.parametrize("name", RUN)
def test_python_blocks_run_in_their_order(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    page = blocks(ROOT / f"{name}.md", "python")
    assert page
    for block in page:
        exec(compile(block.text, name, "exec"), names)


def test_cells_of_the_notebook_run_in_their_order(monkeypatch):
    """Without a kernel; `make docs` executes it in one, and shows what it prints and draws."""
    monkeypatch.chdir(NOTEBOOK.parent)
    plt.switch_backend("agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert len(plt.get_fignums()) == 2
    plt.close("all")
    assert not any(cell.get("outputs") for cell in cells), "the site shows what a run gives: commit it without outputs"


@pytest.mark.parametrize("package", PACKAGES)
def test_stable_names_are_those_of_the_package(package):
    """A name that leaves, or comes, has to be said on the page."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{re.escape(package)}` \| (.*) \|$", page, re.M)
    module = importlib.import_module(package)
    assert set(re.findall(r"`(\w+)`", row)) == set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def public():
    """Every function of the stable names, and of the mappings among them."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            found = value.values() if package == "regbench.losses" and isinstance(value, dict) else [value]
            yield from (one for one in found if inspect.isfunction(one))


def test_every_public_function_has_an_example():
    without = {f"{one.__module__}.{one.__name__}" for one in public() if ">>>" not in (one.__doc__ or "")}
    assert without == {"regbench.losses.features.features"}  # which takes an encoder: docs/losses.md has its config


def test_examples_hold():
    modules = sorted({one.__module__ for one in public()})
    done = [doctest.testmod(importlib.import_module(name)) for name in modules]
    assert not any(one.failed for one in done)
    assert sum(one.attempted for one in done) > 250
