"""Global cross-correlation."""

import torch
from torch import Tensor

from regbench.losses.checks import image_pair


def gcc(fixed: Tensor, moved: Tensor, /, *, mask: Tensor | None = None) -> Tensor:
    """One minus the correlation coefficient of the two images, averaged over the batch; in [0, 2]."""
    fixed, moved = image_pair(fixed, moved)
    if mask is not None:
        raise NotImplementedError("gcc with a mask")
    f, m = fixed.flatten(2), moved.flatten(2)
    f = f - f.detach().mean(-1, keepdim=True)
    m = m - m.mean(-1, keepdim=True)
    ff, mm, fm = (f * f).sum(-1), (m * m).sum(-1), (f * m).sum(-1)
    flat = (ff == 0) | (mm == 0)
    return 1 - torch.where(flat, 0, fm / torch.where(flat, 1, ff * mm).sqrt()).mean()
