"""The page of a study as people use it: any width, by keyboard, in the dark, on paper, and without the net."""

import urllib.parse

import pytest
from made_results import make_results, twelve

pytest.importorskip("playwright.sync_api", reason="pip install playwright")

from regbench.report.summary_file import load_summary
from regbench.report.write import report
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import write_sealed

WIDTHS = (390, 1024, 1280, 1400)
# Ratio of luminances of text and what is behind it (WCAG), of all elements that have text of their own.
CONTRASTS = """() => {
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = part => {
    for (; part; part = part.parentElement) {
      const colour = parse(getComputedStyle(part).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const part of document.querySelectorAll("body *")) {
    if (!part.checkVisibility() || ![...part.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [luminance(parse(getComputedStyle(part).color)), luminance(behind(part))].sort((a, b) => b - a);
    found.push([(pair[0] + 0.05) / (pair[1] + 0.05), part.tagName + "." + part.className]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of a study of two models and four cells."""
    raw = twelve(tmp_path_factory.mktemp("page") / "results")
    raw |= {"grid": {"similarities": ["lcc", "mse"], "regularizers": ["grad_l2", "displacement_l1"]}}
    raw |= {"models": [*raw["models"], {**raw["models"][0], "id": "wide"}], "equivalence": {"dice": 0.005}}
    raw |= {"lambdas": [{"range": [0.001, 1000.0]}], "tracking": {"uri": "https://example.org/mlflow"}}
    study = Study(load(raw))
    make_results(study)
    write_sealed(
        study.layout.summary,
        {**load_summary(study), "warnings": ["brains/x: look at this", "brains/y: and at that"]},
    )
    report(study)
    return study.layout.page


@pytest.fixture
def opened(browser, path):
    """Opens the page; afterwards, nothing was asked of the net and no script failed."""
    asked, wrong = [], []

    def open_page(width=1280, fragment="", **options):
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    assert [url for url in asked if urllib.parse.urlsplit(url).scheme not in ("file", "data")] == wrong == []


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways(opened, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth).map(b => b.ariaLabel)"
    )
    assert width < 1280 or cut == [], "no table is cut where a laptop shows it"


def test_the_answer_is_on_the_first_screen(opened):
    page = opened(1400)
    assert page.locator(".answer p").count() == 2
    assert "With wide" in page.locator(".answer").inner_text()
    for selector in (".answer", "#figure-verdict_grid", ".facts", "nav"):
        assert page.locator(selector).evaluate("part => part.getBoundingClientRect().bottom") <= 900, selector
    assert page.locator("#figure-verdict_grid img").count() == 2
    assert page.locator("details.section[open]").count() == 1, "only the results are unfolded"
    assert page.locator("#table-main").is_visible()
    page.locator(".facts a").click()
    page.locator(".warning", has_text="look at this").wait_for(state="visible")


def test_tables_are_sorted_by_keyboard(opened):
    page = opened()
    unfold(page)
    heads = page.locator("table.sortable thead th")
    assert heads.count() == page.locator("table.sortable thead th > button").count() > 30
    focused = "cells => cells.every(cell => (cell.firstChild.focus(), document.activeElement === cell.firstChild))"
    assert heads.evaluate_all(focused)
    table = page.locator("#table-main table")
    column = table.locator("thead th").evaluate_all("cells => cells.findIndex(cell => /^dice/i.test(cell.innerText))")
    button = table.locator("thead th").nth(column).locator("button")

    def dice():
        return table.evaluate(
            "(table, column) => [...table.tBodies].map(body => [...body.rows].filter(row => row.className !== 'block')"
            ".map(row => parseFloat(row.cells[column].innerText)))", column,
        )  # fmt: skip

    before = dice()
    assert max(map(len, before)) == 4
    button.focus()
    page.keyboard.press("Enter")
    assert dice() == [sorted(body) for body in before]
    assert button.evaluate("button => button.parentNode.ariaSort") == "ascending"
    page.keyboard.press("Space")
    assert dice() == [sorted(body, reverse=True) for body in before]
    assert button.evaluate("button => button.parentNode.ariaSort") == "descending"
    assert table.locator("th[aria-sort]").count() == 1


@pytest.mark.parametrize("scripts", [True, False])
def test_a_link_opens_its_section(opened, scripts):
    page = opened(java_script_enabled=scripts)
    assert not page.locator("#table-runtime").is_visible()
    page.locator("nav a", has_text="Time and memory").click()
    page.locator("#table-runtime").wait_for(state="visible")
    page = opened(fragment="#provenance", java_script_enabled=scripts)
    page.locator("#provenance").wait_for(state="visible")


def test_every_link_of_the_page_leads_somewhere(opened, path):
    page = opened()
    links = page.locator("a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    for link in links:
        if link.startswith("#"):
            assert page.locator(f"[id='{link[1:]}']").count() == 1, link
        elif not link.startswith(("https://", "tables/mlflow")):
            assert (path.parent / link).exists(), link


def test_pictures_say_what_they_show(opened):
    page = opened()
    alts = page.locator("img").evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) > 20
    assert all(len(alt) > 40 for alt in alts)
    assert any("Dice from" in alt for alt in alts)
    unfold(page)
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=image.element_handle())


@pytest.mark.parametrize("name", ["figures", "pairs", "tuning"])
def test_a_gallery_by_keyboard(opened, name):
    page = opened(fragment=f"#{name}")
    cards = page.locator(f"#{name} .card")
    assert cards.count() > 1
    small = cards.nth(0).locator("img").bounding_box()
    cards.nth(0).locator(".enlarge").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.className === 'close'")
    large = cards.nth(0).locator("img").bounding_box()
    assert large["width"] > 2 * small["width"] or large["height"] > 2 * small["height"]
    assert large["x"] + large["width"] <= 1280
    # Both before the browser tells the page that its address changed, as fast fingers do it.
    page.evaluate(
        "['ArrowRight', 'Escape'].forEach(key => document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })))"
    )
    page.wait_for_function("document.activeElement.className === 'enlarge'")
    assert page.locator(".card:target").count() == 0
    assert page.evaluate("document.activeElement.closest('.card').id") == cards.nth(1).get_attribute("id")


def test_a_picture_is_larger_than_a_phone(opened):
    page = opened(390, "#figure-scores")
    page.wait_for_function("document.activeElement.className === 'close'")
    assert page.locator("#figure-scores img").bounding_box()["width"] > 800
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "it scrolls in its own box"
    assert page.locator("#figure-scores .close").bounding_box()["y"] < 900


def test_a_gallery_without_scripts(opened):
    page = opened(fragment="#figures", java_script_enabled=False)
    page.locator("#figure-scores .enlarge").click()
    assert page.locator("#figure-scores").bounding_box() == {"x": 0, "y": 0, "width": 1280, "height": 900}
    page.locator("#figure-scores .close").click()
    assert page.locator("#figure-scores").bounding_box()["width"] < 640


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(opened, scheme):
    page = opened(color_scheme=scheme)
    unfold(page)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 200
    assert min(found)[0] >= 4.5, min(found)
    backs = page.locator("img").evaluate_all("images => images.map(image => getComputedStyle(image).backgroundColor)")
    assert set(backs) == {"rgb(255, 255, 255)"}, "figures are drawn for white paper"


def test_paper_has_no_folds(opened):
    page = opened()
    page.emulate_media(media="print")
    for name in ("#table-runtime", "#protocol", "#figures"):
        assert page.locator(name).evaluate("part => part.getBoundingClientRect().height") > 0, name
    assert not page.locator("nav").is_visible()
