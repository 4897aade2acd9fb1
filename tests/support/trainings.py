"""A training's weights, and SIGTERM at one of its steps."""

import os
import signal
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regbench.training.trainer import Trainer


def weights(model: nn.Module) -> Tensor:
    """Weights and buffers in one row."""
    return torch.cat([value.detach().cpu().flatten() for value in model.state_dict().values()])


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """SIGTERM while the training is at `step`."""
    batch = Trainer.batch

    def stopping(self: Trainer) -> Any:
        if self.state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(self)

    monkeypatch.setattr(Trainer, "batch", stopping)
