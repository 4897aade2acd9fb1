"""A checkpoint is data: what it names is looked up, never run, and what it holds is checked before it is used."""

import math
import zipfile

import pytest
import torch
from fuzzing import CUT, EDITS, FUZZ, damaged
from hypothesis import given

from regbench.cli.main import main
from regbench.models.predict import build_model
from regbench.study import components
from regbench.study.specs import ComponentSpec
from regbench.system.errors import RegbenchError
from regbench.training.checkpoint import FORMAT, load_checkpoint, read_checkpoint

SMALL = {"encoder": [4, 4], "decoder": [4, 4, 4]}
OWN = """
from torch import nn

class Shift(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.by = nn.Parameter(nn.init.zeros_(nn.Parameter(__import__("torch").empty(1, dims, 1, 1))))

    def forward(self, fixed, moving):
        return self.by.expand(len(fixed), -1, *fixed.shape[2:])

def shift(dims, /):
    return Shift(dims)
"""


def stored(**changes):
    """The entries of a small untrained 2D network, some of them changed."""
    model = {"name": "voxelmorph", "parameters": SMALL}
    whole = {
        "format": FORMAT,
        "model": model,
        "similarity": {"name": "mse", "parameters": {}},
        "regularizer": {"name": "grad_l2", "parameters": {}},
        "lam": 1.0,
        "dims": 2,
        "preparation": {"spacing_mm": [1.0, 1.0]},
        "weights": build_model(ComponentSpec.from_json(model), 2).state_dict(),
    }
    return {**whole, **changes}


def saved(path, **changes):
    torch.save(stored(**changes), path)
    return path


def test_a_whole_one_is_loaded(tmp_path):
    model = load_checkpoint(saved(tmp_path / "c.pt"))
    assert model.state_dict().keys() == stored()["weights"].keys()
    assert load_checkpoint(saved(tmp_path / "failed.pt", weights=None, lam=None)) is None


@pytest.mark.parametrize("kind", ["model", "similarity", "regularizer"])
@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "builtins:exec", "antigravity:fly", "os:path"])
def test_what_it_names_is_not_run(tmp_path, kind, name, monkeypatch):
    """The file of the issue: a command in `dims`, which a function of the standard library would run."""
    monkeypatch.chdir(tmp_path)
    command = "touch ran; echo ran > /dev/stderr"
    for dims in (2, command):
        path = saved(tmp_path / "evil.pt", **{kind: {"name": name, "parameters": {}}}, dims=dims)
        with pytest.raises(RegbenchError, match=r"evil\.pt"):
            load_checkpoint(path)
    for model in (str(path), str(tmp_path)):
        with pytest.raises(SystemExit):
            main(["register", "--model", model, "--fixed", "f.nii", "--moving", "m.nii", "--out", "o"])
    assert not (tmp_path / "ran").exists()


def test_a_function_that_the_user_allows_has_our_signature(tmp_path, monkeypatch):
    """Even then a function of another form is not called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(components, "_allowed", {"os", "subprocess"})
    for name in ("os:system", "subprocess:Popen"):
        path = saved(tmp_path / "evil.pt", model={"name": name, "parameters": {}})
        with pytest.raises(RegbenchError, match=rf"`{name}` must be a function"):
            load_checkpoint(path)


def test_the_users_own_model_needs_his_word(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(components, "_allowed", set())
    ones = torch.ones(1, 2, 1, 1)
    path = saved(tmp_path / "c.pt", model={"name": "own_model:shift", "parameters": {}}, weights={"by": ones})
    with pytest.raises(RegbenchError, match=r"c\.pt`: `own_model:shift` must be allowed .* --allow own_model"):
        load_checkpoint(path)
    components.allow(["own_model"])
    assert torch.equal(load_checkpoint(path).by, ones)


WRONG = {
    "dims of a command": ({"dims": "rm -rf ~"}, r"dims: Input should be 2 or 3"),
    "four dims": ({"dims": 4}, r"dims: Input should be 2 or 3"),
    "lambda NaN": ({"lam": math.nan}, r"lam: Input should be a finite number"),
    "lambda infinite": ({"lam": math.inf}, r"lam: Input should be a finite number"),
    "lambda negative": ({"lam": -1.0}, r"lam: Input should be greater than 0"),
    "lambda a word": ({"lam": "one"}, r"lam: Input should be a valid number"),
    "another format": ({"format": "regbench checkpoint 1"}, r"must be a checkpoint of this regbench"),
    "more entries": ({"command": "ls"}, r"command: Extra inputs"),
    "name a number": ({"model": {"name": 3, "parameters": {}}}, r"model\.name: Input should be a valid string"),
    "parameters a list": ({"similarity": {"name": "mse", "parameters": [1]}}, r"similarity\.parameters: Input"),
    "unknown similarity": ({"similarity": {"name": "msee", "parameters": {}}}, r"`msee` is unknown; did you mean"),
    "unknown parameter": ({"regularizer": {"name": "grad_l2", "parameters": {"a": 1}}}, r"no parameter `a`"),
    "weights a list": ({"weights": [1]}, r"weights: Input should be a valid dictionary"),
    "a weight a word": ({"weights": {"a": "b"}}, r"weights\.a: Input should be an instance of Tensor"),
    "no weights": ({"weights": {}}, r"must be \(.*\), as its model says, but is nothing"),
    "other weights": ({"weights": {"a": torch.zeros(3)}}, r"weight `a` must be nothing, as .*, but is \(3,\)"),
    "preparation unknown": ({"preparation": {"spacings": [1.0, 1.0]}}, r"preparation\.spacings: Extra inputs"),
    "spacing of 0": ({"preparation": {"spacing_mm": [0.0, 1.0]}}, r"spacing_mm\..*greater than 0"),
    "spacing of three axes": ({"preparation": {"spacing_mm": [1.0] * 3}}, r"spacing_mm must have 2 numbers, but has 3"),
    "percentiles that fall": ({"preparation": {"percentiles": [99, 1]}}, r"must rise"),
    "no window": ({"preparation": {"intensity": "window"}}, r"window must have two numbers"),
    "a window of NaN": ({"preparation": {"window": [0.0, math.nan]}}, r"window\..*finite number"),
    "intensity a command": ({"preparation": {"intensity": "rm"}}, r"preparation\.intensity: Input should be"),
    "preparation a tensor": ({"preparation": {"spacing_mm": torch.ones(2)}}, r"preparation\.spacing_mm"),
    # 2.6e14 numbers: refused by their shapes, before any memory is asked for.
    "a huge model": (
        {"model": {"name": "voxelmorph", "parameters": {"encoder": [2_000_000] * 2, "decoder": [2_000_000] * 3}}},
        r"weight `.*` must be \(2000000, 2, 3, 3\)|weight `.*` must be",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_every_entry_is_checked(tmp_path, changes, words):
    with pytest.raises(RegbenchError, match=words) as caught:
        load_checkpoint(saved(tmp_path / "c.pt", **changes))
    assert "c.pt" in str(caught.value)


def test_packed_entries_are_refused_before_they_are_unpacked(tmp_path):
    """torch stores its entries as they are; a packed one may be a thousand times its size."""
    whole, packed = saved(tmp_path / "c.pt"), tmp_path / "packed.pt"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    with pytest.raises(RegbenchError, match=r"packed\.pt"):
        read_checkpoint(packed)


@FUZZ
@given(edits=EDITS, cut=CUT)
def test_damaged_bytes_are_refused_by_name_or_read(tmp_path_factory, edits, cut):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "c.pt"
    path.write_bytes(damaged(saved(folder / "sound.pt").read_bytes(), edits, cut, head=2000))
    try:
        load_checkpoint(path)
    except RegbenchError as error:
        assert "c.pt" in str(error)  # noqa: PT017
