"""How wide LaTeX sets a table, without LaTeX: by the widths of Computer Modern."""

import re

import pandas as pd

LINE = 345.0  # points: the width of a text of the class `article` at 10 points
SIZE, BETWEEN = 8.0, 3.0  # points: of the font (`\\footnotesize`), and on both sides of a column (`\\tabcolsep`)
OF_EIGHT_POINTS = 1.0625  # cmr8 is wider than cmr10 scaled down
# Widths of cmr10 in thousandths of its size; of what is not here, that of a wide letter.
WIDTHS = {
    **dict.fromkeys("0123456789", 500),
    **dict(zip("abcdefghijklmnopqrstuvwxyz", (
        500, 556, 444, 556, 444, 306, 500, 556, 278, 306, 528, 278, 833, 556, 500, 556, 528, 392, 394, 389, 556, 528,
        722, 528, 528, 444), strict=True)),
    **dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
        750, 708, 722, 764, 681, 653, 785, 750, 361, 514, 778, 625, 917, 750, 778, 681, 778, 736, 556, 722, 750, 750,
        1028, 750, 750, 611), strict=True)),
    ".": 278, ",": 278, ":": 278, ";": 278, "(": 389, ")": 389, "[": 278, "]": 278, "-": 333, "_": 500,
    "±": 778, "=": 778, "+": 778, " ": 333, "%": 833, "?": 472, "/": 500, "↑": 500, "↓": 500, "λ": 583, "'": 278,
}  # fmt: skip
WIDEST, BOLD = 1028, 1.15
MARK = re.compile(r"\\rlap\{[^}]*\}")  # which takes no room
SIGNS = {r"$\pm$": "±", r"$\uparrow$": "↑", r"$\downarrow$": "↓", r"$\lambda$": "λ"}


def natural_width(table: pd.DataFrame) -> float:
    """Points of a table in `\\footnotesize` that nothing scales; its texts are escaped for LaTeX."""
    columns = [max(map(_width, (str(name), *map(str, table[name])))) for name in table]
    return sum(columns) + 2 * BETWEEN * len(columns)


def _width(text: str) -> float:
    bold = BOLD if r"\textbf" in text else 1.0
    for command, sign in SIGNS.items():
        text = text.replace(command, sign)
    shown = re.sub(r"\\[A-Za-z]+ ?|[{}$\\]", "", MARK.sub("", text))
    return bold * SIZE * OF_EIGHT_POINTS * sum(WIDTHS.get(sign, WIDEST) for sign in shown) / 1000
