"""The formulas of a blog of 2019 that many projects copied, typed anew with their faults: for the audit to name.

`docs/audit.md` says what it says of each.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LCC(nn.Module):
    """1 - squared local correlation by five full convolutions: zeros beyond the border, E[x^2] - E[x]^2 in float32."""

    def __init__(self, side: int = 9, eps: float = 1e-5) -> None:
        super().__init__()
        self.side, self.eps = side, eps

    def forward(self, fixed: Tensor, moved: Tensor) -> Tensor:
        dims = fixed.ndim - 2
        convolve = {2: F.conv2d, 3: F.conv3d}[dims]
        ones = torch.ones(1, 1, *[self.side] * dims)
        count = self.side**dims

        def total(image: Tensor) -> Tensor:
            return convolve(image, ones, padding=self.side // 2)

        f_sum, m_sum, ff, mm, fm = (total(x) for x in (fixed, moved, fixed**2, moved**2, fixed * moved))
        f_mean, m_mean = f_sum / count, m_sum / count
        cross = fm - m_mean * f_sum - f_mean * m_sum + f_mean * m_mean * count
        f_var = ff - 2 * f_mean * f_sum + f_mean**2 * count
        m_var = mm - 2 * m_mean * m_sum + m_mean**2 * count
        return 1 - (cross * cross / (f_var * m_var + self.eps)).mean()


class Mismatch(LCC):
    """What one copy trained: 1 - (1 - correlation), which is least for images that do not match."""

    def forward(self, fixed: Tensor, moved: Tensor) -> Tensor:
        return 1 - super().forward(fixed, moved)


class GCC(nn.Module):
    """1 - the correlation of a whole batch; the guard of the denominator vanishes in float32."""

    def forward(self, fixed: Tensor, moved: Tensor) -> Tensor:
        cross = (fixed * moved).mean() - fixed.mean() * moved.mean()
        f_var = (fixed**2).mean() - fixed.mean() ** 2
        m_var = (moved**2).mean() - moved.mean() ** 2
        return 1 - cross / (f_var.sqrt() * m_var.sqrt() + 2.2e-16)


class Grad(nn.Module):
    """Squared differences of neighbours; of 2018: its first axis is that of the components, its last one is missing."""

    first = 1

    def forward(self, displacement: Tensor) -> Tensor:
        dims = displacement.ndim - 2
        total = torch.zeros(1)
        for axis in range(dims):
            total = total + displacement.diff(dim=axis + self.first).pow(2).mean() / dims
        return total


class GradMended(Grad):
    """The later copy, which is right."""

    first = 2


class BendPenalty(nn.Module):
    """Bending in 2D: in 3D it differences the first two axes and knows nothing of the last."""

    def forward(self, displacement: Tensor) -> Tensor:
        along, across = displacement.diff(dim=2), displacement.diff(dim=3)
        return along.diff(dim=2).pow(2).mean() + across.diff(dim=3).pow(2).mean() + 2 * across.diff(dim=2).pow(2).mean()


class IDloss(nn.Module):
    """Mean absolute difference of an affine map and the identity; six numbers, so 2D."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = torch.FloatTensor([1, 0, 0, 0, 1, 0])

    def forward(self, theta: Tensor) -> Tensor:
        return (theta - self.identity.repeat(theta.size(0), 1).view(theta.shape)).abs().mean()
