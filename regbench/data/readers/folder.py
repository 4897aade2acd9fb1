"""A folder of images and a folder of labels with equal file names."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from regbench.data.native import Entry, Raw
from regbench.data.readers.image_file import SUFFIXES, stem, suffix
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import given_path, nfc, spelled

SHOWN = 5  # names in a remark
OF_POINTS = (".csv", ".tsv", ".txt")


def folder(
    *,
    path: str,
    images: str = "images",
    labels: str = "labels",
    landmarks: str = "landmarks",
    masks: str = "masks",
    pattern: str = "*",
    same_affine: bool = True,
) -> Raw:
    """Your images, with labels, landmarks, both or neither: folders of equal file names; the name is the subject.

    Where the folder of images holds folders instead (`images/MR`, `images/CT`), each is a modality: the image `s1` of
    MR is the subject `s1_MR`, and the images of one name are a group. Its labels are in `labels/MR`, or in `labels`.

    Args:
        path: folder above both; relative to where the command runs.
        images: folder of the images in it.
        labels: folder of the labels in it; without it there are no labels.
        landmarks: folder of the landmarks in it, a CSV (or text) of an image's name each; images may have none.
        masks: folder of masks in it, if there is one; not every image need have one.
        pattern: only images whose name fits, such as ``*_T1.nii.gz``.
        same_affine: an image, its labels and its mask must lie in the same place, not only have one shape.

    Raises:
        RegbenchError: naming the folder, image or label at fault.
    """
    root = given_path(path)
    for kind, usual in ((labels, "labels"), (landmarks, "landmarks")):
        if kind != usual and not (root / kind).is_dir():
            raise RegbenchError(f"`{root / kind}` must be a folder, as {usual} are in it, but there is none.")
    modalities = _modalities(root / images, pattern)
    kinds = (images, labels, landmarks, masks)
    parts = [_Part._make([*(_of_modality(root, kind, name) for kind in kinds), name]) for name in modalities or ("",)]
    entries, remarks = list[Entry](), list[str]()
    for part in parts:
        more, said = _read(root, part, pattern, same_affine)
        entries += more
        remarks += said
    unread = _counted(_unread(root, set(kinds)), f"beside `{images}` are not read; `source: table` takes them")
    return Raw(tuple(entries), {}, "The user's own images, one file each.", remarks=(*unread, *remarks))


class _Part(NamedTuple):
    """Folders of images that belong together, below the root."""

    images: str
    labels: str
    landmarks: str
    masks: str
    modality: str


def _modalities(where: Path, pattern: str) -> list[str]:
    """Folders of images in the folder of images, where that holds no image itself: each is a modality."""
    if not where.is_dir() or _files(where, pattern)[0]:
        return []
    inner = sorted(path for path in where.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path.name for path in inner if _files(path, pattern)[0]]


def _of_modality(root: Path, kind: str, modality: str) -> str:
    """The folder of a modality, or that of all: labels and masks may be of one person for all of his images."""
    own = f"{kind}/{modality}"
    return own if modality and (root / own).is_dir() else kind


def _read(root: Path, part: _Part, pattern: str, same_affine: bool) -> tuple[list[Entry], list[str]]:
    """Subjects of a part, and what of it is not read. Images of one name are of one person: a group."""
    images, labels, landmarks, masks, modality = part
    image_paths, others = _files(root / images, pattern)
    named, more = _files(root / labels, "*") if (root / labels).is_dir() else ({}, [])
    points, odd = _files(root / landmarks, "*", OF_POINTS) if (root / landmarks).is_dir() else ({}, [])
    inside, strange = _files(root / masks, "*") if (root / masks).is_dir() else ({}, [])
    if not image_paths:
        raise RegbenchError(f"`{root / images}` must hold images ({', '.join(SUFFIXES)}), but has none of `{pattern}`.")
    lonely = [name for name in image_paths if name not in named]
    if lonely and (root / labels).exists():
        raise RegbenchError(
            f"every image must have labels of the same name in `{root / labels}`, but {len(lonely)} have none: "
            f"`{lonely[0]}`; {did_you_mean(lonely[0], named)}. Add them or remove the images."
        )
    entries = [
        entry(
            name,
            image,
            label=named.get(name),
            landmarks=points.get(name),
            mask=inside.get(name),
            same_affine=same_affine,
        )
        for name, image in sorted(image_paths.items())
    ]
    if modality:
        entries = [replace(one, id=f"{one.id}_{modality}", group=one.id, modality=modality) for one in entries]
    of_pattern = "" if pattern == "*" else f" of `{pattern}`"
    parts = {labels: named, landmarks: points, masks: inside}
    strangers = {where: [files[name].name for name in sorted(files) if name not in image_paths]
                 for where, files in parts.items()}  # fmt: skip
    remarks = [
        *_counted(others, f"of `{images}` are no images that are read"),
        *_counted(more, f"of `{labels}` are no images that are read"),
        *_counted(odd, f"of `{landmarks}` are no landmarks that are read"),
        *_counted(strange, f"of `{masks}` are no images that are read"),
        *(
            line
            for where, files in strangers.items()
            for line in _counted(files, f"of `{where}` have no image{of_pattern}")
        ),
    ]
    return entries, remarks


def _unread(root: Path, read: set[str]) -> list[str]:
    """Folders of labels, landmarks and masks under other names, as people have them beside their images."""
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in read)
    return [
        name for name in names if any(word in name.lower() for word in ("label", "seg", "landmark", "keypoint", "mask"))
    ]


def _counted(files: list[str], what: str) -> tuple[str, ...]:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return (f"{len(files)} files {what}: {', '.join(f'`{name}`' for name in files[:SHOWN])}{more}",) * bool(files)


def _files(where: Path, pattern: str, suffixes: tuple[str, ...] = SUFFIXES) -> tuple[dict[str, Path], list[str]]:
    """Files by name without suffix, and names of other files.

    Those that begin with a dot are some system's, not the user's; folders are no files.
    """
    try:
        paths = sorted(path for path in where.iterdir() if path.match(pattern) and not path.name.startswith("."))
    except OSError as error:
        raise RegbenchError(f"`{where}` must be a readable folder, but got: {error.strerror}. Check `path`.") from error
    by_stem: dict[str, Path] = {}
    for path in paths:
        if suffix(path) in suffixes:
            name = nfc(stem(path))
            if name in by_stem:
                two = f"{spelled(path.name)} and {spelled(by_stem[name].name)}"
                raise RegbenchError(f"`{where}`: {two} are one subject. Remove one of them.")
            by_stem[name] = path
    others = [path.name for path in paths if suffix(path) not in suffixes and path.is_file()]
    return by_stem, others
