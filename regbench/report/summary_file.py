"""The summary of a study, for whoever reads it and needs nothing of the analysis that wrote it."""

from pathlib import Path
from typing import Any

from regbench.study import plan
from regbench.study.config import Config
from regbench.system.files import read_json


def load_summary(config: Config) -> tuple[dict[str, Any], Path]:
    """The summary of a study that has been analysed, and where it lies."""
    path = plan.layout(config).summary
    return read_json(path), path
