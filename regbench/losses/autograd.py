"""A loss with a gradient of its own, and its plain definition for everything else.

Autograd keeps each intermediate image for the backward pass; a gradient written by hand keeps none or one. Where it
cannot serve (a second derivative, ``torch.compile``), the definition does, by ordinary autograd.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

Wanted = tuple[bool, ...]
Gradients = tuple[Tensor | None, ...]
Forward = Callable[..., tuple[Tensor, Gradients]]
Backward = Callable[..., Gradients]


def analytic(
    forward: Forward,
    backward: Backward,
    definition: Callable[..., Tensor],
    *inputs: Tensor,
) -> Tensor:
    """Value of a loss, differentiable with respect to `inputs` any number of times.

    Args:
        forward: ``(wanted, *inputs) -> (value, kept)``; `wanted` says which inputs need a gradient, `kept` are tensors
            for `backward` (or None).
        backward: ``(upstream, kept, wanted, *inputs) -> gradients``, one for each input, None where not wanted. It may
            overwrite what was kept: a second pass over the same graph has it made again.
        definition: ``(*inputs) -> value``: the same number from differentiable operations.
        inputs: what may be differentiated; all else is bound in the three functions.

    Returns:
        What `forward` and `definition` return.
    """
    with full_precision(inputs[0]):
        if torch.compiler.is_compiling():
            return definition(*inputs)
        wanted = tuple(torch.is_grad_enabled() and each.requires_grad for each in inputs)
        value: Tensor = _Analytic.apply(forward, backward, definition, wanted, *inputs)[0]  # type: ignore[no-untyped-call]
        return value


def recomputed(
    value: Callable[[Tensor], Tensor], gradient: Callable[[Tensor, float], Tensor]
) -> tuple[Forward, Backward]:
    """`forward` and `backward` for `analytic`, of one input on the CPU, that keep nothing.

    Args:
        value: of an input.
        gradient: of an input, times a number.
    """

    def forward(_: Wanted, each: Tensor) -> tuple[Tensor, Gradients]:
        return value(each), ()

    def backward(upstream: Tensor, _: Gradients, __: Wanted, each: Tensor) -> Gradients:
        return (gradient(each, float(upstream)),)

    return forward, backward


def full_precision(tensor: Tensor) -> AbstractContextManager[Any]:
    """Autocast off: a matrix product in bfloat16 has three digits."""
    kind = tensor.device.type
    if not torch.amp.is_autocast_available(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


class _Analytic(torch.autograd.Function):
    @staticmethod
    def forward(forward: Any, backward: Any, definition: Any, wanted: Wanted, *inputs: Tensor) -> Any:
        value, kept = forward(wanted, *(each.detach() for each in inputs))
        return (value, *kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.value, ctx.gradient, ctx.definition, ctx.wanted, *tensors = inputs
        ctx.count, ctx.spent = len(tensors), False
        ctx.mark_non_differentiable(*(each for each in output[1:] if each is not None))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *output[1:])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        upstream, saved = grad_outputs[0], ctx.saved_tensors
        inputs = saved[: ctx.count]
        if upstream is None:
            gradients: Any = (None,) * ctx.count
        elif torch.is_grad_enabled():  # create_graph=True: the gradient must itself be differentiable
            asked = [each for each, wanted in zip(inputs, ctx.wanted, strict=True) if wanted]
            with full_precision(inputs[0]):
                found = iter(torch.autograd.grad(ctx.definition(*inputs), asked, upstream, create_graph=True))
            gradients = tuple(next(found) if wanted else None for wanted in ctx.wanted)
        else:
            with full_precision(inputs[0]):
                if ctx.spent:  # retain_graph=True
                    _, kept = ctx.value(ctx.wanted, *inputs)
                else:  # .data: autograd would refuse an overwritten tensor in a second pass, where it is not used
                    kept = tuple(None if each is None else each.data for each in saved[ctx.count :])
                ctx.spent = True
                gradients = ctx.gradient(upstream, kept, ctx.wanted, *inputs)
        return (None, None, None, None, *gradients)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        """One call after the other: a loss ends in a mean over its batch axis, which that of vmap must not join."""
        results = []
        for index in range(info.batch_size):
            each = (x.select(d, index) if isinstance(d, int) else x for x, d in zip(arguments, in_dims, strict=True))
            results.append(_Analytic.apply(*each))  # type: ignore[no-untyped-call]
        columns = list(zip(*results, strict=True))
        stacked = tuple(None if column[0] is None else torch.stack(column) for column in columns)
        return stacked, tuple(None if column is None else 0 for column in stacked)
