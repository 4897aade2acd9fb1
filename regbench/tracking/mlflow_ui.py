"""The MLflow UI of one study: served where its store is a database, named where it is a server."""

import html
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from regbench.study.methods import Study
from regbench.system.credentials import without_password
from regbench.system.desktop import has_desktop
from regbench.system.errors import RegbenchError, UsageError
from regbench.tracking import mlflow_views
from regbench.tracking.experiment import find
from regbench.tracking.push import KEY
from regbench.tracking.store import tracking_uri
from regbench.tracking.ui_guard import ASKED, TOKEN

HOST = "127.0.0.1"
PATIENCE = 120.0  # seconds until a server must answer: importing MLflow from a slow disk takes most of them


class Opened(NamedTuple):
    """The links to a study in MLflow, and how to wait for the server."""

    links: dict[str, str]  # by what they show
    wait: Callable[[], None] | None  # until the server is stopped; None where it is not ours


@contextmanager
def opened(study: Study, command: str, port: int) -> Iterator[Opened]:
    """The links of a study's prepared views; where its store is a database, served until the block ends.

    Ctrl-C and SIGTERM end the block, and are no errors.

    Args:
        study: to show.
        command: what brings the store to the state of the files, for messages.
        port: of 127.0.0.1; 0 takes a free one.

    Raises:
        RegbenchError: if the study is not in the store, the store cannot be read, or the server does not start.
        UsageError: if the port is taken.
    """
    uri = tracking_uri(study)
    links = _links(study, uri, command)
    if mlflow_views.is_server(uri):
        yield Opened(mlflow_views.links_on(uri, links), None)
        return
    port = _free(port)
    token = secrets.token_urlsafe(24)
    with _server(study, uri, port, token) as (server, log):
        address = f"http://{HOST}:{port}"
        _wait(server, address, log)

        def wait() -> None:
            server.wait()
            raise RegbenchError(f"the MLflow server must run until it is stopped, but ended: {_last(log)}")

        on_server = mlflow_views.links_on(address, links)
        yield Opened({words: link.replace("/#", f"/?{ASKED}={token}#", 1) for words, link in on_server.items()}, wait)


def show(study: Study, link: str) -> None:
    """Open a link in the user's browser, on a desktop.

    By a file that the user alone can read: every user sees the command line of the browser, and the link has a token.
    """
    if not has_desktop():
        return
    page = study.layout.state / "ui.html"
    page.unlink(missing_ok=True)
    page.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f'<meta charset="utf-8"><meta http-equiv="refresh" content="0; url={html.escape(link)}">\n')
    webbrowser.open(page.resolve().as_uri())


def _links(study: Study, uri: str, command: str) -> dict[str, str]:
    """Each link by what it shows."""
    lay = study.layout
    if not lay.root.is_dir():
        raise RegbenchError(
            f"study `{study.name}` must have files in `{lay.root}`, but that folder is not there. "
            "Run the study, or run this where its `results` lie."
        )
    missing = RegbenchError(
        f"study `{study.name}` must be in MLflow at `{without_password(uri)}`, but is not. Run `{command}`."
    )
    file = uri.removeprefix("sqlite:///")
    if file != uri and not Path(file).is_file():
        raise missing  # MLflow would make an empty store
    import mlflow  # noqa: PLC0415  1.5 s

    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = find(client, study)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise missing
        if f"{mlflow_views.STATE}{mlflow_views.TABLE}" not in experiment.tags:
            raise missing  # pushed by an older regbench
        runs = client.search_runs([experiment.experiment_id], mlflow_views.FILTER, max_results=mlflow_views.MOST)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        first = without_password(str(error).partition("\n")[0], uri)
        raise RegbenchError(
            f"MLflow at `{without_password(uri)}` must be reachable, but got: {first}. "
            "Start its server, or change `tracking.uri` in the config."
        ) from error
    ids = {run.data.tags[KEY]: run.info.run_id for run in runs if KEY in run.data.tags}
    return mlflow_views.links(experiment.experiment_id, mlflow_views.parents(study, ids))


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: a port just given back is free
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"--port must be a free port of {HOST}, but got {port}: {reason}. Give another; 0 takes a free one."
            ) from error
        return int(probe.getsockname()[1])


@contextmanager
def _server(study: Study, uri: str, port: int, token: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """An MLflow server in a process group of its own: Ctrl-C reaches us alone, and we end all of it."""
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,  # may hold a password, which a command line would show to everyone
        TOKEN: token,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # fifteen processes that nothing here needs
    }
    folder = Path(study.config.results).resolve()
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--app-name", "regbench"]  # ui_guard
    command += ["--no-serve-artifacts", "--default-artifact-root", (folder / "mlartifacts").as_uri()]

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: Python leaves it ignored where the shell that started us in the background has it so.
    before = {number: signal.signal(number, stopped) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield server, log
        except KeyboardInterrupt:
            pass  # how a user ends it
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            _stop(server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # all of it has ended by itself
        os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(10)
        os.killpg(server.pid, signal.SIGKILL)  # what is left of the group
    server.wait()


def _wait(server: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RegbenchError(f"the MLflow server must start, but ended: {_last(log)}")
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)
    raise RegbenchError(f"the MLflow server must answer within {PATIENCE:g} s, but has not: {_last(log)}")


def _last(log: IO[bytes]) -> str:
    """The last lines of the server's log."""
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return without_password(" | ".join(lines[-3:])) or "it said nothing"
