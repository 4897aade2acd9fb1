"""Colours become one value a voxel: a channel, the brightness, or how much of one stain there is."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regbench.system.errors import RegbenchError

Colour = Literal["none", "luminance", "density", "red", "green", "blue", "hematoxylin", "eosin", "dab"]
LUMA = np.array([0.299, 0.587, 0.114])  # weights of red, green and blue, ITU-R BT.601
CHANNELS = ("red", "green", "blue")
STAINS = ("hematoxylin", "eosin", "dab")
# Of each stain, the optical densities in red, green and blue (Ruifrok and Johnston 2001).
DENSITIES = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
LEAST = 1e-6  # share of the light at which a density ends


def grey(image: NDArray[np.float32], dims: int, colour: Colour, where: str) -> NDArray[np.float32]:
    """One value a voxel; an image without colours, or of equal ones if nothing is chosen, as it is.

    Args:
        image: ``(*S)``, or ``(*S, 3)`` red, green and blue from 0 to 255.
        dims: number of axes of S.
        colour: ``luminance``: 0.299 R + 0.587 G + 0.114 B. ``density``: minus log10 of its share of 255, at least
            1/255: 0 on a white ground. ``red``, ``green``, ``blue``: that channel. ``hematoxylin``, ``eosin``, ``dab``:
            the share of that stain by colour deconvolution, not below 0: ``log(max(v / 255, 1e-6)) / log(1e-6)`` times
            the inverse of the stains' densities.
        where: file, for the message.

    Returns:
        ``(*S)`` float32.

    Raises:
        RegbenchError: if there are colours and `colour` is ``none``.

    Reference:
        Ruifrok and Johnston 2001, Quantification of histochemical staining by color deconvolution, PMID 11531144.
    """
    if image.ndim == dims:
        return image
    if colour == "none":
        if (image == image[..., :1]).all():
            return image[..., 0]
        raise RegbenchError(
            f"`{where}` must be a grey 2D picture, but has colours (shape {image.shape}, colours last). Say what is to "
            "be taken of them (`preprocessing.colour`: luminance, hematoxylin, ...; `--colour` of `register`), or "
            "convert it to grey."
        )
    values = image.astype(np.float64)
    if colour in CHANNELS:
        return image[..., CHANNELS.index(colour)]
    if colour in STAINS:
        shares = np.log(np.maximum(values / 255, LEAST)) / np.log(LEAST)
        return np.asarray(np.maximum(shares @ np.linalg.inv(DENSITIES)[:, STAINS.index(colour)], 0), dtype=np.float32)
    luminance = values @ LUMA
    if colour == "density":
        luminance = -np.log10(np.maximum(luminance / 255, 1 / 255))
    return np.asarray(luminance, dtype=np.float32)
