"""All tables and figures of a study."""

from typing import Any

import pandas as pd

from regbench import plan
from regbench.analyze import load_summary
from regbench.config import Config
from regbench.report import figures, tables


def report(config: Config) -> None:
    """Write tables and figures from the files of the analysis."""
    lay = plan.layout(config)
    summary, _ = load_summary(config)
    rows = pd.read_parquet(lay.rows)
    protocol: dict[str, Any] = plan.study_job(config, "report.write")["config"]
    tables.write_main(summary, lay.tables, protocol)
    tables.write_runtime(rows, summary, lay.tables, protocol)
    figures.lambda_figure(summary, lay.figures)
    figures.dice_figure(rows, lay.figures)
