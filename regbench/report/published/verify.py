"""A published folder is held to its digests, and all that follows from its rows, trials and records is made anew."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regbench.report.finished import check_finished
from regbench.report.published.compare import Difference, compared
from regbench.report.published.contents import RECORDS, unpack
from regbench.report.published.derive import LIST, derive, files_in, write_folder
from regbench.report.published.environments import differences_here
from regbench.report.write import Published
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import file_sha256, read_sealed

SHOWN = 10  # differences of a file; more are counted
UNLISTED = "a file that the list does not have"


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
        listed, found = _listed(folder)
        altered = {one.file for one in found}
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
        derived = set(files_in(place / "anew")) - {LIST}
        for name in sorted({*listed["files"], *derived, *altered}):
            of_file = (
                compared(folder / name, place / "anew" / name, name, exact=name in altered)
                if name in derived and (folder / name).is_file()
                else []
            )
            of_digest = [] if of_file else [one for one in found if one.file == name]
            if name in derived - altered - set(listed["files"]):
                of_digest = [Difference(name, "", "no file", "a file")]
            differences += first([*of_file, *of_digest])
        return _verified(folder, listed, differences, [*differences_here(folder, listed["made_by"])])


def published_as(listed: dict[str, Any]) -> Published:
    """What the report of a folder is, by the list of its files."""
    return Published(listed["made_by"], frozenset(listed["pictures"]))


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


def read_list(folder: Path) -> dict[str, Any]:
    """The list of a published folder's files.

    Raises:
        RegbenchError: if there is none, or it was altered.
    """
    path = folder / LIST
    if not path.is_file():
        raise RegbenchError(f"`{folder}` must be a published study, but has no `{LIST}`. `regbench publish` makes one.")
    listed: dict[str, Any] = read_sealed(path)
    return listed


def _listed(folder: Path) -> tuple[dict[str, Any], list[Difference]]:
    """The list of a folder's files, and where the files are not those."""
    listed = read_list(folder)
    there, known = files_in(folder), listed["files"]
    found = [Difference(name, "", UNLISTED, "none") for name in there if name not in known]
    for name, digest in known.items():
        if name not in there:
            found.append(Difference(name, "", "no file", "a file"))
        elif (now := file_sha256(folder / name)) != digest:
            found.append(Difference(name, "SHA-256", now, digest))
    return listed, [one for one in found if one.file != LIST]


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


def _verified(folder: Path, listed: dict[str, Any], differences: list[str], notes: list[str]) -> Verified:
    return Verified(folder, str(listed["study"]), len(listed["files"]), differences, notes)
