"""Blocks of the pages: Python of the FAQ and of the library runs, YAML is YAML, verbs and options exist."""

import doctest
import importlib
import json
import re
import shlex

import pytest
import typer
import yaml
from tiny_study import ROOT

from regbench.cli.main import app

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("regbench.losses", "regbench.metrics", "regbench.spatial", "regbench.statistics")
SCHEMA = ROOT / "workflow" / "config.schema.json"
RUN = {"faq": 2, "library": 2, "README": 1}  # pages with Python, and the least blocks of it


def blocks(page, language):
    """The blocks of a language; of "" those without one."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^ *```([^\n`]*)\n(.*?)^ *```", text, re.S | re.M)
    return [body for name, body in found if name == language]


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in RUN], ids=lambda page: page.stem)
def test_python_blocks_run_in_their_order(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    ran = 0
    for block in blocks(page, "python"):
        if not block.startswith("# needs: "):
            exec(compile(block, page.name, "exec"), names)
            ran += 1
    assert ran >= RUN[page.stem]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_yaml_blocks_are_yaml(page):
    for block in blocks(page, "yaml"):
        assert isinstance(yaml.safe_load(block), dict | list), block


def test_the_tutorial_has_keys_of_a_study():
    (block,) = blocks(ROOT / "docs" / "tutorial.md", "yaml")
    assert set(yaml.safe_load(block)) <= set(json.loads(SCHEMA.read_text())["properties"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_verbs_and_options_in_shell_blocks_exist(page):
    verbs = typer.main.get_command(app()).commands
    for block in blocks(page, ""):
        for line in block.splitlines():
            words = shlex.split(line, comments=True) if line.strip().startswith("regbench ") else []
            if len(words) < 2 or words[1].startswith("-"):
                continue
            assert words[1] in verbs, line
            own = words[2 : words.index("--")] if "--" in words else words[2:]
            known = {
                option
                for parameter in verbs[words[1]].params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            passes_on = verbs[words[1]].context_settings.get("ignore_unknown_options", False)
            given = {word.split("=")[0] for word in own if re.match(r"--[a-z]", word)}
            assert passes_on or given <= known | {"--help"}, line


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
