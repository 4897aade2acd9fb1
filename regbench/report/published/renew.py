"""A published folder gets the tables and texts of newer code; what they follow from stays as it was measured."""

import contextlib
from pathlib import Path

from regbench.report.published.compare import compared
from regbench.report.published.contents import unpack
from regbench.report.published.derive import derive, is_derived, write_folder
from regbench.report.published.listing import LIST, altered, files_in, published_as, read_list
from regbench.report.published.publish import beside, check_inputs, put_in_place
from regbench.system import provenance
from regbench.system.errors import RegbenchError


def renew(folder: Path, *, processes: int = 1) -> str:
    """Make tables, figures and page of a published folder anew by this code, whole or not at all.

    Args:
        folder: that is published.
        processes: that draw at once.

    Returns:
        What changed, for a terminal.

    Raises:
        RegbenchError: if a file is not as it was published, or what was proposed and chosen does not follow any more.
    """
    folder = folder.resolve()
    listed = read_list(folder)
    if changed := altered(folder, listed):
        raise RegbenchError(
            f"`{folder}` must be as it was published, but is not: {changed[0]}. `regbench verify` lists all."
        )
    published = published_as(listed)._replace(made_by=provenance.code())
    with beside(folder) as (made, work):
        study = unpack(folder, work / "results")
        with contextlib.chdir(study.layout.root):
            derive(study, published, processes)
            write_folder(study, made, published)
        check_inputs(folder, made, [name for name in files_in(folder) if not is_derived(name)])
        names = sorted({*files_in(folder), *files_in(made)} - {LIST})
        found = [one for name in names for one in compared(folder / name, made / name, name, exact=True)[:1]]
        put_in_place(made, folder)
    lines = [f"  {one.file}, {one.where}" if one.where else f"  {one.file}" for one in found]
    return "\n".join([*lines, f"{folder}: {len(found)} files changed"])
