"""What a registration is trained with.

Similarities of two images, regularizers of a displacement or of a matrix, consistencies of both directions'
displacements, and what labels and landmarks add.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from regbench.losses.affine import affine_identity_l1, affine_identity_l2
from regbench.losses.bending import bending
from regbench.losses.consistency import gradicon, inverse_consistency
from regbench.losses.correlation_ratio import correlation_ratio
from regbench.losses.curvature import curvature
from regbench.losses.dice import dice_loss
from regbench.losses.displacement import displacement_l1, displacement_l2
from regbench.losses.elastic import elastic
from regbench.losses.features import features
from regbench.losses.gcc import gcc
from regbench.losses.grad import grad_l1, grad_l2
from regbench.losses.huber import huber
from regbench.losses.jacobian import jacobian
from regbench.losses.lambda_conversion import convert_lambda
from regbench.losses.landmarks import landmark_distance
from regbench.losses.lcc import lcc
from regbench.losses.mae import mae
from regbench.losses.mi import mi, nmi
from regbench.losses.mind import mind
from regbench.losses.mse import mse
from regbench.losses.multi_scale import multi_scale
from regbench.losses.ngf import ngf
from regbench.losses.ssim import ssim
from regbench.losses.tv import tv

__all__ = [
    "AFFINE_REGULARIZERS",
    "CONSISTENCIES",
    "REGULARIZERS",
    "SIMILARITIES",
    "SUPERVISIONS",
    "convert_lambda",
    "dice_loss",
    "landmark_distance",
]

SIMILARITIES: Mapping[str, Callable[..., Tensor]] = {
    "lcc": lcc,
    "gcc": gcc,
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "mi": mi,
    "nmi": nmi,
    "correlation_ratio": correlation_ratio,
    "ngf": ngf,
    "mind": mind,
    "ssim": ssim,
    "multi_scale": multi_scale,
    "features": features,
}

REGULARIZERS: Mapping[str, Callable[..., Tensor]] = {
    "grad_l1": grad_l1,
    "grad_l2": grad_l2,
    "bending": bending,
    "curvature": curvature,
    "elastic": elastic,
    "tv": tv,
    "displacement_l1": displacement_l1,
    "displacement_l2": displacement_l2,
    "jacobian": jacobian,
}

AFFINE_REGULARIZERS: Mapping[str, Callable[..., Tensor]] = {
    "affine_identity_l1": affine_identity_l1,
    "affine_identity_l2": affine_identity_l2,
}

CONSISTENCIES: Mapping[str, Callable[..., Tensor]] = {
    "inverse_consistency": inverse_consistency,
    "gradicon": gradicon,
}

# Terms of what is known of the training subjects: further terms of an objective, by the names of `study.terms`.
SUPERVISIONS: Mapping[str, Callable[..., Tensor]] = {
    "dice": dice_loss,
    "landmark_distance": landmark_distance,
}
