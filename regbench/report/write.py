"""All tables and figures of a study, and the page that holds them."""

import shutil
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import pandas as pd

from regbench.evaluation.slices import read_panels
from regbench.report.figures.comparison_figures import scores_figure, speed_figure, structures_figure
from regbench.report.figures.grid_figure import verdict_grid
from regbench.report.figures.pair_figures import pair_strips, panels_figure, write_thumbnail
from regbench.report.figures.rank_figures import difference_figure, stability_figure
from regbench.report.figures.trade_off_figure import trade_off_figure
from regbench.report.figures.training_figure import curves_figure
from regbench.report.figures.trial_figures import lambda_figure, pareto_figure
from regbench.report.figures.tuning_plots import search_plots, searches
from regbench.report.page.write_page import write_page
from regbench.report.parallel import in_parallel
from regbench.report.pooling import pooled_rows
from regbench.report.summary_file import Summary, load_summary
from regbench.report.tables.controls_table import write_controls
from regbench.report.tables.looks_table import write_looks
from regbench.report.tables.main_table import write_main
from regbench.report.tables.runtime_table import write_runtime
from regbench.report.tables.secondary_tables import write_secondary
from regbench.report.tables.trade_off_tables import write_trade_offs
from regbench.report.tables.transfer_tables import write_transfers
from regbench.study.methods import Study
from regbench.study.report_files import figure_names
from regbench.system.parquet import read_table
from regbench.system.provenance import CodeVersion

PANELS = "panels"  # the figure of single pairs; a published page has them one by one alone
CURVES = 24  # methods of a model whose training curves are drawn: the best, and those that failed


class Published(NamedTuple):
    """What the report of a published folder is.

    Attributes:
        made_by: the code that made its tables.
        pictures: ids of the datasets whose pairs it shows.
        tables_only: whether it has neither page nor figures.
    """

    made_by: CodeVersion
    pictures: frozenset[str]
    tables_only: bool = False


def report(study: Study, *, processes: int = 1, published: Published | None = None) -> None:
    """Write tables, figures and the page from the files of the analysis and of the runs; end the partial table.

    Args:
        study: to report.
        processes: that draw at once; the bytes are the same for any number.
        published: where the report is for a published folder, which is small: neither links to runs nor Optuna's plots,
            and few pairs.
    """
    lay = study.layout
    summary = load_summary(study)
    rows = read_table(lay.rows)
    # Those of a pool stand in the files once, as rows of its folds.
    with_pools = pd.concat([rows, *(pooled_rows(rows, pool) for pool in study.pools)], ignore_index=True)
    protocol = study.protocol
    made_by = published.made_by if published else None
    histories = {run: read_table(lay.history(*run)) for run in runs_with_curves(study, summary)}
    best = shown_cells(summary, None if published is None else published.pictures)
    shown = {f"{d} / {m}": read_panels(lay.panels(d, m, study.seeds(m)[0])) for d, m in best}
    spacing = {f"{d} / {m}": tuple(summary["datasets"][d]["spacing_mm"]) for d, m in best}
    drawn = [] if published else searches(study, summary)
    figures: dict[str, Callable[[], object]] = {
        PANELS: partial(panels_figure, shown, spacing, lay.figures),
        "lambda": partial(lambda_figure, summary, lay.figures),
        "structures": partial(structures_figure, summary, with_pools, lay.figures),
        "scores": partial(scores_figure, summary, with_pools, lay.figures),
        "verdict_grid": partial(verdict_grid, summary, lay.figures),
        "curve": partial(trade_off_figure, summary, lay.figures),
        "pareto": partial(pareto_figure, summary, lay.figures),
        "critical_difference": partial(difference_figure, summary, lay.figures),
        "rank_stability": partial(stability_figure, summary, lay.figures),
        "runtime_scores": partial(speed_figure, summary, rows, lay.figures),
        "training": partial(curves_figure, histories, lay.figures),
    }
    strips, *results = in_parallel(
        [
            partial(pair_strips, shown, spacing),
            *(figures[name] for name in figure_names(study.optional_figures) if not published or name != PANELS),
            partial(write_main, summary, lay.tables, protocol, made_by),
            partial(write_secondary, summary, lay.tables),
            partial(write_controls, summary, lay.tables),
            partial(write_transfers, summary, lay.tables),
            partial(write_trade_offs, summary, lay.tables),
            partial(write_looks, summary, lay.tables),
            partial(write_runtime, rows, summary, lay.tables, protocol, made_by),
            *([] if published else [partial(thumbnails, study, summary)]),
            *(partial(search_plots, study, *search) for search in drawn),
        ],
        processes,
    )
    tracking = study.shown_uri if study.config.tracking.enabled and not published else None
    write_page(summary, lay, strips, results[len(results) - len(drawn) :], tracking, published=published is not None)
    shutil.rmtree(lay.partial, ignore_errors=True)


def runs_with_curves(study: Study, summary: Summary) -> list[tuple[str, str, int]]:
    """The runs whose training curves are drawn."""
    ranks = {(entry["dataset"], entry["method"]): entry["rank"] for entry in summary["methods"]}
    return [run for run in study.tuned_runs() if (ranks[run[:2]] or 0) <= CURVES]


def shown_cells(summary: Summary, datasets: Collection[str] | None = None) -> list[tuple[str, str]]:
    """Dataset and method of the cells whose pairs are shown: the best of each model.

    Args:
        summary: of the analysis.
        datasets: that may be shown; all unless given.
    """
    best = [(e["dataset"], e["method"]) for e in summary["methods"] if e["rank"] == 1 and "pooled" not in e]
    return [cell for cell in best if datasets is None or cell[0] in datasets]


def thumbnails(study: Study, summary: Summary) -> None:
    """Write one small picture of each method: the median test pair of its first seed."""
    lay = study.layout
    for entry in summary["methods"]:
        if "pooled" in entry:
            continue
        dataset, method = entry["dataset"], entry["method"]
        seed = study.config.seeds[0] if entry.get("control") else study.seeds(method)[0]
        stored = read_panels(lay.panels(dataset, method, seed))
        write_thumbnail(stored, summary["datasets"][dataset]["spacing_mm"], lay.thumbnail(dataset, method))
