"""The adapters of docs/own_model.md: each block, as it stands, moves voxels where the network's own warp moves them."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regbench.models.predict import build_model
from regbench.orchestration.registries import check_component
from regbench.spatial import warp
from regbench.study import components
from regbench.study.specs import ComponentSpec

PAGE = (Path(__file__).parent.parent.parent / "docs/own_model.md").read_text()
BLOCKS = {
    re.findall(r"^def (\w+)\(dims", code, re.MULTILINE)[-1]: code
    for code in re.findall(r"^```python\n# lab/networks\.py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
CASES = [
    ("transmorph", (9, 11, 8)),
    ("half", (10, 16)),
    ("half", (8, 12, 10)),
    ("grid_flow", (9, 14)),
    ("grid_flow", (9, 11, 8)),
    ("channel_last", (9, 14)),
    ("channel_last", (9, 11, 8)),
]


def smooth(*shape):
    """A field of some voxels, another in each component and at each place."""
    coarse = torch.randn(*shape[:2], *[3] * (len(shape) - 2)) * 1.5
    return F.interpolate(coarse, size=shape[2:], mode={4: "bilinear", 5: "trilinear"}[len(shape)], align_corners=True)


class Elsewhere(nn.Module):
    """A network that gives what it is told to, in the convention of its kind; and its own warp."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.flow = torch.zeros(())


class TransMorph(Elsewhere):
    """Moving first; its warp and a flow in voxels, channel first."""

    def forward(self, both):
        assert both.shape[1] == 2
        flow = self.scale * self.flow
        return self.moved(both[:, :1], flow), flow

    def moved(self, moving, flow):
        """By hand, voxel by voxel's own coordinates, scaled to [-1, 1] and turned to x, y, z."""
        sides = flow.shape[2:]
        axes = []
        for axis, n in enumerate(sides):
            own = torch.arange(n, dtype=torch.float32).view([-1 if k == axis else 1 for k in range(len(sides))])
            axes.append(2 * (own + flow[:, axis]) / (n - 1) - 1)
        return F.grid_sample(moving, torch.stack(axes[::-1], -1), align_corners=True, padding_mode="border")

    def draw(self, shape):
        self.flow = smooth(1, len(shape), *shape)

    def expected(self, moving):
        return self.moved(moving, self.flow)


class HalfResolution(TransMorph):
    """A flow in voxels of a grid of half the size."""

    def forward(self, fixed, moving):
        return self.scale * self.flow

    def draw(self, shape):
        self.flow = smooth(1, len(shape), *(n // 2 for n in shape))

    def expected(self, moving):
        sides = moving.shape[2:]
        mode = {2: "bilinear", 3: "trilinear"}[len(sides)]
        whole = F.interpolate(self.flow, size=sides, mode=mode, align_corners=True)
        for axis, n in enumerate(sides):
            whole[:, axis] *= (n - 1) / (n // 2 - 1)
        return self.moved(moving, whole)


class GridFlow(Elsewhere):
    """What is added to torch's own grid: [-1, 1], x first, channel last."""

    def forward(self, fixed, moving):
        return self.scale * self.flow

    def draw(self, shape):
        self.flow = smooth(1, len(shape), *shape).movedim(1, -1) / 8

    def expected(self, moving):
        dims = moving.ndim - 2
        grid = F.affine_grid(torch.eye(dims, dims + 1)[None], list(moving.shape), align_corners=True)
        return F.grid_sample(moving, grid + self.flow, align_corners=True, padding_mode="border")


class ChannelLast(TransMorph):
    """Images and flow with the channel last, in voxels."""

    def forward(self, fixed, moving):
        assert fixed.shape[-1] == moving.shape[-1] == 1
        return self.scale * self.flow.movedim(1, -1)


KINDS = {"transmorph": TransMorph, "half": HalfResolution, "grid_flow": GridFlow, "channel_last": ChannelLast}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Writes a block of the page to `lab/networks.py`, beside a package that stands for theirs."""
    elsewhere = ModuleType("elsewhere")
    for kind in KINDS.values():
        setattr(elsewhere, kind.__name__, kind)
    elsewhere.make_config = lambda width: {"width": width}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "elsewhere", elsewhere)
    monkeypatch.setattr(components, "_allowed", set())
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("lab", "lab.networks"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def write(name):
        (tmp_path / "lab").mkdir()
        (tmp_path / "lab/networks.py").write_text(BLOCKS[name])
        components.allow([f"lab.networks:{name}"])
        return f"lab.networks:{name}"

    yield write
    for name in ("lab", "lab.networks"):
        sys.modules.pop(name, None)


def test_the_page_has_an_adapter_of_each_convention_in_under_twenty_lines():
    assert set(BLOCKS) == set(KINDS)
    for code in BLOCKS.values():
        assert len([line for line in code.splitlines() if line.strip()]) < 20


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_an_adapter_moves_what_the_network_moves(lab, name, shape):
    torch.manual_seed(0)
    full_name = lab(name)
    assert check_component("model", full_name, {}) == []
    model = build_model(ComponentSpec(name=full_name, parameters={}), len(shape))
    theirs = next(part for part in model.modules() if isinstance(part, Elsewhere))
    theirs.draw(shape)
    fixed, moving = torch.rand(2, 1, 1, *shape)
    displacement = model(fixed, moving)
    assert displacement.shape == (1, len(shape), *shape)
    expected = theirs.expected(moving)
    assert (expected - moving).abs().max() > 0.3
    assert torch.allclose(warp(moving, displacement), expected, atol=1e-4)
    displacement.square().sum().backward()
    assert theirs.scale.grad is not None


def test_a_bright_voxel_goes_where_the_page_says():
    block = next(
        code for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "moving[" in code
    )
    exec(compile(block, "docs/own_model.md", "exec"), {})
    with pytest.raises(AssertionError):
        exec(compile(block.replace("displacement[:, 0]", "displacement[:, 1]"), "docs/own_model.md", "exec"), {})


def test_a_network_of_volumes_refuses_slices(lab):
    with pytest.raises(ValueError, match="must have volumes, but got 2"):
        build_model(ComponentSpec(name=lab("transmorph"), parameters={}), 2)


@pytest.mark.parametrize("wrong", ["flip(1)", "(n - 1) / 2", "movedim(-1, 1)"])
def test_the_wrong_convention_is_seen(lab, monkeypatch, wrong):
    """The tests above tell conventions apart: with the order, the scale or the place of the channel left as it was."""
    left = {"flip(1)": "contiguous()", "(n - 1) / 2": "n / 2", "movedim(-1, 1)": "reshape(1, 2, 9, 14)"}[wrong]
    monkeypatch.setitem(BLOCKS, "grid_flow", BLOCKS["grid_flow"].replace(wrong, left))
    with pytest.raises(AssertionError):
        test_an_adapter_moves_what_the_network_moves(lab, "grid_flow", (9, 14))
