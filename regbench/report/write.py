"""All tables and figures of a study, and the page that holds them."""

import shutil
from collections.abc import Mapping
from typing import Any

import pandas as pd

from regbench import plan
from regbench.analyze import load_summary
from regbench.config import Config
from regbench.files import HISTORY
from regbench.report import figures, judging, tables
from regbench.report.controls import write_controls
from regbench.report.details import write_details
from regbench.report.page import write_page
from regbench.report.qualitative import load_panels, pair_strips, panels_figure, write_thumbnail
from regbench.report.tuning import tuning_plots

CURVES = 24  # methods of a model whose training curves are drawn: the best, and those that failed


def report(config: Config) -> None:
    """Write tables, figures and the page from the files of the analysis and of the runs; end the partial table."""
    lay = plan.layout(config)
    summary, _ = load_summary(config)
    rows = pd.read_parquet(lay.rows)
    protocol: dict[str, Any] = plan.study_job(config, "report.write")["config"]
    tables.write_main(summary, lay.tables, protocol)
    write_details(summary, lay.tables)
    write_controls(summary, lay.tables)
    tables.write_runtime(rows, summary, lay.tables, protocol)
    figures.lambda_figure(summary, lay.figures)
    figures.dice_figure(rows, lay.figures)
    judging.pareto_figure(summary, lay.figures)
    judging.difference_figure(summary, lay.figures)
    judging.stability_figure(summary, lay.figures)
    judging.structures_figure(summary, rows, lay.figures)
    judging.speed_figure(summary, rows, lay.figures)
    ranks = {(entry["dataset"], entry["method"]): entry["rank"] for entry in summary["methods"]}
    drawn = [run for run in plan.tuned_runs(config) if (ranks[run[:2]] or 0) <= CURVES]
    judging.curves_figure({run: pd.read_parquet(lay.run(*run) / HISTORY) for run in drawn}, lay.figures)
    best = [(entry["dataset"], entry["method"]) for entry in summary["methods"] if entry["rank"] == 1]
    shown = {f"{d} / {m}": load_panels(lay.panels(d, m, plan.seeds(config, m)[0])) for d, m in best}
    spacing = {f"{d} / {m}": tuple(summary["datasets"][d]["spacing_mm"]) for d, m in best}
    panels_figure(shown, spacing, lay.figures)
    thumbnails(config, summary)
    tracking = plan.tracking_uri(config) if config.tracking.enabled else None
    write_page(summary, lay, pair_strips(shown, spacing), tuning_plots(config, summary), tracking)
    shutil.rmtree(lay.partial, ignore_errors=True)


def thumbnails(config: Config, summary: Mapping[str, Any]) -> None:
    """Write one small picture of each method: the median test pair of its first seed."""
    lay = plan.layout(config)
    for entry in summary["methods"]:
        dataset, method = entry["dataset"], entry["method"]
        seed = config.seeds[0] if entry.get("control") else plan.seeds(config, method)[0]
        stored = load_panels(lay.panels(dataset, method, seed))
        write_thumbnail(stored, summary["datasets"][dataset]["spacing_mm"], lay.thumbnail(dataset, method))
