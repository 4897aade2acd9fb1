"""A whole study whose subjects, labels and folders have names that every tool reads as something else than a name."""

import os
import re
import shutil
import string
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import pandas as pd
import pytest
import yaml
from data_files import brain
from markdown_it import MarkdownIt
from tiny_study import ROOT, TINY, run_verbs

from regbench.cli.main import main
from regbench.system.files import read_json
from regbench.system.names import file_name

METHOD = "voxelmorph.mse.grad_l2"
FOLDER = "My Drive/a'b\"c#d%41e;f&g$h`i!j(k)l=m,n@o+p^q*r[s]t ü 😀"
SUBJECTS = [
    "sub-01/ses-1", "../../escaped", "-rf {x} %s $y$ `id`", "<b>ä|ö</b> & \"q\" 'r'", "s" * 200,
    "👩‍👩‍👧 مرحبا \\ *?[a]#~^_",
]  # fmt: skip
LABELS = {1: string.punctuation + " <script>alert(1)</script> $x^2$ **b** {0} \\alpha", 2: "[" + "ü😀" * 100}


class Cells(HTMLParser):
    """Text of every cell, and every tag."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.cells, self.tags, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


@pytest.fixture
def config(tmp_path):
    """Six subjects in a table; their files have ordinary names."""
    data = tmp_path / "data {of} us?"
    (data / "x").mkdir(parents=True)
    rows = []
    for number, (subject, split) in enumerate(zip(SUBJECTS, ["train", "validation", "test"] * 2, strict=True)):
        image, labels = brain(number, (32, 32))
        nib.save(nib.Nifti1Image(image, None), data / "x" / f"{number}.nii.gz")
        nib.save(nib.Nifti1Image(labels, None), data / "x" / f"{number}_labels.nii.gz")
        rows.append((subject, f"x/{number}.nii.gz", f"x/{number}_labels.nii.gz", split))
    pd.DataFrame(rows, columns=["subject", "image", "label", "split"]).to_csv(data / "all.csv", index=False)
    return {
        **TINY,
        "study": "nasty",
        "description": "{run_id} **word** <b>\n" + "long " * 2000,
        "results": str(tmp_path / FOLDER),
        "datasets": [
            {
                "id": "mine",
                "source": "table",
                "parameters": {"path": str(data / "all.csv"), "same_affine": False},
                "preprocessing": {"names": LABELS, "multiple_of": 16},
            }
        ],
        "grid": {"similarities": ["mse"], "regularizers": ["grad_l2"]},
        "tuning": {"trials": 2, "round_size": 2, "steps": 3},
        "seeds": [0],
    }


def check_tables(root):
    """Every form of every table has as many columns as its head in each row, and the names as they are."""
    for path in sorted((root / "tables").glob("*.csv")):
        columns = len(pd.read_csv(path).columns) if path.stat().st_size > 2 else 0
        text = path.with_suffix(".md").read_text() if path.with_suffix(".md").exists() else ""
        lines = [line for line in text.splitlines() if line.startswith("|")]
        widths = {len(re.findall(r"(?<!\\)\|", line.replace(r"\\", ""))) for line in lines}
        assert len(widths) <= 1, path
        assert columns or not lines
    names = set(pd.read_csv(root / "tables/per_structure.csv")["name"])
    assert set(LABELS.values()) <= names
    page = Cells((root / "tables/per_structure.html").read_text())
    assert set(LABELS.values()) <= set(page.cells)
    assert "script" not in page.tags
    table = MarkdownIt("commonmark").enable("table").parse((root / "tables/per_structure.md").read_text())
    shown = {"".join(part.content for part in token.children) for token in table if token.type == "inline"}
    assert set(LABELS.values()) <= shown
    tex = (root / "tables/per_structure.tex").read_text()
    assert tex.count(r"\begin{") == tex.count(r"\end{")


def check_page_and_figures(root):
    page = (root / "report.html").read_text()
    assert "<script>alert" not in page
    assert "<b>ä" not in page
    for path in [*(root / "figures").glob("*.svg")]:
        ElementTree.parse(path)  # well formed
    structures = "".join(ElementTree.parse(root / "figures/structures.svg").getroot().itertext())
    assert LABELS[1][:50] in structures


def check_files_of_pairs(folder, config_file, root, capsys):
    """What is written for other programs stays in its folder, a file a pair, and comes back as the same rows."""
    out = folder / "a" / "b" / "out"
    main(["export-images", str(config_file), str(out)])
    main(["export", str(config_file), "--method", METHOD, "--seed", "0", "--prepared", "--out", str(out / "fields")])
    main(["evaluate-fields", str(config_file), str(out / "fields")])
    files = pd.read_csv(out / "files.csv")
    assert (out / "images" / f"{file_name(SUBJECTS[1])}.nii.gz").exists() or SUBJECTS[1] not in set(files["fixed"])
    for row in files.itertuples():
        assert (out / "images" / f"{row.fixed_file}.nii.gz").is_file()
        assert (out / "fields" / f"{row.displacement_file}.nii.gz").is_file()
    outside = [path for path in (folder / "a").rglob("*") if out not in (path, *path.parents) and path.is_file()]
    assert not outside
    rows = pd.read_parquet(root / "runs/mine" / METHOD / "seed0/pairs.parquet")
    again = pd.read_parquet(out / "fields/pairs.parquet")
    both = rows.merge(again, on=["fixed", "moving"])
    assert len(both) == len(rows) == 2
    assert (both["dice_x"] - both["dice_y"]).abs().max() < 1e-6


def test_a_study_of_nasty_names_verb_by_verb(config, tmp_path, capsys):
    run_verbs(config, tmp_path)
    root = tmp_path / FOLDER / "nasty"
    file = tmp_path / "study.yaml"
    check_tables(root)
    check_page_and_figures(root)
    check_files_of_pairs(tmp_path, file, root, capsys)
    for verb in (["inspect", "--picture", str(tmp_path / "$a$.png")], ["show"], ["status"], ["export-optuna"]):
        main([verb[0], str(file), *verb[1:]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own making
def test_a_study_of_nasty_names_through_snakemake_and_mlflow(config, tmp_path, capsys):
    """With an MLflow database in the odd folder, and a terminal without Unicode."""
    mlflow = pytest.importorskip("mlflow")
    from regbench.study.load import load
    from regbench.study.methods import Study
    from regbench.tracking import tracking_uri

    path = tmp_path / "a study 'of' \"mine\" $x.yaml"
    path.write_text(yaml.safe_dump(config))
    snakemake = shutil.which("snakemake") or str(Path(sys.executable).parent / "snakemake")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"PYTHONIOENCODING": "ascii", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [snakemake, "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--configfile", str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "UnicodeEncodeError" not in done.stdout + done.stderr
    root = tmp_path / FOLDER / "nasty"
    check_tables(root)
    check_page_and_figures(root)
    assert read_json(root / "state/tracked.json")
    study = Study(load(config))
    client = mlflow.MlflowClient(tracking_uri(study))
    (experiment,) = [one for one in client.search_experiments() if one.name == "regbench/nasty"]
    runs = client.search_runs([experiment.experiment_id])
    report = next(run for run in runs if run.data.tags["stage"] == "report")
    assert (
        Path(client.download_artifacts(report.info.run_id, "study/description.md")).read_text() == config["description"]
    )
    assert {place.name for place in tmp_path.iterdir()} <= {
        "My Drive", path.name, "data {of} us?", ".snakemake", "mlruns",
    }  # fmt: skip
