"""Calls of a function that may do anything: value, gradients, and what it raised."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, redirect_stdout
from typing import NamedTuple

import torch
from torch import Tensor

Loss = Callable[..., object]
LONGEST = 110  # letters of what a function raises


class Outcome(NamedTuple):
    """What a call came to.

    Attributes:
        value: NaN where there is none.
        gradients: to each input; None where the value does not depend on it.
        error: what went wrong; empty if nothing.
        dtype: of the value.
        shape: of the value, which has one element.
    """

    value: float
    gradients: tuple[Tensor | None, ...]
    error: str
    dtype: torch.dtype = torch.float32
    shape: tuple[int, ...] = ()

    @property
    def slope(self) -> Tensor:
        """The gradient to the last input, in float64: the moved image, or the displacement."""
        gradient = self.gradients[-1]
        assert gradient is not None  # for those who asked `differentiable` before
        return gradient.double()

    @property
    def differentiable(self) -> bool:
        """Whether it has a value and a gradient to the last input."""
        return not self.error and self.gradients[-1] is not None


def outcome(loss: Loss, inputs: Sequence[Tensor], within: AbstractContextManager[object] | None = None) -> Outcome:
    """Call a loss, and ask for its gradients.

    Args:
        loss: anything that can be called.
        inputs: its data; copies of them are given.
        within: a context for the call, autocast say.
    """
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    try:
        with quiet():
            with within or nullcontext():
                value = loss(*(leaf.clone() for leaf in leaves))  # no leaves, as in a training
            if not isinstance(value, Tensor) or value.numel() != 1:
                return Outcome(torch.nan, (None,) * len(leaves), no_scalar(value))
            gradients: tuple[Tensor | None, ...] = (None,) * len(leaves)
            if value.requires_grad:
                gradients = torch.autograd.grad(value.reshape(()), leaves, allow_unused=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a function of somebody else does
        return Outcome(torch.nan, (None,) * len(leaves), raised(error))
    return Outcome(float(value.detach().double().reshape(())), gradients, "", value.dtype, tuple(value.shape))


def value_of(loss: Loss, *inputs: Tensor, seed: int = 0) -> float:
    """The value alone, of the inputs themselves; NaN where the call fails."""
    try:
        with quiet(seed), torch.no_grad():
            value = loss(*inputs)
            whole = isinstance(value, Tensor) and value.numel() == 1
            return float(value.double().reshape(())) if isinstance(value, Tensor) and whole else torch.nan
    except (Exception, SystemExit):  # noqa: BLE001 - whatever a function of somebody else does
        return torch.nan


def in_double(loss: Loss, inputs: Sequence[Tensor]) -> Outcome:
    """The call in float64; where constants that a function makes keep it from that, they are made of float64 too."""
    doubles = [tensor.double() for tensor in inputs]
    plain = outcome(loss, doubles)
    if not plain.error and plain.dtype == torch.float64:
        return plain
    with default_type(torch.float64):
        made = outcome(loss, doubles)
    return plain if made.error else made


def no_scalar(value: object) -> str:
    """What a function returned instead of a scalar tensor."""
    if isinstance(value, Tensor):
        return f"returns a tensor of shape {tuple(value.shape)}, no scalar"
    return f"returns {type(value).__name__}, no tensor"


def raised(error: BaseException) -> str:
    """Type and words of an exception, in a line."""
    words = " ".join(str(error).split())
    return f"raises {type(error).__name__}: {words if len(words) <= LONGEST else words[:LONGEST] + '...'}"


@contextmanager
def quiet(seed: int = 0) -> Iterator[None]:
    """Without warnings and prints, and with the same random numbers in every call."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.manual_seed(seed)
        yield


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """The type of the tensors that a function makes by itself."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
