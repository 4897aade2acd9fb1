"""What many tests share: a small sound config, and the devices that exist."""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_study import TINY

from regbench.system import numba_loops

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole studies first: one process then runs them all, and their common study once; what is stolen is the end."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, Any]:
    """A sound raw config whose results go to a folder of the test."""
    return {**copy.deepcopy(TINY), "results": str(tmp_path / "results")}


@pytest.fixture
def tiny_file(tiny: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a YAML file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny))
    return path


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture(params=["compiled", "formula"] if numba_loops.available() else ["formula"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How float32 losses run on the CPU: in compiled loops, where Numba serves, and by their formulas."""
    if request.param == "formula":
        monkeypatch.setattr(numba_loops, "available", lambda: False)
    engine: str = request.param
    return engine


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The prepared data of the tiny study; not to be changed."""
    from regbench.data.cache import load as load_data
    from regbench.data.prepare import prepare
    from regbench.study.job_specs import prepare_spec
    from regbench.study.load import load
    from regbench.study.methods import Study

    folder = tmp_path_factory.mktemp("data")
    prepare(prepare_spec(Study(load(TINY)), "brains"), folder)
    return load_data(folder)


# Of the tests of tracking, whose modules share them: a study run for real takes its time.
@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with tables and nothing in them; copied, because making the tables takes seconds."""
    from tracked_study import mlflow

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a real finished study."""
    from tiny_study import run_verbs
    from tracked_study import slow_down

    folder = tmp_path_factory.mktemp("finished")
    run_verbs({**TINY, "results": str(folder / "results")}, folder)
    slow_down(folder / "results")
    return folder / "results"


@pytest.fixture
def study(finished_study: Path, tmp_path: Path, empty_store: Path) -> Any:
    """A copy of it, for a test to change."""
    from tracked_study import TrackedStudy

    return TrackedStudy(finished_study, tmp_path, empty_store)


@pytest.fixture(scope="session")
def wanted(finished_study: Path, tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> dict[str, Any]:
    """What one undisturbed push of it leaves in a store."""
    from tracked_study import TrackedStudy

    from regbench.tracking import track

    study = TrackedStudy(finished_study, tmp_path_factory.mktemp("wanted"), empty_store)
    track(study.study)
    return study.state()


@pytest.fixture
def browser() -> Iterator[Any]:
    """A Chromium of the system, headless."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()
