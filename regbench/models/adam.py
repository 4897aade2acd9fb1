"""Adam and AdamW on a list of tensors, by torch's own function.

`torch.optim.Adam` as an object imports torch's compiler: 1.3 s that every short job of a study would pay.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """The same numbers as ``torch.optim.Adam(fused=True)``, or AdamW where weights decay.

    Reference:
        Kingma and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled decay).
    """

    def __init__(self, parameters: Iterable[Tensor], *, weight_decay: float = 0.0) -> None:
        self.parameters, self.weight_decay = list(parameters), weight_decay
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=parameter.device) for parameter in self.parameters]
        # Where the parameters are, so that a CUDA graph reads the rate of each step; torch has it in float32 there.
        device = next((parameter.device for parameter in self.parameters), torch.device("cpu"))
        self.rate = torch.zeros((), dtype=torch.float64 if device.type == "cpu" else torch.float32, device=device)

    def step(self, learning_rate: float) -> None:
        """Change the parameters by their gradients, and forget those."""
        self.rate.fill_(learning_rate)
        self.descend()

    @torch.no_grad()
    def descend(self) -> None:
        """The same at the rate that `rate` holds."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        adam(
            self.parameters, gradients, self.means, self.squares, [], self.steps, fused=True, has_complex=False,
            amsgrad=False, beta1=0.9, beta2=0.999, lr=self.rate, weight_decay=self.weight_decay, eps=1e-8,
            maximize=False, decoupled_weight_decay=self.weight_decay > 0,
        )  # fmt: skip
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, list[Tensor]]:
        """All that the next step depends on, beside the parameters."""
        return {"means": self.means, "squares": self.squares, "steps": self.steps}

    @torch.no_grad()
    def load(self, state: dict[str, list[Tensor]]) -> None:
        """Take up a `state`."""
        for name, mine in self.state().items():
            for tensor, stored in zip(mine, state[name], strict=True):
                tensor.copy_(stored)
