"""A picture of the prepared charts of a tracked study in MLflow: what the README shows.

    python docs/ui_picture.py results/quick/config.json docs/figures/ui_quick.png [VIEW]

VIEW is a link of `regbench ui` by its name. Needs Chromium and `pip install 'regbench[browser]'`.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.files import read_json
from regbench.tracking.mlflow_ui import opened

WIDTH, HEIGHT = 1500, 1120
PATIENCE = 180_000  # ms
COLOURS = 64  # of the PNG: a page of text and bars needs no more, and the file stays under 300 kB


def picture(study: Study, view: str, path: Path) -> None:
    """Write the picture of one view."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with opened(study, "regbench track", 0) as served, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        # MLflow's assistant opens itself once and covers a third of the page.
        page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        page.goto(served.links[view], timeout=PATIENCE)
        page.locator(".js-plotly-plot, .ag-row, .parcoords").nth(2).wait_for(timeout=PATIENCE)
        page.wait_for_timeout(10_000)  # charts are drawn one after the other
        page.screenshot(path=path)
        browser.close()
    image = Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


if __name__ == "__main__":
    config, out, *view = sys.argv[1:]
    picture(Study(load(read_json(Path(config)))), view[0] if view else "charts", Path(out))
