"""Each YAML block of the pages loads as a study, each command of their shell blocks could be typed."""

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from doc_blocks import PAGES, Block, blocks, commands, fault, fault_in_text, in_text
from encoders import made_2d
from tiny_study import TINY

from regbench.orchestration.registries import check_component
from regbench.orchestration.site import read_site
from regbench.study.config_paths import read_config
from regbench.study.load import load
from regbench.study.yaml_file import read_yaml
from regbench.system.errors import UsageError

EACH = {"argvalues": PAGES, "ids": lambda page: page.stem}
# What the pages name without showing it.
OWN = {
    "lab/networks.py": "def transmorph(dims, /, *, width: int = 96): ...\n",
    "my/brains/images/s01.nii.gz": "",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder, with what the pages name without showing it."""
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "nets").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of TorchScript as such
        torch.jit.script(made_2d()).save(tmp_path / "nets/encoder.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def merged(base: Any, given: Any) -> Any:
    """`given`, and what it leaves out of the mappings in it."""
    if not isinstance(base, dict) or not isinstance(given, dict):
        return given
    return base | {key: merged(base.get(key), value) for key, value in given.items()}


def study_of(fragment: dict[str, Any]) -> dict[str, Any]:
    """A whole config; a part of one replaces what the tiny study has there."""
    if "study" in fragment:
        return fragment
    base = copy.deepcopy(TINY)
    for key in {"similarities", "regularizers"} & set(fragment):  # short for a part of `grid`, which the base has
        fragment = {**fragment, "grid": {**fragment.get("grid", {}), key: fragment[key]}}
        del fragment[key]
    if "data" in fragment:
        del base["datasets"]
    return merged(base, fragment)


def loaded(block: Block, folder: Path) -> None:
    path = folder / "block.yaml"
    path.write_text(block.text)
    if block.mark == "site file":
        read_site(path)
        return
    path.write_text(yaml.safe_dump(study_of(read_yaml(path)), sort_keys=False))
    load(read_config(path), check_component)


@pytest.mark.parametrize("page", **EACH)
def test_yaml_blocks_are_configs(page, folder):
    for block in blocks(page):
        if block.file and block.language == "python":
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    wrong = []
    for block in blocks(page, "yaml"):
        try:
            loaded(block, folder)
        except UsageError as error:
            wrong.append(f"{page.name}:{block.line}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", **EACH)
def test_commands_could_be_typed(page):
    files = [block.file for block in blocks(page) if block.file]
    wrong = [
        f"{page.name}:{block.line}: {' '.join(words)}: {words_of_fault}"
        for block in blocks(page, "")
        for words in commands(block)
        if (words_of_fault := fault(words, block.mark, files))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", **EACH)
def test_verbs_and_options_in_sentences_exist(page):
    assert not [f"{page.name}: `{line}`: {words}" for line in in_text(page) if (words := fault_in_text(line))]
