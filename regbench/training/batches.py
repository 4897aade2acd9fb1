"""Which pairs a training sees, step by step, and how they reach the device."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.data.cache import Dataset
from regbench.study.config import Training
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc

SHARE = 0.5  # of the device's free memory that images may take before they are streamed
ALWAYS = 2**28  # bytes that any machine can hold


class Batch(NamedTuple):
    """Images ``(B, 1, *S)``; one-hot labels ``(B, L, *S)`` where training is semi-supervised."""

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None


class Batches:
    """The batch of each step, a pure function of the seed and the step.

    Images are held on the device, or read from the mapped cache by a thread that is one step ahead.
    """

    def __init__(self, data: Dataset, protocol: Training, seed: int, device: torch.device) -> None:
        atlas = None if protocol.atlas is None else nfc(protocol.atlas)
        if atlas is not None and atlas not in data.subjects:
            hint = did_you_mean(atlas, data.subjects)
            raise RegbenchError(f"training.atlas must be a subject of `{data.id}`, but got `{atlas}`; {hint}")
        names = [name for name in data.split("train") if name != atlas]
        prescribed = [] if atlas is not None else _prescribed(data, names)
        self.draws = draw_pairs(len(names), protocol.steps, protocol.batch, seed, prescribed)
        if atlas is not None:
            self.draws[:, 0 if protocol.atlas_is == "fixed" else 1] = len(names)
            names.append(atlas)
        self.data, self.device, self.names = data, device, names
        self.labels = list(data.labels) if protocol.dice_weight else []
        self.held: tuple[Tensor, Tensor | None] | None = None
        self.ahead: tuple[int, Future[list[Tensor]]] | None = None
        if protocol.images == "device" or (protocol.images == "auto" and self._fits()):
            images = torch.from_numpy(data.images(tuple(names))).unsqueeze(1).to(device)
            maps = torch.from_numpy(self._label_maps(names)).to(device) if self.labels else None
            self.held = images, maps
        else:
            self.reader = ThreadPoolExecutor(1)

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, from 0."""
        if self.held is not None:
            images, maps = self.held
            halves = [(images[rows], None if maps is None else maps[rows]) for rows in self.draws[step]]
        else:
            halves = self._streamed(step)
        (fixed, fixed_maps), (moving, moving_maps) = halves
        return Batch(fixed, moving, self._one_hot(fixed_maps), self._one_hot(moving_maps))

    def _streamed(self, step: int) -> list[tuple[Tensor, Tensor | None]]:
        ready = self.ahead is not None and self.ahead[0] == step
        read = self.ahead[1].result() if self.ahead is not None and ready else self._read(step)
        parts = [part.to(self.device, non_blocking=True) for part in read]
        if step + 1 < len(self.draws):
            self.ahead = step + 1, self.reader.submit(self._read, step + 1)
        count = len(parts) // 2
        return [(parts[k * count], parts[k * count + 1] if count > 1 else None) for k in range(2)]

    def _read(self, step: int) -> list[Tensor]:
        """Images (and label maps) of both halves, in memory that a GPU can copy from while it computes."""
        tensors_read = []
        for rows in self.draws[step].tolist():
            names = [self.names[row] for row in rows]
            arrays: list[NDArray[Any]] = [self.data.images(tuple(names))[:, None]]
            if self.labels:
                arrays.append(self._label_maps(names))
            tensors = [torch.from_numpy(array) for array in arrays]
            tensors_read += [tensor.pin_memory() if self.device.type == "cuda" else tensor for tensor in tensors]
        return tensors_read

    def _label_maps(self, names: list[str]) -> NDArray[np.int32]:
        return np.stack([self.data.label_map(name) for name in names]).astype(np.int32)

    def _one_hot(self, maps: Tensor | None) -> Tensor | None:
        if maps is None:
            return None
        return torch.stack([maps == label for label in self.labels], 1).float()

    def _fits(self) -> bool:
        need = 4 * len(self.names) * int(np.prod(self.data.shape)) * (2 if self.labels else 1)
        if self.device.type == "cuda":
            return need < SHARE * torch.cuda.mem_get_info(self.device)[0]
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError):
            return True  # this system does not say
        return need < max(SHARE * free, ALWAYS)


def draw_pairs(subjects: int, steps: int, batch: int, seed: int, prescribed: Sequence[tuple[int, int]] = ()) -> Tensor:
    """Subject indices ``(steps, 2, batch)``: of the prescribed pairs, else of any two; none is paired with itself."""
    generator = np.random.default_rng([seed, subjects])
    if prescribed:
        chosen = np.array(prescribed)[generator.integers(0, len(prescribed), (steps, batch))]
        return torch.from_numpy(chosen.transpose(0, 2, 1).copy())
    fixed = generator.integers(0, subjects, (steps, batch))
    moving = (fixed + generator.integers(1, max(subjects, 2), (steps, batch))) % subjects
    return torch.from_numpy(np.stack([fixed, moving], 1))


def _prescribed(data: Dataset, names: list[str]) -> list[tuple[int, int]]:
    """The training pairs that the data's authors prescribe, as indices of training subjects; none for most data."""
    place = {name: number for number, name in enumerate(names)}
    return [(place[fixed], place[moving]) for fixed, moving in data.pairs("train")]
