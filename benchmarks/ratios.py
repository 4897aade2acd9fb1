"""All ratio tables in one command: what regbench costs beside named peers, each measured in the same run.

    make bench [ONLY="losses training"] [OUT=FOLDER]
    python benchmarks/ratios.py [--only PART ...] [--out FOLDER] [--data HIPPOCAMPUS] [--quick] [--show]

Each part is a script of this folder in a process of its own; its JSON goes to FOLDER (default: benchmarks/results), and
ratios.json tells when, where and with which versions each was measured. A part that fails is named and costs no other.
`--show` measures nothing: it prints the tables of what lies in FOLDER. A ratio is the time of the fastest peer over
ours: above 1, ours is faster. Leave the machine alone meanwhile (an hour and a half; `--quick`: ten minutes,
without `minutes`, which has no short form).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
HIPPOCAMPUS = HERE.parent.parent / "shared/data/hippocampus"
PACKAGES = ("regbench", "torch", "numpy", "scipy", "numba", "monai", "neurite", "voxelmorph", "surface-distance",
            "nibabel", "mlflow", "snakemake")  # fmt: skip


class Row(NamedTuple):
    """One line of a table: what was done, how long ours took, and how long each peer took."""

    what: str
    ours: float
    peers: dict[str, float]


class Part(NamedTuple):
    """A script with its arguments (`quick`: of its short form, if it has one), the unit of its times, and its JSON."""

    script: str
    arguments: tuple[str, ...]
    quick: tuple[str, ...] | None
    unit: str
    rows: Callable[[Any], Iterator[Row]]


def beside(times: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Ours, and those of others; our other forms are told apart by their names, and are no peers."""
    return times["regbench"], {name: value for name, value in times.items() if not name.startswith("regbench")}


def losses(found: Any) -> Iterator[Row]:
    for row in found["default"]:
        ours, peers = beside(row["milliseconds"])
        if peers:
            yield Row(row["row"], ours, peers)


def training(found: Any) -> Iterator[Row]:
    for row in found["steps"]:
        ours, peers = beside(row["milliseconds"])
        threads = f"{row['row']}, {row['threads']} thread{'s' * (row['threads'] > 1)}"
        yield Row(threads, ours, peers)
        if "regbench, full flow" in row["milliseconds"]:
            yield Row(f"{threads}, full flow", row["milliseconds"]["regbench, full flow"], peers)


def evaluation(found: Any) -> Iterator[Row]:
    ours, peer = (found[side]["seconds"] for side in ("regbench", "straightforward"))
    name = "numpy, scipy, surface-distance"
    for what, seconds in ours.items():
        yield Row(what, seconds, {name: peer[what]})
    yield Row("all of them", sum(ours.values()), {name: sum(peer[what] for what in ours)})


def data(found: Any) -> Iterator[Row]:
    for row in found:
        yield Row(row["data"], row["regbench"]["seconds"], {"nibabel, scipy": row["minimum"]["seconds"]})


def tracking(found: Any) -> Iterator[Row]:
    step = found["step"]
    peers = {"mlflow.log_metrics": step["mlflow_ms_a_step"]} if "mlflow_ms_a_step" in step else {}
    yield Row("a training's own log, by the step", step["log_ms_a_step"], peers)


def orchestration(found: Any) -> Iterator[Row]:
    yield Row(f"`{found['study']}`, all of it", found["wall_seconds"], {})
    if "orchestration" in found:
        yield Row("no job runs: Snakemake starts, and between jobs", found["orchestration"]["no_job_seconds"], {})
        yield Row("jobs start: Python and imports, over the cores", found["orchestration"]["start_seconds"], {})


PARTS = {
    "losses": Part("losses.py", (), ("--quick",), "ms", losses),
    "training": Part("training.py", (), ("--threads", "1", "--only", "2D"), "ms", training),
    "evaluation": Part("evaluation.py", (), ("--shape", "80", "96", "112", "--turns", "3"), "s of CPU", evaluation),
    "data": Part("data.py", ("--repeats", "5"), ("--volumes", "6"), "s", data),
    "tracking": Part("tracking.py", (), ("--only", "step"), "ms", tracking),
    "quick": Part("quick.py", (), (), "s", orchestration),
    "minutes": Part("quick.py", (str(HERE / "minutes.yaml"),), None, "s", orchestration),
}


def versions() -> dict[str, str]:
    """Of what is installed here."""
    known = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known


def processor() -> str:
    """Its name, where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def measure(name: str, out: Path, options: argparse.Namespace) -> str:
    """Run a part; what went wrong, or nothing."""
    part = PARTS[name]
    result = out / f"{name}.json"
    short = part.quick if options.quick else None
    arguments = part.arguments if short is None else short
    if name == "data" and options.data.is_dir():
        arguments = (*arguments, "--data", str(options.data))
    began = time.monotonic()
    print(f"== {name}", flush=True)
    temporary = result.with_suffix(".new")
    command = [sys.executable, str(HERE / part.script), *arguments, "--json", str(temporary)]
    done = subprocess.run(command, check=False)
    if done.returncode != 0 or not temporary.exists():
        temporary.unlink(missing_ok=True)
        return f"{name}: `{part.script}` ended with status {done.returncode}"
    temporary.replace(result)
    path = out / "ratios.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[name] = {
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - began),
        "quick": short is not None,
        "machine": processor(),
        "versions": versions(),
    }
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return ""


def table(name: str, out: Path) -> str:
    """One part's table, as Markdown: our time, the peers' times, and the ratio to the fastest."""
    part, path, about = PARTS[name], out / f"{name}.json", out / "ratios.json"
    head = f"## {name}\n\n"
    if not path.exists():
        return f"{head}Not measured: there is no `{name}.json`.\n"
    rows = list(part.rows(json.loads(path.read_text(encoding="utf-8"))))
    known = json.loads(about.read_text(encoding="utf-8")).get(name) if about.exists() else None
    where = "Measured before dates and versions were written down."
    if known:
        installed = ", ".join(f"{package} {number}" for package, number in known["versions"].items())
        where = f"{known['date']}{', short form' if known['quick'] else ''}; {known['machine']}; {installed}."
    names = list(dict.fromkeys(peer for row in rows for peer in row.peers))
    lines = [["", f"regbench, {part.unit}", *(f"{peer}, {part.unit}" for peer in names)]]
    for row in rows:
        lines.append([row.what, f"{row.ours:.4g}", *(f"{row.peers[n]:.4g}" if n in row.peers else "" for n in names)])
    if names:
        lines[0].append("fastest peer / regbench")
        for line, row in zip(lines[1:], rows, strict=True):
            ratio = min(row.peers.values(), default=0.0) / row.ours
            line.append("" if not row.peers else f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}")
    if part.rows is orchestration and len(rows) > 1:
        share = sum(row.ours for row in rows[1:]) / rows[0].ours
        lines.append(["orchestration, a share of the whole", f"{share:.1%}"])
    lines.insert(1, ["---"] * len(lines[0]))
    return head + where + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="*", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--data", type=Path, default=HIPPOCAMPUS, help="folder with images/ and labels/, for `data`")
    parser.add_argument("--quick", action="store_true", help="short forms")
    parser.add_argument("--show", action="store_true", help="print what was measured before")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    whole = [name for name, part in PARTS.items() if not options.quick or part.quick is not None]
    chosen = options.only or whole
    failed = [] if options.show else [wrong for name in chosen if (wrong := measure(name, options.out, options))]
    print("\n".join(table(name, options.out) for name in chosen))
    for wrong in failed:
        print(wrong, file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
