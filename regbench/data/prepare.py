"""A source becomes a cache: plain arrays that every job maps into memory, and a manifest that says what they are."""

import hashlib
import io
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from regbench.data import DATASETS
from regbench.data.pairing import Pairs, atlas_of, used_pairs
from regbench.data.readers.pair_list import with_pair_list
from regbench.data.redraw import Redrawn, redrawn
from regbench.data.remarks import EVALUATED, Observed, check_evaluated, references, remarks
from regbench.data.room import check_room
from regbench.data.splits import Splits, split
from regbench.data.subject import DIGITS, Record, Source, Subject, all_finite, slabs
from regbench.study.components import bind
from regbench.study.data_config import NAMES
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.file_lock import waiting
from regbench.system.files import MANIFEST, canonical_json, digest, file_sha256, read_sealed, replacing, write_sealed

LOG = logging.getLogger(__name__)
EARLY = 2**24  # bytes that may wait for the disk while more is to come
TYPES = {"images": np.float32, "labels": np.int32, "forward": np.float32, "inverse": np.float32,
         "masks": np.uint8}  # fmt: skip


class ArrayFile(TypedDict):
    """An array of a prepared dataset, as its manifest describes the file."""

    sha256: str
    shape: list[int]
    dtype: str


def prepare(
    spec: PrepareSpec, folder: Path, *, threads: int = 1, opened: Callable[[Source], None] | None = None
) -> None:
    """Build the cache of a dataset in `folder`; the manifest is written last and marks a whole cache.

    Subjects are read and written one by one. When several processes ask at once, one builds and the others wait for it.

    Args:
        spec: of the dataset.
        folder: receives ``images.npy``, ``labels.npy``; ``forward.npy`` and ``inverse.npy`` where the truth is known,
            ``landmarks.npy`` and ``masks.npy`` (0 of who has none) where there are any; and ``manifest.json``. The same
            bytes each time.
        threads: subjects worked on at once; changes no byte.
        opened: is shown the dataset before any subject is read: its shape and its ids are known then.

    Raises:
        RegbenchError: if the source, a subject, the splits or the disk is at fault; names which.
    """
    source = open_source(spec, threads=threads)
    if opened is not None:
        opened(source)
    splits, used = divide(spec, source)
    draws = redrawn(spec, source, splits)
    check_room(spec, source, folder)
    before = _version(folder)
    with waiting(folder.parent / f"{folder.name}.lock"):
        if _version(folder) not in (before, None) and is_of(spec, read_sealed(folder / MANIFEST)):
            return  # another process built it while this one waited
        (folder / MANIFEST).unlink(missing_ok=True)
        files, of_subjects, records, points = _write(source, folder, spec.id, threads)
        observed = Observed(source, splits, used, records, points)
        sentences = remarks(observed, spec.id)
        further = [_of_draw(observed, one, spec.id, files) for one in draws]
        for remark in sentences:
            LOG.warning("dataset `%s`: %s", spec.id, remark)
        write_sealed(
            folder / MANIFEST,
            {
                "id": spec.id,
                "spec": spec.to_json(),
                "shape": list(source.shape),
                "spacing_mm": list(source.spacing_mm),
                "subjects": list(source.ids),
                "groups": dict(source.groups),
                **{key: dict(of) for key, of in (("modalities", source.modalities), ("roles", source.roles)) if of},
                "labels": {str(label): name for label, name in source.labels.items()},
                "splits": splits,
                "pairs": used,
                "files": files,
                "records": records,
                "data_sha256": digest([files, splits, used]),
                "subjects_sha256": of_subjects,
                "remarks": sentences,
                "references": {key: references(observed, used[key], truth="forward.npy" in files) for key in EVALUATED},
                "notes": source.notes,
                "licences": list(source.licences),
                **({"masked": list(source.masked)} if source.masked else {}),
                **({"redrawn": further} if further else {}),
            },
        )


def _of_draw(observed: Observed, draw: Redrawn, dataset: str, files: Mapping[str, ArrayFile]) -> dict[str, Any]:
    """What the manifest says of a further draw of validation subjects, in the keys of the declared one."""
    check_evaluated(observed._replace(splits=draw.splits, pairs=draw.pairs), dataset)
    truth = "forward.npy" in files
    return {
        "splits": draw.splits,
        "pairs": draw.pairs,
        "references": {key: references(observed, draw.pairs[key], truth=truth) for key in EVALUATED},
        "data_sha256": digest([files, draw.splits, draw.pairs]),
    }


def is_of(spec: PrepareSpec, manifest: Mapping[str, object]) -> bool:
    """Whether a manifest is of what `spec` asks for, made by this code."""
    return canonical_json(manifest.get("spec")) == canonical_json(spec.to_json())


def open_source(spec: PrepareSpec, *, threads: int = 1) -> Source:
    """The dataset of `spec` on its grid; subjects are read when they are asked for.

    Raises:
        RegbenchError: if a parameter, a header or the preprocessing is at fault.
    """
    source = _on_grid(spec, threads)
    return source if spec.pairs.list is None else with_pair_list(source, spec.pairs.list, spec.id)


def _on_grid(spec: PrepareSpec, threads: int) -> Source:
    try:
        opened = bind(DATASETS, spec.source, spec.parameters)()
    except RegbenchError as error:
        raise type(error)(f"dataset `{spec.id}`: {error}") from error
    settings = spec.preprocessing
    if isinstance(opened, Source):
        if settings:
            raise UsageError(
                f"dataset `{spec.id}`: `{spec.source}` makes its own grid and takes no preprocessing; "
                "set its parameters instead."
            )
        return opened
    from regbench.data.preprocessing.preprocess import on_grid

    return on_grid(opened, settings, threads=threads)


def divide(spec: PrepareSpec, source: Source) -> tuple[Splits, Pairs]:
    """Splits and pairs of `spec`; an atlas is in no split.

    Raises:
        RegbenchError: if they are impossible.
    """
    atlas = atlas_of(spec.pairs, spec.splits, source, spec.id)
    ids = [name for name in source.ids if name != atlas]
    given: Mapping[str, str] = source.given
    needed = tuple(name for name in NAMES if name not in spec.unneeded)
    if spec.only_tested:  # whoever the data's authors trained with
        of_test = spec.splits.test == "given"
        given, needed = {name: key for name, key in given.items() if of_test and key == "test"}, ("test",)
    splits = split(
        ids,
        spec.splits,
        spec.id,
        groups=source.groups,
        given=given,
        needed=needed,
        least=2 if atlas is None else 1,
    )
    return splits, used_pairs(spec.pairs, source, splits, spec.id, spec.most_pairs)


def _write(
    source: Source, folder: Path, dataset: str, threads: int
) -> tuple[dict[str, ArrayFile], dict[str, list[str]], dict[str, Record], dict[str, NDArray[np.float64]]]:
    """Stream all subjects into arrays; what the manifest says of files, their parts and subjects, and the landmarks."""
    names: tuple[str, ...] = ()
    records, points = dict[str, Record](), dict[str, NDArray[np.float64]]()
    files = dict[str, ArrayFile]()
    with ExitStack() as stack, ThreadPoolExecutor(len(TYPES)) as disk:  # which ends before the files are closed
        written: dict[str, _Written] = {}
        for subject in source:
            parts = _parts(_checked(subject, source, dataset), masked=bool(source.masked))
            if not records:
                names = tuple(parts)
                for name, values in parts.items():
                    temporary = stack.enter_context(replacing(folder / f"{name}.npy"))
                    # Opened after the renaming is registered, so closed before it.
                    file = stack.enter_context(temporary.open("wb"))
                    written[name] = _Written(file, TYPES[name], (len(source.ids), *values.shape), disk)
            for name in names:
                if name not in parts:
                    raise RegbenchError(f"dataset `{dataset}`, subject `{subject.id}`: has no {name}, but others have.")
                written[name].append(parts[name])
            if subject.landmarks is not None:
                points[subject.id] = subject.landmarks
            records[subject.id] = dict(subject.record)
            del subject, parts  # let go before the next one is read
        for each in written.values():
            each.sync()
        for each in written.values():
            each.wait()
        files.update({f"{name}.npy": each.described for name, each in written.items()})
        of_subjects = {name: each.of_subjects for name, each in written.items()}
    if points:
        path = folder / "landmarks.npy"
        with replacing(path) as temporary, temporary.open("wb") as file:
            place = {name: number for number, name in enumerate(records)}
            np.save(file, np.concatenate([np.insert(rows, 0, place[name], axis=1) for name, rows in points.items()]))
        files[path.name] = _described(path)
    return files, of_subjects, records, points


class _Written:
    """An .npy that grows by one subject after the other; hashed, and brought to the disk, while the next are read."""

    def __init__(self, file: IO[bytes], dtype: Any, shape: tuple[int, ...], disk: Executor) -> None:
        self._file, self._dtype, self._shape, self._hash = file, np.dtype(dtype), shape, hashlib.sha256()
        self.of_subjects: list[str] = []  # digests, by which a reader of one subject knows its bytes
        self._disk, self._syncing, self._waiting = disk, list[Future[None]](), 0
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        self._put(header.getbuffer())

    def append(self, values: NDArray[Any]) -> None:
        own = hashlib.sha256()
        for part in slabs(values):  # whole, a conversion of type would be another volume in memory
            content = np.ascontiguousarray(part, dtype=self._dtype).data
            own.update(content)
            self._put(content)
        self.of_subjects.append(own.hexdigest()[:DIGITS])

    def _put(self, content: memoryview) -> None:
        self._hash.update(content)
        self._file.write(content)
        self._waiting += content.nbytes
        if self._waiting >= EARLY and all(write.done() for write in self._syncing):
            self.wait()
            self.sync()

    def sync(self) -> None:
        """Begin to bring what was written to the disk."""
        self._file.flush()
        self._waiting = 0
        self._syncing.append(self._disk.submit(os.fsync, self._file.fileno()))

    def wait(self) -> None:
        """Until it is there. The kernel tells of a failed write once, so no answer may go unheard."""
        while self._syncing:
            self._syncing.pop().result()

    @property
    def described(self) -> ArrayFile:
        """What the manifest says of it."""
        return {"sha256": self._hash.hexdigest(), "shape": list(self._shape), "dtype": str(self._dtype)}


def _parts(subject: Subject, *, masked: bool) -> dict[str, NDArray[Any]]:
    """The arrays of a subject under the names of their files; where others have a mask, its own may be empty."""
    mask = np.zeros(subject.image.shape, np.uint8) if masked and subject.mask is None else subject.mask
    every = {
        "images": subject.image,
        "labels": subject.labels,
        "forward": subject.forward,
        "inverse": subject.inverse,
        "masks": mask,
    }
    return {name: values for name, values in every.items() if values is not None}


def _described(path: Path) -> ArrayFile:
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    return {"sha256": file_sha256(path), "shape": list(values.shape), "dtype": str(values.dtype)}


def _version(folder: Path) -> tuple[int, int] | None:
    """Which manifest is there: every writing makes a new file."""
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _checked(subject: Subject, source: Source, dataset: str) -> Subject:
    where = f"dataset `{dataset}`, subject `{subject.id}`"
    for name, values in (("image", subject.image), ("labels", subject.labels)):
        if values.shape != source.shape:
            raise RegbenchError(f"{where}: {name} must have shape {source.shape}, but got {values.shape}.")
    if not all_finite(subject.image):
        bad = int((~np.isfinite(subject.image)).sum())
        raise RegbenchError(f"{where}: the image has {bad} NaN or infinite voxels. Repair or leave out the subject.")
    return subject
