"""A source becomes a cache: plain arrays that every job maps into memory, and a manifest that says what they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regbench.components import bind
from regbench.data import DATASETS
from regbench.data.cache import MANIFEST
from regbench.data.splits import pairs, split
from regbench.data.subject import Source, Subject
from regbench.errors import RegbenchError
from regbench.files import digest, file_sha256, replacing, write_json


def prepare(spec: Mapping[str, Any], folder: Path) -> None:
    """Build the cache of a dataset in `folder`; the manifest is written last and marks a whole cache.

    Args:
        spec: slice of the config (`plan.prepare_job`): id, source, parameters, splits, pairs.
        folder: receives ``images.npy``, ``labels.npy``, ``forward.npy`` and ``inverse.npy`` (where the truth is known)
            and ``manifest.json``; the same bytes each time.

    Raises:
        RegbenchError: if the source, a subject, the splits or the disk is at fault; names which.
    """
    source: Source = bind(DATASETS, spec["source"], spec["parameters"])()
    splits = split(source.ids, spec["splits"], spec["id"])
    used = {key: pairs(splits[key], spec["pairs"].get(key), spec["id"], key) for key in ("validation", "test")}
    (folder / MANIFEST).unlink(missing_ok=True)
    subjects = [_checked(subject, source, spec["id"]) for subject in source]
    arrays = {
        "images": np.stack([subject.image for subject in subjects]),
        "labels": np.stack([subject.labels for subject in subjects]).astype(np.int32),
    }
    if all(subject.forward is not None and subject.inverse is not None for subject in subjects):
        arrays["forward"] = np.stack([subject.forward for subject in subjects if subject.forward is not None])
        arrays["inverse"] = np.stack([subject.inverse for subject in subjects if subject.inverse is not None])
    files = {}
    for name, values in arrays.items():
        path = folder / f"{name}.npy"
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, values)
        files[path.name] = {"sha256": file_sha256(path), "shape": list(values.shape), "dtype": str(values.dtype)}
    write_json(
        folder / MANIFEST,
        {
            "id": spec["id"],
            "source": spec["source"],
            "parameters": spec["parameters"],
            "shape": list(source.shape),
            "spacing_mm": list(source.spacing_mm),
            "subjects": list(source.ids),
            "labels": {str(label): name for label, name in source.labels.items()},
            "splits": splits,
            "pairs": used,
            "files": files,
            "data_sha256": digest([files, splits, used]),
            "notes": source.notes,
            "licences": list(source.licences),
        },
    )


def _checked(subject: Subject, source: Source, dataset: str) -> Subject:
    where = f"dataset `{dataset}`, subject `{subject.id}`"
    for name, values in (("image", subject.image), ("labels", subject.labels)):
        if values.shape != source.shape:
            raise RegbenchError(f"{where}: {name} must have shape {source.shape}, but got {values.shape}.")
    if not np.isfinite(subject.image).all():
        bad = int((~np.isfinite(subject.image)).sum())
        raise RegbenchError(f"{where}: the image has {bad} NaN or infinite voxels. Repair or leave out the subject.")
    return subject
