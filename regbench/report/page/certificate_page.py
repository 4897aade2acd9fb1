"""The certificate of a loss as one page: works offline, from a mail attachment."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from regbench import __version__
from regbench.losses.audit.findings import WORDS, Certificate, Finding
from regbench.report.page.certainty import marked
from regbench.system.files import write_text

PREFIX = "shift "  # of the figures that make the picture
WIDTH, HEIGHT, EDGE = 300, 120, 26  # of the picture
STROKES = ("", "6 3", "2 3")  # of its lines, one an axis


TITLES = {"fail": "What keeps it out", "note": "Worth knowing", "pass": "As it should be"}


class Curve(NamedTuple):
    """The value of a similarity along a shift, as a line of a picture."""

    axis: str
    points: str
    stroke: str
    values: str


class Picture(NamedTuple):
    """Lines of one number of dimensions, with the ends of both axes."""

    title: str
    curves: list[Curve]
    low: str
    high: str
    furthest: str


def write_page(certificate: Certificate, path: Path) -> None:
    """Write the page whole or not at all.

    Args:
        certificate: of an audit.
        path: of the HTML file.
    """
    environment = Environment(
        loader=PackageLoader("regbench.report.page", "."), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("certificate.html.j2").render(
        certificate=certificate,
        marked=lambda sentence: Markup(marked(sentence)),
        kind=WORDS[certificate.kind],
        counts=[(word, sum(line.verdict == word for line in certificate.findings)) for word in TITLES],
        groups=[
            (title, [line for line in certificate.findings if line.verdict == verdict])
            for verdict, title in TITLES.items()
        ],
        pictures=list(_pictures(certificate.findings)),
        size=(WIDTH, HEIGHT, EDGE),
        version=__version__,
    )
    write_text(path, page)


def _pictures(findings: tuple[Finding, ...]) -> Iterator[Picture]:
    """The value along a shift of each axis; nothing for what is no similarity."""
    for line in findings:
        curves: dict[str, list[tuple[int, float]]] = {}
        for name, value in line.numbers:
            axis, _, shift = name.partition(f", {PREFIX}")
            if shift:
                curves.setdefault(axis, []).append((int(shift), value))
        values = [value for curve in curves.values() for _, value in curve]
        if curves and all(abs(value) < float("inf") for value in values):
            yield _picture(line.topic, curves, min(values), max(values))


def _picture(topic: str, curves: dict[str, list[tuple[int, float]]], low: float, high: float) -> Picture:
    furthest = max(shift for curve in curves.values() for shift, _ in curve)

    def place(shift: int, value: float) -> str:
        right = EDGE + shift / furthest * (WIDTH - 2 * EDGE)
        return f"{right:.1f},{HEIGHT - EDGE - (value - low) / (high - low or 1) * (HEIGHT - 2 * EDGE):.1f}"

    drawn = [
        Curve(
            axis.partition(" ")[2],
            " ".join(place(*point) for point in curve),
            STROKES[number % len(STROKES)],
            ", ".join(f"{value:.4g}" for _, value in curve),
        )
        for number, (axis, curve) in enumerate(curves.items())
    ]
    return Picture(topic.rpartition(" ")[2], drawn, f"{low:.3g}", f"{high:.3g}", str(furthest))
