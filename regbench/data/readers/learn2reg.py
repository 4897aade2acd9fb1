"""A Learn2Reg folder: images beside a `*_dataset.json` that says what they are for."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from regbench.data.native import Entry, Raw
from regbench.data.preprocessing.labels import names_by_id
from regbench.data.readers.image_file import inside, stem
from regbench.data.readers.subject_files import entry
from regbench.system.errors import RegbenchError
from regbench.system.files import read_json
from regbench.system.names import given_path

PAIRS = ("training_paired_images", "registration_val")
PARTS = {"label": ("labels", ".nii.gz"), "keypoints": ("keypoints", ".csv"), "mask": ("masks", ".nii.gz")}


def learn2reg(
    *,
    path: str,
    registration_val: Literal["test", "validation"] = "test",
    modalities: tuple[int, ...] | None = None,
    same_affine: bool = True,
) -> Raw:
    """A Learn2Reg folder with its `*_dataset.json`; its validation subjects are never trained on.

    A subject is one image, such as ``OASIS_0001_0000``; the images of one case are one group. The subjects of
    `registration_val` stand in `training` too; they go to the split below and nowhere else, and so do all images of
    their cases. The labels of the challenge's test cases are not public: those cases are left out.

    Args:
        path: the folder, or the JSON file in it; relative to where the command runs.
        registration_val: which split the challenge's validation pairs are: ``test`` (they are the only labelled ones
            that may serve as one) or ``validation``.
        modalities: only images with these last numbers (``_0000`` is 0); all unless given.
        same_affine: an image and its labels must lie in the same place, not only have one shape.

    Raises:
        RegbenchError: naming the file and key at fault.
    """
    source = _json_file(given_path(path))
    content = _mapping(source)
    listed = _listed(content, source, modalities)
    held_out = {_case(name) for pair in _pairs(content, "registration_val", source) for name in pair}
    entries = tuple(
        _entry(
            source,
            name,
            parts,
            modality=_modality(name, content),
            same_affine=same_affine,
            split=registration_val if _case(name) in held_out else "",
        )
        for name, parts in sorted(listed.items())
    )
    known = {item.id: item.split for item in entries}
    pairs = tuple(
        pair
        for key in PAIRS
        for pair in _pairs(content, key, source)
        # A validation pair may be listed among the training pairs as well.
        if all(name in known for name in pair) and (key == "registration_val" or not any(known[name] for name in pair))
    )
    notes = f"Learn2Reg: {content.get('name', source.parent.name)}, release {content.get('release', 'unknown')}."
    licence = str(content.get("licence", content.get("license", "")))
    licences = (licence,) if licence else ()
    return Raw(entries, _names(content, source), notes, licences, pairs)


def _json_file(path: Path) -> Path:
    if path.is_file():
        return path
    candidates = sorted(path.glob("*dataset.json"))
    if len(candidates) != 1:
        count = ", ".join(file.name for file in candidates) or "none"
        raise RegbenchError(f"`{path}` must have one `*_dataset.json`, but has {count}. Give the file as `path`.")
    return candidates[0]


def _mapping(source: Path) -> dict[str, JsonValue]:
    try:
        content = read_json(source)
    except RecursionError as error:
        raise RegbenchError(f"`{source}` must be a Learn2Reg JSON, but is nested too deeply.") from error
    if not isinstance(content, dict):
        raise RegbenchError(f"`{source}` must be a JSON object, but is {type(content).__name__}.")
    return content


def _items(content: Mapping[str, JsonValue], key: str, source: Path) -> list[JsonValue]:
    items = content.get(key, [])
    if not isinstance(items, list):
        raise RegbenchError(f"`{source}`, {key}: must be a list, but is {type(items).__name__}.")
    return items


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise RegbenchError(f"{where}: must be the path of an image, but got {value!r}.")
    return stem(Path(value))


def _case(name: str) -> str:
    """``OASIS_0001_0000`` is an image of case ``OASIS_0001``."""
    return re.sub(r"_\d{4}$", "", name)


def _modality(name: str, content: Mapping[str, JsonValue]) -> str:
    """What the JSON calls the last number of a name (``_0000`` is 0); the number itself where it has no word."""
    last = re.search(r"_(\d{4})$", name)
    if last is None:
        return ""
    words = content.get("modality")
    word = words.get(str(int(last[1]))) if isinstance(words, dict) else None
    return word if isinstance(word, str) and word else str(int(last[1]))


def _listed(
    content: Mapping[str, JsonValue], source: Path, modalities: tuple[int, ...] | None
) -> dict[str, dict[str, str]]:
    """Parts of each image that may be used, by the image's name."""
    parts_of: dict[str, dict[str, str]] = {}
    for number, item in enumerate(_items(content, "training", source)):
        where = f"`{source}`, training[{number}]"
        parts = item if isinstance(item, dict) else {"image": item}
        name = _name(parts.get("image"), where)
        if name in parts_of:
            raise RegbenchError(f"{where}: `{name}` stands twice.")
        last = re.search(r"_(\d{4})$", name)
        if modalities is None or (last and int(last[1]) in modalities):
            parts_of[name] = {key: value for key, value in parts.items() if isinstance(value, str)}
    if not parts_of:
        raise RegbenchError(f"`{source}`, training: must list images (of the `modalities` asked for), but has none.")
    return parts_of


def _pairs(content: Mapping[str, JsonValue], key: str, source: Path) -> list[tuple[str, str]]:
    """(fixed, moving) names under a key; older files write "0" and "1"."""
    pairs = []
    for number, item in enumerate(_items(content, key, source)):
        where = f"`{source}`, {key}[{number}]"
        if not isinstance(item, dict):
            raise RegbenchError(f"{where}: must have `fixed` and `moving`, but got {item!r}.")
        fixed, moving = (item.get(new, item.get(old)) for new, old in (("fixed", "0"), ("moving", "1")))
        pairs.append((_name(fixed, where), _name(moving, where)))
    return pairs


def _entry(
    source: Path,
    name: str,
    parts: Mapping[str, str],
    *,
    modality: str,
    split: str,
    same_affine: bool,
) -> Entry:
    where = f"`{source}`, training, {name}"
    image = inside(source.parent, parts["image"], where)
    paths: dict[str, Path] = {}
    for kind in PARTS:
        beside = _beside(image, name, kind)
        if kind in parts:
            paths[kind] = inside(source.parent, parts[kind], f"{where}, {kind}")
        elif beside is not None:
            paths[kind] = beside
    subject = entry(
        name, image, label=paths.get("label"), landmarks=paths.get("keypoints"), mask=paths.get("mask"),
        group=_case(name), split=split, same_affine=same_affine,
    )  # fmt: skip
    return replace(subject, modality=modality)


def _beside(image: Path, name: str, kind: str) -> Path | None:
    """What the JSON does not list may still lie where the challenge's scripts look for it."""
    folder, ending = PARTS[kind]
    path = image.parent.parent / image.parent.name.replace("images", folder, 1) / f"{name}{ending}"
    return path if "images" in image.parent.name and path.is_file() else None


def _names(content: Mapping[str, JsonValue], source: Path) -> dict[int, str]:
    """Label names; newer files have one table for each modality."""
    tables = content.get("labels", {})
    if not isinstance(tables, dict):
        return {}
    inner = [table for table in tables.values() if isinstance(table, dict)]
    named: dict[int, str] = {}
    try:
        for table in inner or [tables]:
            named |= names_by_id(table)
    except RegbenchError as error:
        raise RegbenchError(f"`{source}`, labels: {error}") from error
    return named
