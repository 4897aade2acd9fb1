"""A finished study is published; whatever is altered in the folder is found, with its place."""

import json
import re
import shutil

import pytest
from finished_study import OWN_DATA, finished

from regbench.cli.main import main
from regbench.report.published.contents import RECORDS
from regbench.report.published.listing import LIST, files_in
from regbench.report.published.publish import publish
from regbench.report.published.verify import verify
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import file_sha256, read_json, read_sealed, sealed, write_sealed
from regbench.system.parquet import read_table, write_table


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study on data of one's own, and its published folder."""
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        study = finished(folder / "results", patch, dataset=OWN_DATA)
    said = publish(study, folder / "reference")
    return study, folder / "reference" / "tiny", said


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "tiny")


def listed_anew(folder, name):
    """As somebody does who alters a file and knows of the list."""
    content = read_sealed(folder / LIST)
    content["files"][name] = file_sha256(folder / name)
    write_sealed(folder / LIST, content)


def test_what_was_published_is_verified_without_data(made, capsys):
    study, folder, said = made
    assert f"{len(files_in(folder))} files" in said
    assert "no pair is shown" in said
    main(["verify", str(folder)])
    assert "every table, figure and verdict follows" in capsys.readouterr().out
    for name in ("main.csv", "main.md", "main.tex", "main.html", "verdicts.csv", "selection.csv", "runtime.csv"):
        assert (folder / "tables" / name).read_bytes() == (study.layout.tables / name).read_bytes()
    assert not [name for name in files_in(folder) if name.endswith((".png", ".npz", ".pt", ".npy")) or "panels" in name]
    assert "data:image/png" not in (folder / "report.html").read_text()


def test_tables_alone_are_verified_too(made, tmp_path, capsys):
    study, whole, _ = made
    assert "no pair is shown" in publish(study, tmp_path, with_pictures=True, tables_only=True)
    folder = tmp_path / "tiny"
    left_out = [name for name in files_in(whole) if name.startswith("figures/") or name == "report.html"]
    assert left_out
    assert files_in(folder) == [name for name in files_in(whole) if name not in left_out]
    main(["verify", str(folder)])
    assert "every table, figure and verdict follows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["CONFIG", "--with-pictures", "--tables-only"], "--with-pictures and --tables-only exclude each other"),
        (["FOLDER", "--tables-only"], "--tables-only is of a study, but this is a published folder"),
        (["FOLDER", "--with-pictures"], "--with-pictures is of a study, but this is a published folder"),
    ],
)
def test_options_that_contradict_publish_nothing(folder, tmp_path, capsys, words, message):
    places = {"CONFIG": str(tmp_path / "study.yaml"), "FOLDER": str(folder)}
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["publish", *(places.get(word, word) for word in words)])
    assert message in capsys.readouterr().err


def test_no_folder_of_this_machine_is_named(made):
    study, folder, _ = made
    for name in files_in(folder):
        content = (folder / name).read_bytes()
        assert b"somewhere/private" not in content
        assert str(study.layout.root.parent).encode() not in content
    assert read_json(folder / "config.json")["datasets"][0]["parameters"]["path"] == "brains"


def digit(text, pattern):
    """`text` with the digit altered that ends the first match."""
    found = re.search(pattern, text)
    assert found, pattern
    place = found.end() - 1
    return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]


ALTERED = {
    "tables/main.csv": (r"mse\.grad_l2.*?,0\.\d{3}", "row 3, (brains, voxelmorph.mse.grad_l2), lambda: published 0.0"),
    "tables/main.md": (r"mse.*?0\.\d{3}", "main.md, line "),
    "tables/main.tex": (r"mse.*?0\.\d{3}", "main.tex, line "),
    "tables/main.html": (r"0\.\d{3}", "main.html, line "),
    "tables/main.provenance.json": (r'"lam": 0\.\d{3}', "main.provenance.json, runs[0].lam"),
    "tables/runtime.csv": (r"12\.\d", "row 1, (brains, identity), inference_ms_median: published 12."),
    "figures/lambda.csv": (r"0\.\d{3}", "figures/lambda.csv, row 1"),
    "figures/verdict_grid.svg": (r"M \d+\.\d", "figures/verdict_grid.svg, line "),
    "report.html": (r"0\.\d{3}", "report.html, line "),
}  # fmt: skip


@pytest.mark.parametrize("with_list", [False, True], ids=["alone", "list_too"])
def test_an_altered_digit_in_what_is_derived_is_told_with_its_place(folder, with_list):
    """All in one folder: what follows from the rows does not depend on them."""
    for name, (pattern, _) in ALTERED.items():
        (folder / name).write_text(digit((folder / name).read_text(), pattern))
        if with_list:
            listed_anew(folder, name)
    found = verify(folder).differences
    for name, (_, place) in ALTERED.items():
        (line,) = [one for one in found if one.startswith(name)]
        assert place in line
    assert len(found) == len(ALTERED)


@pytest.mark.parametrize("name", ["config.json", "data/brains/manifest.json", RECORDS, "analysis/rows.parquet", LIST])
def test_an_altered_digit_in_what_is_given_is_found(folder, name):
    path = folder / name
    content = bytearray(path.read_bytes())
    at = content.rindex(b"1", 0, len(content) * 2 // 3)
    content[at] = ord("2")
    path.write_bytes(content)
    if name == LIST:
        with pytest.raises(RegbenchError, match=r"published\.json.*altered"):
            verify(folder)
        return
    found = verify(folder).differences
    assert any(one.startswith(f"{name}, SHA-256") for one in found)
    assert any(one.startswith("nothing can be derived") and path.name in one for one in found)


def test_altered_trials_and_rows_with_new_seals_do_not_give_the_tables(folder):
    """Who seals them anew, and lists them anew, finds that choices and tables follow no more."""
    lines = (folder / RECORDS).read_text().splitlines()
    place = next(k for k, line in enumerate(lines) if "/trials" in line)
    record = json.loads(lines[place])
    trials = [{key: value for key, value in trial.items() if key != "content_sha256"} for trial in record["content"]]
    trials[0]["scores"]["dice"] += 0.3
    record["content"] = sealed(trials)
    lines[place] = json.dumps(record, sort_keys=True, separators=(",", ":"))
    (folder / RECORDS).write_text("\n".join(lines) + "\n")
    rows = read_table(folder / "analysis/rows.parquet")
    rows.loc[rows["method"] == "voxelmorph.mse.grad_l2", "dice"] += 0.01
    write_table(folder / "analysis/rows.parquet", rows)
    for name in (RECORDS, "analysis/rows.parquet"):
        listed_anew(folder, name)
    found = verify(folder).differences
    assert any("selected.json" in one for one in found)
    assert any("main.csv, row 3, (brains, voxelmorph.mse.grad_l2), dice_mean" in one for one in found)


def test_files_too_many_and_too_few_are_found(folder, capsys):
    (folder / "tables" / "more.csv").write_text("1\n")
    (folder / "figures" / "scores.csv").unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["verify", str(folder)])
    assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "tables/more.csv: published a file that the list does not have" in said
    assert "figures/scores.csv: published no file" in said
    assert "2 differences" in said


@pytest.mark.slow
def test_a_folder_gets_the_words_of_newer_code(folder, made, capsys):
    table, rows = folder / "tables" / "main.md", (folder / "analysis/rows.parquet").read_bytes()
    table.write_text("Older words.\n" + table.read_text())
    with pytest.raises(SystemExit):
        main(["publish", str(folder)])
    assert "must be as it was published, but is not: tables/main.md" in capsys.readouterr().err
    listed_anew(folder, "tables/main.md")
    main(["publish", str(folder)])
    assert f"  tables/main.md\n{folder}: 1 files changed" in capsys.readouterr().out
    assert table.read_bytes() == (made[1] / "tables" / "main.md").read_bytes()
    assert (folder / "analysis/rows.parquet").read_bytes() == rows
    assert verify(folder).differences == []


@pytest.mark.slow
def test_pairs_are_shown_where_they_may_be_and_own_code_goes_along(tmp_path, monkeypatch):
    code = tmp_path / "losses.py"
    code.write_text("raise ImportError('nobody runs it')\n")
    grid = {"similarities": ["mse", {"id": "mine", "name": f"{code}:mine"}], "regularizers": ["grad_l2"]}
    study = finished(tmp_path / "results", monkeypatch, grid=grid)
    assert "pairs of brains are shown" in publish(study, tmp_path / "reference")
    folder = tmp_path / "reference" / "tiny"
    assert any(name.endswith("panels.npz") for name in files_in(folder))
    assert 'id="pairs"' in (folder / "report.html").read_text()
    assert (folder / "code" / "losses.py").read_text() == code.read_text()
    code.unlink()
    assert verify(folder).differences == []


def test_a_study_is_published_once_and_whole(made, tmp_path):
    study, folder, _ = made
    with pytest.raises(UsageError, match="must not be there"):
        publish(study, folder.parent)
    record = study.layout.run_record("brains", "voxelmorph.lcc.grad_l2", 1)
    try:
        record.rename(record.with_suffix(".away"))
        with pytest.raises(RegbenchError, match=r"run\.json"):
            publish(study, tmp_path)
    finally:
        record.with_suffix(".away").rename(record)
    assert not [*tmp_path.iterdir()]
