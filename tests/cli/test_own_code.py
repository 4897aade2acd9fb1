"""Code and data of one's own in a config of another folder: what the verbs find, and what `check` says."""

import textwrap

import pytest
import yaml
from data_files import folder_of
from own_network_text import NETWORK

from regbench.cli.main import main
from regbench.study import components

LOSS = "def loss(fixed, moved, /):\n    return (fixed - moved).square().mean()\n"


@pytest.fixture
def lab(tmp_path, monkeypatch, tiny):
    """Writes `configs/s.yaml` with a network and a loss of its own beside it; the command runs one folder above."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/losses.py").write_text(LOSS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(components, "_allowed", set())
    monkeypatch.setattr("sys.path", list(__import__("sys").path))

    def write(output="flow", **changes):
        (tmp_path / "configs/nets.py").write_text(textwrap.dedent(NETWORK).format(output=output))
        grid = {"similarities": ["losses.py:loss"], "regularizers": ["grad_l2"]}
        raw = {**tiny, "models": ["nets.py:net"], "grid": grid, **changes}
        (tmp_path / "configs/s.yaml").write_text(yaml.safe_dump(raw))
        return raw

    return write


def refused(capsys) -> str:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["check", "configs/s.yaml"])
    return capsys.readouterr().err


def test_files_beside_the_config_are_found_without_a_search_path(lab, capsys):
    lab()
    main(["check", "configs/s.yaml"])
    said = capsys.readouterr()
    assert "`configs/s.yaml` imports `configs/nets.py:net`" in said.err
    assert "is sound: 2 methods, 3 runs" in said.out


def test_check_calls_own_networks(lab, capsys):
    lab("(fixed, flow)")
    message = refused(capsys)
    assert "models[0]: `configs/nets.py:net`: a model must return its displacement" in message


def test_check_calls_own_baselines(lab, capsys, tmp_path):
    (tmp_path / "configs/others.py").write_text("def half(pair, fixed, moving, /):\n    return pair.fixed\n")
    lab(baselines=[{"name": "others.py:half", "id": "half"}])
    assert "baselines[0].name: `configs/others.py:half`: must give a displacement (2, 64, 64)" in refused(capsys)


def test_missing_data_are_mistakes_beside_all_others(lab, capsys, tmp_path):
    datasets = [{"id": "brains", "source": "folder", "parameters": {"path": "brains"}}]
    lab(datasets=datasets, seeds=3)
    message = refused(capsys)
    assert "has 2 mistakes" in message
    assert (
        f"datasets[0].parameters.path: must be on this machine, but there is no `{tmp_path}/configs/brains`" in message
    )


def test_data_of_the_short_form_are_named_once(lab, capsys, tmp_path):
    raw = lab()
    for key in ("datasets", "grid"):
        raw.pop(key)
    raw |= {"data": "brains", "similarities": ["lcc"], "regularizers": ["grad_l2"]}
    (tmp_path / "configs/s.yaml").write_text(yaml.safe_dump(raw))
    message = refused(capsys)
    assert "has 1 mistake;" in message
    assert f"  data: must be a folder or file on this machine, whose content says how it is read, but there is no `{tmp_path}/configs/brains`" in message  # fmt: skip  # noqa: E501


def test_data_are_found_from_the_config_on_and_prepared(lab, capsys, tmp_path):
    folder_of(tmp_path / "configs/brains", count=6)
    splits = {"train": 2, "validation": 2, "test": 2}
    lab(datasets=[{"id": "brains", "source": "folder", "parameters": {"path": "brains"}, "splits": splits}])
    main(["check", "configs/s.yaml"])
    main(["prepare", "configs/s.yaml", "--dataset", "brains", "--threads", "1"])
    (tmp_path / "configs/brains").rename(tmp_path / "archive")
    main(["check", "configs/s.yaml"])  # which needs them no more


def test_audit_takes_a_file(lab, capsys):
    lab()
    with pytest.raises(SystemExit):
        main(["audit", "configs/losses.py:none"])
    assert "importable with `none`, but has none" in capsys.readouterr().err
