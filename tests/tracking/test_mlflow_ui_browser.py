"""A study of twelve cells in MLflow's UI, as a user looks at it: goes red when a name, tag or metric is gone."""

import itertools
import json
import re
import urllib.parse

import pytest
from made_results import GRID, make_results, twelve

mlflow = pytest.importorskip("mlflow")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

from regbench.report.summary_file import load_summary  # noqa: E402
from regbench.report.write import thumbnails  # noqa: E402
from regbench.study.load import load  # noqa: E402
from regbench.study.methods import Study  # noqa: E402
from regbench.tracking import (  # noqa: E402
    mlflow_views,
    track,
    tracking_uri,
)
from regbench.tracking.mlflow_ui import opened  # noqa: E402
from regbench.tracking.verdict_colours import COLOURS, LEGEND, NOT_COMPARED  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # of MLflow's connections
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The config of the study, and its links while they are served."""
    study = Study(load(twelve(tmp_path_factory.mktemp("twelve") / "results")))
    make_results(study)
    study.layout.page.write_text("<h1>The report of twelve</h1>")
    thumbnails(study, load_summary(study))
    track(study)
    with opened(study, "", 0) as found:
        yield study, found.links


@pytest.fixture
def page(browser, served):
    """A page wide enough for all columns, in which every request must stay on our server."""
    made = browser.new_page(viewport={"width": 1700, "height": 950})
    made.set_default_timeout(20_000)
    # MLflow's assistant opens itself once and covers a third of the page.
    made.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    asked = set()
    made.on("request", lambda request: asked.add(urllib.parse.urlsplit(request.url).netloc))
    yield made
    assert asked - {""} == {urllib.parse.urlsplit(served[1]["table"]).netloc}


def column(page, name):
    """Texts of a column in the order of the rows that are shown."""
    script = """name => [...document.querySelectorAll(`.ag-row [col-id="${name}"]`)]
        .map(cell => [+cell.closest('.ag-row').getAttribute('row-index'), cell.innerText.trim()])
        .sort((a, b) => a[0] - b[0]).map(pair => pair[1])"""
    return page.evaluate(script, name)


def wait_for_column(page, name, right):
    """Wait until the texts of a column are as `right` says; the last ones if they never are."""
    for _ in range(200):
        found = column(page, name)
        if right(found):
            return found
        page.wait_for_timeout(100)
    pytest.fail(f"column {name} is {found}")


def table(page, link):
    page.goto("about:blank")  # else a new link in the same page would only change its state
    page.goto(link)
    page.get_by_text("13 matching runs").wait_for()
    # Cells as the page's own columns, so that nothing was left out silently.
    wait_for_column(page, "tags.`similarity`", lambda found: len(found) >= 13)


def choose(page, button, name):
    """One entry of a menu of the runs page."""
    page.get_by_role("button", name=button).first.click()
    page.get_by_placeholder("Search").last.fill(name)
    page.get_by_role("menuitemcheckbox", name=name, exact=True).first.click()
    page.keyboard.press("Escape")


def groups(page, name):
    """Wait for a group of cells for each value of a tag."""
    kind, size = {"similarity": ("similarities", 4), "regularizer": ("regularizers", 3)}[name]
    for value in GRID[kind]:
        group = page.locator(".ag-row", has_text=f"Group: {value}").first
        group.wait_for()
        assert str(size) in group.inner_text().split()


def plots(page, kind):
    """The traces of one kind in all of Plotly's plots that are shown, once there are some."""
    script = """kind => [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => plot.data || [])
        .filter(trace => trace.type === kind).map(trace => JSON.parse(JSON.stringify(
            {x: trace.x, y: trace.y, name: trace.name, colours: (trace.marker || {}).color,
             dimensions: (trace.dimensions || []).map(d => d.label)})))"""
    for _ in range(200):
        found = page.evaluate(script, kind)
        if found:
            return found
        page.wait_for_timeout(100)
    return pytest.fail(f"no {kind} plot is shown")


def test_the_prepared_table_groups_sorts_and_compares(served, page):
    _, links = served
    table(page, links["table"])
    dice = [float(text) for text in column(page, "metrics.`test/dice`")]
    assert len(dice) == 13
    assert dice == sorted(dice, reverse=True)
    assert set(column(page, "tags.`similarity`")) == {*GRID["similarities"], "-"}
    assert set(column(page, "tags.`regularizer`")) == {*GRID["regularizers"], "-"}
    assert {"best", "worse than best"} <= set(column(page, "tags.`verdict.dice`"))
    assert all(float(text) > 0 for text in column(page, "tags.`lambda`") if text != "-")
    for name in ("test/fold_central_percent", "test/inference_seconds", "test/ndv_percent"):
        assert all(float(text) >= 0 for text in column(page, f"metrics.`{name}`")), name
    names = page.locator(".ag-row a", has_text="·").all_inner_texts()
    assert len(names) == 12
    assert all(name.split(" · ")[0] in ("LCC", "GCC", "MSE") and " · λ=" in name for name in names)

    choose(page, "Sort: test/dice", "reg")
    cells = wait_for_column(page, "tags.`regularizer`", lambda found: _in_blocks(found, 4))
    assert len(cells) == 13
    choose(page, "Sort: reg", "sim")
    wait_for_column(page, "tags.`similarity`", lambda found: _in_blocks(found, 3))

    for name in ("similarity", "regularizer"):
        table(page, links["table"])
        choose(page, "Group by", name)
        groups(page, name)

    table(page, links["table"])
    for row in page.locator(".ag-row").filter(has_text="· λ=").all():
        row.locator("input[type=checkbox]").first.check()
    page.get_by_role("button", name="Compare").click()
    _compared(page)


def _in_blocks(texts, count):
    """Whether equal texts stand together, `count` different ones and the dash of `identity`."""
    changes = sum(one != two for one, two in itertools.pairwise(texts))
    return len(set(texts)) == count + 1 and changes == count


def _compared(page):
    page.get_by_text("Comparing 12 Runs from 1 Experiment").wait_for()
    (lines,) = plots(page, "parcoords")
    assert {"reg", "sim"} <= set(lines["dimensions"])
    assert any("test/dice" in label for label in lines["dimensions"])
    page.get_by_role("tab", name="Box Plot").click()
    for axis, name in (("x", "sim"), ("y", "test/dice")):
        page.locator(f"#{axis}-axis-selector").click()
        page.get_by_role("option", name=name, exact=True).first.click()
    boxes = plots(page, "box")
    assert {box["name"] for box in boxes} == set(GRID["similarities"])
    assert [len(box["y"]) for box in boxes] == [4, 4, 4]


def test_the_compare_link_opens_the_same_twelve(served, page):
    study, links = served
    link = links["compare brains, voxelmorph"]
    page.goto(link)
    _compared(page)
    client = mlflow.MlflowClient(tracking_uri=tracking_uri(study))
    ids = json.loads(urllib.parse.parse_qs(link.rpartition("?")[2])["runs"][0])
    cells = {(run.data.tags["similarity"], run.data.tags["regularizer"]) for run in map(client.get_run, ids)}
    assert cells == {(one, two) for one in GRID["similarities"] for two in GRID["regularizers"]}


@pytest.mark.parametrize("name", ["similarity", "regularizer"])
def test_the_grouped_views_show_a_group_for_each_value(served, page, name):
    page.goto(served[1][f"by {name}"])
    groups(page, name)


def test_the_charts_open_on_dice_by_similarity_and_regularizer_with_verdicts(served, page):
    study, links = served
    page.goto(links["charts"])
    page.get_by_text(LEGEND).wait_for()
    for values, title in ((GRID["similarities"], "sim vs. test/dice"), (GRID["regularizers"], "reg vs. test/dice")):
        page.get_by_text(title, exact=True).wait_for()
        page.wait_for_function("count => document.querySelectorAll('.scatterlayer path').length >= count", arg=26)
        shown = [points for points in plots(page, "scatter") if set(points["x"]) - {"none"} == set(values)]
        assert [len(points["y"]) for points in shown] == [13]
    client = mlflow.MlflowClient(tracking_uri=tracking_uri(study))
    experiment = client.get_experiment_by_name("regbench/twelve")
    runs = client.search_runs([experiment.experiment_id], mlflow_views.FILTER)
    # Each method in the colour of its verdict, and the names of the runs beside the charts have these colours too.
    by_dice = {run.data.metrics["test/dice"]: run.data.tags["mlflow.runColor"] for run in runs}
    drawn = plots(page, "scatter")[0]
    assert dict(zip(drawn["y"], drawn["colours"], strict=True)) == by_dice
    assert {COLOURS["best"], COLOURS["worse"], NOT_COMPARED} <= set(drawn["colours"])


def test_the_charts_of_folding_and_time(served, page):
    page.goto(served[1]["charts"])
    page.get_by_text("Parallel Coordinates").wait_for()
    page.mouse.move(1200, 700)
    page.mouse.wheel(0, 500)  # charts are drawn as they come into sight
    for label in ("sim", "reg", "lam", "test/dice"):
        page.locator("svg text").get_by_text(label, exact=True).first.wait_for()
    page.mouse.wheel(0, 500)
    page.get_by_text("Folding and time", exact=False).first.wait_for()
    for name in ("test/dice", "test/fold_central_percent", "test/inference_seconds"):
        page.get_by_text(name, exact=True).last.wait_for()
    assert all(len(bar["x"]) == 13 for bar in plots(page, "bar"))


def test_a_method_describes_itself(served, page):
    study, links = served
    client = mlflow.MlflowClient(tracking_uri=tracking_uri(study))
    experiment = client.get_experiment_by_name("regbench/twelve")
    (run,) = client.search_runs(
        [experiment.experiment_id], "tags.method = 'voxelmorph.gcc.bending' and " + mlflow_views.FILTER
    )
    page.goto(f"{links['table'].partition('#')[0]}#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}")
    page.get_by_text("test Dice 0.669 ± 0.005 over 6 pairs and 2 seeds, rank 6 of 12").wait_for()
    picture = page.locator("img[src*=get-artifact]")
    picture.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=picture.element_handle())
    assert page.locator("th", has_text="fold_central_percent").count() == 1
    page.get_by_text("GCC · bending · λ=0.1 · s1").wait_for()  # its trainings


def test_the_experiments_description_has_links_that_work(served, page):
    page.goto(served[1]["table"])
    page.get_by_text("13 matching runs").wait_for()
    with page.expect_popup() as other:
        page.locator("a", has_text="by similarity").first.dispatch_event("click")
    other.value.locator(".ag-row", has_text="Group: lcc").first.wait_for()


def test_report_and_config_are_one_click_from_the_description(served, page):
    for words, seen in (("report", "The report of twelve"), ("config", "grad_l2")):
        page.goto("about:blank")
        page.goto(served[1]["table"])
        page.get_by_text("13 matching runs").wait_for()
        with page.expect_popup() as other:
            page.locator("a", has_text=re.compile(f"^{words}$")).first.dispatch_event("click")
        shown = other.value
        found = shown.frame_locator("iframe") if words == "report" else shown
        found.get_by_text(seen).first.wait_for()
        shown.close()
