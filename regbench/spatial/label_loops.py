"""The nearest-neighbour warp of a label volume, compiled."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from regbench.system.numba_loops import jit

exact = partial(jit, exact=True)


def warped(labels: NDArray[np.integer], displacement: NDArray[np.float32]) -> NDArray[np.integer]:
    """``(*S)`` of labels ``(*M)`` pulled through a displacement ``(3, *S)``: the bits of `warp_labels` in torch."""
    out = np.empty(displacement.shape[1:], labels.dtype)
    _warp(labels, displacement, out)
    return out


@exact
def _warp(labels, displacement, out):
    depth, rows, columns = out.shape
    last = labels.shape[0] - 1, labels.shape[1] - 1, labels.shape[2] - 1
    for z in range(depth):
        for y in range(rows):
            u, v, w, target = displacement[0, z, y], displacement[1, z, y], displacement[2, z, y], out[z, y]
            for x in range(columns):
                a, b, c = np.float64(u[x]) + z, np.float64(v[x]) + y, np.float64(w[x]) + x
                # False of NaN too.
                if 0 <= a <= last[0] and 0 <= b <= last[1] and 0 <= c <= last[2]:
                    target[x] = labels[np.uintp(a + 0.5), np.uintp(b + 0.5), np.uintp(c + 0.5)]
                else:
                    target[x] = 0
