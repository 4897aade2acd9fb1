"""Text that breaks what takes it for something else than text."""

import string

from fuzzing import fuzz
from hypothesis import Phase, example, given
from hypothesis import strategies as st

FUZZ = fuzz(60, Phase.explicit, Phase.shrink)
# A name of every kind that a tool reads as something: a path, a pattern, a word of a shell, a formula.
NASTY = [
    *string.printable, "", ".", "..", "...", "~", "~root", "-rf", "--help", "a/b", "../../up", "/etc/passwd", "a\\b",
    "C:\\x", "con", "CON.nii", "nul", "com1", "lpt9.x", "a ", " a", "a.", "a:b", "a|b", "a b  c", "a\nb", "a\tb",
    "$HOME", "`id`", "$(id)", "a;b&c", "'", '"', "it's \"so\"", "*", "?", "[a]", "{a}", "{}", "{0}", "%s", "%d%%",
    "%2F", "%252F", "a%_b", "a%~b", "{run_id}", "{wildcards.method}", "$x^2$", "$$", "a$b$c", r"\alpha", r"\input{x}",
    r"\\",
    "[a", "*a", "a--b", "a---b", ",,", "''", "``", "<<", "lambda", "a_lambda", "<b>x</b>", "</td><td>", "<script>",
    "&amp;", "&#38;", "&lt", "a|b|c", r"a\|b", "**a**", "_a_", "a_b_c", "~~a~~", "[a](b)", "![a](b)", "=1+1", "@a",
    "x" * 200, "ü" * 200, "/" * 100, "Jürgen", "Ju\u0308rgen", "Å", "A\u030a", "\u212b", "ß", "SS", "\u0131", "İ", "ﬁ",
    "😀", "👩‍👩‍👧", "مرحبا", "\u202eabc", "\u200babc", "é\u0301\u0302\u0303", "\x00", "\x1b[31m", "\x7f", "\ud800",
    "0001_0000",
]  # fmt: skip
SIGNS = st.one_of(
    st.sampled_from(string.printable + "ÄäßİÅ\u0131😀\u0301\u0308\u200d\u202e\x00\ud800%_~"), st.characters(codec=None)
)
TEXT = st.one_of(
    st.sampled_from(NASTY),
    st.text(SIGNS, max_size=12),
    st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map("".join),
    st.text(SIGNS, min_size=90, max_size=260),
)


def any_text(test):
    """A test of one argument `text`: each of `NASTY`, and many others."""
    test = given(text=TEXT)(test)
    for text in NASTY:
        test = example(text=text)(test)
    return FUZZ(test)
