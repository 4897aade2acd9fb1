"""A function on the bench: in which dimensions and on which shapes it runs, and what it is held against."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from regbench.losses.audit import samples
from regbench.losses.audit.audited import Audited
from regbench.losses.audit.calls import Loss, Outcome, in_double, outcome, value_of
from regbench.losses.audit.samples import SHAPES, Shape

Relative = Callable[..., Tensor]  # in float64, of any images: what the function is exactly


class Bench:
    """One function under audit, with what several probes ask of it."""

    def __init__(self, audited: Audited) -> None:
        self.audited = audited
        self.errors: dict[int, str] = {}
        self.shapes: dict[int, Shape] = {}
        self.relatives: dict[int, Relative] = {}
        self._losses: dict[Shape, Loss] = {}
        for dims in (2, 3):
            self._try(dims)

    @property
    def dims(self) -> list[int]:
        """In which it runs."""
        return list(self.shapes)

    def loss(self, shape: Sequence[int]) -> Loss:
        """The function, one object for each shape of its data: what a class keeps of one is not handed to another."""
        key = tuple(shape)
        if key not in self._losses:
            self._losses[key] = self.audited.make()
        return self._losses[key]

    @cached_property
    def adapter(self) -> str:
        """The lines that a config needs to name it, which also take the axes from a value that has some."""
        return self.audited.adapter + (".squeeze()" if self.audited.adapter and self.shape_of_value else "")

    @cached_property
    def shape_of_value(self) -> tuple[int, ...]:
        """Of one element; of a scalar empty."""
        return self.call(samples.single(self.sample(self.dims[0]))).shape if self.dims else ()

    @cached_property
    def of_matrices(self) -> bool:
        """Whether it judges affine maps."""
        return self.audited.kind == "affine_regularizer"

    def sample(self, dims: int, seed: int = 0) -> list[Tensor]:
        """Ordinary data of float64: two images, a displacement or a matrix."""
        return self.data(self.shapes[dims], dims, seed)

    def data(self, shape: Shape, dims: int, seed: int = 0) -> list[Tensor]:
        """As `sample`, on any shape."""
        if self.of_matrices:
            return [samples.matrix(dims, seed)]
        if self.audited.kind == "similarity":
            return list(samples.pair(shape, seed))
        u = samples.field(shape, seed)
        return self.judged(u, samples.field(shape, seed + 20) - u)

    def judged(self, u: Tensor, back: Tensor | None = None) -> list[Tensor]:
        """What is given of a displacement: it alone; or with a way back, which rests unless it is given."""
        if self.audited.kind != "consistency":
            return [u]
        return [u, torch.zeros_like(u) if back is None else back]

    def call(self, inputs: Sequence[Tensor]) -> Outcome:
        """In the type of the inputs."""
        return outcome(self.loss(inputs[0].shape), inputs)

    def value(self, *inputs: Tensor, seed: int = 0) -> float:
        """The value alone, in float32; NaN where the call fails."""
        return value_of(self.loss(inputs[0].shape), *samples.single(inputs), seed=seed)

    def exact(self, inputs: Sequence[Tensor]) -> Outcome:
        """In float64: by what it is exactly, a formula of ours that keeps its digits; or by the function itself."""
        relative = self.relatives.get(self._dims_of(inputs[0]))
        return self.itself_in_double(inputs) if relative is None else in_double(relative, inputs)

    def itself_in_double(self, inputs: Sequence[Tensor]) -> Outcome:
        """In float64, by the function itself."""
        return in_double(self._in_double(), inputs)

    def _dims_of(self, tensor: Tensor) -> int:
        return tensor.shape[1] if self.of_matrices else tensor.ndim - 2

    def _in_double(self) -> Loss:
        """The function with its own constants in float64."""
        loss = self.audited.make()
        module = loss if isinstance(loss, torch.nn.Module) else getattr(loss, "func", None)
        if isinstance(module, torch.nn.Module):
            module.double()
        return loss

    def _try(self, dims: int) -> None:
        """The smallest shape that it takes; or what it says against the first."""
        for shape in SHAPES[dims]:
            called = outcome(self.audited.make(), samples.single(self.data(shape, dims)))
            if not called.error:
                self.shapes[dims] = shape
                return
            self.errors.setdefault(dims, called.error)
            if "returns" in called.error or self.of_matrices:
                return
