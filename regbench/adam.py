"""Adam on a list of tensors, by torch's own function.

`torch.optim.Adam` as an object imports torch's compiler: 1.3 s that every short job of a study would pay.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Kingma and Ba 2015, arXiv:1412.6980; the same numbers as ``torch.optim.Adam(fused=True)``."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the parameters by their gradients, and forget those."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        adam(
            self.parameters, gradients, self.means, self.squares, [], self.steps, fused=True, has_complex=False,
            amsgrad=False, beta1=0.9, beta2=0.999, lr=learning_rate, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip
        for parameter in self.parameters:
            parameter.grad = None
