"""A published folder is held to its digests, and all that follows from its rows, trials and records is made anew."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from regbench.report.finished import check_finished
from regbench.report.published.compare import Difference, compared
from regbench.report.published.contents import RECORDS, unpack
from regbench.report.published.derive import derive, write_folder
from regbench.report.published.environments import differences_here
from regbench.report.published.listing import LIST, FileList, altered, files_in, published_as, read_list
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError

SHOWN = 10  # differences of a file; more are counted


class Verified(NamedTuple):
    """What came of it.

    Attributes:
        folder: that was looked at.
        study: its name.
        files: how many it has.
        differences: all that were found; none if it is what it should be.
        notes: what differs between the machines and is no fault.
    """

    folder: Path
    study: str
    files: int
    differences: list[str]
    notes: list[str]


def verify(folder: Path, *, processes: int = 1) -> Verified:
    """Compare the files of a published folder with their digests and with what its own rows and trials give.

    Args:
        folder: that `publish` wrote.
        processes: that draw at once.

    Raises:
        RegbenchError: if the folder is no published one.
    """
    folder = folder.resolve()
    with tempfile.TemporaryDirectory() as work:
        place = Path(work).resolve()
        listed = read_list(folder)
        found = altered(folder, listed)
        try:
            published = published_as(listed)
            study = unpack(folder, place / "results")
            with contextlib.chdir(study.layout.root):
                derive(study, published, processes)
                differences = [*_of_other_specs(study)]
                write_folder(study, place / "anew", published)
        except (RegbenchError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            words = str(error) if isinstance(error, RegbenchError) else f"{type(error).__name__}: {error}"
            for part in (f"{place / 'results'}/", f"{folder}/"):
                words = words.replace(part, "")
            return _verified(folder, listed, [*map(str, found), f"nothing can be derived: {words}"], [])
        differences += _compared(folder, place / "anew", listed, found)
        notes = [*differences_here(place / "anew", listed.made_by)]
        return _verified(folder, listed, differences, notes)


def _compared(folder: Path, anew: Path, listed: FileList, found: Sequence[Difference]) -> Iterator[str]:
    """Where a folder differs from what was derived, and from its list.

    Args:
        folder: that is published.
        anew: the same, derived.
        listed: the list of the folder.
        found: its files that are not those of the list.
    """
    changed = {one.file: one for one in found}
    derived = set(files_in(anew)) - {LIST}
    for name in sorted({*listed.files, *derived, *changed}):
        of_file: list[Difference] = []
        if name in derived and (folder / name).is_file():
            of_file = compared(folder / name, anew / name, name, exact=name in changed)
        elif name in derived and name not in changed:
            of_file = [Difference(name, "", "no file", "a file")]
        yield from first((of_file or [changed[name]]) if name in changed else of_file)


def text(verified: Verified) -> str:
    """What came of it, for a terminal."""
    lines = [f"note: {note}" for note in verified.notes]
    lines += [f"  {difference}" for difference in verified.differences]
    count = len(verified.differences)
    if count:
        lines.append(f"{verified.folder}: {count} difference{'s' if count > 1 else ''}")
    else:
        lines.append(
            f"{verified.folder}: {verified.files} files are as published, and every table, figure and verdict follows "
            "from its rows, trials and records"
        )
    return "\n".join(lines)


def _of_other_specs(study: Study) -> Iterator[str]:
    """A run whose record is not of the config and of what its search chose."""
    try:
        check_finished(study, list(study.tuned_runs()))
    except RegbenchError as error:
        yield f"{RECORDS}: {str(error).replace(f'{study.layout.root}/', '')}"


def first(differences: Sequence[Difference]) -> Iterator[str]:
    """The differences of a file as text: the first few, and how many more there are."""
    yield from map(str, differences[:SHOWN])
    if len(differences) > SHOWN:
        yield f"{differences[0].file}: and {len(differences) - SHOWN} more"


def _verified(folder: Path, listed: FileList, differences: list[str], notes: list[str]) -> Verified:
    return Verified(folder, listed.study, len(listed.files), differences, notes)
