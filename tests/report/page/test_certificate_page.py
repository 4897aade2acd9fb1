"""The page of a certificate: whatever a function is called and says, on a wide window and on a narrow one."""

from pathlib import Path
from typing import Any

import pytest

from regbench.losses.audit.findings import Certificate, Finding
from regbench.report.certificate_text import text
from regbench.report.page.certificate_page import write_page


@pytest.fixture
def certificate() -> Certificate:
    curve = tuple((f"2D axis {axis}, shift {k}", k / (axis + 2)) for axis in (0, 1) for k in (0, 1, 2, 4))
    return Certificate(
        "a_lab.losses:" + "Long" * 12,
        "similarity",
        {"window": [5, 5], "name": "<b>"},
        "A study names it by an adapter:\n    from a_lab import <Loss>",
        "it = 3 x mse",
        (),
        (
            Finding(
                "sign", "fail", "raises ValueError: <script>alert(1)</script> in `somewhere`", (("nan", float("nan")),)
            ),
            Finding("axes in 2D", "pass", "a shift along each one costs", curve),
            Finding("batch", "note", "x" * 200),
        ),
        (("torch", "2"),),
    )


def test_the_text_keeps_to_its_width(certificate: Certificate) -> None:
    lines = text(certificate, 90).splitlines()
    assert lines[0] == f"`{certificate.name}` (window=[5, 5], name=<b>), similarity"
    assert lines[-1] == f"`{certificate.name}` may not enter a study: sign"
    table = [line for line in lines if line[:4] in ("pass", "note", "fail")]
    assert [line.split()[0] for line in table] == ["fail", "pass", "note"]
    assert max(len(line) for line in lines[1:-1] if "x" * 200 not in line) <= 90


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_escapes(certificate: Certificate, width: int, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(certificate, path)
    page = browser.new_page(viewport={"width": width, "height": 900})
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "<script>alert(1)</script>" in page.inner_text("main")
    assert page.inner_text("td.seen code") == "somewhere"
    assert dialogs == []
    assert [cell.inner_text() for cell in page.query_selector_all("td.verdict")] == ["fail", "note", "pass"]
    assert len(page.query_selector_all("svg polyline")) == 2
    assert page.inner_text(".conclusion") == "may not enter a study: sign"
