"""Prepared pages of the MLflow UI: views of the runs table with charts, and comparisons, each by its link.

The UI of MLflow 3 opens a stored state of its runs page by ``?viewStateShareKey=NAME``: the state is JSON in the
experiment's tag ``mlflow.sharedViewState.NAME`` (what its own *Share* button writes). The form is not documented, so
a test opens every view in a browser; a UI that does not know it shows its own default.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from regbench.study.goals import is_higher_better, leading
from regbench.study.job_specs import objective_spec
from regbench.study.layout import Layout
from regbench.study.methods import Study
from regbench.system.escaping import cut, hypertext
from regbench.system.files import read_sealed, write_text
from regbench.tracking.limits import LIMIT, NOTE_OF_CUT
from regbench.tracking.run_description import NOTE, short_headline
from regbench.tracking.verdict_colours import LEGEND

MOST = 50000  # runs that MLflow gives in one answer
STATE = "mlflow.sharedViewState."
TABLE = "regbench"
GROUPS = ("similarity", "regularizer")
# Columns in their order with their width in pixels, by the names that `tracking` gives to what a method's run has.
# All fit a screen of 1500, but for those of dataset and model, which studies with several of them have too.
NAME, CREATED = {"attributes.`Run Name`": 240}, {"runDateAndNestInfo": 130}
TAGS = {"similarity": 90, "regularizer": 120, "lambda": 90}
VERDICT = 150  # width of the column of what the verdicts say of a method by it
SCORE = 100  # width of the column of the leading metric
METRICS = {
    "test/fold_central_percent": 180,
    "test/inference_seconds": 160,
    "test/ndv_percent": 130,
}
PARAMS = ("sim", "reg", "lam")
VERDICTS, COMPARISON = "regbench-verdicts", "regbench-comparison"  # sections of the charts
FILTER = "tags.stage = 'method'"
Json = dict[str, Any]  # of a stored state, in a form that MLflow alone knows


class Parent(NamedTuple):
    """The run of a method; baselines have no similarity."""

    id: str
    dataset: str
    model: str | None
    similarity: str | None


def parents(study: Study, runs: Mapping[str, str]) -> list[Parent]:
    """The methods of a study that MLflow has a run of, in the order of the table.

    Args:
        study: to show.
        runs: the id of each run by its key.
    """
    methods: list[Parent] = []
    for dataset in study.config.datasets:
        for method in study.methods:
            run = runs.get(f"{study.name}/{dataset.id}/{method.id}")
            if run is not None:
                model, similarity = (part.id if part else None for part in (method.model, method.similarity))
                methods.append(Parent(run, dataset.id, model, similarity))
    return methods


def publish(client: Any, experiment: str, study: Study, runs: Mapping[str, str]) -> dict[str, str]:
    """Write the views to an experiment, and for a server ``tables/mlflow.html``.

    What already stands there is not written again.

    Args:
        client: of MLflow.
        experiment: its id.
        study: to show.
        runs: the id of each run by its key.

    Returns:
        The links, as `links`.
    """
    methods, lay = parents(study, runs), study.layout
    present = client.get_experiment(experiment).tags
    about = f"**{study.name}**. {study.config.description}".strip()
    if lay.summary.exists():
        about = "\n\n".join(filter(None, [about, short_headline(read_sealed(lay.summary))]))
    about = "\n\n".join(filter(None, [about, page_links(experiment, runs.get(study.name), study_pages(lay))]))
    for key, value in experiment_tags(experiment, about, methods, leading_metrics(study)).items():
        if present.get(key) != value:
            client.set_experiment_tag(experiment, key, value)
    relative = links(experiment, methods)
    if study.config.tracking.uri and is_server(study.config.tracking.uri) and lay.tables.is_dir():
        absolute = links_on(study.config.tracking.uri, relative)
        items = "".join(f'<li><a href="{hypertext(link)}">{hypertext(words)}</a>' for words, link in absolute.items())
        title = f"{study.name} in MLflow"
        write_text(
            lay.views, f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><ul>{items}</ul>\n'
        )
    return relative


def leading_metrics(study: Study) -> list[str]:
    """The metrics that the datasets of a study are led by, as far as these are prepared."""
    declared = objective_spec(study).metrics
    manifests = [study.layout.manifest(dataset.id) for dataset in study.config.datasets]
    known = [read_sealed(path)["references"]["test"] if path.is_file() else ["labels"] for path in manifests]
    return list(dict.fromkeys(leading(declared, references) for references in known))


def experiment_tags(
    experiment: str, about: str, methods: list[Parent], metrics: Sequence[str] = ("dice",)
) -> dict[str, str]:
    """The tags of an experiment that hold its views and its description, which links to them.

    Args:
        experiment: its id.
        about: the description of the study.
        methods: of `parents`.
        metrics: that datasets are led by; the first orders the table.
    """
    cells = [method for method in methods if method.similarity]
    more = ["tags.`dataset`"] if len({cell.dataset for cell in cells}) > 1 else []
    more += ["params.`model`"] if len({cell.model for cell in cells}) > 1 else []
    states = {TABLE: _state(more, None, metrics)}
    states |= {f"{TABLE}-{name}": _state(more, name, metrics) for name in GROUPS}
    tags = {f"{STATE}{name}": json.dumps(state, sort_keys=True) for name, state in states.items()}
    # A link that begins with `#` stays on whatever server shows it.
    lines = [f"- [{words}]({link})" for words, link in links(experiment, methods).items()]
    while lines and len("\n".join([about, "", *lines])) > LIMIT:
        lines.pop()  # comparisons of many cells come last, and are long; `regbench ui` prints them all
    return tags | {NOTE: cut("\n".join([about, "", *lines]), LIMIT, NOTE_OF_CUT)}


def links(experiment: str, methods: list[Parent]) -> dict[str, str]:
    """Each link by what it shows, from ``#`` on: it belongs behind the address of a server and a slash."""
    runs = f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey="
    by_words = {"table": f"{runs}{TABLE}", "charts": f"{runs}{TABLE}&compareRunsMode=CHART"}
    by_words |= {f"by {name}": f"{runs}{TABLE}-{name}" for name in GROUPS}
    cells: dict[str, list[str]] = {}
    for method in methods:
        if method.similarity:
            cells.setdefault(f"compare {method.dataset}, {method.model}", []).append(method.id)
    for words, ids in cells.items():
        query = (quote(json.dumps(part, separators=(",", ":"))) for part in (ids, [experiment]))
        if len(ids) > 1:
            by_words[words] = "#/compare-runs?runs={}&experiments={}".format(*query)
    return by_words


def study_pages(lay: Layout) -> dict[str, Path]:
    """What the description of the experiment links to, by its folder among the artifacts of the study's run."""
    return {"report": lay.page, "config": lay.config}


def page_links(experiment: str, run: str | None, pages: Mapping[str, Path]) -> str:
    """Links to files among the artifacts of a study's own run, in Markdown; empty before there is one.

    Args:
        experiment: its id.
        run: the id of the run that holds the tables.
        pages: of `study_pages`.
    """
    if run is None:
        return ""
    place = f"#/experiments/{experiment}/runs/{run}/artifactPath"
    return " · ".join(
        f"[{folder}]({place}/{folder}/{quote(path.name)})" for folder, path in pages.items() if path.exists()
    )


def is_server(uri: str) -> bool:
    """Whether a tracking URI names a server, which has a UI of its own; else it is a database."""
    return uri.startswith(("http://", "https://"))


def links_on(uri: str, relative: Mapping[str, str]) -> dict[str, str]:
    """The links of `links` on the server of a tracking URI; credentials in it are left out."""
    parts = urlsplit(uri)
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    return {words: f"{base}/{link}" for words, link in relative.items()}


def _state(more: list[str], group: str | None, metrics: Sequence[str]) -> Json:
    """The runs page of MLflow: filter, order, columns and charts; grouped by a tag, or each method in its row."""
    columns = dict.fromkeys(more, 130)
    columns |= {f"tags.`{name}`": width for name, width in TAGS.items()}
    for name in metrics:
        columns |= {f"metrics.`test/{name}`": SCORE, f"tags.`verdict.{name}`": VERDICT}
    columns |= {f"metrics.`{name}`": width for name, width in METRICS.items()}
    widths = NAME | columns | CREATED
    grouped = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": group}]}
    return {
        "searchFilter": FILTER,
        "orderByKey": f"metrics.`test/{metrics[0]}`",
        "orderByAsc": not is_higher_better(metrics[0]),
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": list(widths),
        "columnWidths": widths,
        "groupBy": grouped if group else None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": False,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": _charts(metrics),
        "compareRunSections": [_section(VERDICTS, LEGEND), _section(COMPARISON, "Folding and time")],
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
    }


def _section(uuid: str, name: str) -> Json:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": 2,
    }


def _charts(metrics: Sequence[str]) -> list[Json]:
    """The score of each cell by similarity, by regularizer and by method; then what it costs."""
    folding, runtime = "test/fold_central_percent", "test/inference_seconds"
    scores = [f"test/{name}" for name in metrics]
    verdicts = [
        chart
        for score in scores
        for chart in (_scatter("sim", "PARAM", score), _scatter("reg", "PARAM", score), _bars(score))
    ]
    verdicts.append({
        "type": "PARALLEL",
        "selectedParams": list(PARAMS),
        "selectedMetrics": [*scores, folding],
        "showAllRuns": False,
    })  # fmt: skip
    costs: list[Json] = [
        *(_scatter(folding, "METRIC", score) for score in scores),
        _bars(folding),
        _bars(runtime),
    ]
    placed = [(VERDICTS, chart) for chart in verdicts] + [(COMPARISON, chart) for chart in costs]
    common = {"deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    return [
        common | chart | {"metricSectionId": section, "uuid": f"regbench-{number}"}
        for number, (section, chart) in enumerate(placed)
    ]


def _scatter(across: str, kind: str, score: str) -> Json:
    return {"type": "SCATTER", "xaxis": {"key": across, "type": kind}, "yaxis": {"key": score, "type": "METRIC"}}


def _bars(metric: str) -> Json:
    return {"type": "BAR", "metricKey": metric}
