"""Files for the tests of the readers: shared real data, and small files of every kind."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_study import ROOT

from regbench.study.specs import PrepareSpec

SHARED = ROOT.parent / "shared" / "data"
WANTED = {"train": 2, "validation": 2, "test": 2}


def shared(name: str) -> Path:
    """A folder of real data; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real data `{name}` are not in {SHARED}")
    return path


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = nib.MGHImage if path.suffix in (".mgz", ".mgh") else nib.Nifti1Image
    nib.save(kind(array, np.eye(4) if affine is None else affine), path)
    return path


def brain(number: int, shape: tuple[int, ...] = (9, 12, 7)) -> tuple[np.ndarray, np.ndarray]:
    """An image that varies and labels 1 and 2 inside it; differs by number."""
    random = np.random.default_rng(number)
    image = random.random(shape, dtype=np.float32) * 1000 + number
    labels = np.zeros(shape, np.uint8)
    inner = tuple(slice(2, n - 2) for n in shape)
    labels[inner] = 1
    labels[(slice(3, 5), *inner[1:])] = 2
    return image, labels


def folder_of(root: Path, count: int = 6, shape: tuple[int, ...] = (9, 12, 7), suffix: str = ".nii.gz") -> Path:
    """`images/` and `labels/` with equal names."""
    for number in range(count):
        image, labels = brain(number, shape)
        nifti(root / "images" / f"s{number}{suffix}", image)
        nifti(root / "labels" / f"s{number}{suffix}", labels)
    return root


def spec(source: str, parameters: dict, **changes) -> PrepareSpec:
    """What `prepare` takes."""
    base = {"id": "d", "code": "", "source": source, "parameters": parameters, "splits": WANTED}
    return PrepareSpec(**{**base, **changes})


def learn2reg_folder(root: Path, cases: int = 8, **changes) -> Path:
    """A Learn2Reg folder; the last two cases are `registration_val`, which stand in `training` too."""
    names = [f"OASIS_{number:04d}_0000" for number in range(1, cases + 1)]
    for number, name in enumerate(names):
        image, labels = brain(number)
        nifti(root / "imagesTr" / f"{name}.nii.gz", image)
        nifti(root / "labelsTr" / f"{name}.nii.gz", labels)
    content = {
        "name": "made up",
        "release": "1.0",
        "licence": "none",
        "labels": {"0": {"0": "background", "1": "outer", "2": "inner"}},
        "training": [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names],
        "registration_val": [{"fixed": f"./imagesTr/{names[-1]}.nii.gz", "moving": f"./imagesTr/{names[-2]}.nii.gz"}],
    }
    (root / "OASIS_dataset.json").write_text(json.dumps({**content, **changes}))
    return root


def gzipped_header(path: Path, shape: tuple[int, ...]) -> Path:
    """A NIfTI whose header claims `shape` and whose voxels are a few zeros."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.float32)
    header["vox_offset"] = 352
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4 + 400)))
    return path


def read_displacement(path: Path) -> np.ndarray:
    """A displacement ``(d, *S)`` in voxels from a NIfTI as `write_displacement` makes it."""
    return np.moveaxis(np.asarray(nib.load(path).dataobj, dtype=np.float32), -1, 0)
