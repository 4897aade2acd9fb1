"""Finished trials in an Optuna storage, so that optuna-dashboard opens it. A sink: the files are the truth."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regbench.study.goals import FOLDING, RANK
from regbench.study.methods import Study
from regbench.study.specs import ProposeSpec
from regbench.system.credentials import without_password
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import digest
from regbench.system.identity import Identity, identity, whose
from regbench.system.ownership import owning
from regbench.system.sqlite_birth import born_whole, file_of, url_of
from regbench.tuning.range_files import proposing
from regbench.tuning.sampler import directions, distributions, finished_trial, params
from regbench.tuning.trial_files import read_trials
from regbench.tuning.trial_results import Told, TrialResult, has_scores, metrics_of, point_of, told

LOG = logging.getLogger(__name__)


class _Target(NamedTuple):
    """A storage, and whose the studies are that we write there."""

    there: set[str]  # names of studies
    owner: Identity
    private: bool  # nobody else writes there

    def name(self, storage: Any, cell: str) -> tuple[str, Any]:
        """The name of our study of a cell, and the study if it is there: never one that another folder wrote."""
        import optuna  # noqa: PLC0415

        name = cell
        if cell in self.there:
            known = optuna.load_study(study_name=cell, storage=storage)
            theirs = known.user_attrs
            if theirs.get("id") == self.owner["id"] or (self.private and "id" not in theirs):
                return cell, known
            study, _, rest = cell.partition("/")
            name = f"{study}-{self.owner['id'][:8]}/{rest}"
            LOG.warning(
                "the Optuna study `%s` is that of %s; this one goes beside it, as `%s`",
                cell, whose(*(str(theirs.get(key, "")) for key in ("owner", "host", "folder"))), name,
            )  # fmt: skip
        return name, optuna.load_study(study_name=name, storage=storage) if name in self.there else None


def export_optuna(study: Study, url: str) -> dict[str, int]:
    """Write each search as an Optuna study ``study/dataset/method``; one that is there unchanged is left alone.

    Further searches of a cell (`tuning.replicates`) have ``/replicate1`` and so on behind that name.

    Several exports of one study at once wait for each other.

    Args:
        study: to export.
        url: of the storage, such as ``sqlite:///optuna.db``.

    Returns:
        How many studies were written, replaced and left.

    Raises:
        UsageError: if the storage cannot be opened.
        RegbenchError: if it fails on the way; what is there so far is completed by the next export.
    """
    import optuna  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shown, counts = without_password(url), {"written": 0, "replaced": 0, "unchanged": 0}
    with owning(study.layout.optuna_owner, f"the Optuna export of `{study.name}`"):
        try:
            if (file := file_of(url)) is not None:
                born_whole(file, "alembic_version", _make_tables)
            storage = optuna.storages.RDBStorage(url)
        except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
            # Not `from error`: its own text holds the password.
            raise UsageError(f"`{shown}` must be a storage that Optuna opens, but got: {_words(error, url)}") from None
        try:
            there = set(optuna.get_all_study_names(storage))
            target = _Target(there, identity(study.layout.identity), url == study.layout.own_optuna_url)
            for spec, results in tuned_cells(study):
                counts[_write(storage, spec, results, target)] += 1
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            raise RegbenchError(
                f"the export to `{shown}` must end, but got: {_words(error, url)}. Run it again."
            ) from None
        finally:
            storage.remove_session()
    return counts


def tuned_cells(study: Study) -> Iterator[tuple[ProposeSpec, list[TrialResult]]]:
    """Each search of a cell, and the results of its trials so far."""
    for dataset in study.config.datasets:
        for method in study.methods:
            for replicate in study.replicates(method.id, dataset.id) if study.rounds(method.id) else ():
                files = study.trial_files(dataset.id, method.id, replicate=replicate)
                ended = [path for path in files if path.exists()]
                if ended or not study.finds_range(method.id):  # else there is no range yet
                    spec = proposing(study, dataset.id, method.id, replicate=replicate)
                    yield spec, read_trials(ended, spec)


def fill(study: Any, spec: ProposeSpec, results: Sequence[TrialResult]) -> None:
    """Add a cell's trials to an Optuna study, in the order of their numbers."""
    for one in told(spec.objective, results):
        study.add_trial(_trial(spec, one, metrics_of(spec.objective, results)))


def goal_names(spec: ProposeSpec, results: Sequence[TrialResult]) -> list[str]:
    """The names of what is sought: a metric or `rank`, and NDV where it is a second goal."""
    metrics = metrics_of(spec.objective, results)
    return [metrics[0] if len(metrics) == 1 else RANK] + [FOLDING] * spec.objective.limited


def _make_tables(path: Path) -> None:
    """A new storage, complete: Optuna notes the version of the tables last."""
    import optuna  # noqa: PLC0415

    optuna.storages.RDBStorage(url_of(path)).engine.dispose()


def _words(error: Exception, url: str) -> str:
    """What an error says, in one line and without the password, which drivers repeat in words of their own."""
    return without_password(" ".join(str(error).split()), url)


def _write(storage: Any, spec: ProposeSpec, results: list[TrialResult], target: _Target) -> str:
    import optuna  # noqa: PLC0415

    key = digest({"spec": spec.to_json(), "results": results})
    name, known = target.name(storage, spec.cell)
    if known is not None:
        if known.user_attrs.get("digest") == key:
            return "unchanged"
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, directions=directions(spec, results))
    for attribute, value in target.owner.items():
        study.set_user_attr(attribute, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the pins fix what it does
        study.set_metric_names(goal_names(spec, results))
    fill(study, spec, results)
    study.set_user_attr("digest", key)  # last: a study that was cut off is written again
    return "written" if known is None else "replaced"


def _trial(spec: ProposeSpec, one: Told, metrics: Sequence[str]) -> Any:
    import optuna  # noqa: PLC0415

    result = one.result
    shown = {"status": result.get("status"), "reason": result.get("reason"), **result["scores"]}
    more: dict[str, Any] = {
        "user_attrs": {name: value for name, value in shown.items() if value is not None},
        "intermediate_values": {
            report["step"]: sum(known) / len(known)
            for report in result.get("reports", ())
            # ranks are among trials: of one metric alone there is a curve
            if len(metrics) == 1 and (known := [v for v in report["scores"][metrics[0]] if v is not None])
        },
    }
    point = point_of(result)
    if has_scores(result):
        state = optuna.trial.TrialState.COMPLETE if result["status"] == "complete" else optuna.trial.TrialState.PRUNED
        scores = (one.value, one.ndv)
        return finished_trial(spec, result["number"], point, scores, distributions(spec), state=state, **more)
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.FAIL, params=params(spec, point), distributions=distributions(spec), **more
    )
