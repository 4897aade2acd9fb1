"""A training step as one CUDA graph: what hundreds of small kernels cost the CPU to call is paid once.

The first steps run as they always do, which is the warm-up that a capture needs. Then a step is recorded (nothing is
computed while it is), and from there on each step copies its batch into the place of the recorded one and replays. What
the recorded step reads from Python is fixed: lambda and weights are; the learning rate is a tensor of the optimiser.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from regbench.study.specs import TrainSpec
from regbench.training.batches import Batch

LOG = logging.getLogger(__name__)
WARM_UP = 3  # steps before the recorded one, as torch asks for
OWN_CODE = ("features",)  # parts of ours that call what is not ours
Step = Callable[[Batch], Tensor]


class Graphs(Protocol):
    """What records work and gives back how to replay it."""

    def aside(self) -> AbstractContextManager[None]:
        """For the warm-up."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """The tensor that the work's result will lie in, and what does the work; recording does nothing of it."""


class CudaGraphs:
    """See `Graphs`; by torch."""

    @contextmanager
    def aside(self) -> Iterator[None]:
        """On a stream of its own: a capture refuses what once ran on the default one."""
        stream, main = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            yield
        main.wait_stream(stream)

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """See `Graphs`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = work()
        return result, graph.replay


class StepGraph:
    """A step that is replayed; by itself as it was where it cannot be, which is said once."""

    def __init__(self, step: Step, graphs: Graphs, parameters: Sequence[Tensor] = ()) -> None:
        """Nothing is recorded yet.

        Args:
            step: ``(batch) -> terms``; changes weights and the optimiser's state in place.
            graphs: that record it.
            parameters: whose gradients a step makes and forgets.
        """
        self.step, self.graphs, self.parameters = step, graphs, parameters
        self.warm, self.broken = 0, False
        self.held: Batch | None = None  # whose memory the recorded step reads
        self.terms: Tensor | None = None  # and the memory that it writes
        self.replay: Callable[[], None] | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """One step; its terms ``(n,)``, which no later step changes."""
        if self.broken or (self.held is not None and _form(batch) != _form(self.held)):
            return self.step(batch)
        if self.warm < WARM_UP:
            self.warm += 1
            with self.graphs.aside():
                return self.step(batch)
        if self.replay is None and not self._recorded(batch):
            return self.step(batch)
        assert self.held is not None  # since it was recorded
        assert self.terms is not None
        assert self.replay is not None
        for place, part in zip(self.held, batch, strict=True):
            if place is not None and part is not None:
                place.copy_(part)
        self.replay()
        return self.terms.clone()

    def _recorded(self, batch: Batch) -> bool:
        """Record a step; False where it cannot be."""
        held = Batch._make(None if part is None else part.clone() for part in batch)
        self.held = held
        try:
            self.terms, self.replay = self.graphs.record(lambda: self.step(held))
        except RuntimeError as error:  # torch's, of what a capture refuses
            self.held, self.broken = None, True
            for parameter in self.parameters:  # half a step may have left some
                parameter.grad = None
            LOG.warning("a step cannot be a CUDA graph, so each is called as it is: %s", str(error).splitlines()[0])
        return not self.broken


def graphs(spec: TrainSpec, device: torch.device) -> bool:
    """Whether the steps of a training are replayed; where they are asked for and are not, the log says why."""
    if not spec.training.graph:
        return False
    names = (spec.model.name, spec.similarity.name, spec.regularizer.name, *(term.name for term in spec.further))
    others = [name for name in names if ":" in name or name in OWN_CODE]
    inner = spec.similarity.parameters.get("similarity")  # of `multi_scale`
    if isinstance(inner, str) and (":" in inner or inner in OWN_CODE):
        others.append(inner)
    if device.type != "cuda":
        LOG.info("`training.graph` needs a GPU, and this training computes on the CPU: each step is called as it is")
    elif others:
        LOG.info("a CUDA graph holds no code but ours, and `%s` is not: each step is called as it is", others[0])
    return device.type == "cuda" and not others


def _form(batch: Batch) -> list[tuple[tuple[int, ...], torch.dtype] | None]:
    return [None if part is None else (tuple(part.shape), part.dtype) for part in batch]
