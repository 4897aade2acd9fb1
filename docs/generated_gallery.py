"""The gallery of the site: a section for each published study, made from its folder at each build.

A published study is a folder `results/reference/<study>/`. The site has a copy of it, so that its page and tables open
there.
"""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from generated_reference import Generated
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PUBLISHED = Path("results") / "reference"
PICTURES = ("verdict_grid.svg", "verdict_grid.png")
QUICK = """## quick

Embedded 2D brains, two models, twelve cells each: [what it answers](outputs.md#what-quick-answers).

![quick: similarity by regularizer, Dice with verdicts and folding](figures/quick_grid.png)

[Config](../configs/quick.yaml) · run it with `regbench quick`
"""


def studies(root: Path) -> list[Path]:
    """The folders of published studies, by name."""
    return sorted(path.parents[1] for path in (root / PUBLISHED).glob("*/tables/main.provenance.json"))


def gallery(root: Path) -> Iterator[str]:
    """Markdown of the page `docs/gallery.md`: each published study, and `quick` where it is not published.

    Args:
        root: the repository.
    """
    folders = studies(root)
    if "quick" not in {folder.name for folder in folders}:
        yield QUICK
    for folder in folders:
        yield from section(folder)


def section(folder: Path) -> Iterator[str]:
    """Picture, answer and links of one study."""
    provenance: dict[str, Any] = json.loads((folder / "tables" / "main.provenance.json").read_text(encoding="utf-8"))
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    place = f"../{PUBLISHED.as_posix()}/{folder.name}"
    yield f"## {folder.name}"
    yield ""
    if config.get("description"):
        yield " ".join(config["description"].split())
        yield ""
    picture = next((name for name in PICTURES if (folder / "figures" / name).is_file()), None)
    if picture:
        yield f"![{folder.name}: similarity by regularizer with verdicts]({place}/figures/{picture})"
        yield ""
    for paragraph in provenance["headline"]:
        yield f"> {paragraph}"
        yield ">"
    yield ""
    files = {
        "Page": "report.html",
        "main table": "tables/main.html",
        "verdicts": "tables/verdicts.html",
        "config": "config.json",
    }
    # Links of the site alone: what they lead to is copied beside it.
    links = [f'<a href="{place}/{name}">{words}</a>' for words, name in files.items() if (folder / name).is_file()]
    commit = (provenance["tables_made_by"]["git_commit"] or "unknown")[:7]
    seeds = f"{len(provenance['seeds'])} seed{'s' if len(provenance['seeds']) > 1 else ''}"
    yield " · ".join([*links, f"{', '.join(provenance['device'])}; {seeds}; commit {commit}"])
    yield ""


def copy_studies(app: Sphinx, error: Exception | None) -> None:
    """Lay the published folders beside the pages."""
    if error is None:
        for folder in studies(ROOT):
            shutil.copytree(folder, Path(app.outdir) / PUBLISHED / folder.name, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    Generated.WRITERS["gallery"] = partial(gallery, ROOT)
    app.connect("build-finished", copy_studies)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
