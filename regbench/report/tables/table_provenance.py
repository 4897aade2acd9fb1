"""Where the numbers of a table come from: config, data, code, trainings and baselines."""

from collections.abc import Mapping

from regbench.report.summary_file import RunEntry, Summary, validation_draws
from regbench.system import provenance
from regbench.system.files import digest
from regbench.system.provenance import CodeVersion, Environment


def provenance_of(
    summary: Summary, config: Mapping[str, object], made_by: CodeVersion | None = None
) -> dict[str, object]:
    """The provenance of the tables of a study, for JSON.

    Args:
        summary: of the analysis.
        config: of the study, without what changes no number (`Study.protocol`).
        made_by: the code that made the tables; this one unless given.
    """
    environments: dict[str, Environment] = {
        digest(run["environment"]): run["environment"] for entry in summary["methods"] for run in entry["runs"]
    }
    return {
        "study": summary["study"],
        "config": dict(config),
        "config_sha256": digest(dict(config)),
        "seeds": summary["seeds"],
        "data_sha256": {name: manifest["data_sha256"] for name, manifest in summary["datasets"].items()},
        **_validated(summary),
        "tables_made_by": made_by or provenance.code(),
        "runs_made_by": list(environments.values()),
        "device": sorted({environment["device"] for environment in environments.values()}),
        "runs": [
            {"dataset": entry["dataset"], "method": entry["method"], **_run(run)}
            for entry in summary["methods"]
            for run in entry["runs"]
        ],
        "found_ranges": [
            {"dataset": entry["dataset"], "method": entry["method"], "range": choice["range"]}
            for entry in summary["methods"]
            if (choice := entry.get("selected")) and choice.get("found")
        ],
        "baselines": [
            {"dataset": entry["dataset"], "method": entry["method"], **entry["baseline"]}
            for entry in summary["methods"]
            if "baseline" in entry
        ],
        "warnings": summary["warnings"],
    }


def _validated(summary: Summary) -> dict[str, object]:
    """The validation subjects of each draw, where there are several."""
    draws = validation_draws(summary)
    return {"validation_subjects": draws} if draws else {}


def _run(run: RunEntry) -> dict[str, object]:
    return {
        "seed": run["seed"],
        "lam": run["lam"],
        "status": run["status"],
        "checkpoint_sha256": run["checkpoint_sha256"],
    }
