"""Text that people gave, as each format shows it as it is: nothing in it becomes LaTeX, HTML, Markdown or mathtext.

The name of a file is made of text in `regbench.system.names`.
"""

import html
import re
import unicodedata

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
