"""All tables and figures of a study, and the page that holds them."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from regbench.report import comparison_figures, study_figures, tables
from regbench.report.controls import write_controls
from regbench.report.grid_figure import verdict_grid
from regbench.report.page import write_page
from regbench.report.pair_figures import load_panels, pair_strips, panels_figure, write_thumbnail
from regbench.report.secondary_tables import write_details
from regbench.report.side_by_side import side_by_side
from regbench.report.summary_file import load_summary
from regbench.report.tuning_plots import search_plots, searches
from regbench.study import plan
from regbench.study.config import Config
from regbench.study.report_files import figure_names

CURVES = 24  # methods of a model whose training curves are drawn: the best, and those that failed


def report(config: Config, *, processes: int = 1) -> None:
    """Write tables, figures and the page from the files of the analysis and of the runs; end the partial table.

    Args:
        config: of the study.
        processes: that draw at once; the bytes are the same for any number.
    """
    lay = plan.layout(config)
    summary, _ = load_summary(config)
    rows = pd.read_parquet(lay.rows)
    protocol = plan.protocol(config)
    ranks = {(entry["dataset"], entry["method"]): entry["rank"] for entry in summary["methods"]}
    best_runs = [run for run in plan.tuned_runs(config) if (ranks[run[:2]] or 0) <= CURVES]
    histories = {run: pd.read_parquet(lay.history(*run)) for run in best_runs}
    best = [(entry["dataset"], entry["method"]) for entry in summary["methods"] if entry["rank"] == 1]
    shown = {f"{d} / {m}": load_panels(lay.panels(d, m, plan.seeds(config, m)[0])) for d, m in best}
    spacing = {f"{d} / {m}": tuple(summary["datasets"][d]["spacing_mm"]) for d, m in best}
    drawn = searches(config, summary)
    figures: dict[str, Callable[[], object]] = {
        "panels": partial(panels_figure, shown, spacing, lay.figures),
        "lambda": partial(study_figures.lambda_figure, summary, lay.figures),
        "structures": partial(comparison_figures.structures_figure, summary, rows, lay.figures),
        "dice": partial(study_figures.dice_figure, rows, lay.figures),
        "verdict_grid": partial(verdict_grid, summary, lay.figures),
        "pareto": partial(comparison_figures.pareto_figure, summary, lay.figures),
        "critical_difference": partial(comparison_figures.difference_figure, summary, lay.figures),
        "rank_stability": partial(comparison_figures.stability_figure, summary, lay.figures),
        "runtime_dice": partial(comparison_figures.speed_figure, summary, rows, lay.figures),
        "training": partial(comparison_figures.curves_figure, histories, lay.figures),
    }
    strips, *found = side_by_side(
        [
            partial(pair_strips, shown, spacing),
            *(figures[name] for name in figure_names()),
            partial(tables.write_main, summary, lay.tables, protocol),
            partial(write_details, summary, lay.tables),
            partial(write_controls, summary, lay.tables),
            partial(tables.write_runtime, rows, summary, lay.tables, protocol),
            partial(thumbnails, config, summary),
            *(partial(search_plots, config, *search) for search in drawn),
        ],
        processes,
    )
    tracking = plan.shown_uri(config) if config.tracking.enabled else None
    write_page(summary, lay, strips, found[len(found) - len(drawn) :], tracking)
    shutil.rmtree(lay.partial, ignore_errors=True)


def thumbnails(config: Config, summary: Mapping[str, Any]) -> None:
    """Write one small picture of each method: the median test pair of its first seed."""
    lay = plan.layout(config)
    for entry in summary["methods"]:
        dataset, method = entry["dataset"], entry["method"]
        seed = config.seeds[0] if entry.get("control") else plan.seeds(config, method)[0]
        stored = load_panels(lay.panels(dataset, method, seed))
        write_thumbnail(stored, summary["datasets"][dataset]["spacing_mm"], lay.thumbnail(dataset, method))
