"""All drills on this state of the code, as one table: `make drills`.

    python tests/drills/run.py [--only NAME ...] [--quick] [--list] [--folder DIR] [--seed N] [--markdown FILE]

A drill hurts a study on purpose and compares what comes of it with the undisturbed one. What this machine cannot do is
skipped by name. Exit status 1 where a drill failed.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/support"), str(Path(__file__).parent)]
from drilling import FailedDrillError, SkippedDrillError, StudyFolder, say  # noqa: E402
from table import DRILLS, New, study_of  # noqa: E402
from tiny_study import TINY  # noqa: E402

for module in ("kills", "disks", "stores", "damage", "strangers", "on_slurm"):
    import_module(module)  # adds its drills


class Row(NamedTuple):
    """A line of the table."""

    name: str
    done: str
    expected: str
    seen: str
    seconds: float
    result: str  # pass, FAIL, skipped


def attempt(name: str, new: New) -> Row:
    """One drill."""
    drill, since = DRILLS[name], time.monotonic()
    new.name = name
    try:
        seen, result = drill.run(new), "pass"
    except SkippedDrillError as error:
        seen, result = str(error), "skipped"
    except FailedDrillError as error:
        seen, result = str(error), "FAIL"
    except (OSError, subprocess.SubprocessError, LookupError, ValueError, StopIteration, TypeError, AssertionError):
        seen, result = traceback.format_exc(), "FAIL"
    finally:
        new.end()
    return Row(name, drill.done, drill.expected, seen, time.monotonic() - since, result)


def markdown(rows: list[Row]) -> str:
    """The table."""
    lines = ["| drill | what is done | expected | seen | seconds | |", "|---|---|---|---|---|---|"]
    for row in rows:
        seen = " ".join(row.seen.split()).replace("|", "\\|")
        seen = seen if len(seen) <= 300 else f"... {seen[-300:]}" if row.result == "FAIL" else f"{seen[:300]} ..."
        lines.append(f"| `{row.name}` | {row.done} | {row.expected} | {seen} | {row.seconds:.0f} | {row.result} |")
    return "\n".join(lines) + "\n"


def title() -> str:
    """Machine, date and commit."""
    git = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "no git"
    machine = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores"
    return f"{machine}, {datetime.now(UTC):%Y-%m-%d}, commit {commit}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(DRILLS), metavar="NAME", help="these drills")
    parser.add_argument("--quick", action="store_true", help="those that take seconds: 3 minutes together")
    parser.add_argument("--list", action="store_true", help="name the drills and end")
    parser.add_argument("--folder", type=Path, help="kept, its undisturbed study used again; default: a new one")
    parser.add_argument("--seed", type=int, default=0, help="of random times and bytes")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    options = parser.parse_args()
    names = options.only or [name for name, drill in DRILLS.items() if drill.quick or not options.quick]
    if options.list:
        width = max(map(len, DRILLS))
        print("\n".join(f"{name:<{width}}  {DRILLS[name].done}" for name in names))
        return 0
    # A shell starts a background process with SIGINT ignored, and children inherit that: no Ctrl-C would reach them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="regbench-drills-"))).resolve()
    reference = StudyFolder(folder / "reference", study_of(TINY))
    if not reference.tables():
        say("the undisturbed study")
        reference.finish()
    new, rows = New(folder, reference, quick=options.quick, seed=options.seed), []
    for name in names:
        say(f"{name}: {DRILLS[name].done}")
        rows.append(attempt(name, new))
        say(f"{rows[-1].result}, {rows[-1].seconds:.0f} s: {' '.join(rows[-1].seen.split())}")
    failed = [row.name for row in rows if row.result == "FAIL"]
    text = f"{title()}\n\n{markdown(rows)}"
    print(f"\n{text}\n{'FAILED: ' + ', '.join(failed) if failed else 'all well'}; folder {folder}")
    if options.markdown:
        options.markdown.write_text(text)
    if not failed and options.folder is None:
        shutil.rmtree(folder)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
