"""The page of a pair holds what was registered, draws it in a browser, and needs nothing from outside."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
from shown_pairs import shown_pair

from regbench.report.view.pair_page import write_pair_page


def written(tmp_path, shown, name="pair.html"):
    write_pair_page(shown, tmp_path / name, about=["as evaluated"])
    return tmp_path / name


def array(page, name, dtype):
    text = re.search(rf'id="data-{name}">([^<]*)<', page)[1]
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype)


@pytest.mark.parametrize("shape", [(14, 12), (14, 12, 10)])
def test_it_holds_what_was_registered(tmp_path, shape):
    shown = shown_pair(shape, (1.0, 2.0, 0.5)[: len(shape)])
    page = written(tmp_path, shown).read_text()
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', page, re.S)[1])
    field = shown.registered.displacement
    stored = array(page, "displacement", "<i2").reshape(field.shape) * facts["step"]
    np.testing.assert_allclose(stored, field, atol=facts["step"] / 2 * 1.01)
    np.testing.assert_array_equal(array(page, "determinant", np.uint8).reshape(shape) == 0, shown.determinant <= 0)
    low, high = facts["ranges"]["moving"]
    moving = low + array(page, "moving", np.uint8).reshape(shape) / 255 * (high - low)
    np.testing.assert_allclose(moving, shown.registered.pair.moving, atol=(high - low) / 255)
    labels = np.array([0, 7, 200])[array(page, "fixed-labels", np.uint8)].reshape(shape)
    np.testing.assert_array_equal(labels, shown.registered.pair.fixed_labels)
    assert facts["spacing"] == list(shown.spacing_mm)
    assert "as evaluated" in page
    assert "moved(p) = moving(p + u(p))" in page


def test_it_asks_nothing_of_the_network_and_is_the_same_each_time(tmp_path):
    page = written(tmp_path, shown_pair())
    assert page.read_bytes() == written(tmp_path, shown_pair(), "again.html").read_bytes()
    text = page.read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|src=|@import|url\(", text)


def test_names_are_text(tmp_path):
    page = written(tmp_path, shown_pair(fixed="</script><b>", moving="a&b")).read_text()
    assert "&lt;/script&gt;&lt;b&gt;" in page
    assert "</script><b>" not in page


def test_many_labels_and_none(tmp_path):
    shown = shown_pair((30, 30), (1.0, 1.0))
    shown.registered.pair.fixed_labels.flat[:] = np.arange(900) % 250
    shown.registered.pair.moving_labels.flat[:] = 250 + np.arange(900) % 6
    page = written(tmp_path, shown).read_text()
    np.testing.assert_array_equal(array(page, "fixed-labels", "<u2"), np.arange(900) % 250)
    assert "outlines of labels" in page
    assert "outlines of labels" not in written(tmp_path, shown_pair(labelled=False)).read_text()


@pytest.fixture
def opened(browser):
    """Opens a page; an error in it fails the test."""
    page, errors = browser.new_page(viewport={"width": 1300, "height": 1000}), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))

    def go(path):
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]")
        return page

    yield go
    assert not errors


def slide(page, name, value):
    page.evaluate(
        "([name, value]) => { const input = document.getElementById(name); input.value = value;"
        "input.dispatchEvent(new Event('input')); return new Promise(done => requestAnimationFrame(() => "
        "requestAnimationFrame(done))); }",
        [name, value],
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(14, 12), (14, 12, 10)])
def test_a_browser_draws_what_was_registered(tmp_path, opened, shape):
    shown = shown_pair(shape, (1.0, 2.0, 0.5)[: len(shape)])
    page = opened(written(tmp_path, shown))
    pair = shown.registered.pair
    low, high = shown.ranges["moving"]
    for number, view in enumerate(shown.views):
        plane = tuple(shown.centre[k] if k == view.across else slice(None) for k in range(len(shape)))
        ask = f"[...slice(planes[{number}].view, %s).%s]"
        for share, expected in (("1", shown.registered.moved), ("0", pair.moving)):
            drawn = np.array(page.evaluate(ask % (share, "moved"))).reshape(expected[plane].T.shape)
            np.testing.assert_allclose(low + drawn / 255 * (high - low), expected[plane].T, atol=(high - low) / 255)
        labels = np.array([0, 7, 200])[np.array(page.evaluate(ask % ("1", "movedLabels")), int)]
        agree = labels.reshape(shown.registered.moved_labels[plane].T.shape) == shown.registered.moved_labels[plane].T
        assert agree.mean() > 0.995  # a vector that ends between two voxels is rounded in the file
        x = np.array(page.evaluate(ask % ("1", "x"))).reshape(expected[plane].T.shape)
        np.testing.assert_allclose(x, shown.slices(view).lines[0].T, atol=1e-3)


@pytest.mark.slow
def test_sliders_move_what_is_seen(tmp_path, opened):
    shown = shown_pair()
    page = opened(written(tmp_path, shown))
    pixels = "[...document.querySelectorAll('canvas')].map(canvas => canvas.toDataURL())"
    captions, before = page.locator("figcaption"), page.evaluate(pixels)
    assert captions.count() == 6
    assert captions.nth(0).inner_text() == f"axial, z = {shown.centre[2]}: overlay"
    slide(page, "at-z", 1)
    assert captions.nth(0).inner_text() == "axial, z = 1: overlay"
    at = (*shown.centre[:2], 1)
    u = ", ".join(f"{part:.2f}" for part in shown.registered.displacement[(slice(None), *at)])
    assert f"At voxel ({', '.join(map(str, at))}): u = ({u}) voxels" in page.locator("#readout").inner_text()
    after = page.evaluate(pixels)
    assert after[0] != before[0]
    for name, value in (("share", 0), ("mode", "checkerboard"), ("checker", 4), ("mode", "difference"), ("grid", 0)):
        slide(page, name, value)
        now = page.evaluate(pixels)
        assert now != after, name
        after = now
    slide(page, "mode", "moved")
    slide(page, "at-x", 5)
    with_folds = page.evaluate(pixels)
    page.locator("#folds").uncheck()
    page.wait_for_timeout(100)
    assert page.evaluate(pixels) != with_folds
    box = page.locator("canvas").nth(0).bounding_box()
    page.mouse.click(box["x"] + 1, box["y"] + 1)
    page.wait_for_timeout(100)
    assert page.locator("#readout").inner_text().startswith("At voxel (0, 11, 1)")  # the corner: left and top
    page.locator("#play").click()
    for _ in range(100):
        if page.locator("#share").input_value() == "100":
            return
        page.wait_for_timeout(100)
    pytest.fail("the displacement is not played to its end")
