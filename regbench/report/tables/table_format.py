"""One frame, four forms (CSV, Markdown, LaTeX, HTML), one rounding rule."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from regbench.metrics import SIMILARITY, metric_of
from regbench.report.tables.column_titles import METRIC_TITLES, TITLES, metric_title
from regbench.system import escaping
from regbench.system.files import canonical_json, write_text

Form = Literal["md", "tex", "html"]
Row = Mapping[str, Any]  # of a frame: pandas does not know the types of its cells
NONE = escaping.DASH
NO_TITLES: Mapping[str, str] = {}
ESCAPED: Mapping[Form, Callable[[str], str]] = {
    "html": escaping.hypertext,
    "md": escaping.markdown,
    "tex": escaping.latex,
}
ARROWS = {"higher": "↑", "lower": "↓"}
BOLD = {"md": "**{}**", "tex": r"\textbf{{{}}}", "html": "<b>{}</b>"}
UNDERLINED = {"md": "<u>{}</u>", "tex": r"\underline{{{}}}", "html": "<u>{}</u>"}
MARKS = {  # in LaTeX beside the column: numbers stay below each other
    "equal": {"md": "=", "tex": r"\rlap{ $=$}", "html": "="},
    "undecided": {"md": "?", "tex": r"\rlap{ ?}", "html": "?"},
}
PACKAGES = "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n"
LONG_PACKAGES = "% needs \\usepackage{booktabs} and \\usepackage{longtable}\n"
CAPTION = 330  # letters: five lines of a text, with `Table 1:` and the part that it shows
LONG, LONG_COLUMNS = 40, 9  # rows that fit one page, columns that fit its width
# A table in small type that is still too wide for the page is scaled down, any other is left as it is.
FITTED = {
    r"\begin{tabular}": "\\footnotesize\\setlength{\\tabcolsep}{3pt}\n"
    r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" + "\n" + r"\begin{tabular}",
    r"\end{tabular}": r"\end{tabular}}",
}


class Piece(NamedTuple):
    """A part of a table that stands by itself in LaTeX."""

    title: str
    table: pd.DataFrame  # escaped text
    ruled: tuple[int, int] = (0, 0)


class Score(NamedTuple):
    """The score of one method by one metric."""

    mean: float
    sd: float = float("nan")
    seed_sd: float = float("nan")
    median: float = float("nan")
    infinite: int = 0  # cases
    failed: bool = False  # whether rows failed


def write_table(
    path: Path,
    frame: pd.DataFrame,
    shown: Callable[[Form], pd.DataFrame],
    words: str,
    study: str,
    *,
    ruled: tuple[int, int] = (0, 0),
    pieces: Sequence[Piece] = (),
) -> None:
    """Write the table as ``path`` with the endings csv, md, tex and html.

    Args:
        path: folder and name of the table.
        frame: numbers, rounded for print: the CSV.
        shown: the same as text in the given form, escaped for it; columns that begin a row are left-aligned.
        words: caption in plain text.
        study: for the label of LaTeX.
        ruled: rows above a first rule, which LaTeX has, and below a last one; 0 for no rule. In HTML the last rows are
            a body of their own, which the script of the report does not sort.
        pieces: what LaTeX has instead of one wide table: title, table and rules of each.
    """
    write_text(path.with_suffix(".csv"), escaping.csv_table(frame))
    _write(path.with_suffix(".md"), f"{words}\n\n{shown('md').to_markdown(index=False, disable_numparse=True)}\n")
    label = f"tab:{study}-{path.name}"
    first, *more = pieces or [Piece("", shown("tex"), ruled)]
    short, notes = caption_and_notes(words)
    texts = [latex(first.table, f"{short} Here: {first.title}." if first.title else short, label, first.ruled)]
    if notes:
        texts.append(f"{{\\footnotesize\\noindent Notes to Table~\\ref{{{label}}}. {escape(notes, 'tex')}\\par}}\n")
    texts += [
        latex(piece.table, f"{piece.title}; else as in Table~\\ref{{{label}}}.", f"{label}-{number}", piece.ruled)
        for number, piece in enumerate(more, 2)
    ]
    packages = LONG_PACKAGES if "longtable" in texts[0] else PACKAGES
    _write(path.with_suffix(".tex"), packages + "\n".join(texts))
    page = shown("html")
    # Numbers are sorted by their value: the script of the report reads the first number of a cell.
    table = page.to_html(index=False, escape=False, border=0, classes="sortable", na_rep=NONE)
    if ruled[1]:
        head, begin, rest = table.partition("<tbody>\n")
        lines, end, after = rest.partition("  </tbody>")
        rows = re.findall(r" *<tr.*?</tr>\n", lines, flags=re.DOTALL)
        table = head + begin + f"{end}\n  {begin}".join(_parts(rows, (0, ruled[1]))) + end + after
    _write(
        path.with_suffix(".html"), f"<figure>\n{table}\n<figcaption>{escape(words, 'html')}</figcaption>\n</figure>\n"
    )


def latex(table: pd.DataFrame, words: str, label: str, ruled: tuple[int, int] = (0, 0)) -> str:
    """A table environment in small type; one that goes over pages where it has too many rows and no rules.

    Args:
        table: escaped text.
        words: caption; a ``Table~\\ref{...}`` in it is not escaped.
        label: of the table.
        ruled: rows above a first rule and below a last one; 0 for no rule.
    """
    text, reference, after = words.partition("Table~")
    caption = escape(text, "tex") + reference + after
    columns = "".join("r" if _is_number(table[name]) else "l" for name in table)
    if len(table) > LONG and len(columns) <= LONG_COLUMNS:
        body = table.to_latex(
            index=False, escape=False, caption=caption, label=label, column_format=columns, longtable=True
        )
        return f"{{\\footnotesize\n{body}}}\n"
    body = table.to_latex(index=False, escape=False, caption=caption, label=label, position="t", column_format=columns)
    if any(ruled):
        head, rule, rest = body.partition("\\midrule\n")
        lines, end, after = rest.partition("\\bottomrule")
        body = head + rule + rule.join(_parts(lines.splitlines(keepends=True), ruled)) + end + after
    for end, fitted in FITTED.items():
        body = body.replace(end, fitted)
    return body


def caption_and_notes(words: str) -> tuple[str, str]:
    """The sentences of a caption that fit five lines, and the rest: LaTeX has it as a paragraph of notes."""
    short, *rest = re.split(r"(?<=[a-z)\]%.\d]\.) (?=[A-Z=?])", words)
    while rest and len(short) + len(rest[0]) < CAPTION:
        short += f" {rest.pop(0)}"
    return short, " ".join(rest)


def _parts(rows: list[str], ruled: tuple[int, int]) -> list[str]:
    """The rows above the first rule, between the rules and below the last; empty parts are left out."""
    first, last = ruled[0], len(rows) - ruled[1]
    return ["".join(part) for part in (rows[:first], rows[first:last], rows[last:]) if part]


def cell(score: Score, digits: int, form: Form, *, emphasis: str = "", mark: str = "") -> str:
    """``mean ± sd (seeds sd)`` with its marks.

    Args:
        score: what is shown. Where cases are infinite, their number and the median; where rows failed and there is no
            mean, `failed`; a dash where there is nothing.
        digits: after the point.
        form: of the text, which is escaped for it.
        emphasis: 'bold', 'underlined' or none.
        mark: the verdict against the best, 'equal' or 'undecided'; others have none.
    """
    spreads = ""
    if score.infinite:
        number = f"{score.infinite:.0f} infinite"
        number = f"median {score.median:.{digits}f} ({number})" if np.isfinite(score.median) else number
    elif np.isfinite(score.mean):
        number, spreads = f"{score.mean:.{digits}f}", _spreads(score, digits, form)
    else:
        return "failed" if score.failed else escape(NONE, form)
    if emphasis:
        number = {"bold": BOLD, "underlined": UNDERLINED}[emphasis][form].format(number)
    text, sign = number + spreads, MARKS.get(mark, {}).get(form, "")
    if form == "html" and "<br>" in text:  # the mark stays with the mean
        return text.replace("<br>", f" {sign}<br>" if sign else "<br>")
    return text + (f" {sign}" if sign and form != "tex" else sign)


def _spreads(score: Score, digits: int, form: Form) -> str:
    sd = f" ± {score.sd:.{digits}f}" if np.isfinite(score.sd) else ""
    if form == "tex":
        seeds = f" ({score.seed_sd:.{digits}f})" if np.isfinite(score.seed_sd) else ""
        return f" {escape(sd + seeds, form).strip()}" if sd + seeds else ""
    seeds = f"seeds {score.seed_sd:.{digits}f}" if np.isfinite(score.seed_sd) else ""
    if form == "html":
        return sd + (f"<br><small>{seeds}</small>" if seeds else "")
    return sd + (f" ({seeds})" if seeds else "")


def header(name: str, form: Form) -> str:
    """The title of a column as people read it; CSV keeps the machine's name.

    Args:
        name: of the column: of a metric, which gets its direction, or any other.
        form: for which it is escaped.
    """
    if name in METRIC_TITLES or name.startswith(SIMILARITY):
        words = f"{metric_title(name)} {ARROWS[metric_of(name).direction]}"
    elif name in TITLES:
        words = TITLES[name]
    else:
        words = name[:1].upper() + name[1:].replace("_", " ")
    return escape(words, form)


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """The rows of a frame by the names of its columns."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]


def exact(frame: pd.DataFrame, rows: Sequence[Mapping[str, object]], names: Iterable[str]) -> pd.DataFrame:
    """`frame` with the columns `names` of `rows` as they are: pandas would make 3.0 of a window beside a gap.

    Lists become JSON.
    """
    columns = {
        name: pd.Series(
            [
                canonical_json(value) if isinstance(value, list | dict) else value
                for value in (row.get(name) for row in rows)
            ],
            dtype=object,
        )
        for name in names
    }
    return frame.assign(**columns)


def plain(frame: pd.DataFrame, form: Form, titles: Mapping[str, str] = NO_TITLES) -> pd.DataFrame:
    """Cells as text under titles that people read, escaped, a dash where there is nothing.

    Args:
        frame: the cells.
        form: of the text.
        titles: of columns that `header` does not know.
    """
    text = frame.astype(object).where(frame.notna(), NONE)
    names = {name: escape(titles[name], form) if name in titles else header(name, form) for name in map(str, frame)}
    return text.map(lambda value: escape(str(value), form)).rename(columns=names)


def escape(text: str, form: Form) -> str:
    """`text` so that the form shows it as it is."""
    return ESCAPED[form](text)


def _is_number(column: "pd.Series[str]") -> bool:
    return all(re.match(r"(\\\w+\{)?([-+]?\d|median)|--|failed", str(value)) for value in column)


def _write(path: Path, text: str) -> None:
    write_text(path, re.sub(r"[ \t]+\n", "\n", text))
