"""The files of a view of one pair."""

from pathlib import Path

from regbench.data.cache import Dataset
from regbench.evaluation.measure import Registered
from regbench.evaluation.one_pair import Names, RunOfStudy
from regbench.report.view.pair_animation import write_animation
from regbench.report.view.pair_page import write_pair_page
from regbench.report.view.pair_picture import write_picture
from regbench.report.view.shown_pair import ShownPair, anatomical_ends

PREFIX = "disp_"  # of the files of displacements


def view_files(folder: Path, data: Dataset, names: Names) -> list[Path]:
    """The files in the order in which they are written; the page is the first."""
    stem = data.displacement_names.stems(*names)[0].removeprefix(PREFIX)
    return [folder / f"{stem}{suffix}" for suffix in (".html", ".gif", ".png", ".svg", ".csv")]


def write_views(
    run: RunOfStudy, data: Dataset, registered: Registered, files: list[Path], sentences: list[str]
) -> None:
    """Write the page, the animation and the picture of one registered pair.

    Args:
        run: that registered it.
        data: prepared dataset.
        registered: the pair.
        files: of `view_files`.
        sentences: what is to be said of the registration beside it.
    """
    title = f"{run.study.name}: {run.dataset}, {run.method}, seed {run.seed}"
    labels = tuple(data.labels) if "labels" in data.references("test") else ()
    shown = ShownPair(registered, anatomical_ends(data, registered.fixed), labels, title)
    inside = f"{run.study.layout.root}/"  # the same bytes wherever the study lies
    write_pair_page(shown, files[0], about=[sentence.replace(inside, "") for sentence in sentences])
    write_animation(shown, files[1])
    write_picture(shown, files[2])
