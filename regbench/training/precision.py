"""Sixteen-bit arithmetic for the network; displacement, warp and losses stay float32."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
GROW_AFTER = 2000  # good steps before the scale of fp16 is doubled


class Precision:
    """Autocast, and for fp16 the scaling of the loss that keeps small gradients from vanishing.

    Reference:
        Micikevicius et al. 2018, arXiv:1710.03740.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.name, self.device = name, device
        self.scale, self.good = (2.0**16 if name == "fp16" else 1.0), 0

    def autocast(self) -> AbstractContextManager[None]:
        """For the network's forward pass."""
        return torch.autocast(self.device.type, dtype=DTYPES[self.name], enabled=self.name != "float32")

    def backward(self, loss: Tensor, parameters: list[Tensor]) -> bool:
        """Gradients of the loss; False if the step must be left out because they overflowed."""
        if self.name != "fp16":
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
            return True
        (loss * self.scale).backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_div_(gradients, self.scale)
        # An overflow says that the scale is too large, unless the loss itself is not finite: that must be seen.
        fits = all(bool(gradient.isfinite().all()) for gradient in gradients) or not bool(loss.isfinite())
        self.good = self.good + 1 if fits else 0
        if not fits:
            self.scale /= 2
            for parameter in parameters:
                parameter.grad = None
        elif self.good % GROW_AFTER == 0:
            self.scale *= 2
        return fits
