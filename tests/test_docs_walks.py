"""The how-to pages and the tutorial, from their first block to their last, as a reader types them: on tiny data."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from data_files import brain, folder_of, learn2reg_folder, nifti
from doc_blocks import Block, blocks, commands
from tiny_study import ROOT

pytestmark = pytest.mark.slow

SHAPE = (16, 16, 16)
# Of every config on a page: what makes it short. The tutorial searches for lambda.
SHORT = {"steps": 2, "seeds": [0], "one_job_per": "cell", "tracking": {"enabled": False}}
GIVEN = {"lambdas": [{"value": 1.0}]}


def brains() -> None:
    folder_of(Path("my/brains"), count=12, shape=SHAPE)


def masked_brains() -> None:
    brains()
    inside = np.zeros(SHAPE, np.uint8)
    inside[2:-2, 2:-2, 2:-2] = 1
    for image in Path("my/brains/images").iterdir():
        nifti(Path("my/brains/masks") / image.name, inside)


def brains_and_submission() -> None:
    brains()
    learn2reg_folder(Path("my/OASIS"))
    still = np.zeros((9, 12, 7, 3), np.float32)
    nifti(Path("my/submission/disp_0008_0000_0007_0000.nii.gz"), still)


def lung() -> None:
    """Ten cases of 2 mm, their points in mm of the world."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -7
    for case in range(10):
        nifti(Path(f"my/lung/images/case{case:02}_insp.nii.gz"), brain(case, SHAPE)[0], affine)
        voxels = np.random.default_rng(case).uniform(3, 12, (5, 3))
        points = pd.DataFrame(nib.affines.apply_affine(affine, voxels), columns=["x", "y", "z"])
        path = Path(f"my/lung/landmarks_mm/case{case:02}_insp.csv")
        path.parent.mkdir(exist_ok=True)
        points.to_csv(path, index=False)


WALKS: dict[str, tuple[Callable[[], None], dict[str, Any], str]] = {  # data, changes, the last file
    "tutorial": (brains, {}, "results/mine/report.html"),
    "own_loss": (brains, GIVEN, "results/mine/runs/brains/voxelmorph.charbonnier.rough/seed0/run.json"),
    "own_network": (brains, GIVEN, "registered/moved_s0.nii.gz"),
    "fields": (brains_and_submission, GIVEN, "my/submission/pairs.parquet"),
    "landmarks": (lung, GIVEN, "results/lung/tables/main.csv"),
    "masks": (masked_brains, GIVEN, "results/mine/tables/main.csv"),
    "volumes": (brains, GIVEN, "results/volumes/tables/main.csv"),
}


def test_the_index_marks_the_pages_that_are_walked():
    marked = re.findall(r"\((\w+)\.md\) \*", (ROOT / "docs/how_to.md").read_text())
    assert set(marked) == set(WALKS) - {"tutorial"}


@pytest.mark.parametrize("page", WALKS)
def test_a_page_from_its_first_block_to_its_last(page, tmp_path, monkeypatch):
    make_data, changes, last = WALKS[page]
    monkeypatch.chdir(tmp_path)
    make_data()
    for block in blocks(ROOT / "docs" / f"{page}.md"):
        if block.file is not None:
            Path(block.file).write_text(shortened(block, changes))
        elif block.language == "" and not block.mark.startswith("not run: "):
            for words in commands(block):
                typed_in(words)
    assert (tmp_path / last).is_file()


def shortened(block: Block, changes: dict[str, Any]) -> str:
    if block.language != "yaml":
        return block.text
    return yaml.safe_dump({**yaml.safe_load(block.text), **SHORT, **changes}, sort_keys=False)


def typed_in(words: list[str]) -> None:
    """A command in a shell whose `regbench` and `python` are those of the tests."""
    if words[0] == "pdflatex" and not latex_here():
        return
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        shlex.join(words), shell=True, check=False, capture_output=True, text=True, env=environment, timeout=900,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def latex_here() -> bool:
    asked = ["kpsewhich", "booktabs.sty"]
    return bool(shutil.which("kpsewhich")) and not subprocess.run(asked, check=False, capture_output=True).returncode
