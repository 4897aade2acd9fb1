"""Finished trials in an Optuna storage, so that optuna-dashboard opens it. A sink: the files are the truth."""

from typing import Any

from regbench import plan
from regbench.config import Config
from regbench.errors import UsageError
from regbench.files import digest, read_json
from regbench.search import directions, distributions, frozen, params, scored


def export_optuna(config: Config, url: str) -> dict[str, int]:
    """Write each tuned cell as an Optuna study ``study/dataset/method``; one that is there unchanged is left alone.

    Args:
        config: of the study.
        url: of the storage, such as ``sqlite:///optuna.db``.

    Returns:
        How many studies were written, replaced and left.

    Raises:
        UsageError: if the storage cannot be opened.
    """
    import optuna  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.RDBStorage(url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise UsageError(f"`{url}` must be a storage that Optuna opens, but got: {error}") from error
    there = set(optuna.get_all_study_names(storage))
    counts = {"written": 0, "replaced": 0, "unchanged": 0}
    for dataset in config.datasets:
        for method in plan.methods(config):
            if plan.rounds(config, method.id):
                job = plan.propose_job(config, dataset.id, method.id)
                paths = [path for path in plan.trial_files(config, dataset.id, method.id) if path.exists()]
                results = [result for path in paths for result in read_json(path)]
                counts[_write(storage, job, results, there)] += 1
    return counts


def _write(storage: Any, job: dict[str, Any], results: list[dict[str, Any]], there: set[str]) -> str:
    import optuna  # noqa: PLC0415

    name, key, known = job["cell"], digest({"job": job, "results": results}), job["cell"] in there
    if known:
        if optuna.load_study(study_name=name, storage=storage).user_attrs.get("digest") == key:
            return "unchanged"
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, directions=directions(job))
    for result in sorted(results, key=lambda result: int(result["number"])):
        study.add_trial(_trial(job, result))
    study.set_user_attr("digest", key)  # last: a study that was cut off is written again
    return "replaced" if known else "written"


def _trial(job: dict[str, Any], result: dict[str, Any]) -> Any:
    import optuna  # noqa: PLC0415

    more: dict[str, Any] = {
        "user_attrs": {name: result[name] for name in ("status", "reason", "dice", "ndv_percent")},
        "intermediate_values": {
            report["step"]: sum(report["dice"]) / len(report["dice"]) for report in result.get("reports", ())
        },
    }
    if scored(result):
        state = optuna.trial.TrialState.COMPLETE if result["status"] == "complete" else optuna.trial.TrialState.PRUNED
        return frozen(job, result, distributions(job), state=state, **more)
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.FAIL, params=params(job, result), distributions=distributions(job), **more
    )
