"""A tiny study on files with masks."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from regbench.data.cache import Dataset


def masked_folder(data: Dataset, folder: Path, *, without: int = 0, spoiled: bool = False) -> Path:
    """Images, labels and masks (where labels are) of a prepared dataset as files.

    Args:
        data: of 2D images.
        folder: receives them.
        without: how many subjects have no mask.
        spoiled: images are noise outside the masks.
    """
    random = np.random.default_rng(0)
    for number, name in enumerate(data.subjects):
        image, labels = data.images((name,))[0], data.label_map(name)
        inside = labels > 0
        image = np.where(inside, image, random.random(image.shape)) if spoiled else image
        parts = {
            "images": image.astype(np.float32),
            "labels": labels.astype(np.int16),
            "masks": inside.astype(np.uint8),
        }
        for kind, values in parts.items():
            if kind != "masks" or number >= without:
                (folder / kind).mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(values[..., None], np.diag([6.0, 6, 6, 1])), folder / kind / f"{name}.nii.gz")
    return folder


def masked(tiny: dict[str, Any], folder: Path, **training: Any) -> dict[str, Any]:
    """The tiny config on such files; intensities as they are, so that nothing outside of a mask scales them."""
    section = tiny["datasets"][0]
    dataset = {
        **{key: section[key] for key in ("id", "splits", "pairs")},
        "source": "folder",
        "parameters": {"path": str(folder)},
        "preprocessing": {"intensity": "none", "multiple_of": 8},
    }
    return {**tiny, "datasets": [dataset], "training": {**tiny["training"], **training}}
