"""Public sets from a local server: fetched once, compared with their checksum, whole or not at all."""

import hashlib
import io
import json
import sys
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from data_files import brain, nifti, spec

from regbench.cli.main import main
from regbench.data.cache import load
from regbench.data.prepare import prepare
from regbench.system.errors import RegbenchError, UsageError

module = sys.modules["regbench.data.readers.public"]  # the package shows the function of that name


class Server:
    """Serves `content` under every path, whole or cut after half of it; counts the requests."""

    def __init__(self):
        self.content, self.cut, self.status, self.requests = b"", False, 200, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers["User-Agent"]))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content[: len(outer.content) // 2] if outer.cut else outer.content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/data/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """With a small archive in the layout of the hippocampi, whose checksum the registry then expects."""
    for number in range(6):
        image, labels = brain(number)
        nifti(tmp_path / "made" / "imagesTr" / f"hippocampus_{number}.nii.gz", image)
        nifti(tmp_path / "made" / "labelsTr" / f"hippocampus_{number}.nii.gz", labels)
        (tmp_path / "made" / "imagesTr" / f"._hippocampus_{number}.nii.gz").write_bytes(b"a Mac was here")
    found = Server()
    serve(found, monkeypatch, [(tmp_path / "made", "Task04_Hippocampus")])
    yield found
    found.stop()


def serve(server, monkeypatch, parts):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for source, name in parts:
            tar.add(source, name)
    server.content = memory.getvalue()
    wanted = replace(module.SETS["msd_hippocampus"], checksum=f"md5:{hashlib.md5(server.content).hexdigest()}")
    monkeypatch.setattr(module, "SETS", {**module.SETS, "msd_hippocampus": wanted})


def left(store: Path) -> list[str]:
    return [path.name for path in store.iterdir() if not path.name.endswith(".lock")] if store.exists() else []


def test_a_set_is_fetched_once_and_read(tmp_path, server, caplog):
    store = tmp_path / "store"
    parameters = {"name": "msd_hippocampus", "store": str(store), "base_url": server.url}
    with caplog.at_level("INFO"):
        prepare(spec("public", parameters), tmp_path / "cache")
    assert "Licence: CC BY-SA 4.0" in caplog.text
    data = load(tmp_path / "cache")
    assert data.labels == {1: "anterior hippocampus", 2: "posterior hippocampus"}
    assert len(data.subjects) == 6
    assert "CC BY-SA 4.0" in json.loads((tmp_path / "cache" / "manifest.json").read_text())["licences"][0]
    prepare(spec("public", parameters), tmp_path / "other")
    assert server.requests == [("/data/Task04_Hippocampus.tar", module.AGENT["User-Agent"])]
    assert left(store) == ["msd_hippocampus"]


def test_a_corrupted_download_is_not_kept(tmp_path, server):
    server.content = server.content[:-600] + b"x" + server.content[-599:]
    with pytest.raises(RegbenchError, match=r"Task04_Hippocampus\.tar` must have the checksum.*Nothing was kept"):
        module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url)
    assert left(tmp_path / "store") == []


def test_an_interrupted_download_is_not_kept(tmp_path, server):
    server.cut = True
    with pytest.raises(RegbenchError, match=r"must be downloadable.*nothing was kept"):
        module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url)
    assert left(tmp_path / "store") == []
    server.cut = False
    assert (module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url) / "Task04_Hippocampus").is_dir()


@pytest.mark.parametrize("status", [404, 503])
def test_a_refusing_server_is_named(tmp_path, server, status):
    server.status = status
    with pytest.raises(RegbenchError, match=f"must be downloadable, but got: {status}"):
        module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url)
    assert left(tmp_path / "store") == []


def test_no_network_is_named(tmp_path):
    with pytest.raises(RegbenchError, match=r"must be downloadable.*Check the network"):
        module.fetch("msd_hippocampus", tmp_path / "store", base_url="http://host.invalid/data/")
    assert left(tmp_path / "store") == []


def test_what_is_no_archive_is_named(tmp_path, server, monkeypatch):
    server.content = b"<html>sorry</html>"
    wanted = replace(module.SETS["msd_hippocampus"], checksum=f"md5:{hashlib.md5(server.content).hexdigest()}")
    monkeypatch.setattr(module, "SETS", {"msd_hippocampus": wanted})
    with pytest.raises(RegbenchError, match="must be a tar archive"):
        module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url)
    assert left(tmp_path / "store") == []


@pytest.mark.parametrize("filters", [True, False], ids=["filter of tarfile", "Python before 3.11.4"])
def test_an_archive_that_leads_out_is_refused(tmp_path, server, monkeypatch, filters):
    if not filters:
        monkeypatch.delattr("tarfile.data_filter", raising=False)
    serve(server, monkeypatch, [(tmp_path / "made" / "imagesTr" / "hippocampus_0.nii.gz", "../../escaped.nii.gz")])
    with pytest.raises(RegbenchError, match="must be a tar archive"):
        module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url)
    assert not list(tmp_path.rglob("escaped*"))
    assert left(tmp_path / "store") == []


def test_several_that_fetch_at_once_fetch_once(tmp_path, server):
    places = []
    threads = [
        threading.Thread(
            target=lambda: places.append(module.fetch("msd_hippocampus", tmp_path / "store", base_url=server.url))
        )
        for _ in range(4)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(places) == 4
    assert len(server.requests) == 1


def test_sets_that_need_a_registration_come_with_the_way(tmp_path):
    with pytest.raises(UsageError, match=r"`lumir` must be fetched by hand.*register at https"):
        module.fetch("lumir", tmp_path)
    with pytest.raises(UsageError, match="did you mean `lumir`"):
        module.fetch("lumirr", tmp_path)


def test_the_names_of_the_config_are_those_of_the_sets():
    assert set(get_args(get_type_hints(module.public)["name"])) == set(module.SETS)


def test_fetch_lists_every_set(capsys):
    main(["fetch"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*module.SETS, *module.BY_HAND))
