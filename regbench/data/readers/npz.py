"""numpy archives: one of all subjects, or one for each as VoxelMorph's scripts read them."""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regbench.data.native import Entry, Header, Raw, Volume, role_of
from regbench.data.readers.damage import DAMAGE, check_member, limited_bytes
from regbench.data.readers.image_file import inside
from regbench.data.readers.label_values import ROUNDED, whole_numbers
from regbench.data.readers.mask_values import mask_of
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import given_path

Array = NDArray[Any]
LABEL = "seg"  # as VoxelMorph's scripts call it; under another name it must be there
OF_SUBJECTS = ("groups", "modalities", "roles")


def arrays(
    *,
    path: str,
    images: str = "images",
    labels: str = "labels",
    landmarks: str = "landmarks",
    subjects: str = "subjects",
    masks: str = "masks",
    spacing_mm: float | tuple[float, ...] = 1.0,
) -> Raw:
    """Your images in one .npz: `images` (N, ...) and, where you have them, `labels`, `landmarks`, `masks`, `subjects`.

    Of its further arrays, `groups`, `modalities` and `roles` (N texts) say who belongs together and what a pair may be.

    Args:
        path: the file; relative to where the command runs.
        images: name of the array of images.
        labels: name of the array of labels, of the shape of the images; they may be missing.
        landmarks: name of the array of landmarks (N, points, axes) in voxels from 0; they may be missing, and NaN
            throughout are those of a subject that has none.
        subjects: name of the array of ids; numbers from 0 where the file has none.
        masks: name of the array of masks, which the file need not have.
        spacing_mm: side of a voxel along each axis; the file does not say.

    Raises:
        RegbenchError: naming the file and the array at fault.
    """
    source = given_path(path)
    needed = [name for name, usual in ((labels, "labels"), (landmarks, "landmarks")) if name != usual]
    stored = read_npz(source, (images, *needed), optional=(labels, landmarks, subjects, masks, *OF_SUBJECTS))
    stack = stored[images]
    _check_real(stack, source, images)
    maps = whole_numbers(stored[labels], f"{source}: {labels}") if labels in stored else None
    if (maps is not None and stack.shape != maps.values.shape) or stack.ndim not in (3, 4):
        got = f"{stack.shape} and {'none' if maps is None else maps.values.shape}"
        raise RegbenchError(
            f"`{source}`: `{images}` and `{labels}` must both be (N, X, Y) or (N, X, Y, Z), but got {got}."
        )
    names = [str(name) for name in stored.get(subjects, np.arange(len(stack)))]
    if len(names) != len(stack):
        raise RegbenchError(f"`{source}`: `{subjects}` must name {len(stack)} subjects, but has {len(names)}.")
    groups, modalities, roles = (_texts(stored.get(name), len(names), f"{source}: {name}") for name in OF_SUBJECTS)
    header = _header(stack.shape[1:], spacing_mm, source)
    each = (len(stack), *header.shape)  # axes of one are left out
    stack, values = stack.reshape(each), None if maps is None else maps.values.reshape(each)
    points = _points(stored.get(landmarks), names, len(header.shape), f"`{source}`: `{landmarks}`")
    notes = header.notes + ((ROUNDED,) if maps is not None and maps.rounded else ())
    inside = _masks(stored.get(masks), names, header, f"{source}: {masks}")
    entries = tuple(
        _loaded(
            name,
            Volume(
                header,
                stack[k],
                None if values is None else values[k],
                points[k],
                notes,
                mask=None if inside is None else inside[k],
            ),
        )
        for k, name in enumerate(names)
    )
    entries = tuple(
        replace(entry, group=groups[k], modality=modalities[k], role=role_of(roles[k], f"`{source}`, roles[{k}]"))
        for k, entry in enumerate(entries)
    )
    known = (images, labels, landmarks, subjects, masks, *OF_SUBJECTS)
    others = [name for name in _names(source) if name not in known]
    left_out = f" Left out: arrays {', '.join(sorted(others))}." if others else ""
    return Raw(entries, {}, f"The user's own arrays, from {source.name}.{left_out}")


def _texts(stored: Array | None, count: int, where: str) -> list[str]:
    """A text for each subject; empty ones where the file has none."""
    if stored is None:
        return [""] * count
    if stored.shape != (count,):
        raise RegbenchError(f"`{where}` must have a text for each of {count} subjects, but has shape {stored.shape}.")
    return [str(text).strip() for text in stored]


def _masks(stored: Array | None, names: list[str], header: Header, where: str) -> list[NDArray[np.uint8]] | None:
    """The mask of each subject; None where the file has none."""
    if stored is None:
        return None
    if tuple(n for n in stored.shape[1:] if n != 1) != header.shape or len(stored) != len(names):
        raise RegbenchError(
            f"`{where}` must have the shape of the images, {header.shape}, for {len(names)} subjects, but got "
            f"{stored.shape}."
        )
    return [
        mask_of(mask.reshape(header.shape), f"{where}, subject {name}")
        for name, mask in zip(names, stored, strict=True)
    ]


def voxelmorph_npz(
    *,
    path: str,
    files: str | None = None,
    image: str = "vol",
    label: str = LABEL,
    mask: str | None = None,
    spacing_mm: float | tuple[float, ...] = 1.0,
) -> Raw:
    """VoxelMorph's form: a folder of .npz, one for each subject, with `vol` and, where you have labels, `seg`.

    Args:
        path: the folder; relative to where the command runs.
        files: a text file with one path (relative to `path`) a line; all .npz of the folder unless given.
        image: name of the array of the image.
        label: name of the array of the labels; a file may lack it.
        mask: name of the array of the mask, where the files have one.
        spacing_mm: side of a voxel along each axis; the files do not say.

    Raises:
        RegbenchError: naming the file and the array at fault.
    """
    root = given_path(path)
    try:
        names = sorted(file.name for file in root.iterdir() if file.suffix == ".npz")
        if files is not None:
            names = [line.strip() for line in limited_bytes(given_path(files)).decode().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise RegbenchError(f"`{files or root}` must be readable, but got: {error}. Check the path.") from error
    if not names:
        raise RegbenchError(f"`{files or root}` must have .npz files, but has none. Check `path`.")
    where = f"`{files or root}`"
    entries = tuple(_lazy(inside(root, name, where), (image, label, mask), spacing_mm) for name in names)
    return Raw(entries, {}, "The user's own images and labels, one .npz for each subject.")


def read_npz(path: Path, names: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """Arrays of an .npz; never a pickle.

    Raises:
        RegbenchError: naming the file and array that is missing, damaged, too large to be honest, or of objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inner = {Path(info.filename).stem: info for info in archive.infolist()}
        _check_names(path, names, list(inner))
        for name in (*names, *(extra for extra in optional if extra in inner)):
            # numpy makes room before it reads; a header that promises more than is there must not get it.
            with zipfile.ZipFile(path) as archive, archive.open(inner[name]) as file:
                shape, dtype = array_header(file)
            check_member(inner[name], shape, dtype)
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in (*names, *(extra for extra in optional if extra in inner))}
    except (*DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise RegbenchError(
            f"`{path}` must be an .npz of plain numbers, but got: {error}. Copy it again; if it holds objects "
            "(a pickle, which may run any code when read), convert it where you trust it: "
            "numpy.savez(name, vol=image, seg=labels)."
        ) from error


def _names(path: Path) -> list[str]:
    """Arrays of an .npz that is sound."""
    with zipfile.ZipFile(path) as archive:
        return [Path(name).stem for name in archive.namelist()]


def array_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an .npy stream.

    Raises:
        ValueError: if it is none, or holds objects.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or dtype.kind not in "iufbU":
        raise ValueError(f"its type is {dtype}, not plain numbers")
    return shape, dtype


def _check_names(path: Path, names: tuple[str, ...], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise RegbenchError(f"`{path}` has no array `{name}`; {did_you_mean(name, known)}")


def _check_real(values: Array, path: Path, name: str) -> None:
    if values.dtype.kind not in "iufb":
        raise RegbenchError(f"`{path}`: `{name}` must be of real numbers, but has type {values.dtype}.")


def _points(stored: Array | None, names: list[str], dims: int, where: str) -> list[NDArray[np.float64] | None]:
    """Landmarks ``(n, d)`` of each subject; None where it has none.

    Raises:
        RegbenchError: if the array has another shape or type, or some of a subject's numbers are no numbers.
    """
    if stored is None:
        return [None] * len(names)
    fitting = stored.ndim == 3 and stored.shape[::2] == (len(names), dims) and stored.shape[1] > 0
    if not fitting or stored.dtype.kind not in "iuf":
        raise RegbenchError(
            f"{where} must be numbers of shape ({len(names)}, points, {dims}), but got {stored.dtype} {stored.shape}."
        )
    points: list[NDArray[np.float64] | None] = []
    for name, rows in zip(names, stored.astype(np.float64), strict=True):
        if np.isnan(rows).all():
            points.append(None)
        elif not np.isfinite(rows).all():
            row = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
            raise RegbenchError(
                f"{where}, subject `{name}`, point {row}: must be finite, but got {rows[row].tolist()}."
            )
        else:
            points.append(rows)
    return points


def _loaded(name: str, volume: Volume) -> Entry:
    """A subject whose arrays are in memory."""
    return Entry(
        name, lambda: volume.header, lambda: replace(volume, image=volume.image.astype(np.float32)),
        masked=volume.mask is not None, labelled=volume.labels is not None, landmarked=volume.landmarks is not None,
    )  # fmt: skip


def _lazy(path: Path, names: tuple[str, str, str | None], spacing_mm: float | tuple[float, ...]) -> Entry:
    image, label, mask = names

    def read() -> Volume:
        needed = (image, *((label,) if label != LABEL else ()), *((mask,) if mask is not None else ()))
        stored: Mapping[str, Array] = read_npz(path, needed, optional=(label,))
        if label in stored and stored[image].squeeze().shape != stored[label].squeeze().shape:
            raise RegbenchError(
                f"`{path}`: `{image}` and `{label}` must have one shape, but got {stored[image].shape} and "
                f"{stored[label].shape}."
            )
        _check_real(stored[image], path, image)
        header = _header(stored[image].shape, spacing_mm, path)
        voxels = stored[image].reshape(header.shape).astype(np.float32)
        inside = None if mask is None else _masks(stored[mask][None], [path.stem], header, f"{path}: {mask}")
        volume = Volume(header, voxels, notes=header.notes, mask=None if inside is None else inside[0])
        if label not in stored:
            return volume
        labels = whole_numbers(stored[label].reshape(header.shape), f"{path}: {label}")
        return replace(volume, labels=labels.values, notes=header.notes + ((ROUNDED,) if labels.rounded else ()))

    def head() -> Header:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{image}.npy") as file:
                shape, _ = array_header(file)
        except (*DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            shape = read().image.shape  # says what is wrong
        return _header(shape, spacing_mm, path)

    return Entry(
        path.name.removesuffix(".npz"), head, read, {"image": path}, masked=mask is not None, labelled=_has(path, label)
    )


def _has(path: Path, name: str) -> bool:
    """Whether an archive has an array; of a damaged one the reading says what is wrong."""
    try:
        return name in _names(path)
    except (*DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return True


def _header(stored: tuple[int, ...], spacing_mm: float | tuple[float, ...], path: Path) -> Header:
    """An .npz does not say where its voxels lie: axes are taken to run right, front, top. Those of one are left out."""
    shape = tuple(int(n) for n in stored if n != 1)
    dims = len(shape)
    sides = spacing_mm if isinstance(spacing_mm, tuple) else (spacing_mm,) * dims
    if dims not in (2, 3) or 0 in shape or len(sides) != dims or not all(0 < side < np.inf for side in sides):
        raise RegbenchError(
            f"`{path}` must hold 2D or 3D images and `spacing_mm` must have as many numbers above 0, "
            f"but got shape {stored} and spacing {sides}."
        )
    notes = [f"an .npz does not say where it lies: axes run right, front, top, with {spacing_mm} mm (`spacing_mm`)"]
    if len(shape) < len(stored):
        notes.append(f"axes of one voxel left out: {stored} is read as {shape}")
    affine = np.diag([*sides, *[1.0] * (4 - dims)])
    return Header(shape, affine, tuple(range(dims)), placed=False, notes=tuple(notes))
