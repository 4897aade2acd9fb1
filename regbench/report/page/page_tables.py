"""Tables as the page shows them: what all rows share goes above them, what rows share in blocks into sub-headings.

It works on the HTML that `write_table` wrote, which has one row a line of the table and no cells over several columns.
"""

import html
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from regbench.report.tables.table_format import NONE
from regbench.study.layout import CONTROLS
from regbench.system.escaping import hypertext

SHARED = ("dataset", "model", "metric", "family")  # columns that begin a table and become headings
WIDE = 12  # columns, from which one table a model is made where methods stand across
LONG = 60  # letters, from which a text has a width of its own: no table becomes a tower of single words
NAMED = ("method", "a", "b")  # columns of methods: their model becomes a heading, too
SPREAD = r" (± [\d.]+(?:e[-+]?\d+)?)(?: ([=?]))?"  # and the mark of a verdict after it
OUTSIDE = "for comparison"  # instead of a model: `identity`, baselines
OF_CONTROLS = "controls"
VERDICTS = ("better", "worse", "equal", "undecided")


class Table(NamedTuple):
    """A table as it was written: inner HTML of its cells."""

    head: list[str]
    bodies: list[list[list[str]]]
    caption: str


class Block(NamedTuple):
    """Rows under one sub-heading, which may be empty."""

    title: str
    rows: list[list[str]]


def page_table(fragment: str, name: str) -> str:
    """The table as the page has it: boxes that scroll by themselves, headings, and the caption folded up.

    Args:
        fragment: file ``tables/<name>.html``.
        name: of the table, for those who hear the page.
    """
    table = _parsed(fragment)
    parts = [_rendered(title, head, blocks, name) for title, head, blocks in _arranged(table)]
    words = f'<details class="note"><summary>How to read this table</summary><p>{table.caption}</p></details>'
    return "\n".join([*parts, words])


def _parsed(fragment: str) -> Table:
    head, _, rest = fragment.partition("</thead>")
    bodies = [
        [re.findall(r"<t[dh]>(.*?)</t[dh]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)]
        for body in re.findall(r"<tbody>(.*?)</tbody>", rest, re.DOTALL)
    ]
    caption = re.search(r"<figcaption>(.*?)</figcaption>", rest, re.DOTALL)
    names = re.findall(r"<th>(.*?)</th>", head, re.DOTALL)
    if "<th>" in rest:  # an index without a name, under the name of the columns
        names, bodies = names[1:], [[row[1:] for row in body] for body in bodies]
    return Table(names, bodies, caption[1] if caption else "")


def _arranged(table: Table) -> Iterator[tuple[str, list[str], list[Block]]]:
    """Heading, columns and blocks of each table that is made of one."""
    head, bodies = table.head, _without_models_as_rows(table.head, table.bodies)
    count = next((number for number, name in enumerate(head) if name.lower() not in SHARED), len(head))
    head, bodies, count = _with_models(head, bodies, count)
    rows = [row for body in bodies for row in body]
    fixed = [len({row[column] for row in rows}) < 2 for column in range(count)]
    shared = [rows[0][column] for column in range(count) if fixed[column] and rows] if rows else []
    blocks = []
    for body in bodies:
        for title, rows_of_block in groupby(body, key=lambda row: _title(row[:count], fixed)):
            blocks.append(Block(title, [row[count:] for row in rows_of_block]))
    for title, columns in _parts(head[count:]):
        names = [head[count + column] for column in columns]
        here = [Block(block.title, [[row[column] for column in columns] for row in block.rows]) for block in blocks]
        yield " · ".join(filter(None, [*shared, title])), names, here


def _without_models_as_rows(head: list[str], bodies: list[list[list[str]]]) -> list[list[list[str]]]:
    """A row without a similarity (`identity`, a baseline) names itself in that column, under no model."""
    names = [name.lower() for name in head]
    if "model" not in names or "similarity" not in names:
        return bodies
    model, similarity = names.index("model"), names.index("similarity")
    turned = []
    for body in bodies:
        rows = [list(row) for row in body]
        for row in rows:
            if row[similarity] == NONE:
                row[similarity], row[model] = row[model], _outside([row[model]])
        turned.append(rows)
    return turned


def _with_models(
    head: list[str], bodies: list[list[list[str]]], count: int
) -> tuple[list[str], list[list[list[str]]], int]:
    """The model that the methods of a row share, as a column of its own before the others."""
    columns = [number for number, name in enumerate(head) if name.lower() in NAMED]
    turned = []
    for row in (row for body in bodies for row in body):
        turned.append({row[k].partition(".")[0] for k in columns if _is_method(row[k])})
    if not any(turned) or any(len(models) > 1 for models in turned):
        return head, bodies, count
    models = iter(turned)
    changed = [[_of_model(row, next(models), columns, count) for row in body] for body in bodies]
    return [*head[:count], "model", *head[count:]], changed, count + 1


def _of_model(row: Sequence[str], models: Collection[str], columns: Sequence[int], count: int) -> list[str]:
    model = next(iter(models), _outside([row[k] for k in columns]))
    cells = [text.removeprefix(f"{model}.") if k in columns else text for k, text in enumerate(row)]
    return [*cells[:count], model, *cells[count:]]


def _outside(methods: Sequence[str]) -> str:
    """What stands instead of the model of methods that have none."""
    return OF_CONTROLS if set(methods) & set(CONTROLS) else OUTSIDE


def _title(cells: Sequence[str], fixed: Sequence[bool]) -> str:
    return " · ".join(text.replace("_", " ") for text, same in zip(cells, fixed, strict=True) if not same)


def _parts(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Title and columns of each table: one, but where many methods stand across, one a model."""
    models = dict.fromkeys(name.partition(".")[0] for name in names if _is_method(name))
    if not models or (len(models) == 1 and len(names) <= WIDE):
        return [("", list(range(len(names))))]
    return [
        (model, [k for k, name in enumerate(names) if not _is_method(name) or name.startswith(f"{model}.")])
        for model in models
    ]


def _is_method(name: str) -> bool:
    """Whether a column is of a cell of the grid: model, similarity, regularizer."""
    return re.fullmatch(r"[\w-]+(\.[\w-]+){2}", name) is not None


def _rendered(title: str, head: Sequence[str], blocks: Sequence[Block], name: str) -> str:
    rows = [row for block in blocks for row in block.rows]
    if not rows:
        return '<p class="quiet">Nothing of this kind in this study.</p>'
    numeric = [all(re.fullmatch(rf"[-+]?[\d.,]+(e[-+]?\d+)?|{NONE}", row[k]) for row in rows) for k in range(len(head))]
    kinds = [' class="n"' if number else "" for number in numeric]
    heads = "".join(map(_head, head, kinds))
    bodies = "\n".join(_body(block, kinds) for block in blocks)
    caption = f"<caption>{title}</caption>" if title else ""
    label = hypertext(f"{name}, {html.unescape(title)}" if title else name)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table class="sortable">{caption}\n'
        f"<thead><tr>{heads}</tr></thead>\n{bodies}\n</table></div>"
    )


def _head(text: str, kind: str) -> str:
    """Methods that stand across are turned: their names are long, their numbers short."""
    if _is_method(text):
        return f'<th scope="col" class="across">{text.partition(".")[2]}</th>'
    return f'<th scope="col"{kind}>{_breakable(text)}</th>'


def _body(block: Block, kinds: Sequence[str]) -> str:
    lines = [f'<tr class="block"><th scope="rowgroup" colspan="{len(kinds)}">{block.title}</th></tr>']
    lines = lines if block.title else []
    for row in block.rows:
        lines.append("<tr>" + "".join(map(_cell, row, kinds)) + "</tr>")
    return "<tbody>\n" + "\n".join(lines) + "\n</tbody>"


def _cell(text: str, kind: str) -> str:
    if text in VERDICTS:
        return f'<td><span class="verdict {text}">{text}</span></td>'
    if text == "failed":
        return '<td class="failed">failed</td>'
    # The mark of a verdict stays with the mean; spreads are smaller.
    smaller = re.sub(SPREAD, _spread, text)
    long = ' class="long"' if len(re.sub("<.*?>", "", text)) > LONG else kind
    return f"<td{long}>{_breakable(smaller)}</td>"


def _spread(match: re.Match[str]) -> str:
    mark = f'<span class="mark">{match[2]}</span>' if match[2] else ""
    return f"{mark} <small>{match[1]}</small>"


def _breakable(text: str) -> str:
    """Names may break after their dots and underscores; numbers may not."""
    return re.sub(r"(?<=\w)([._])(?=[A-Za-z]\w)", r"\1<wbr>", text) if "<" not in text else text
