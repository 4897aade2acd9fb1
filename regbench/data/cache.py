"""A prepared dataset: arrays mapped into memory, shared by all jobs of a machine."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regbench.data.displacement_names import DisplacementNames
from regbench.data.preprocessing.scaling import by_modality
from regbench.data.space import Space
from regbench.data.subject import DIGITS, slabs
from regbench.spatial.displacement import compose
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError
from regbench.system.files import MANIFEST, digest, file_sha256, read_sealed

PREPARATION = ("orientation", "intensity", "percentiles", "window", "colour")  # of the preprocessing, where given


@dataclass(frozen=True)
class Pair:
    """Two images to register, with all that an evaluation needs.

    Attributes:
        fixed, moving: ``(*S)`` float32.
        fixed_labels, moving_labels: ``(*S)`` integers.
        truth: ``(d, *S)`` the true displacement in voxels, ``moving(p + u(p)) = fixed(p)``; None where unknown.
        spacing_mm: of the fixed image.
        fixed_landmarks, moving_landmarks: ``(n, d)`` voxel coordinates, row by row the same point; None without.
        native_affines: ``(d + 1, d + 1)`` of the fixed and the moving subject's own file, voxels to mm (RAS), where
            preprocessing left both arrays as they were; None elsewhere.
        fixed_mask, moving_mask: ``(*S)`` uint8, 1 inside; None of a subject without one.
        files: names that the file of the pair's displacement may have, without the ending.
        native_sides_mm: of the fixed subject's own image, which preprocessing may have cropped or padded; None without.
    """

    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    fixed_labels: NDArray[Any]
    moving_labels: NDArray[Any]
    truth: NDArray[np.float32] | None
    spacing_mm: tuple[float, ...]
    fixed_landmarks: NDArray[np.float64] | None = None
    moving_landmarks: NDArray[np.float64] | None = None
    files: tuple[str, ...] = ()
    native_affines: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    fixed_mask: NDArray[np.uint8] | None = None
    moving_mask: NDArray[np.uint8] | None = None
    native_sides_mm: tuple[float, ...] | None = None

    @property
    def diagonal_mm(self) -> float:
        """Of the fixed subject's own image, before it was cropped or padded; of the grid where it has no other."""
        grid = tuple(count * side for count, side in zip(self.fixed.shape, self.spacing_mm, strict=True))
        return float(np.linalg.norm(self.native_sides_mm or grid))

    @property
    def places(self) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
        """Where headers of files on this grid may put it: affines ``(d + 1, d + 1)`` of fixed and moving; ours first.

        The prepared files (`regbench export-images`) begin at 0 mm, their axes run right, front, top.
        """
        own = np.diag([*self.spacing_mm, 1.0])
        return ((own, own), *(() if self.native_affines is None else (self.native_affines,)))

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """Where the fixed image has a label."""
        return np.asarray(self.fixed_labels > 0)


class Dataset:
    """See `load`."""

    def __init__(self, manifest: dict[str, Any], arrays: dict[str, NDArray[Any]], folder: Path | None = None) -> None:
        self._manifest, self._arrays, self._folder = manifest, arrays, folder
        self._sound: set[tuple[str, str]] = set()  # arrays of subjects that are as they were prepared
        self._draws = dict[int, Dataset]()
        self._place = {name: number for number, name in enumerate(manifest["subjects"])}
        self.id: str = manifest["id"]
        self.checksum: str = manifest["data_sha256"]
        self.shape: tuple[int, ...] = tuple(manifest["shape"])
        self.spacing_mm: tuple[float, ...] = tuple(manifest["spacing_mm"])
        self.labels: dict[int, str] = {int(label): name for label, name in manifest["labels"].items()}
        self.subjects: tuple[str, ...] = tuple(manifest["subjects"])

    @cached_property
    def spec(self) -> PrepareSpec:
        """What was asked for when it was prepared."""
        return PrepareSpec.from_json(self._manifest["spec"])

    @cached_property
    def displacement_names(self) -> DisplacementNames:
        """What the files of displacements between its subjects are called."""
        return DisplacementNames(self.subjects)

    @property
    def preparation(self) -> dict[str, object]:
        """What has to be done to a new image to make it one like these: spacing, orientation, intensity."""
        chosen = self._manifest.get("spec", {}).get("preprocessing", {})
        given = {key: chosen[key] for key in PREPARATION if key in chosen}
        if isinstance(rules := given.get("intensity"), dict):
            scalings = {name: list(rule) for name, rule in by_modality(rules).items()}
            used = {tuple(map(self.modality, pair)) for pair in self.pairs("train")}
            del given["intensity"]
            given |= {"by_modality": scalings, "modalities": list(used.pop()) if len(used) == 1 else None}
        return {"spacing_mm": list(self.spacing_mm), **given}

    def modality(self, name: str) -> str:
        """Of one subject; empty where the data do not say it."""
        return str(self._manifest.get("modalities", {}).get(name, ""))

    def role(self, name: str) -> str:
        """``fixed`` or ``moving`` where one subject is that in each of its pairs; else empty."""
        return str(self._manifest.get("roles", {}).get(name, ""))

    def split(self, name: str) -> tuple[str, ...]:
        """Subjects of train, validation or test."""
        return tuple(self._manifest["splits"][name])

    def pairs(self, split: str) -> tuple[tuple[str, str], ...]:
        """(fixed, moving) pairs of validation or test; of train where the data prescribe them, else none."""
        return tuple((fixed, moving) for fixed, moving in self._manifest["pairs"].get(split, ()))

    def with_pairs(self, split: str, pairs: Sequence[tuple[str, str]]) -> "Dataset":
        """The same data with these pairs of a split and no others."""
        chosen = {**self._manifest["pairs"], split: [list(pair) for pair in pairs]}
        return Dataset({**self._manifest, "pairs": chosen}, self._arrays, self._folder)

    def of_draw(self, number: int) -> "Dataset":
        """The same data with the validation subjects of a further draw (`tuning.splits`); 0 is the declared one."""
        if number == 0:
            return self
        if number not in self._draws:
            drawn = self._manifest["redrawn"][number - 1]
            self._draws[number] = Dataset({**self._manifest, **drawn}, self._arrays, self._folder)
        return self._draws[number]

    def images(self, ids: tuple[str, ...]) -> NDArray[np.float32]:
        """Images ``(n, *S)`` float32, a copy."""
        for name in ids:
            self._check("images", name)
        return np.array(self._arrays["images"][[self._place[name] for name in ids]], dtype=np.float32)

    def label_map(self, name: str) -> NDArray[Any]:
        """Labels ``(*S)`` of one subject."""
        self._check("labels", name)
        return np.array(self._arrays["labels"][self._place[name]])

    def _check(self, array: str, subject: str) -> None:
        """Compare what is on the disk with what was prepared, once for each subject of a process.

        Raises:
            RegbenchError: if a byte differs; names the file and the subject.
        """
        if self._folder is None or (array, subject) in self._sound:
            return
        place, found = self._place[subject], hashlib.sha256()
        for part in slabs(self._arrays[array][place]):
            found.update(np.ascontiguousarray(part).data)
        if found.hexdigest()[:DIGITS] != self._manifest["subjects_sha256"][array][place]:
            raise RegbenchError(
                f"`{self._folder / array}.npy`, subject `{subject}`, must be as `{MANIFEST}` records it, but was "
                f"altered or damaged. Delete `{self._folder}`, run again."
            )
        self._sound.add((array, subject))

    def pair(self, fixed: str, moving: str) -> Pair:
        """Everything about one pair, in memory."""
        images = self.images((fixed, moving))
        return Pair(
            images[0], images[1], self.label_map(fixed), self.label_map(moving), self._truth(fixed, moving),
            self.spacing_mm, self.landmarks(fixed), self.landmarks(moving),
            self.displacement_names.stems(fixed, moving), self._native_affines(fixed, moving),
            self.mask(fixed), self.mask(moving), self._native_sides_mm(fixed),
        )  # fmt: skip

    def landmarks(self, name: str) -> NDArray[np.float64] | None:
        """Landmarks ``(n, d)`` of one subject in voxels; None where it has none."""
        if "landmarks" not in self._arrays:
            return None
        rows = self._arrays["landmarks"]
        points = np.array(rows[rows[:, 0] == self._place[name], 1:])
        return points if len(points) else None

    def references(self, split: str) -> tuple[str, ...]:
        """What pairs of validation or test can be scored by: labels, landmarks, truth; some of them, or each."""
        return tuple(self._manifest["references"][split])

    @property
    def masked(self) -> tuple[str, ...]:
        """Those subjects that have a mask."""
        return tuple(self._manifest.get("masked", ()))

    def mask(self, name: str) -> NDArray[np.uint8] | None:
        """Mask ``(*S)`` of one subject, 1 inside; None where it has none."""
        if name not in self.masked:
            return None
        self._check("masks", name)
        return np.array(self._arrays["masks"][self._place[name]])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out or is not used, a counted sentence each."""
        return tuple(self._manifest.get("remarks", ()))

    def record(self, name: str) -> dict[str, Any]:
        """What was done to bring a subject onto the grid; empty for a synthetic one."""
        return dict(self._manifest.get("records", {}).get(name, {}))

    def space(self, name: str) -> Space:
        """Where the grid lies in a subject's own array, for `regbench.data.space.displacement_to_native`.

        Raises:
            RegbenchError: if the subject was made on this grid and has no other.
        """
        record = self.record(name)
        if "prepared_to_native" not in record:
            raise RegbenchError(
                f"`{name}` of `{self.id}` must have files of its own, but was made on this grid. "
                "Write what belongs to the prepared grid (`--prepared`)."
            )
        return Space(self.shape, tuple(record["native_shape"]), np.array(record["prepared_to_native"]))

    def _native_affines(self, fixed: str, moving: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """See `Pair`."""
        kept, affines = [*range(len(self.shape)), 3], []
        for name in (fixed, moving):
            record = self.record(name)
            unchanged = tuple(record.get("native_shape", ())) == self.shape and np.allclose(
                record["prepared_to_native"], np.eye(len(kept)), rtol=0, atol=1e-6
            )
            if not unchanged:
                return None
            affines.append(np.array(record["native_affine"], dtype=np.float64)[np.ix_(kept, kept)])
            sides = np.linalg.norm(affines[-1][:-1, :-1], axis=0)
            if abs(np.linalg.det(affines[-1])) < 1e-9 * np.prod(sides):  # a slice that stands upright
                return None
        return affines[0], affines[1]

    def _native_sides_mm(self, name: str) -> tuple[float, ...] | None:
        record = self.record(name)
        if "native_shape" not in record:
            return None
        return tuple(n * side for n, side in zip(record["native_shape"], record["native_spacing_mm"], strict=True))

    def _truth(self, fixed: str, moving: str) -> NDArray[np.float32] | None:
        """Into the template with the fixed subject's map, out of it with the moving one's inverse."""
        if "forward" not in self._arrays:
            return None
        self._check("forward", fixed)
        self._check("inverse", moving)
        forward, inverse = (
            torch.from_numpy(np.array(self._arrays[name][self._place[subject]], dtype=np.float64))[None]
            for name, subject in (("forward", fixed), ("inverse", moving))
        )
        return compose(inverse, forward)[0].float().numpy()


def load(folder: Path, *, verify: bool = False) -> Dataset:
    """Open the cache in `folder`.

    Args:
        folder: where `prepare` put it.
        verify: compare every file with its checksum (reads all of it). In any case shape and type are compared here,
            and each subject's bytes when they are first asked for.

    Raises:
        RegbenchError: if a file is missing, truncated or altered; names it.
    """
    manifest = _manifest(folder)
    arrays = {}
    for name, expected in manifest["files"].items():
        path = folder / name
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            raise RegbenchError(
                f"`{path}` must be a whole .npy file, but got: {error}. Delete `{folder}`, run again."
            ) from error
        if [list(values.shape), str(values.dtype)] != [expected["shape"], expected["dtype"]] or (
            (verify or path.stem not in manifest["subjects_sha256"]) and file_sha256(path) != expected["sha256"]
        ):
            raise RegbenchError(
                f"`{path}` must be as `{MANIFEST}` records it, but was altered. Delete `{folder}`, run again."
            )
        arrays[path.stem] = values
    return Dataset(manifest, arrays, folder)


def _manifest(folder: Path) -> dict[str, Any]:
    """What `prepare` wrote of the arrays.

    Raises:
        RegbenchError: if it is damaged, or of an older regbench; says what to do.
    """
    manifest = read_sealed(folder / MANIFEST)
    try:
        made_of = [manifest["files"], manifest["splits"], manifest["pairs"]]
        redrawn = [
            one["data_sha256"] == digest([made_of[0], one["splits"], one["pairs"]])
            for one in manifest.get("redrawn", ())
        ]
        whole = (
            all(redrawn)
            and manifest["data_sha256"] == digest(made_of)
            and isinstance(manifest["subjects_sha256"], dict)
        )
        whole = whole and isinstance(manifest["spec"], dict)
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise RegbenchError(
            f"`{folder / MANIFEST}` must be as `prepare` of this regbench wrote it, but was altered or is of an older "
            f"one. Delete `{folder}`, run again."
        )
    return dict(manifest)
