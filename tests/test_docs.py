"""Python on the pages runs, the table of stable names holds, docstrings have examples."""

import doctest
import importlib
import re

import pytest
from doc_blocks import blocks
from tiny_study import ROOT

PACKAGES = ("regbench.losses", "regbench.metrics", "regbench.spatial", "regbench.statistics")
RUN = {"docs/faq.md": 2, "docs/library.md": 2, "README.md": 1}  # pages with Python, and the least blocks of it


@pytest.mark.parametrize("name", RUN)
def test_python_blocks_run_in_their_order(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    ran = 0
    for block in blocks(ROOT / name, "python"):
        if not block.text.startswith("# needs: "):
            exec(compile(block.text, name, "exec"), names)
            ran += 1
    assert ran >= RUN[name]


@pytest.mark.parametrize("package", PACKAGES)
def test_stable_names_are_those_of_the_package(package):
    """A name that leaves, or comes, has to be said on the page."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{re.escape(package)}` \| (.*) \|$", page, re.M)
    module = importlib.import_module(package)
    assert set(re.findall(r"`(\w+)`", row)) == set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


EXAMPLES = ("losses.lcc", "losses.mse", "losses.grad", "metrics.overlap", "metrics.digital", "spatial.displacement")


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_in_docstrings_hold(module):
    done = doctest.testmod(importlib.import_module(f"regbench.{module}"))
    assert done.attempted
    assert not done.failed
