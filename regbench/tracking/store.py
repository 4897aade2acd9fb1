"""Reaching the store, and one whole push of a study.

The tables of a database are made by whoever holds the lock, before any run: concurrent first connections to a new
SQLite file or an empty PostgreSQL lose runs.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regbench.study.methods import Study
from regbench.system.credentials import without_password
from regbench.system.errors import RegbenchError
from regbench.system.file_lock import waiting
from regbench.system.files import write_json
from regbench.system.sqlite_birth import born_whole, file_of, url_of
from regbench.tracking import experiment, mlflow_views
from regbench.tracking.push import Changes, RefusedError, Sink
from regbench.tracking.records import study_items

LOG = logging.getLogger(__name__)
PAUSES = (1.0, 2.0, 4.0)  # seconds between the tries of one push


# What a server answers that will answer the same the next time.
REFUSED = (
    "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "PERMISSION_DENIED", "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED", "FEATURE_DISABLED", "ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "QUOTA_EXCEEDED",
)  # fmt: skip


class UnreachableError(RegbenchError):
    """The store does not answer, or not as it should."""


def tracking_uri(study: Study) -> str:
    """The URI to connect to: the configured one, password included, or the SQLite file beside the study's folder.

    The path is absolute, because MLflow's own default depends on the working directory. `Study.shown_uri` is the one
    to show.
    """
    return study.config.tracking.uri or f"sqlite:///{Path(study.config.results).resolve() / 'mlflow.db'}"


def finished(study: Study) -> bool:
    """Whether the study is analysed; before, a push takes the trials and trainings that exist so far."""
    return study.layout.summary.exists()


def track(study: Study, *, verify: bool = False) -> Changes:
    """Bring MLflow to the state of the study's files, finished or not.

    Args:
        study: to push.
        verify: read back every point and every list of artifacts too (`Sink.push`); finds what was changed by hand.

    Returns:
        The keys, by stage, of the runs ``pushed``, ``updated``, ``kept`` as they were, and ``deleted``.

    Raises:
        UnreachableError: if the store cannot be reached; files and tables are complete without it.
    """
    for pause in (*PAUSES, None):
        try:
            with opened(study) as sink:
                return push_all(study, sink, verify=verify)
        except UnreachableError as error:
            if pause is None:
                raise
            LOG.warning("%s Next try in %g s.", str(error).partition(". ")[0] + ".", pause)
            time.sleep(pause)
    raise AssertionError


def note_tracked(study: Study, done: Changes) -> None:
    """Write which runs of a finished study MLflow has: the workflow's mark that nothing is left to push.

    Args:
        study: to push; nothing is written before it is finished.
        done: the answer of a push. Whether it pushed a run or found it there makes no difference to the file.
    """
    if not finished(study):
        return
    there = [done[kind] for kind in ("pushed", "updated", "kept")]
    stages = {stage for keys in there for stage in keys}
    runs = {stage: sorted(key for keys in there for key in keys.get(stage, [])) for stage in stages}
    write_json(study.layout.tracked, runs)


def push_all(study: Study, sink: Sink, *, verify: bool = False) -> Changes:
    """A push that looks at every run, and the list of the runs' ids beside the tables of a finished study."""
    done = sink.push(study_items(study), verify=verify)
    links = mlflow_views.publish(sink.client, sink.experiment, study, sink.ids)
    if finished(study):
        if study.config.tracking.register_models:
            from regbench.tracking.registered_model import register_models  # noqa: PLC0415  needs torch

            for name in register_models(study, sink):
                LOG.info("registered %s", name)
        name = sink.client.get_experiment(sink.experiment).name
        traced = {"tracking_uri": without_password(tracking_uri(study)), "experiment": name}
        ids = {"experiment_id": sink.experiment, "links": links, "runs": dict(sink.ids)}
        write_json(study.layout.run_ids, traced | ids)
    return done


@contextmanager
def opened(study: Study, sink: Sink | None = None) -> Iterator[Sink]:
    """The study's experiment, for one at a time of those who share this file system.

    Args:
        study: to push.
        sink: of an earlier push of this process, with what it knows.

    Raises:
        RefusedError: if the store answers that it does not take what it is given, in the block too.
        UnreachableError: for whatever else goes wrong between us and the store, in the block too.
    """
    mlflow = imported()
    from sqlalchemy.exc import DataError, SQLAlchemyError  # noqa: PLC0415  comes with mlflow

    try:
        with waiting(Path(study.config.results) / ".mlflow.lock"):
            if sink is None:
                if (file := file_of(tracking_uri(study))) is not None:
                    born_whole(file, "experiments", _make_tables)
                client = mlflow.MlflowClient(tracking_uri=tracking_uri(study))
                sink = Sink(client, experiment.make(client, study))
            yield sink
    except (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError) as error:
        uri = tracking_uri(study)
        first, shown = without_password(str(error).partition("\n")[0], uri), without_password(uri)
        if isinstance(error, DataError) or getattr(error, "error_code", "") in REFUSED:
            raise RefusedError(
                f"MLflow at `{shown}` must take the study's runs, but refused one: {first}. The tables are complete "
                "without it; change what the answer names, then run `regbench track` again."
            ) from error
        raise UnreachableError(
            f"MLflow at `{shown}` must be reachable, but got: {first}. "
            "The tables are complete without it; run `regbench track` again when it is back."
        ) from error


def _make_tables(path: Path) -> None:
    """A new store, complete: MLflow makes its first experiment last."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415  see `imported`

    artifacts = (path.parent / "mlartifacts").resolve().as_uri()
    store = SqlAlchemyStore(url_of(path), artifacts)  # type: ignore[no-untyped-call]  # of MLflow
    store.engine.dispose()


def imported() -> Any:
    """MLflow, silenced: it would phone home, draw bars and tell of its migrations."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    # A create-run that MLflow sends again after it was lost on its way back makes two runs. We try again ourselves.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow  # noqa: PLC0415  1.5 s and 170 MB that no other stage needs

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return mlflow
