"""A finished study becomes a published folder."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from regbench.data.pictures import may_be_shown
from regbench.report.finished import check_finished
from regbench.report.published.compare import Difference, compared
from regbench.report.published.contents import gather, unpack
from regbench.report.published.derive import derive, tables, write_folder
from regbench.report.published.listing import LIST, files_in
from regbench.report.write import Published
from regbench.study.methods import Study
from regbench.system import provenance
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import DIGITS

# Of tables that a study wrote itself: these name its folders and the code that wrote them.
OWN_TO_A_STUDY = ("main.provenance.json", "runtime.provenance.json")


def publish(
    study: Study,
    to: Path,
    *,
    with_pictures: bool = False,
    tables_only: bool = False,
    overwrite: bool = False,
    processes: int = 1,
) -> str:
    """Write `to/<study>`, whole or not at all.

    Args:
        study: that is finished.
        to: folder of published studies.
        with_pictures: show pairs of all datasets, not only of those whose licence allows it.
        tables_only: leave page, figures and pairs out.
        overwrite: replace a folder that is there.
        processes: that draw at once.

    Returns:
        What was written, for a terminal.

    Raises:
        UsageError: if the folder is there.
        RegbenchError: if the study is not finished, or what it proposed, chose or looked at does not follow from its
            trials and rows.
    """
    folder = (to / study.name).resolve()
    if folder.exists() and not overwrite:
        raise UsageError(f"`{folder}` must not be there, but is. Give another `--to`, or `--overwrite`.")
    check_finished(study, list(study.tuned_runs()))
    if not (study.layout.tables / "main.csv").is_file():
        raise RegbenchError(f"`{study.layout.tables / 'main.csv'}` must exist: the study has to be finished.")
    shown = [part.id for part in study.config.datasets if with_pictures or may_be_shown(part.source, part.parameters)]
    shown = [] if tables_only else shown
    published = Published(provenance.code(), frozenset(shown), tables_only)
    with beside(folder) as (made, work):
        names = gather(study, work / "inputs", published.pictures)
        anew = unpack(work / "inputs", work / "results")
        with contextlib.chdir(anew.layout.root):  # where the code is that its config names
            derive(anew, published, processes)
            write_folder(anew, made, published)
        check_inputs(work / "inputs", made, files_in(work / "inputs"))
        notes = [*_other_tables(study, made), *_places(made, [*names.old, str(study.layout.root.resolve())])]
        put_in_place(made, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    about = f"pairs of {', '.join(shown)} are shown" if shown else "no pair is shown"
    first = f"{folder}: {len(files_in(folder))} files, {size / 1e6:.1f} MB; {about}"
    return "\n".join([first, *(f"note: {note}" for note in notes)])


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A new folder beside `folder`, and one to work in; both are gone afterwards."""
    made = folder.with_name(f".{uuid.uuid4().hex[:DIGITS]}.{folder.name}")
    try:
        made.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as work:
            yield made, Path(work).resolve()
    except OSError as error:
        raise RegbenchError(
            f"`{error.filename or folder}` must be usable, but got: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def put_in_place(made: Path, folder: Path) -> None:
    """Put a whole folder in the place of another."""
    if folder.exists():
        before = made.with_name(f"{made.name}.before")
        folder.replace(before)
        made.replace(folder)
        shutil.rmtree(before)
    else:
        made.replace(folder)


def check_inputs(given: Path, made: Path, names: Sequence[str]) -> None:
    """Hold what was proposed, chosen and looked at to what comes out again: else nobody could verify it.

    Args:
        given: folder of what was measured.
        made: folder of what was derived from it.
        names: of the files in both.

    Raises:
        RegbenchError: naming the first difference.
    """
    differences = [one for name in names for one in compared(given / name, made / name, name, exact=True)]
    if differences:
        raise RegbenchError(
            f"what the study proposed, chose and looked at must follow from its trials and rows by this code, but "
            f"{differences[0]}. Run the study again by this code; what stands is not trained anew."
        )


def _other_tables(study: Study, made: Path) -> Iterator[str]:
    """Where the study's own tables are not those that are published: they were made by other code."""
    names = [name for name in tables(study) if Path(name).name not in OWN_TO_A_STUDY]
    other: list[Difference] = []
    changed = 0
    for name in names:
        own = study.layout.root / name
        found = compared(own, made / name, name, exact=True) if own.is_file() else []
        changed += bool(found)
        other += found[:1]
    if other:
        yield (
            f"{changed} table files of the study itself were made by other code and differ from the published ones, "
            f"which follow from its rows by this code; the first: {other[0]}"
        )


def _places(made: Path, old: list[str]) -> Iterator[str]:
    """Files that still name a folder of this machine."""
    places = [text.encode() for text in (*old, str(Path.home())) if len(Path(text).parts) > 2]
    for name in files_in(made):
        content = (made / name).read_bytes()
        if name != LIST and any(place in content for place in places):
            yield f"`{name}` names a folder of this machine; look before others do"
