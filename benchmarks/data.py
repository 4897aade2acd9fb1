"""How fast `prepare` is beside nibabel + scipy doing the bare minimum of the same work, and how much memory it takes.

    python benchmarks/data.py --data HIPPOCAMPUS --json benchmarks/results/data.json

HIPPOCAMPUS is a folder of images and labels, such as that of the Medical Segmentation Decathlon's Task 04. The bare
minimum: read image and labels with nibabel, scale to [0, 1] by two percentiles, crop or pad, write one .npy of
each; on as many threads. It checks nothing, hashes nothing and records nothing. Each side runs in a process of its own;
peak memory is the process's above what it held with everything imported.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import scipy.ndimage  # noqa: F401 - both sides have it imported before the clock starts

import regbench.data.preprocessing.preprocess  # noqa: F401 - likewise; `prepare` imports it when a dataset needs it
from regbench.data.prepare import prepare
from regbench.study.specs import PrepareSpec
from regbench.system import memory as heap

FULL = (160, 192, 224)


def main() -> None:
    """Run and print the table; with `--side`, be one of the processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with images/ and labels/ (the 80 hippocampi)")
    parser.add_argument("--volumes", type=int, default=50, help="how many synthetic 160x192x224 volumes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=["regbench", "minimum"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(one(options.side, options.data, options.threads)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        sets = {"hippocampus": options.data} if options.data else {}
        if options.volumes:
            sets[f"{options.volumes} x {'x'.join(map(str, FULL))}"] = synthetic(Path(temporary), options.volumes)
        for name, folder in sets.items():
            found: dict[str, list[dict[str, float]]] = {"minimum": [], "regbench": []}
            for _ in range(options.repeats):  # in turns: what else the machine does then meets both
                for side, results in found.items():
                    results.append(run(side, folder, options.threads))
            middle = {side: summary(results, options.threads) for side, results in found.items()}
            ratio = middle["minimum"]["seconds"] / middle["regbench"]["seconds"]
            rows.append({"data": name, "threads": options.threads, "speed_of_minimum": round(ratio, 3), **middle})
            print(f"{name:<22} {ratio:.2f} of the minimum's speed; " + json.dumps(middle))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def run(side: str, folder: Path, threads: int) -> dict[str, float]:
    """One repetition, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--data", str(folder), "--threads", str(threads)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def summary(found: list[dict[str, float]], threads: int) -> dict[str, float]:
    """The median time and the highest memory of some repetitions."""
    volume = max(row["largest_volume_mib"] for row in found)
    peak = max(row["peak_mib"] for row in found)
    return {
        "seconds": round(statistics.median(row["seconds"] for row in found), 3),
        "peak_mib": peak,
        "peak_volumes_per_worker": round(peak / volume / threads, 2),
    }


def one(side: str, folder: Path, threads: int) -> dict[str, float]:
    """Do the work of one side once."""
    spec = PrepareSpec(
        id="d", source="folder", parameters={"path": str(folder)}, pairs={"validation": 1, "test": 1},
        splits={"train": "rest", "validation": 2, "test": 2}, code="",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        before, start = memory(), time.perf_counter()
        if side == "regbench":
            heap.give_back()  # as the verb does
            prepare(spec, Path(temporary) / "cache", threads=threads)
        else:
            minimum(folder, Path(temporary), threads)
        seconds = time.perf_counter() - start
        shape = np.load(next(Path(temporary).rglob("images.npy")), mmap_mode="r").shape
    return {
        "seconds": round(seconds, 3),
        "peak_mib": round(memory() - before, 1),
        "largest_volume_mib": round(float(np.prod(shape[1:])) * 4 / 2**20, 3),
    }


def minimum(folder: Path, out: Path, threads: int) -> None:
    """Read, scale, pad, write; nothing else."""
    names = sorted(path.name for path in (folder / "images").iterdir() if not path.name.startswith("."))
    shapes = [nib.load(folder / "images" / name).shape for name in names]
    size = tuple(int(16 * np.ceil(n / 16)) for n in np.max(shapes, 0))
    arrays = {
        kind: np.lib.format.open_memmap(out / f"{kind}.npy", "w+", dtype, (len(names), *size))
        for kind, dtype in (("images", np.float32), ("labels", np.int32))
    }

    def work(number: int) -> None:
        image = np.asarray(nib.load(folder / "images" / names[number]).dataobj, dtype=np.float32)
        labels = np.asarray(nib.load(folder / "labels" / names[number]).dataobj)
        low, high = np.percentile(image, (0.5, 99.5))
        place = tuple(slice((m - n) // 2, (m - n) // 2 + n) for n, m in zip(image.shape, size, strict=True))
        arrays["images"][number][place] = np.clip((image - low) / (high - low), 0, 1)
        arrays["labels"][number][place] = labels

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(names))))
    for array in arrays.values():
        array.flush()


def synthetic(root: Path, count: int) -> Path:
    """Volumes of the size of a brain; smooth, so that they compress as brains do."""
    random = np.random.default_rng(0)
    coarse = random.random((20, 24, 28)).astype(np.float32)
    image = np.kron(coarse, np.ones((8, 8, 8), np.float32))
    labels = (np.kron(coarse, np.ones((8, 8, 8), np.float32)) * 35).astype(np.uint8)
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for number in range(count):
        noise = random.integers(0, 64, FULL, dtype=np.int16)
        values = (image * 1000 * (1 + number / 50)).astype(np.int16) + noise
        nib.save(nib.Nifti1Image(values, np.eye(4)), root / "images" / f"s{number}.nii.gz")
        nib.save(nib.Nifti1Image(np.roll(labels, number, 0), np.eye(4)), root / "labels" / f"s{number}.nii.gz")
    return root


def memory() -> float:
    """The highest resident memory of this process so far, MiB (the kernel's other count keeps that of its parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
