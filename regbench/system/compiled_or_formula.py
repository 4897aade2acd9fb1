"""A function of images by compiled kernels, which bring their own gradient, or by its formula where they cannot serve.

Autograd keeps each intermediate image for the backward pass; a kernel keeps none, or the gradient itself. The formula
serves every other device and type, ``torch.compile``, ``torch.func`` and second derivatives, by ordinary autograd.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regbench.system import numba_loops

Wanted = tuple[bool, ...]
Gradients = tuple[Tensor | None, ...]
Formula = Callable[..., Tensor]
Forward = Callable[..., tuple[Tensor, Gradients]]
Backward = Callable[..., Gradients]


def compiled_or_formula(forward: Forward, backward: Backward, formula: Formula, *inputs: Tensor) -> Tensor:
    """Value of a loss, differentiable with respect to `inputs` any number of times.

    Args:
        forward: ``(wanted, *inputs) -> (value, saved)`` by compiled kernels; `wanted` says which inputs need a
            gradient, `saved` are tensors for `backward`.
        backward: ``(upstream, saved, wanted, *inputs) -> gradients``, one for each input, None where not wanted. It may
            overwrite `saved`: a second pass over the same graph computes them again.
        formula: ``(*inputs) -> value``: the same number from differentiable operations.
        inputs: what may be differentiated; all else is bound in the three functions.

    Returns:
        What `formula` returns.
    """
    if not numba_loops.serves(*inputs):
        return formula(*inputs)
    wanted = tuple(torch.is_grad_enabled() and tensor.requires_grad for tensor in inputs)
    value: Tensor = _Compiled.apply(forward, backward, formula, wanted, *inputs)  # type: ignore[no-untyped-call]
    return value


def gradient_on_demand(
    value: Callable[[Tensor], Tensor], gradient: Callable[[Tensor, float], Tensor]
) -> tuple[Forward, Backward]:
    """`forward` and `backward` for `compiled_or_formula`, of one input, that save nothing.

    Args:
        value: of an input.
        gradient: of an input, times a number.
    """

    return partial(_forward_of, value), partial(_backward_of, gradient)


def _forward_of(value: Callable[[Tensor], Tensor], _: Wanted, tensor: Tensor) -> tuple[Tensor, Gradients]:
    return value(tensor), ()


def _backward_of(
    gradient: Callable[[Tensor, float], Tensor], upstream: Tensor, _: Gradients, __: Wanted, tensor: Tensor
) -> Gradients:
    return (gradient(tensor, float(upstream)),)


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, forward: Forward, backward: Backward, formula: Formula, wanted: Wanted, *inputs: Tensor
    ) -> Tensor:
        value, saved = forward(wanted, *(tensor.detach() for tensor in inputs))
        ctx.kernels, ctx.formula, ctx.wanted = (forward, backward), formula, wanted
        ctx.saved = saved if any(wanted) else None
        ctx.save_for_backward(*inputs)
        return value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (upstream,), inputs = grad_outputs, ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: the gradient must itself be differentiable
            differentiated = [tensor for tensor, wanted in zip(inputs, ctx.wanted, strict=True) if wanted]
            slopes = iter(torch.autograd.grad(ctx.formula(*inputs), differentiated, upstream, create_graph=True))
            gradients: Gradients = tuple(next(slopes) if wanted else None for wanted in ctx.wanted)
        else:
            (forward, backward), saved = ctx.kernels, ctx.saved
            ctx.saved = None  # `backward` may overwrite it
            if saved is None:  # retain_graph=True, and the second pass
                _, saved = forward(ctx.wanted, *(tensor.detach() for tensor in inputs))
            gradients = backward(upstream, saved, ctx.wanted, *(tensor.detach() for tensor in inputs))
        return (None, None, None, None, *gradients)
