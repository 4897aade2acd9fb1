"""The README's own example runs, word by word; only shorter than one would run it."""

import re

import pandas as pd
import pytest
import yaml
from data_files import folder_of
from tiny_study import ROOT, run_verbs

from regbench.cli.main import main

SIX = ("study", "data", "models", "similarities", "regularizers", "steps")


@pytest.fixture
def example():
    """The first YAML block of the README: six lines."""
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert text is not None
    assert len(text[1].strip().splitlines()) <= 6
    return yaml.safe_load(text[1])


def test_three_minutes():
    """A sceptic reads it in three minutes, and what it shows is there, small enough to load at once."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 2
    assert all((ROOT / name).stat().st_size < 300_000 for name in pictures)
    assert all((ROOT / name).exists() for name in re.findall(r"\]\(((?:docs|CONTRIBUTING|CITATION)[^)#]*)", text))


def test_six_lines_run(example, tmp_path, monkeypatch, capsys):
    """On twelve small images, with two steps a training: from the folder to the table and the page."""
    assert tuple(example) == SIX
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / example["data"], count=12, shape=(32, 34))
    # What `--config` overrides on a command line.
    short = {"steps": 2, "seeds": [0], "one_job_per": "cell", "tracking": {"enabled": False}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(example | short, sort_keys=False))
    main(["check", str(path), "--show"])
    assert "  source: folder  # from `data`\n" in (whole := capsys.readouterr().out)
    assert whole.endswith("is sound: 5 methods, 5 runs\n")
    run_verbs(example | short, tmp_path)
    table = pd.read_csv(tmp_path / "results" / example["study"] / "tables" / "main.csv")
    cells = {f"{similarity}.{regularizer}" for similarity in example["similarities"]
             for regularizer in example["regularizers"]}  # fmt: skip
    assert {f"{model}.{cell}" for model in example["models"] for cell in cells} <= set(table["method"])
    assert (tmp_path / "results" / example["study"] / "report.html").stat().st_size > 10_000
