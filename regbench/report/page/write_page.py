"""One self-contained HTML page for a study: works offline, from a mail attachment, ten years from now."""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from regbench.report.figures.grid_figure import single_panels
from regbench.report.figures.grid_words import caption, grid_frame, meanings, shades
from regbench.report.figures.pair_panels import LEGEND
from regbench.report.headline import headline
from regbench.report.page.certainty import how_sure, marked
from regbench.report.page.page_tables import page_table
from regbench.report.summary_file import MethodEntry, Summary, led_by
from regbench.report.tables.main_caption import training, tuning
from regbench.report.tables.transfer_tables import optional_tables
from regbench.study.layout import Layout
from regbench.study.report_files import FIGURES, TABLES, figure_names, table_names
from regbench.system.files import read_json, write_text

OF_TABLE, OF_FIGURE = "per_structure", "structures"  # which nothing without labels has
OF_PAIRS = "panels"  # the figure of single pairs
OF_PAIR = (
    "Fixed, moving and moved image, overlays before and after, checkerboard, deformed grid with its folds over the "
    "moving image, and determinant of a test pair: "
)
OF_SEARCH = "Optuna's plot of the score of each trial over what was searched: "
OF_MORE = "Optuna's plot of the importance of what was searched, of its second goal, or of the Pareto front: "


class Picture(NamedTuple):
    """A picture of a gallery: `id` for links, what it shows, the words below it, its source as a data URI."""

    id: str
    alt: str
    words: str
    source: str


class Trace(NamedTuple):
    """Where a row of the table comes from: its run folders, and the filter that selects its runs in MLflow."""

    dataset: str
    method: str
    folders: list[str]
    filter: str


def write_page(
    summary: Summary,
    lay: Layout,
    pairs: Sequence[tuple[str, bytes]],
    searches: Sequence[tuple[str, Sequence[bytes]]],
    tracking: str | None,
    *,
    published: bool = False,
) -> None:
    """Write ``report.html`` from the tables and figures that lie there.

    Args:
        summary: of the analysis.
        lay: of the study.
        pairs: caption and PNG of single pairs.
        searches: caption and PNGs of the search of each cell.
        tracking: MLflow tracking URI without password; None where tracking is off.
        published: in a folder that has no runs to link to, and of figures the numbers alone.
    """
    provenance = read_json(lay.tables / "main.provenance.json")
    environment = Environment(
        loader=PackageLoader("regbench.report.page", "."), autoescape=True, undefined=StrictUndefined
    )
    grid = grid_frame(summary)
    text = environment.get_template("page.html.j2").render(
        summary=summary,
        headline=[Markup(marked(sentence)) for sentence in headline(summary)],
        panels=[(alt, _inline(image, "svg+xml")) for alt, image in single_panels(grid)],
        legend=list(meanings(summary, grid)),
        grid_caption=caption(summary, grid),
        shades=shades(grid),
        how_sure=how_sure(summary),
        tuned=tuning(summary) + training(summary),
        tables=list(_tables(lay, summary)),
        figures=[
            _figure(lay, name, led_by(summary))
            for name in figure_names({"curve"} if "trade_offs" in summary else set())
            if name in FIGURES and (name != OF_FIGURE or _labelled(summary)) and (name != OF_PAIRS or not published)
        ],
        pairs=[
            Picture(f"pair-{number}", OF_PAIR + words, words, _inline(image, "png"))
            for number, (words, image) in enumerate(pairs, 1)
        ],
        pairs_legend=LEGEND,
        tuning=list(_searches(searches)),
        provenance=json.dumps(provenance, indent=1, sort_keys=True),
        commit=provenance["tables_made_by"]["git_commit"] or "unknown",
        dirty=provenance["tables_made_by"]["git_dirty"],
        traces=[_trace(summary["study"], entry) for entry in summary["methods"] if "pooled" not in entry],
        tracking=tracking,
        published=published,
        config=lay.config,
    )
    write_text(lay.page, text)


def _tables(lay: Layout, summary: Summary) -> Iterable[tuple[str, str, Markup]]:
    """Name, title and HTML of each table that was written."""
    names = [name for name in table_names(optional_tables(summary)) if name != OF_TABLE or _labelled(summary)]
    for name in names:
        path = lay.tables / f"{name}.html"
        # `write_table` escaped it.
        yield name, TABLES[name], Markup(page_table(path.read_text("utf-8"), TABLES[name]))


def _labelled(summary: Summary) -> bool:
    """Whether any dataset has labels: else there are no structures to show."""
    return any(manifest["labels"] for manifest in summary["datasets"].values())


def _figure(lay: Layout, name: str, score: str) -> Picture:
    image = (lay.figures / f"{name}.svg").read_bytes()
    words, alt = (text.replace("{score}", score) for text in FIGURES[name])
    return Picture(f"figure-{name}", alt, f"{words} Data: figures/{name}.csv", _inline(image, "svg+xml"))


def _searches(tuning: Sequence[tuple[str, Sequence[bytes]]]) -> Iterable[Picture]:
    """Optuna's plots, each by itself."""
    for number, (words, images) in enumerate(tuning, 1):
        for place, image in enumerate(images, 1):
            of = f" Plot {place} of {len(images)}." if len(images) > 1 else ""
            alt = (OF_SEARCH if place == 1 else OF_MORE) + words
            yield Picture(f"tuning-{number}-{place}", alt, words + of, _inline(image, "png"))


def _inline(image: bytes, kind: str) -> str:
    """The figure as a data URI: as an image, no two figures' ids can meet in one page."""
    return f"data:image/{kind};base64," + base64.b64encode(image).decode()


def _trace(study: str, entry: MethodEntry) -> Trace:
    path = f"{entry['dataset']}/{entry['method']}"
    folders = [f"runs/{path}/seed{run['seed']}" for run in entry["runs"]]
    return Trace(entry["dataset"], entry["method"], folders, f"tags.`regbench.key` LIKE '{study}/{path}%'")
