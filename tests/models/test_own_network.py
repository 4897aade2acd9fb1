"""A user's own network is called on small samples, and what no training could take is a mistake."""

import textwrap

import pytest
from own_network_text import NETWORK

from regbench.models.own_network import network_mistakes, network_notes
from regbench.study import components


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Writes a network whose `forward` returns an expression; its name."""
    monkeypatch.setattr(components, "_allowed", set())
    monkeypatch.setattr("sys.path", list(__import__("sys").path))

    def write(output):
        (tmp_path / "nets.py").write_text(textwrap.dedent(NETWORK).format(output=output))
        components.allow([str(tmp_path / "nets.py")])
        return f"{tmp_path}/nets.py:net"

    return write


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("(fixed, flow)", "must return its displacement (B, d, *S), but returned a tuple of 2"),
        ("flow[:, :1]", "must give a displacement (1, 2, 64, 64) for images (1, 1, 64, 64), but gave (1, 1, 64, 64)"),
        ("flow / 0", "must give a finite displacement, but gave NaN or inf"),
        ("flow.detach()", "must give a displacement with a gradient, but its output is detached"),
        ("flow.round().long()", "must give a displacement in floating point, but gave torch.int64"),
        ("flow * 0 + (flow - flow).sqrt()", "must have finite gradients"),
        ("flow + unknown", "raised NameError for images of 64 x 64 voxels: name 'unknown' is not defined"),
        ("torch.zeros_like(flow, requires_grad=True)", "no gradient reaches any"),
    ],
)
def test_what_no_training_takes_is_a_mistake(network, output, words):
    name = network(output)
    ((key, message),) = network_mistakes(name, {})
    assert key == ""
    assert message.startswith(f"`{name}`: ")
    assert words in message


@pytest.mark.parametrize("output", ["flow", "flow[:, :2]", "flow if flow.ndim == 5 else flow[:, :1]"])
def test_a_network_that_serves_slices_or_volumes_is_right(network, output):
    assert network_mistakes(network(output), {}) == network_notes(network(output), {}) == []


def test_a_network_that_takes_no_sample_is_said(network):
    name = network("flow if flow.shape[2:] == (32, 48) else self.last(fixed[..., :1])")
    assert network_mistakes(name, {}) == []
    (note,) = network_notes(name, {})
    assert "takes no small sample, so its numbers and gradients were not looked at (64 x 64: " in note


def test_nothing_is_said_of_ours():
    assert network_mistakes("voxelmorph", {}) == network_notes("voxelmorph", {}) == []
