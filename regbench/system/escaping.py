"""Text that people gave, as each format shows it as it is: nothing in it becomes LaTeX, HTML, Markdown, mathtext
or a formula of a spreadsheet.

The name of a file is made of text in `regbench.system.names`.
"""

import html
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"  # noqa: RUF001  an en dash, as printed tables have it
TIMES = "×"  # noqa: RUF001  a multiplication sign
LATEX = {
    "-": "-{}", ",": ",{}", "'": "'{}", "<=": r"$\leq$", "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "<": r"$<$", ">": r"$>$", "|": "$|$", "`": "$`$",
    "±": r"$\pm$", TIMES: r"$\times$", "·": r"$\cdot$", "★": r"$\star$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "→": r"$\rightarrow$", "…": r"\ldots{}", DASH: "--", "λ": r"$\lambda$",
}  # fmt: skip
# Two dashes, commas or quotes would become one sign in print; the others are escaped wherever they stand.
_LATEX = re.compile(rf"-(?=[-{DASH}])|,(?=,)|'(?=')|\blambda\b|" + "|".join(map(re.escape, list(LATEX)[3:])))
# After the end of a row, these would be its options.
_OPTION = re.compile(r"^(\s*)([\[*])")
# What means something in a cell; an underscore inside a word does not.
_MARKDOWN = re.compile(
    r"[\\`*|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|<(?=[A-Za-z/!?])|&(?=[#A-Za-z])|\](?=[(\[:])|\[(?=\^)"
)
# Where a spreadsheet begins a formula, also as a Japanese keyboard writes it: after white space that it removes, and
# after a semicolon where that is its separator.
_FORMULA = re.compile(r"(^\s*|;\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)")
PICTURED = 60  # letters of a name in a figure: more would leave no room for the figure
# What stands for the signs of our own texts where a terminal has no Unicode.
ASCII = {
    "±": "+/-", "λ": "lambda", "↑": "^", "↓": "v", "→": "->", "·": ".", TIMES: "x", "★": "*", "…": "...", DASH: "-",
    "█": "#", "≤": "<=", "≥": ">=",
}  # fmt: skip


def one_line(text: str) -> str:
    """`text` without ends of lines and control characters: blanks, and signs of replacement."""
    if text.isprintable():
        return text
    blank = {"\t", "\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"}
    return "".join(
        " " if sign in blank else "\ufffd" if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text
    )


def latex(text: str) -> str:
    """`text` for a cell or a caption of LaTeX; letters beyond those of European languages need XeLaTeX or LuaLaTeX."""
    escaped = _LATEX.sub(lambda match: LATEX.get(match[0], r"$\lambda$"), one_line(text))
    return _OPTION.sub(r"\1{\2}", escaped)


def markdown(text: str) -> str:
    """`text` for a cell of a Markdown table."""
    return _MARKDOWN.sub(lambda match: "\\" + match[0], one_line(text))


def hypertext(text: str) -> str:
    """`text` for HTML, between tags or in an attribute with quotes."""
    return html.escape(text)


def spreadsheet(text: str) -> str:
    """`text` for a cell of CSV: where a spreadsheet would compute it, an apostrophe before it says that it is text.

    A number is a number, whatever its sign.
    """
    line = one_line(text)
    return line if _NUMBER.fullmatch(line) else _FORMULA.sub(r"\1'\2", line)


def csv_table(frame: "pd.DataFrame") -> str:
    """Rows as CSV that people open in a spreadsheet: names as `spreadsheet` has them, numbers as they are."""
    table = frame.rename(columns=lambda name: spreadsheet(str(name)))
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        if column.dtype.kind not in "biufc":
            table.isetitem(place, [spreadsheet(cell) if isinstance(cell, str) else cell for cell in column])
    return table.to_csv(index=False, lineterminator="\n")


def pictured(text: str, longest: int = PICTURED) -> str:
    """`text` for a figure: matplotlib reads dollars as mathematics, and a long name leaves no room."""
    shown = cut(one_line(text), longest, "…")
    return shown.replace("$", r"\$")


def cut(text: str, longest: int, note: str) -> str:
    """`text` in at most `longest` letters; one that is cut ends in `note`, which says where the whole of it is."""
    return text if len(text) <= longest else text[: max(longest - len(note), 0)] + note[:longest]


def without_unicode(error: UnicodeError) -> tuple[str, int]:
    """What a terminal that lacks a character shows instead: words for our own signs, numbers for all others.

    Raises:
        UnicodeError: the same, where the text cannot be read rather than written.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in signs), error.end
