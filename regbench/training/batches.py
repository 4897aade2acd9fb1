"""Which pairs a training sees, step by step, and how they reach the device."""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regbench.data.cache import Dataset
from regbench.losses.masks import Masks
from regbench.losses.objective import Supervision
from regbench.study.config import Training
from regbench.study.specs import ComponentSpec
from regbench.study.terms import SUPERVISED
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc

SHARE = 0.5  # of the device's free memory that images may take before they are streamed
ALWAYS = 2**28  # bytes that any machine can hold


class Batch(NamedTuple):
    """Images ``(B, 1, *S)``; where terms need them one-hot labels ``(B, L, *S)``, landmarks ``(B, N, d)``; masks."""

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    fixed_mask: Tensor | None = None
    moving_mask: Tensor | None = None
    fixed_points: Tensor | None = None
    moving_points: Tensor | None = None

    @property
    def masks(self) -> Masks:
        """Both masks."""
        return Masks(self.fixed_mask, self.moving_mask)

    @property
    def known(self) -> Supervision:
        """What is known of both images."""
        return Supervision(self.fixed_labels, self.moving_labels, self.fixed_points, self.moving_points)


class _Half(NamedTuple):
    """One image of each pair of a batch: ``(B, 1, *S)``, label map ``(B, *S)``, mask ``(B, 1, *S)``, landmarks."""

    images: Tensor
    labels: Tensor | None = None
    masks: Tensor | None = None
    points: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> "_Half":
        """A function of each part that there is."""
        labels, masks, points = (None if part is None else function(part) for part in self[1:])
        return _Half(function(self.images), labels, masks, points)


_Needs = tuple[tuple[str, ...], bool, bool, bool, str]  # subjects; whether labels, landmarks, masks; device
# Of each dataset what its last training held; nobody writes into it. It goes with the dataset.
_HELD: WeakKeyDictionary[Dataset, tuple[_Needs, _Half]] = WeakKeyDictionary()


def needs_of(terms: Sequence[ComponentSpec]) -> frozenset[str]:
    """What terms must know of the training subjects: labels, landmarks."""
    return frozenset(SUPERVISED[term.name] for term in terms if term.name in SUPERVISED)


class Batches:
    """The batch of each step, a pure function of the seed and the step.

    Images are held on the device, or read from the mapped cache by a thread that is one step ahead.
    """

    def __init__(
        self,
        data: Dataset,
        protocol: Training,
        seed: int,
        device: torch.device,
        *,
        known: Collection[str] = (),
    ) -> None:
        """Draw the pairs of every step.

        Args:
            data: prepared dataset.
            protocol: of the training.
            seed: of the draws.
            device: that images are held on.
            known: what the objective must know of the subjects: labels, landmarks.

        Raises:
            RegbenchError: if the atlas is no subject, or subjects lack masks, labels or landmarks that count.
        """
        atlas = None if protocol.atlas is None else nfc(protocol.atlas)
        if atlas is not None and atlas not in data.subjects:
            hint = did_you_mean(atlas, data.subjects)
            raise RegbenchError(f"training.atlas must be a subject of `{data.id}`, but got `{atlas}`; {hint}")
        names = [name for name in data.split("train") if name != atlas]
        if atlas is None:  # which brings in that of the pairs
            names = list(dict.fromkeys([*names, *(name for pair in data.pairs("train") for name in pair)]))
        prescribed = [] if atlas is not None else _prescribed(data, names)
        self.draws = draw_pairs(len(names), protocol.steps, protocol.batch, seed, prescribed)
        if atlas is not None:
            self.draws[:, 0 if protocol.atlas_is == "fixed" else 1] = len(names)
            names.append(atlas)
        self.data, self.device, self.names = data, device, names
        self.rows = self.draws.to(device)  # all at once: a GPU would wait for those of each step
        self.labels = list(data.labels) if "labels" in known else []
        self.points = _points(data, names, prescribed) if "landmarks" in known else None
        labelled = torch.tensor([bool(data.record(name).get("labelled", True)) for name in names])
        self.labelled = None if labelled.all() else labelled.to(device)
        if "labels" in known and not self.labels:
            raise RegbenchError(
                f"a `dice` term must have labels of the subjects of `{data.id}`, but they have none. Leave it out, or "
                "add labels."
            )
        self.masked = protocol.mask != "none"
        lacking = [name for name in names if name not in set(data.masked)] if self.masked else []
        if lacking:
            raise RegbenchError(
                f"`training.mask` must have a mask of every subject of `{data.id}` that is trained on, but "
                f"`{lacking[0]}` has none. Give it one, or set `training.mask: none`."
            )
        self.held: _Half | None = None
        self.ahead: tuple[int, Future[list[_Half]]] | None = None
        if protocol.images == "device" or (protocol.images == "auto" and (self._shared() or self._fits())):
            self.held = self._shared() or self._load()
        else:
            self.reader = ThreadPoolExecutor(1)

    def _shared(self) -> _Half | None:
        """What an earlier training on the same data left on the device: trials of one job load it once."""
        needs, half = _HELD.get(self.data, (None, None))
        return half if needs == self._needs() else None

    def _load(self) -> _Half:
        _HELD.pop(self.data, None)  # before there are two of them
        half = self._of(self.names).map(lambda part: part.to(self.device))
        _HELD[self.data] = self._needs(), half
        return half

    def _needs(self) -> "_Needs":
        return (tuple(self.names), bool(self.labels), self.points is not None, self.masked, str(self.device))

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, from 0."""
        if self.held is not None:
            fixed, moving = (self.held.map(rows_of(rows)) for rows in self.rows[step])
        else:
            fixed, moving = self._streamed(step)
        return Batch(
            fixed.images,
            moving.images,
            self._one_hot(fixed.labels, step),
            self._one_hot(moving.labels, step),
            None if fixed.masks is None else fixed.masks.float(),
            None if moving.masks is None else moving.masks.float(),
            fixed.points,
            moving.points,
        )

    def _streamed(self, step: int) -> list[_Half]:
        ready = self.ahead is not None and self.ahead[0] == step
        read = self.ahead[1].result() if self.ahead is not None and ready else self._read(step)
        halves = [half.map(lambda part: part.to(self.device, non_blocking=True)) for half in read]
        if step + 1 < len(self.draws):
            self.ahead = step + 1, self.reader.submit(self._read, step + 1)
        return halves

    def _read(self, step: int) -> list[_Half]:
        """Both halves, in memory that a GPU can copy from while it computes."""
        halves = [self._of([self.names[row] for row in rows]) for rows in self.draws[step].tolist()]
        return [half.map(Tensor.pin_memory) if self.device.type == "cuda" else half for half in halves]

    def _of(self, names: list[str]) -> _Half:
        """What is needed of some subjects."""
        images = torch.from_numpy(self.data.images(tuple(names))).unsqueeze(1)
        maps = torch.from_numpy(self._label_maps(names)) if self.labels else None
        points = None if self.points is None else torch.stack([self.points[name] for name in names])
        return _Half(images, maps, self._masks(names) if self.masked else None, points)

    def _masks(self, names: list[str]) -> Tensor:
        masks = [mask for name in names if (mask := self.data.mask(name)) is not None]
        return torch.from_numpy(np.stack(masks)).unsqueeze(1)

    def _label_maps(self, names: list[str]) -> NDArray[np.int32]:
        return np.stack([self.data.label_map(name) for name in names]).astype(np.int32)

    def _one_hot(self, maps: Tensor | None, step: int) -> Tensor | None:
        """Labels ``(B, L, *S)``; none of a pair that has those of one image alone: they tell no overlap."""
        if maps is None:
            return None
        one_hot = torch.stack([maps == label for label in self.labels], 1).float()
        if self.labelled is None:
            return one_hot
        both = self.labelled[self.rows[step]].all(0)
        return one_hot * both.view(-1, *[1] * (one_hot.ndim - 1))

    def _fits(self) -> bool:
        need = 4 * len(self.names) * int(np.prod(self.data.shape)) * (2 if self.labels else 1)
        if self.device.type == "cuda":
            return need < SHARE * torch.cuda.mem_get_info(self.device)[0]
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError):
            return True  # this system does not say
        return need < max(SHARE * free, ALWAYS)


def rows_of(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """The function that takes some rows of a tensor."""
    return lambda part: part[rows]


def draw_pairs(subjects: int, steps: int, batch: int, seed: int, prescribed: Sequence[tuple[int, int]] = ()) -> Tensor:
    """Subject indices ``(steps, 2, batch)``: of the prescribed pairs, else of any two; none is paired with itself."""
    generator = np.random.default_rng([seed, subjects])
    if prescribed:
        chosen = np.array(prescribed)[generator.integers(0, len(prescribed), (steps, batch))]
        return torch.from_numpy(chosen.transpose(0, 2, 1).copy())
    fixed = generator.integers(0, subjects, (steps, batch))
    moving = (fixed + generator.integers(1, max(subjects, 2), (steps, batch))) % subjects
    return torch.from_numpy(np.stack([fixed, moving], 1))


def _points(data: Dataset, names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
    """Landmarks ``(N, d)`` float32 of each subject in voxels; NaN behind those of one that has fewer than others.

    Args:
        data: prepared dataset.
        names: of the subjects.
        pairs: of their indices that are trained; any two where there are none.

    Raises:
        RegbenchError: if no subject has any, or two that are paired have not the same number.
    """
    known = {name: points for name in names if (points := data.landmarks(name)) is not None}
    if not known:
        raise RegbenchError(
            f"a `landmark_distance` term must have landmarks of the subjects of `{data.id}` that are trained on, but "
            "they have none. Leave it out, or add landmarks."
        )
    trained = [(names[fixed], names[moving]) for fixed, moving in pairs] or [
        (next(iter(known)), name) for name in known
    ]
    for one, other in trained:
        if one in known and other in known and len(known[one]) != len(known[other]):
            raise RegbenchError(
                "a `landmark_distance` term must have the same landmarks of both subjects of a pair, row by row, but "
                f"`{one}` has {len(known[one])} and `{other}` has {len(known[other])} in `{data.id}`. Leave it out, or "
                "prescribe the pairs that are trained (`pairs.rule`, `pairs.list`)."
            )
    most = max(map(len, known.values()))
    padded = {name: torch.full((most, len(data.shape)), float("nan")) for name in names}
    for name, points in known.items():
        padded[name][: len(points)] = torch.from_numpy(points)
    return padded


def _prescribed(data: Dataset, names: list[str]) -> list[tuple[int, int]]:
    """The training pairs that the data, a list or a rule prescribe, as indices of `names`; none for most data."""
    place = {name: number for number, name in enumerate(names)}
    return [(place[fixed], place[moving]) for fixed, moving in data.pairs("train")]
