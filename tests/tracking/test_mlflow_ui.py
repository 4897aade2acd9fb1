"""The MLflow UI's prepared views and the verb that opens them; `test_ui_browser` looks at them."""

import html
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from made_results import make_results
from tiny_study import TINY

mlflow = pytest.importorskip("mlflow")

from regbench.cli.main import main  # noqa: E402
from regbench.report.standings import WORDS  # noqa: E402
from regbench.report.summary_file import load_summary  # noqa: E402
from regbench.report.write import thumbnails  # noqa: E402
from regbench.study.load import load  # noqa: E402
from regbench.study.methods import Study  # noqa: E402
from regbench.system.files import read_json  # noqa: E402
from regbench.tracking import (  # noqa: E402
    mlflow_views,
    run_description,
    track,
    tracking_uri,
)
from regbench.tracking.verdict_colours import COLOURS, LEGEND, NOT_COMPARED  # noqa: E402


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of two cells, in its SQLite store."""
    raw = {**TINY, "results": str(tmp_path_factory.mktemp("ui") / "results")}
    made = Study(load(raw))
    make_results(made)
    thumbnails(made, load_summary(made))
    track(made)
    return made


@pytest.fixture
def client(study):
    return mlflow.MlflowClient(tracking_uri=tracking_uri(study))


def as_file(study, folder: Path, /, **changes) -> Path:
    path = folder / "study.json"
    path.write_text(json.dumps(study.config.model_dump(mode="json") | changes))
    return path


def methods(client, experiment):
    return client.search_runs([experiment.experiment_id], mlflow_views.FILTER)


def state(experiment, name=mlflow_views.TABLE):
    return json.loads(experiment.tags[f"{mlflow_views.STATE}{name}"])


def test_a_push_prepares_the_views(study, client):
    experiment = client.get_experiment_by_name("regbench/tiny")
    runs = methods(client, experiment)
    assert len(runs) == 3  # identity and two cells
    table = state(experiment)
    assert table["searchFilter"] == mlflow_views.FILTER
    # Every column and chart asks for what the runs of cells have.
    cells = [run for run in runs if "similarity" in run.data.tags]
    assert len(cells) == 2
    for run in cells:
        known = {f"tags.`{name}`" for name in run.data.tags} | {f"params.`{name}`" for name in run.data.params}
        known |= {f"metrics.`{name}`" for name in run.data.metrics}
        assert set(table["selectedColumns"]) <= known
        for chart in table["compareRunCharts"]:
            assert set(chart.get("selectedParams", [])) <= set(run.data.params)
            axes = [chart[axis] for axis in ("xaxis", "yaxis") if axis in chart]
            assert {axis["key"] for axis in axes if axis["type"] == "PARAM"} <= set(run.data.params)
            scores = [axis["key"] for axis in axes if axis["type"] == "METRIC"]
            asked = [
                *scores,
                *chart.get("selectedMetrics", []),
                *([chart["metricKey"]] if "metricKey" in chart else []),
            ]
            assert asked
            assert set(asked) <= set(run.data.metrics)
    for group in mlflow_views.GROUPS:
        assert state(experiment, f"regbench-{group}")["groupBy"]["groupByKeys"] == [
            {"mode": "tag", "groupByData": group}
        ]


def test_colours_are_those_of_the_verdicts(study, client):
    """What the charts draw each method in, by what its tag says; the title of the charts names every colour."""
    experiment = client.get_experiment_by_name("regbench/tiny")
    runs = {run.data.tags["method"]: run.data.tags for run in methods(client, experiment)}
    of_words = {words: COLOURS[standing] for standing, words in WORDS.items()}
    cells = [tags for tags in runs.values() if "verdict.dice" in tags]
    assert len(cells) == 2
    assert all(tags["mlflow.runColor"] == of_words[tags["verdict.dice"]] for tags in cells)
    assert runs["identity"]["mlflow.runColor"] == NOT_COMPARED not in of_words.values()
    assert len(set(of_words.values())) == 4
    assert [words.split()[1] for words in LEGEND.split(", ")] == ["best", "equal", "undecided", "worse"]
    first, _ = state(experiment)["compareRunSections"]
    assert first["name"] == LEGEND


def test_the_description_links_to_the_views(study, client):
    experiment = client.get_experiment_by_name("regbench/tiny")
    note = experiment.tags[run_description.NOTE]
    assert note.startswith("**tiny**")
    links = read_json(study.layout.run_ids)["links"]
    assert set(links) == {"table", "charts", "by similarity", "by regularizer", "compare brains, voxelmorph"}
    assert all(f"[{words}]({link})" in note for words, link in links.items())
    query = urllib.parse.parse_qs(links["compare brains, voxelmorph"].partition("?")[2])
    runs = [client.get_run(run) for run in json.loads(query["runs"][0])]
    # In the order of the config, without identity.
    assert [run.data.tags["method"] for run in runs] == ["voxelmorph.lcc.grad_l2", "voxelmorph.mse.grad_l2"]


def test_a_second_push_writes_no_view(study, client, monkeypatch):
    written = []
    monkeypatch.setattr(mlflow.MlflowClient, "set_experiment_tag", lambda *arguments: written.append(arguments))
    track(study)
    assert written == []


def test_a_result_is_told_in_a_paragraph(study, client):
    experiment = client.get_experiment_by_name("regbench/tiny")
    notes = {
        run.data.tags["method"]: run.data.tags[run_description.NOTE].split("\n\n")
        for run in methods(client, experiment)
    }
    cell = notes["voxelmorph.lcc.grad_l2"]
    assert cell[0].startswith("**LCC · grad_l2 · λ=0.0251** on brains (voxelmorph): test Dice 0.5")
    assert cell[0].endswith(
        " over 6 pairs and 2 seeds, rank 2 of 2; folding 0.03 %, NDV 0.05 %. "
        "4 trials between 0.01 and 1 chose lambda 0.0251."
    )
    assert notes["identity"][0].startswith("**identity** on brains: test Dice 0.50")
    # And its row of the table, with the table's digits.
    assert cell[-1].splitlines()[0] == "| dice | fold_central_percent | hd95_mm | ndv_percent | sdlogj |"
    assert "| 0.0500 ± 0.0000 |" in cell[-1].splitlines()[2]


def test_a_failed_method_is_told_with_its_reason():
    spread = {"mean": None, "sd": None}
    entry = {"dataset": "d", "model": "m", "metrics": {"dice": spread}, "runs": [{}], "pairs": 3, "rank": None}
    entry |= {"trials": [{}], "selected": {"range": [0.1, 1]}, "lam": None, "edge": False}
    entry |= {"reasons": ["diverged"], "failed_rows": 3}
    assert run_description.method_paragraph(entry, "LCC", 2, "dice") == (
        "**LCC** on d (m): the test failed. 1 trials between 0.1 and 1 chose no lambda. 3 failed rows: diverged"
    )
    entry |= {"lam": 1.0, "edge": True, "reasons": []}
    told = run_description.method_paragraph(entry, "LCC", 2, "dice")
    assert told.endswith("chose lambda 1, at the edge of the range.")


def test_a_thumbnail_is_in_the_description_and_among_the_artifacts(study, client):
    experiment = client.get_experiment_by_name("regbench/tiny")
    for run in methods(client, experiment):
        path = f"thumbnail/{run.data.tags['method']}.png"
        first, picture, row = run.data.tags[run_description.NOTE].split("\n\n")
        assert picture == f"![one pair](get-artifact?path={path.replace('/', '%2F')}&run_uuid={run.info.run_id})"
        assert first.startswith("**")
        assert row.startswith("| dice |")
        assert [found.path for found in client.list_artifacts(run.info.run_id, run_description.THUMBNAIL)] == [path]


def some(count, dataset="d", model="m"):
    return [mlflow_views.Parent(f"{k:032x}", dataset, model, "lcc") for k in range(count)]


def test_datasets_and_models_are_compared_apart_and_have_columns():
    baseline = mlflow_views.Parent("b", "d", None, None)
    one = [baseline, *some(2)]
    assert [words for words in mlflow_views.links("1", one) if "compare" in words] == ["compare d, m"]
    columns = json.loads(mlflow_views.experiment_tags("1", "", one)[f"{mlflow_views.STATE}regbench"])["selectedColumns"]
    assert not {"tags.`dataset`", "params.`model`"} & set(columns)
    place = columns.index("metrics.`test/dice`")
    assert columns[place + 1] == "tags.`verdict.dice`"
    two = [*one, *some(2, "e", "n"), *some(1, "f")]
    # One cell alone has nothing to be compared with.
    assert [words for words in mlflow_views.links("1", two) if "compare" in words] == ["compare d, m", "compare e, n"]
    columns = json.loads(mlflow_views.experiment_tags("1", "", two)[f"{mlflow_views.STATE}regbench"])["selectedColumns"]
    assert columns[:3] == ["tags.`dataset`", "params.`model`", "tags.`similarity`"]


def test_no_tag_is_longer_than_mlflow_takes():
    tags = mlflow_views.experiment_tags("1", "about", some(400))
    assert max(map(len, tags.values())) <= mlflow_views.LIMIT
    assert "[by regularizer]" in tags[run_description.NOTE]
    assert "compare d" not in tags[run_description.NOTE]
    assert len(mlflow_views.experiment_tags("1", "about " * 2000, some(2))[run_description.NOTE]) == mlflow_views.LIMIT


def test_a_link_shows_no_credentials():
    assert mlflow_views.links_on("https://me:s@cret@host:1/mlflow/", {"table": "#/a"}) == {
        "table": "https://host:1/mlflow/#/a"
    }


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def group_of(pid):
    """Processes of a process group that still run."""
    found = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(pid)], capture_output=True, text=True, check=False)
    return [line for line in found.stdout.splitlines() if " Z" not in line]


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(word) for word in found.stdout.split()]


@pytest.mark.parametrize(("number", "ignored"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_the_ui_ends_with_its_server(study, tmp_path, number, ignored):
    """Also where a script started it in the background: there SIGINT is ignored from the start."""
    command = [sys.executable, "-c", "from regbench.cli.main import main; main()", "ui", str(as_file(study, tmp_path))]
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)  # a child has it from us
    try:
        serving = subprocess.Popen(
            [*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, mine)
    try:
        while serving.stdout.readline() not in ("Ctrl-C stops the server\n", ""):
            pass
        (server,) = children(serving.pid)
        serving.send_signal(number)
        assert serving.wait(30) == 0
        assert serving.stderr.read() == ""
        assert group_of(server) == []
    finally:
        serving.terminate()  # not killed: it has a server to end
        serving.communicate()


def test_the_ui_is_served_until_ctrl_c(study, tmp_path, capsys, monkeypatch):
    command = [
        sys.executable,
        "-c",
        "from regbench.cli.main import main; main()",
        "ui",
        str(as_file(study, tmp_path)),
        "--port",
        "0",
        "--no-browser",
    ]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        lines = [serving.stdout.readline() for _ in range(6)]
        assert lines[-1] == "Ctrl-C stops the server\n", serving.stderr.read()
        table = lines[0].split()[1]
        address, _, token = table.partition("#")[0].partition("/?token=")
        assert table.endswith("viewStateShareKey=regbench")
        named = f"{address}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=regbench%2Ftiny"
        for url in (address, named, f"{address}/?token=x{token[1:]}", f"{named}&token="):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(url)
        with_cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with with_cookies.open(table.partition("#")[0], timeout=30) as answer:
            assert b"MLflow" in answer.read()
            assert answer.url == f"{address}/"
        with with_cookies.open(named, timeout=30) as answer:
            asked = json.loads(answer.read())
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
        assert f"/experiments/{asked['experiment']['experiment_id']}/runs?" in table
        # A study that names this server is pushed to it, gets its links, and no second server.
        served = as_file(study, tmp_path, tracking={"uri": address})
        main(["track", str(served)])
        assert "0 runs pushed" in capsys.readouterr().out
        page = study.layout.views.read_text()
        plain = [line.replace(f"?token={token}", "") for line in lines[:-1]]
        assert all(html.escape(line.split()[-1]) in page for line in plain)
        main(["ui", str(served), "--no-browser"])
        assert capsys.readouterr().out == "".join(plain)
        (server,) = children(serving.pid)
        assert group_of(server)
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        assert serving.stderr.read() == ""
        assert group_of(server) == []
    finally:
        serving.terminate()  # not killed: it has a server to end
        serving.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.json"]  # no store of the server's own


def says(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["ui", *arguments, "--no-browser"])
    return stopped.value.code, capsys.readouterr().err


def test_a_study_that_was_never_run_is_named(tiny_file, capsys):
    code, text = says(capsys, str(tiny_file))
    assert code == 1
    assert "study `tiny` must have files in" in text


def test_a_study_that_is_not_tracked_says_what_to_do(tiny_file, tiny, capsys):
    root = Study(load(tiny)).layout.root
    root.mkdir(parents=True)
    code, text = says(capsys, str(tiny_file))
    assert code == 1
    assert f"Run `regbench track {tiny_file}`." in text
    assert [path.name for path in root.parent.iterdir()] == ["tiny"]  # and no empty store was made


def test_another_study_of_the_same_store_is_not_tracked_either(study, tmp_path, capsys):
    other = as_file(study, tmp_path, study="other")
    Study(load(read_json(other))).layout.root.mkdir(exist_ok=True)
    code, text = says(capsys, str(other))
    assert (code, "`regbench/other`" in text or "study `other` must be in MLflow" in text) == (1, True)


def test_a_taken_port_is_a_wrong_request(study, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, text = says(capsys, str(as_file(study, tmp_path)), "--port", port)
    assert code == 2
    assert f"--port must be a free port of 127.0.0.1, but got {port}" in text


def test_a_server_that_is_down_is_said(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    file = as_file(study, tmp_path, tracking={"uri": "http://me:secret@127.0.0.1:9"})
    code, text = says(capsys, str(file))
    assert code == 1
    assert "must be reachable" in text
    assert "secret" not in text


def test_a_server_that_cannot_start_says_why(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('no uvicorn here')")
    code, text = says(capsys, str(as_file(study, tmp_path)), "--port", "0")
    assert code == 1
    assert "the MLflow server must start, but ended" in text
    assert "no uvicorn here" in text
