"""Each format shows text as it is, whatever is in it."""

import csv
import io
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import example
from markdown_it import MarkdownIt
from nasty import NASTY, any_text

from regbench.system.escaping import (
    DASH,
    csv_table,
    cut,
    hypertext,
    latex,
    markdown,
    one_line,
    pictured,
    without_unicode,
)

# What the commands of LaTeX that we write mean: read back by a table of their own.
MEANING = {
    r"\%": "%", r"\_": "_", r"\&": "&", r"\#": "#", r"\$": "$", r"\{": "{", r"\}": "}", r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^", r"\textbackslash{}": "\\", "$<$": "<", "$>$": ">", "$|$": "|",
    "$`$": "`", "-{}": "-", ",{}": ",", "'{}": "'", "{[}": "[", "{*}": "*", r"$\leq$": "<=",
    r"$\pm$": "±", r"$\lambda$": "λ", r"$\uparrow$": "↑", r"$\downarrow$": "↓", r"$\times$": chr(0xD7), r"$\cdot$": "·",
    r"$\star$": "★", r"$\rightarrow$": "→", r"\ldots{}": "…", "--": DASH,
}  # fmt: skip
READ = re.compile("|".join(map(re.escape, sorted(MEANING, key=len, reverse=True))))


class Parsed(HTMLParser):
    """All text of a page, and how many tags it has."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self.values = "", 0, []

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attributes):
        self.tags += 1
        self.values += [value for _, value in attributes]


@example("a_lambda_b")
@example("---,,,''")
@any_text
def test_latex_reads_back_as_the_text(text):
    escaped = latex(text)
    plain = READ.sub("", escaped)
    assert not set(plain) & set("\\{}$&#^_%~<>|`"), "what is left is no command and opens no group"
    assert not escaped.lstrip().startswith(("[", "*")), "an option of the row before"
    back = READ.sub(lambda match: MEANING[match[0]], escaped)
    assert back == re.sub(r"\blambda\b", "λ", one_line(text))
    depth = 0
    for sign in re.sub(r"\\[{}\\]", "", escaped):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0


@any_text
def test_html_reads_back_as_the_text(text):
    page = Parsed()
    page.feed(f'<td title="{hypertext(text)}">{hypertext(text)}</td>')
    page.close()
    assert (page.text, page.tags, page.values) == (text, 1, [text])


@example("a_b_c _d_ __e__")
@any_text
def test_a_markdown_cell_stays_one_cell_and_reads_back(text):
    """Read by a parser of CommonMark with GitHub's tables."""
    shown = one_line(text)
    table = f"| a | b |\n|---|---|\n| x{markdown(text)}x | y |\n"
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(table)
    cells = [token for token in tokens if token.type == "inline"]
    assert [cell.content for cell in cells[:2]] == ["a", "b"]
    assert len(cells) == 4
    inner = cells[2].children
    assert all(part.type in ("text", "text_special") for part in inner), [part.type for part in inner]
    # A parser of HTML takes the place of characters that no page may hold.
    assert "".join(part.content for part in inner).replace("\ufffd", "") == f"x{shown}x".replace("\ufffd", "")


@any_text
def test_a_figure_shows_the_text_and_no_formula(text):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    words = figure.text(0, 0, pictured(text, 1000))
    assert words._preprocess_math(words.get_text()) == (one_line(text), False)


@pytest.mark.parametrize("name", NASTY)
def test_a_name_in_a_figure_is_short_and_on_one_line(name):
    assert len(pictured(name).replace(r"\$", "$")) <= 60
    assert "\n" not in pictured(name)


@any_text
def test_every_encoding_can_show_it(text):
    import codecs

    codecs.register_error("regbench", without_unicode)
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8"):
        shown = text.encode(encoding, "regbench").decode(encoding)
        assert shown == text or not text.isascii()
    assert "0.5 ± 0.1, λ 😀".encode("ascii", "regbench") == b"0.5 +/- 0.1, lambda \\U0001f600"


def test_what_cannot_be_read_is_an_error_still():
    with pytest.raises(UnicodeDecodeError):
        without_unicode(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))


# What a spreadsheet takes for the start of a formula.
STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@example("=1+1")
@example("a;=1+1")
@example('"; =1+1')
@example("a\t@SUM(1)")
@example("\t=1+1")
@example(" -2+3")
@example("-1.5")
@any_text
def test_no_cell_of_csv_is_a_formula(text):
    """Whatever the separator of the spreadsheet is, and after the white space that it removes."""
    text = text.encode("utf-8", "replace").decode()  # no table holds half a letter
    frame = pd.DataFrame({"name": [text, "plain"], f"{text}?": [None, text], "number": [-1.5, float("-inf")]})
    content = csv_table(frame)
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(content, newline=""), delimiter=separator):
            for field in row:
                number = re.match(r"[+-]((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|nan)(,|$)", field)
                assert number or not field.strip().startswith(STARTS), (separator, field)
    head, first, second = csv.reader(io.StringIO(content, newline=""))
    assert head[0] == "name"
    assert head[1].replace("'", "") == one_line(f"{text}?").replace("'", "")
    assert first[0].replace("'", "") == one_line(text).replace("'", "")
    assert len(first[0]) <= len(text) + 1 + text.count(";")
    assert [first[1:], second[2]] == [["", "-1.5"], "-inf"]
    assert csv_table(pd.DataFrame({"n": [-1, 2]})) == "n\n-1\n2\n"
    assert csv_table(pd.DataFrame({"n": pd.Categorical(["=a", None])})) == 'n\n\'=a\n""\n'


def test_a_cut_says_so():
    assert cut("a" * 10, 10, "...") == "a" * 10
    assert cut("a" * 11, 10, "...") == "a" * 7 + "..."
