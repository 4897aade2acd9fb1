"""The descriptions of runs in Markdown: what a reader of MLflow's pages sees first."""

from urllib.parse import quote

from regbench.metrics import metric_of, printed
from regbench.report.headline import headline
from regbench.report.summary_file import MethodEntry, Summary, number
from regbench.study.goals import words
from regbench.system.escaping import markdown

NOTE = "mlflow.note.content"  # the tag that MLflow shows as the description
THUMBNAIL = "thumbnail"  # folder among the artifacts of a method's run
LONGEST_HEADLINE = 2500  # characters: half of what MLflow takes for a tag


def short_headline(summary: Summary) -> str:
    """The headline of a study, short enough for a tag; whole paragraphs alone."""
    text = ""
    for paragraph in headline(summary):
        longer = "\n\n".join(filter(None, [text, paragraph]))
        if len(longer) > LONGEST_HEADLINE:
            break
        text = longer
    return text


def picture(run: str, name: str) -> str:
    """A thumbnail in the description of its run, as the server that shows the page has it.

    Args:
        run: its id.
        name: of the file.
    """
    return f"![one pair](get-artifact?path={quote(f'{THUMBNAIL}/{name}', safe='')}&run_uuid={run})"


def method_paragraph(entry: MethodEntry, title: str, peers: int, leading: str) -> str:
    """The result of one method in a few sentences.

    Args:
        entry: of the summary.
        title: of the run.
        peers: cells that are ranked together.
        leading: the metric that they are ranked by.
    """
    model = f" ({entry['model']})" if entry["model"] else ""
    metrics = {name: spread for name, spread in entry["metrics"].items() if spread["mean"] is not None}
    seeds = len(entry["runs"])
    over = f"over {entry['pairs']} pairs" + (f" and {seeds} seed{'s' if seeds > 1 else ''}" if seeds else "")
    score = "the test failed"
    if leading in metrics:
        known, spread = metric_of(leading), metrics[leading]
        unit = "" if known.unit == "1" else f" {known.unit}"
        numbers = f"{printed(number(spread['mean']), leading)} ± {printed(spread['sd'] or 0, leading)}{unit}"
        score = f"test {words(leading)} {numbers} {over}"
    text = f"**{title}** on {entry['dataset']}{model}: {score}"
    if entry["rank"] is not None:
        text += f", rank {entry['rank']} of {peers}"
    foldings = {"fold_central_percent": "folding", "ndv_percent": "NDV"}
    shares = [f"{foldings[name]} {metrics[name]['mean']:.3g} %" for name in foldings if name in metrics]
    text += f"; {', '.join(shares)}." if shares else "."
    if entry["trials"]:
        text += _tuning(entry)
    if entry["reasons"]:
        text += f" {entry['failed_rows']} failed rows: " + "; ".join(map(markdown, entry["reasons"]))
    return text


def _tuning(entry: MethodEntry) -> str:
    low, high = entry["selected"]["range"]
    searches = entry.get("lams") or [entry["lam"]]
    lams = [lam for lam in searches if lam is not None]
    chosen = f"lambda {' and '.join(f'{lam:.3g}' for lam in lams)}" if lams else "no lambda"
    count = f"{len(entry['trials'])} trials" + (f" in {len(searches)} searches" if len(searches) > 1 else "")
    edge = ", at the edge of the range." if entry["edge"] else "."
    return f" {count} between {low:g} and {high:g} chose {chosen}{edge}"


def table_row(entry: MethodEntry) -> str:
    """The method's row of the table, mean ± SD over pairs, as a Markdown table; empty without a number."""
    spreads = {name: spread for name, spread in entry["metrics"].items() if spread["mean"] is not None}
    if not spreads:
        return ""
    cells = [f"{printed(number(one['mean']), name)} ± {printed(one['sd'] or 0, name)}" for name, one in spreads.items()]
    lines = (list(spreads), ["---"] * len(spreads), cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
