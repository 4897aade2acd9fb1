"""A folder of images and a folder of labels with equal file names."""

from pathlib import Path

from regbench.data.native import Raw
from regbench.data.readers.image_file import SUFFIXES, stem, suffix
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import given_path, nfc, spelled

SHOWN = 5  # names in a remark


def folder(
    *,
    path: str,
    images: str = "images",
    labels: str = "labels",
    masks: str = "masks",
    pattern: str = "*",
    same_affine: bool = True,
) -> Raw:
    """Your images and labels: two folders with equal file names (NIfTI, MGZ, PNG, JPEG); the name is the subject.

    Args:
        path: folder above both; relative to where the command runs.
        images: folder of the images in it.
        labels: folder of the labels in it.
        masks: folder of masks in it, if there is one; not every image need have one.
        pattern: only images whose name fits, such as ``*_T1.nii.gz``.
        same_affine: an image, its labels and its mask must lie in the same place, not only have one shape.

    Raises:
        RegbenchError: naming the folder, image or label at fault.
    """
    root = given_path(path)
    (image_paths, others), (named, more) = _files(root / images, pattern), _files(root / labels, "*")
    inside, strange = _files(root / masks, "*") if (root / masks).is_dir() else ({}, [])
    if not image_paths:
        raise RegbenchError(f"`{root / images}` must hold images ({', '.join(SUFFIXES)}), but has none of `{pattern}`.")
    lonely = [name for name in image_paths if name not in named]
    if lonely:
        raise RegbenchError(
            f"every image must have labels of the same name in `{root / labels}`, but {len(lonely)} have none: "
            f"`{lonely[0]}`; {did_you_mean(lonely[0], named)}. Add them or remove the images."
        )
    entries = tuple(
        entry(name, image, label=named[name], mask=inside.get(name), same_affine=same_affine)
        for name, image in sorted(image_paths.items())
    )
    without = [inside[name].name for name in sorted(inside) if name not in image_paths]
    unlabelled = [named[name].name for name in sorted(named) if name not in image_paths]
    remarks = (
        *_counted(
            _unread(root, {images, labels, masks}), f"beside `{images}` are not read; `source: table` takes them"
        ),
        *_counted(others, f"of `{images}` are no images that are read"),
        *_counted(more, f"of `{labels}` are no images that are read"),
        *_counted(strange, f"of `{masks}` are no images that are read"),
        *_counted(without, f"of `{masks}` have no image{'' if pattern == '*' else f' of `{pattern}`'}"),
        *_counted(unlabelled, f"of `{labels}` have no image{'' if pattern == '*' else f' of `{pattern}`'}"),
    )
    return Raw(entries, {}, "The user's own images and labels, one file each.", remarks=remarks)


def _unread(root: Path, read: set[str]) -> list[str]:
    """Folders of landmarks and masks, as people have them beside their images."""
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in read)
    return [name for name in names if any(word in name.lower() for word in ("landmark", "keypoint", "mask"))]


def _counted(files: list[str], what: str) -> tuple[str, ...]:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return (f"{len(files)} files {what}: {', '.join(f'`{name}`' for name in files[:SHOWN])}{more}",) * bool(files)


def _files(where: Path, pattern: str) -> tuple[dict[str, Path], list[str]]:
    """Image files by name without suffix, and names of other files.

    Those that begin with a dot are some system's, not the user's; folders are no files.
    """
    try:
        paths = sorted(path for path in where.iterdir() if path.match(pattern) and not path.name.startswith("."))
    except OSError as error:
        raise RegbenchError(f"`{where}` must be a readable folder, but got: {error.strerror}. Check `path`.") from error
    by_stem: dict[str, Path] = {}
    for path in paths:
        if suffix(path) in SUFFIXES:
            name = nfc(stem(path))
            if name in by_stem:
                two = f"{spelled(path.name)} and {spelled(by_stem[name].name)}"
                raise RegbenchError(f"`{where}`: {two} are one subject. Remove one of them.")
            by_stem[name] = path
    others = [path.name for path in paths if suffix(path) not in SUFFIXES and path.is_file()]
    return by_stem, others
