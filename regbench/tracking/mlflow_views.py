"""What a user of the MLflow UI finds prepared: views of the runs table with charts, and comparisons, each by its link.

The UI of MLflow 3 opens a stored state of its runs page by ``?viewStateShareKey=NAME``: the state is JSON in the
experiment's tag ``mlflow.sharedViewState.NAME`` (what its own *Share* button writes). The form is not documented, so
a test opens every view in a browser; a UI that does not know it shows its own default.
"""

import json
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from regbench.report.headline import headline
from regbench.study import plan
from regbench.study.config import Config
from regbench.system.files import read_json, write_text

NOTE = "mlflow.note.content"
THUMBNAIL = "thumbnail"  # folder among the artifacts of a method's run
MOST = 50000  # runs that MLflow gives in one answer
STATE = "mlflow.sharedViewState."
LIMIT = 5000  # characters of an experiment's tag
TABLE = "regbench"
GROUPS = ("similarity", "regularizer")
# Columns in their order with their width in pixels, by the names that `tracking` gives to what a method's run has.
# All fit a screen of 1500.
NAME, CREATED = {"attributes.`Run Name`": 240}, {"runDateAndNestInfo": 130}
TAGS = {"similarity": 90, "regularizer": 120, "lambda": 90}
METRICS = {
    "test/dice": 100,
    "test/fold_central_percent": 180,
    "test/inference_seconds": 160,
    "test/ndv_percent": 130,
}
PARAMS = ("sim", "reg", "lam")
SECTION = "regbench-comparison"
FILTER = "tags.stage = 'method'"
Parent = Mapping[str, Any]  # id, dataset, model and similarity of a method's run; baselines have no similarity


def parents(config: Config, runs: Mapping[str, str]) -> list[Parent]:
    """The methods of a study that MLflow has a run of, in the order of the table.

    Args:
        config: of the study.
        runs: the id of each run by its key.
    """
    found: list[Parent] = []
    for dataset in config.datasets:
        for method in plan.methods(config):
            run = runs.get(f"{config.study}/{dataset.id}/{method.id}")
            if run is not None:
                model, similarity = (part.id if part else None for part in (method.model, method.similarity))
                found.append({"id": run, "dataset": dataset.id, "model": model, "similarity": similarity})
    return found


def publish(client: Any, experiment: str, config: Config, runs: Mapping[str, str]) -> dict[str, str]:
    """Write the views to an experiment, and for a server ``tables/mlflow.html``.

    What already stands there is not written again.

    Args:
        client: of MLflow.
        experiment: its id.
        config: of the study.
        runs: the id of each run by its key.

    Returns:
        The links, as `links`.
    """
    methods, lay = parents(config, runs), plan.layout(config)
    present = client.get_experiment(experiment).tags
    about = f"**{config.study}**. {config.description}".strip()
    if lay.summary.exists():
        about = "\n\n".join(filter(None, [about, said(read_json(lay.summary))]))
    for key, value in experiment_tags(experiment, about, methods).items():
        if present.get(key) != value:
            client.set_experiment_tag(experiment, key, value)
    found = links(experiment, methods)
    if config.tracking.uri and is_server(config.tracking.uri) and lay.tables.is_dir():
        items = "".join(
            f'<li><a href="{escape(link)}">{words}</a>' for words, link in at(config.tracking.uri, found).items()
        )
        title = f"{config.study} in MLflow"
        write_text(
            lay.views, f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><ul>{items}</ul>\n'
        )
    return found


def said(summary: Mapping[str, Any]) -> str:
    """The headline of a study (Markdown), short enough for a tag; whole paragraphs alone."""
    text = ""
    for paragraph_of_model in headline(summary):
        longer = "\n\n".join(filter(None, [text, paragraph_of_model]))
        if len(longer) > LIMIT // 2:
            break
        text = longer
    return text


def picture(run: str, name: str) -> str:
    """A thumbnail in the description of its run (Markdown), as the server that shows the page has it.

    Args:
        run: its id.
        name: of the file.
    """
    return f"![one pair](get-artifact?path={quote(f'{THUMBNAIL}/{name}', safe='')}&run_uuid={run})"


def paragraph(entry: Mapping[str, Any], title: str, peers: int) -> str:
    """What the result of one method is, in a few sentences (Markdown).

    Args:
        entry: of the summary.
        title: of the run.
        peers: cells that are ranked together.
    """
    model = f" ({entry['model']})" if entry["model"] else ""
    metrics = {name: spread for name, spread in entry["metrics"].items() if spread["mean"] is not None}
    seeds = len(entry["runs"])
    over = f"over {entry['pairs']} pairs" + (f" and {seeds} seed{'s' if seeds > 1 else ''}" if seeds else "")
    score = "the test failed"
    if "dice" in metrics:
        score = f"test Dice {metrics['dice']['mean']:.3f} ± {metrics['dice']['sd'] or 0:.3f} {over}"
    text = f"**{title}** on {entry['dataset']}{model}: {score}"
    if entry["rank"] is not None:
        text += f", rank {entry['rank']} of {peers}"
    words = {"fold_central_percent": "folding", "ndv_percent": "NDV"}
    shares = [f"{words[name]} {metrics[name]['mean']:.3g} %" for name in words if name in metrics]
    text += f"; {', '.join(shares)}." if shares else "."
    if entry["trials"]:
        low, high = entry["selected"]["range"]
        searches = entry.get("lams") or [entry["lam"]]
        lams = [lam for lam in searches if lam is not None]
        chosen = f"lambda {' and '.join(f'{lam:.3g}' for lam in lams)}" if lams else "no lambda"
        count = f"{len(entry['trials'])} trials" + (f" in {len(searches)} searches" if len(searches) > 1 else "")
        text += f" {count} between {low:g} and {high:g} chose {chosen}"
        text += ", at the edge of the range." if entry["edge"] else "."
    if entry["reasons"]:
        text += f" {entry['failed_rows']} failed rows: " + "; ".join(entry["reasons"])
    return text


def experiment_tags(experiment: str, about: str, methods: list[Parent]) -> dict[str, str]:
    """The tags of an experiment that hold its views and its description, which links to them.

    Args:
        experiment: its id.
        about: what the study says of itself.
        methods: of `parents`.
    """
    more = [f"tags.`{kind}`" for kind in ("dataset",) if _several(methods, kind)]
    more += [f"params.`{kind}`" for kind in ("model",) if _several(methods, kind)]
    states = {TABLE: _state(more, None)} | {f"{TABLE}-{name}": _state(more, name) for name in GROUPS}
    tags = {f"{STATE}{name}": json.dumps(state, sort_keys=True) for name, state in states.items()}
    # A link that begins with `#` stays on whatever server shows it.
    lines = [f"- [{words}]({link})" for words, link in links(experiment, methods).items()]
    while lines and len("\n".join([about, "", *lines])) > LIMIT:
        lines.pop()  # comparisons of many cells come last, and are long; `regbench ui` prints them all
    return tags | {NOTE: "\n".join([about, "", *lines])[:LIMIT]}


def _several(methods: list[Parent], kind: str) -> bool:
    return len({method[kind] for method in methods if method["similarity"]}) > 1


def links(experiment: str, methods: list[Parent]) -> dict[str, str]:
    """What each link shows: the link, from ``#`` on, to be put behind the address of a server and a slash."""
    runs = f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey="
    found = {"table": f"{runs}{TABLE}", "charts": f"{runs}{TABLE}&compareRunsMode=CHART"}
    found |= {f"by {name}": f"{runs}{TABLE}-{name}" for name in GROUPS}
    cells: dict[str, list[str]] = {}
    for method in methods:
        if method["similarity"]:
            cells.setdefault(f"compare {method['dataset']}, {method['model']}", []).append(method["id"])
    for words, ids in cells.items():
        asked = (quote(json.dumps(part, separators=(",", ":"))) for part in (ids, [experiment]))
        if len(ids) > 1:
            found[words] = "#/compare-runs?runs={}&experiments={}".format(*asked)
    return found


def is_server(uri: str) -> bool:
    """Whether a tracking URI names a server, which has a UI of its own; else it is a database."""
    return uri.startswith(("http://", "https://"))


def at(uri: str, found: Mapping[str, str]) -> dict[str, str]:
    """The links on the server of a tracking URI; credentials in it are left out."""
    parts = urlsplit(uri)
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    return {words: f"{base}/{link}" for words, link in found.items()}


def _state(more: list[str], group: str | None) -> dict[str, Any]:
    """The runs page of MLflow: filter, order, columns and charts; grouped by a tag, or each method in its row."""
    columns = dict.fromkeys(more, 130)
    columns |= {f"tags.`{name}`": width for name, width in TAGS.items()}
    columns |= {f"metrics.`{name}`": width for name, width in METRICS.items()}
    widths = NAME | columns | CREATED
    grouped = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": group}]}
    return {
        "searchFilter": FILTER,
        "orderByKey": "metrics.`test/dice`",
        "orderByAsc": False,
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
        "compareRunCharts": _charts(),
        "compareRunSections": [_section(SECTION, "Comparison")],
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
    }


def _section(uuid: str, name: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": 2,
    }


def _charts() -> list[dict[str, Any]]:
    dice, folding, runtime = "test/dice", "test/fold_central_percent", "test/inference_seconds"
    found: list[dict[str, Any]] = [
        {
            "type": "PARALLEL",
            "selectedParams": list(PARAMS),
            "selectedMetrics": [dice, folding],
            "showAllRuns": False,
        },
        {
            "type": "SCATTER",
            "xaxis": {"key": folding, "type": "METRIC"},
            "yaxis": {"key": dice, "type": "METRIC"},
        },
        *({"type": "BAR", "metricKey": key} for key in (dice, folding, runtime)),
    ]
    common = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    return [common | chart | {"uuid": f"regbench-{number}"} for number, chart in enumerate(found)]
