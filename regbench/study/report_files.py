"""The tables and figures of a report: their names, what the page says of them, and the files of each.

The workflow, the writer and the page read this one list. Imports nothing: the Snakefile reads it in every job.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Figure(NamedTuple):
    """A figure of the page's gallery: the words below it, and those for who does not see it.

    ``{score}`` in them stands for the metric that the study is led by.
    """

    words: str
    alt: str


# Name to title, in the order of the page.
TABLES: Mapping[str, str] = {
    "main": "Results",
    "curve": "At equal regularity",
    "curve_verdicts": "Verdicts at equal regularity",
    "verdicts": "Verdicts",
    "looks": "Looks: which cells got further seeds",
    "variance": "What the noise is made of",
    "selection": "Choice of lambda",
    "significance": "Tests of these trained networks",
    "grid": "What similarity and regularizer contribute",
    "per_structure": "Structures",
    "controls": "Controls: which columns can be fooled",
    "transfer": "On other data than trained on",
    "lambda_transfer": "With the lambda of another dataset or model",
    "runtime": "Time and memory",
}
# Tables that not every study has.
OPTIONAL = ("curve", "curve_verdicts", "looks", "controls", "transfer", "lambda_transfer")
FIGURES: Mapping[str, Figure] = {
    "lambda": Figure(
        "Lambda against validation {score} and NDV; the chosen lambda is ringed.",
        "Lines over lambda on a logarithmic axis, one a regularizer, a column a model and similarity: validation "
        "{score} above, NDV in per cent below; a ring is around the chosen lambda.",
    ),
    "curve": Figure(
        "Test {score} over regularity, a curve a cell, with 95 % bands; dotted: the levels of the comparisons.",
        "Lines of test {score} over the mean regularity of the fields, one a regularizer, a panel a model and "
        "similarity, each in its 95 % band; markers are trainings at one lambda, dotted lines the levels.",
    ),
    "pareto": Figure(
        "Every trial, with the Pareto front of each similarity.",
        "Points, one a trial: validation {score} over NDV in per cent; a step line a similarity joins the trials "
        "that no other beats in both.",
    ),
    "scores": Figure(
        "Test {score} of each method.",
        "Box plots of the {score} of the test pairs, one box a method, no registration in grey.",
    ),
    "critical_difference": Figure(
        "Mean ranks, and what the tests do not tell apart.",
        "Methods from best to worst mean rank by {score}, a point each; bars beside them join methods whose ranks lie "
        "closer than the critical difference.",
    ),
    "rank_stability": Figure(
        "How often each method holds each rank when subjects are drawn again.",
        "Dots, a row a method and a column a rank: the larger the dot, the more often the method holds "
        "the rank when subjects are drawn again.",
    ),
    "structures": Figure(
        "Dice of each structure, before registration and by the best method.",
        "Box plots of the Dice of each structure, two boxes each: no registration in grey, the best method in blue.",
    ),
    "panels": Figure(
        "Best, median and worst pair of the best method. Folds (determinant <= 0) are magenta.",
        "Rows of images of the best, median and worst test pair: fixed, moving and moved image, overlays before "
        "and after, checkerboard, deformed grid over the moving image, and determinant; folds are magenta.",
    ),
    "training": Figure(
        "Training similarity over the steps, a running mean.",
        "Lines over the training steps, a panel a similarity: the training similarity of each regularizer.",
    ),
    "runtime_scores": Figure(
        "Time of a registration against {score}.",
        "Points: test {score} over the time of a registration in milliseconds, a colour a model and similarity.",
    ),
}
OPTIONAL_FIGURES = ("curve",)  # figures that not every study has
GRID_FIGURE = "verdict_grid"  # the page begins with it, in words of its own
PROVENANCE = "provenance.json"
_TABLE_FORMS, _FIGURE_FORMS, _GRID_FORMS = ("md", "tex", "html"), ("csv", "png"), ("csv", "png", "pdf", "tex")


def table_names(optional: Collection[str]) -> list[str]:
    """The tables of a study; `optional` are those of `OPTIONAL` that it has."""
    return [name for name in TABLES if name not in OPTIONAL or name in optional]


def figure_names(optional: Collection[str]) -> list[str]:
    """The figures of a study, the grid first; `optional` are those of `OPTIONAL_FIGURES` that it has."""
    return [GRID_FIGURE, *(name for name in FIGURES if name not in OPTIONAL_FIGURES or name in optional)]


def beside_tables(optional: Collection[str]) -> list[str]:
    """Files in the folder of the tables, but for the CSV of each."""
    others = ["main_long.csv", *(f"{name}.{PROVENANCE}" for name in ("main", "runtime"))]
    return others + [f"{name}.{form}" for name in table_names(optional) for form in _TABLE_FORMS]


def beside_figures(optional: Collection[str]) -> list[str]:
    """Files in the folder of the figures, but for the SVG of each."""
    forms = {GRID_FIGURE: _GRID_FORMS}
    return [f"{name}.{form}" for name in figure_names(optional) for form in forms.get(name, _FIGURE_FORMS)]
