"""`regbench audit`, and what `regbench check` says of a user's own losses."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from regbench.cli.main import main
from regbench.study import components


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_allowed", set())


def status(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def test_a_loss_that_may_enter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "a.json", tmp_path / "a.html"]
    arguments = ["--set", "by=3", "--json", str(files[0]), "--html", str(files[1])]
    assert status("audit", "odd_losses:scaled", *arguments) == 0
    text = capsys.readouterr().out
    assert "`odd_losses:scaled` (by=3), regularizer of displacements\n        it = 3 x grad_l2\n" in text
    assert text.rstrip().splitlines()[-1].startswith("`odd_losses:scaled` may enter a study")
    written = json.loads(files[0].read_text())
    assert written["may_enter"] is True
    assert written["parameters"] == {"by": 3}
    assert [(row["dims"], row["name"]) for row in written["relations"]] == [(2, "grad_l2"), (3, "grad_l2")]
    assert all(row["factor"] == pytest.approx(3, rel=1e-9) for row in written["relations"])
    assert {line["verdict"] for line in written["findings"]} <= {"pass", "note", "fail"}
    page = files[1].read_text()
    assert "<title>Audit: odd_losses:scaled</title>" in page
    assert "it = 3 x grad_l2" in page


def test_a_loss_that_may_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("audit", "odd_losses:detached") == 1
    shown = capsys.readouterr()
    assert "fail  gradient" in shown.out
    assert shown.out.rstrip().endswith("`odd_losses:detached` may not enter a study: gradient")
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "`nothing` is no loss of ours"),
        (["odd_losses:of_three"], "takes 3 arguments"),
        (["mse", "--set", "unmatched"], "--set must be KEY=VALUE"),
        (["mse", "--set", "unmatched=1", "--set", "unmatched=2"], "each KEY once"),
        (["mse", "--set", "unmatched=[1"], "--set unmatched must be a value as in a config"),
        (["mse", "--set", "unmatched=much"], "unmatched"),
        (["mse", "--as", "metric"], "metric"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("audit", *arguments) == 2
    assert words in capsys.readouterr().err


def test_check_audits_the_users_own_losses(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "own.yaml"
    tiny["grid"]["similarities"] = ["odd_losses:changing", "odd_losses:vector", "mse"]
    tiny["grid"]["regularizers"] = ["odd_losses:one_component", "odd_losses:scaled"]
    config.write_text(yaml.safe_dump(tiny))
    assert status("check", str(config)) == 2
    said = capsys.readouterr().err
    assert "grid.similarities[0]: `odd_losses:changing`: arguments: changes `moved` in place" in said
    assert "grid.similarities[1]: `odd_losses:vector`: scalar: returns a tensor of shape (1,)" in said
    assert "grid.regularizers[0]: `odd_losses:one_component`: axes in 2D: component 1" in said
    assert "`regbench audit odd_losses:vector` says more" in said
    assert "odd_losses:scaled`:" not in said


def test_check_notes_what_is_worth_knowing(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "own.yaml"
    tiny["grid"]["similarities"] = ["odd_losses:total"]
    config.write_text(yaml.safe_dump(tiny))
    assert status("check", str(config)) == 0
    shown = capsys.readouterr()
    assert "note: `odd_losses:total`: batch: its value is the sum of its samples" in shown.err
    assert "is sound" in shown.out


def test_an_encoder_on_the_command_line_may_be_imported(capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "features", "--set", "encoder=loss_references:edges"])
    assert "`features` may enter a study" in capsys.readouterr().out
