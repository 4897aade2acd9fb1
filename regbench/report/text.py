"""One frame, four forms (CSV, Markdown, LaTeX, HTML), one rounding rule."""

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from regbench.files import canonical_json, write_text

Form = Literal["md", "tex", "html"]
NONE = "–"  # noqa: RUF001  an en dash, as printed tables have it
ARROWS = {"higher": "↑", "lower": "↓"}
BOLD = {"md": "**{}**", "tex": r"\textbf{{{}}}", "html": "<b>{}</b>"}
UNDERLINED = {"md": "<u>{}</u>", "tex": r"\underline{{{}}}", "html": "<u>{}</u>"}
ALIKE = {"md": "†", "tex": r"$^\dagger$", "html": "<sup>†</sup>"}
TEX = {
    "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$", "±": r"$\pm$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", NONE: "--", "<=": r"$\leq$", "†": r"$^\dagger$", "λ": r"$\lambda$", "lambda": r"$\lambda$",
}  # fmt: skip
PACKAGES = "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n"
# A table that is too wide for the page is scaled down, any other is left as it is.
FITTED = {
    r"\begin{tabular}": r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" + "\n" + r"\begin{tabular}",
    r"\end{tabular}": r"\end{tabular}}",
}


def write_table(
    path: Path,
    frame: pd.DataFrame,
    shown: Callable[[Form], pd.DataFrame],
    words: str,
    study: str,
    *,
    ruled: tuple[int, int] = (0, 0),
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
    """
    _write(path.with_suffix(".csv"), frame.to_csv(index=False, lineterminator="\n"))
    _write(path.with_suffix(".md"), f"{words}\n\n{shown('md').to_markdown(index=False, disable_numparse=True)}\n")
    tex = shown("tex")
    body = tex.to_latex(
        index=False, escape=False, caption=escape(words, "tex"), label=f"tab:{study}-{path.name}", position="t",
        column_format="".join("r" if _is_number(tex[name]) else "l" for name in tex),
    )  # fmt: skip
    if any(ruled):
        head, rule, rest = body.partition("\\midrule\n")
        lines, end, after = rest.partition("\\bottomrule")
        body = head + rule + rule.join(_parts(lines.splitlines(keepends=True), ruled)) + end + after
    for end, fitted in FITTED.items():
        body = body.replace(end, fitted)
    _write(path.with_suffix(".tex"), PACKAGES + body)
    page = shown("html")
    # Numbers are sorted by their value: the script of the report reads the first number of a cell.
    table = page.to_html(index=False, escape=False, border=0, classes="sortable", na_rep=NONE)
    if ruled[1]:
        head, begin, rest = table.partition("<tbody>\n")
        lines, end, after = rest.partition("  </tbody>")
        rows = re.findall(r" *<tr.*?</tr>\n", lines, flags=re.DOTALL)
        table = head + begin + f"{end}\n  {begin}".join(_parts(rows, (0, ruled[1]))) + end + after
    _write(path.with_suffix(".html"), f"<figure>\n{table}\n<figcaption>{html.escape(words)}</figcaption>\n</figure>\n")


def _parts(rows: list[str], ruled: tuple[int, int]) -> list[str]:
    """The rows above the first rule, between the rules and below the last; empty parts are left out."""
    first, last = ruled[0], len(rows) - ruled[1]
    return ["".join(part) for part in (rows[:first], rows[first:last], rows[last:]) if part]


def cell(mean: float, sd: float, digits: int, form: Form, *, mark: str = "", alike: bool = False) -> str:
    """``mean ± sd`` with its marks; `failed` where there is no mean."""
    if not np.isfinite(mean):
        return "failed"
    number = f"{mean:.{digits}f}"
    if mark:
        number = {"best": BOLD, "second": UNDERLINED}[mark][form].format(number)
    spread = "" if not np.isfinite(sd) else f" ± {sd:.{digits}f}"
    return number + (ALIKE[form] if alike else "") + (spread.replace("±", r"$\pm$") if form == "tex" else spread)


def exact(frame: pd.DataFrame, rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> pd.DataFrame:
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


def plain(frame: pd.DataFrame, form: Form) -> pd.DataFrame:
    """Cells and column names as text, escaped, a dash where there is nothing."""
    text = frame.astype(object).where(frame.notna(), NONE)
    return text.map(lambda value: escape(str(value), form)).rename(columns=lambda name: escape(str(name), form))


def escape(text: str, form: Form) -> str:
    """`text` so that the form shows it as it is."""
    if form == "html":
        return html.escape(text)
    if form == "md":
        return text.replace("|", r"\|")
    return re.sub("|".join(map(re.escape, TEX)), lambda found: TEX[found[0]], text)


def marks(frame: pd.DataFrame, column: str, direction: str, competing: "pd.Series[bool]") -> list[str]:
    """'best' and 'second' by the printed number (ties share the mark), of the competing rows of a dataset and model."""
    found = [""] * len(frame)
    for _, mine in frame.reset_index(drop=True)[competing.to_numpy()].groupby(["dataset", "model"]):
        values = sorted(set(mine[column].dropna()), reverse=direction == "higher")
        for index, value in mine[column].items():
            if len(values) > 1 and value in values[:2]:
                found[int(str(index))] = ("best", "second")[values.index(value)]
    return found


def _is_number(column: "pd.Series[str]") -> bool:
    return all(re.match(r"(\\\w+\{)?[-+]?\d|--|failed|median", str(value)) for value in column)


def _write(path: Path, text: str) -> None:
    write_text(path, re.sub(r"[ \t]+\n", "\n", text))
