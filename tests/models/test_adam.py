"""Our Adam against torch's object of the same name."""

import subprocess
import sys

import torch

from regbench.models.adam import Adam


def test_the_same_numbers_as_torch(device):
    start = [torch.randn(3, 4, device=device), torch.randn(5, device=device), torch.randn(2, device=device)]
    ours = [value.clone().requires_grad_() for value in start]
    theirs = [value.clone().requires_grad_() for value in start]
    mine, peer = Adam(ours), torch.optim.Adam(theirs, fused=True)
    for step in range(7):
        for parameters in (ours, theirs):
            # The last one gets no gradient: like a layer that this step does not use, it must stay.
            sum((value**2).sum() * (step + 1) for value in parameters[:2]).backward()
        peer.param_groups[0]["lr"] = torch.tensor(0.1 / (step + 1), dtype=mine.rate.dtype).item()
        peer.step()
        peer.zero_grad()
        mine.step(0.1 / (step + 1))
    for mine_now, theirs_now, before in zip(ours, theirs, start, strict=True):
        torch.testing.assert_close(mine_now, theirs_now, rtol=0, atol=0)
        assert (mine_now != before).any() == (before.shape != (2,))
        assert mine_now.grad is None


def test_a_step_does_not_import_the_compiler():
    code = (
        "import sys, torch; from regbench.models.adam import Adam; p = torch.ones(2, requires_grad=True); "
        "p.sum().backward(); Adam([p]).step(0.1); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
