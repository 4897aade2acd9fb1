"""Everything that follows from a study's inputs, made by the stages of every study; no training, no images."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from regbench.report.analyze import analyze
from regbench.report.make_look import make_look
from regbench.report.published.contents import gather, unpack
from regbench.report.published.listing import LIST, write_list
from regbench.report.summary_file import Summary, load_summary
from regbench.report.write import PANELS, Published, report
from regbench.study import report_files
from regbench.study.looks import made
from regbench.study.methods import Study
from regbench.tuning.search_files import choose_lambda, propose_round


def derive(study: Study, published: Published, processes: int = 1) -> None:
    """Make anew what is proposed, chosen, looked at, summarised and reported; the trials and rows stay.

    Args:
        study: whose folder `contents.unpack` made.
        published: what its report is.
        processes: that draw at once.
    """
    with _quiet():
        _choose(study)
        analyze(study)
        report(study, processes=processes, published=published)


def summary_of(folder: Path) -> Summary:
    """The summary that follows from a published folder."""
    with tempfile.TemporaryDirectory() as work, _quiet():
        study = unpack(folder, Path(work).resolve() / "results")
        with contextlib.chdir(study.layout.root):
            analyze(study)
        return load_summary(study)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without a line of the log for each search."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _choose(study: Study) -> None:
    for dataset in study.config.datasets:
        for method in study.methods:
            for replicate in study.replicates(method.id, dataset.id) if method.tuned else ():
                for number in range(study.rounds(method.id)):
                    propose_round(study, dataset.id, method.id, number, replicate)
                choose_lambda(study, dataset.id, method.id, replicate)
        for model in study.looked_models:
            for number, _ in enumerate(list(made(study.layout, dataset.id, model)), 1):
                make_look(study, dataset.id, model, number)


def write_folder(study: Study, folder: Path, published: Published) -> None:
    """Write the published folder of a study that was derived; the list of its files last.

    Args:
        study: after `derive`.
        folder: that is made.
        published: what its report is.
    """
    gather(study, folder, published.pictures)
    lay = study.layout
    names = list(tables(study)) + list(figures(study))
    for path in (lay.page, *(lay.root / name for name in names)):
        target = folder / path.relative_to(lay.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    write_list(folder, study.name, published)


def is_derived(name: str) -> bool:
    """Whether a file of a published folder follows from others; the summary is one of folders of older code."""
    return name.startswith(("tables/", "figures/")) or name in ("report.html", "analysis/summary.json", LIST)


def tables(study: Study) -> list[str]:
    """The files of a study's tables, from its folder on."""
    optional = study.optional_tables
    names = [*report_files.beside_tables(optional), *(f"{name}.csv" for name in report_files.table_names(optional))]
    return [f"tables/{name}" for name in names]


def figures(study: Study) -> list[str]:
    """The numbers of a study's figures, and the drawings of its grid; all others stand in the page."""
    optional = study.optional_figures
    csv = [name for name in report_files.beside_figures(optional) if name.endswith(".csv")]
    drawn = [f"{report_files.GRID_FIGURE}.{form}" for form in ("svg", "pdf", "tex")]
    return [f"figures/{name}" for name in (*csv, *drawn) if name != f"{PANELS}.csv"]
