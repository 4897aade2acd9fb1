"""Records as Snakemake 9 gives them to the handlers of its log."""

import logging

from snakemake_interface_logger_plugins.common import LogEvent


def record(
    event: LogEvent | None, message: str | None = None, level: int = logging.INFO, **values
) -> logging.LogRecord:
    made = logging.LogRecord("snakemake.logging", level, "", 0, message, None, None)
    vars(made).update(values, event=event) if event else None
    return made


def info(number: int, rule: str, **wildcards: str) -> logging.LogRecord:
    """A job is sent."""
    return record(LogEvent.JOB_INFO, jobid=number, rule_name=rule, wildcards=wildcards, output=[f"{rule}.out"],
                  log=[f"{rule}.log"])  # fmt: skip
