"""The gallery of the site: a section for each published study, from its folder."""

import json
import re
import sys

import pytest
from script_files import script
from tiny_study import ROOT


@pytest.fixture
def gallery(monkeypatch):
    """The module of the site, which a build alone has on its path; Sphinx is no package of the tests."""

    class Generated:
        WRITERS = {}  # noqa: RUF012

    names = ("generated_reference", "sphinx", "sphinx.application")
    of_site = {name: type(sys)(name) for name in names}
    of_site["generated_reference"].Generated = Generated
    of_site["sphinx.application"].Sphinx = object
    for name, module in of_site.items():
        monkeypatch.setitem(sys.modules, name, module)
    return script("docs/generated_gallery.py")


def publish(root, name, headline, seeds=2):
    folder = root / "results/reference" / name
    for part in ("tables", "figures"):
        (folder / part).mkdir(parents=True)
    made_by = {"git_commit": "0123456789", "git_dirty": False}
    provenance = {"headline": headline, "device": ["cpu"], "seeds": list(range(seeds)), "tables_made_by": made_by}
    (folder / "tables/main.provenance.json").write_text(json.dumps(provenance))
    (folder / "config.json").write_text(json.dumps({"description": f"What {name}\nasks."}))
    for file in ("report.html", "tables/main.html", "figures/verdict_grid.svg"):
        (folder / file).touch()


def test_without_a_published_study_quick_is_shown(gallery, tmp_path):
    text = "\n".join(gallery.gallery(tmp_path))
    assert re.findall(r"^## (.*)$", text, re.M) == ["quick"]
    links = re.findall(r"\]\(([^)#]+)", text)
    assert len(links) == 3
    assert all((ROOT / "docs" / link).exists() for link in links)


def test_each_published_study_has_its_picture_its_answer_and_links_to_its_files(gallery, tmp_path):
    publish(tmp_path, "quick", ["lcc is better.", "Nothing else."])
    publish(tmp_path, "hippocampus", ["bending is best."], seeds=1)
    (tmp_path / "results/reference/half").mkdir()  # no study
    text = "\n".join(gallery.gallery(tmp_path))
    assert re.findall(r"^## (.*)$", text, re.M) == ["hippocampus", "quick"]
    _, hippocampus, quick = text.split("## ")
    assert "What hippocampus asks." in hippocampus
    assert "> bending is best." in hippocampus
    assert "> lcc is better.\n>\n> Nothing else.\n" in quick
    assert "cpu; 1 seed; commit 0123456" in hippocampus
    assert "cpu; 2 seeds; commit 0123456" in quick
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", quick)
    links = re.findall(r'href="([^"]+)"', quick)
    assert [link.rpartition("/")[2] for link in links] == ["report.html", "main.html", "config.json"]
    (tmp_path / "docs").mkdir()
    assert all((tmp_path / "docs" / link).is_file() for link in (picture, *links))


def test_the_site_has_the_folders_beside_its_pages(gallery, tmp_path, monkeypatch):
    publish(tmp_path, "quick", ["lcc is better."])
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    app = type("App", (), {"outdir": str(tmp_path / "site")})
    gallery.copy_studies(app, RuntimeError("the build failed"))
    assert not (tmp_path / "site").exists()
    gallery.copy_studies(app, None)
    # From site/docs/gallery.html on, the same links.
    assert (tmp_path / "site/results/reference/quick/report.html").is_file()
