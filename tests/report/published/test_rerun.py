"""Training again tells what digests cannot: whether the rows were measured."""

import subprocess

import pytest
from tiny_study import TINY, run_verbs, verbs

from regbench.cli.main import main
from regbench.report.analyze import analyze
from regbench.report.published import rerun as training
from regbench.report.published.agreement import agreement
from regbench.report.published.listing import write_list
from regbench.report.published.publish import publish
from regbench.report.published.rerun import Repeated, rerun, text
from regbench.report.published.verify import verify
from regbench.report.write import Published, report
from regbench.study.config_paths import read_config
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system import provenance
from regbench.system.errors import RegbenchError, UsageError
from regbench.system.files import read_json, write_sealed
from regbench.system.parquet import read_table, write_table

DATA = {"path": "brains"}


def in_this_process(config, work, cores):
    for words in verbs(read_config(config), config):
        main(words)


@pytest.mark.slow  # two real trainings of a tiny study
def test_the_same_bytes_come_again_and_made_up_rows_do_not(tmp_path, monkeypatch):
    raw = {**TINY, "results": str(tmp_path / "results")}
    run_verbs(raw, tmp_path)
    study = Study(load(raw))
    publish(study, tmp_path / "reference", tables_only=True)
    folder, work = tmp_path / "reference" / "tiny", tmp_path / "work"
    monkeypatch.setattr(training, "_run", in_this_process)
    repeated = rerun(folder, work)
    assert repeated.differences == []
    assert not repeated.failed
    assert "the same to the byte" in text(repeated)

    path = study.layout.pairs("brains", "voxelmorph.mse.grad_l2", 1)
    rows = read_table(path)
    attributes = rows.attrs
    rows["dice"] += 0.05
    rows.attrs = attributes
    write_table(path, rows)
    analyze(study)
    report(study)
    publish(study, tmp_path / "reference", overwrite=True)
    assert verify(folder).differences == []  # it agrees with itself
    monkeypatch.setattr(training, "_run", lambda *_: None)  # all is there
    repeated = rerun(folder, work)
    assert repeated.failed
    assert repeated.promised
    assert any(
        one.startswith("analysis/rows.parquet (again), row") and "(brains, voxelmorph.mse.grad_l2, 1" in one
        for one in repeated.differences
    )
    assert any(one.startswith("tables/main.csv (again), row 3") for one in repeated.differences)


def test_data_must_be_named(tmp_path, monkeypatch):
    folder = tmp_path / "tiny"
    published = Study(load({**TINY, "datasets": [{**TINY["datasets"][0], "source": "folder", "parameters": DATA}]}))
    write_sealed(folder / "config.json", published.config.model_dump(mode="json"))
    write_list(folder, "tiny", Published(provenance.code(), frozenset()))
    with pytest.raises(UsageError, match=r"--data must name the folder .*: brains\."):
        rerun(folder, tmp_path / "work")
    seen = []
    monkeypatch.setattr(subprocess, "run", lambda words, **_: seen.append(words) or subprocess.CompletedProcess([], 7))
    with pytest.raises(RegbenchError, match=r"status 7.*goes on from there"):
        rerun(folder, tmp_path / "work", data=tmp_path / "mine", cores=3)
    config = tmp_path / "work" / "tiny.json"
    assert read_json(config)["datasets"][0]["parameters"]["path"] == str(tmp_path / "mine" / "brains")
    assert f"--configfile={config}" in seen[0]
    assert seen[0][seen[0].index("--cores") + 1] == "3"


def judged(difference, low, high, verdict):
    entry = {"a": "x", "b": "y", "verdict": verdict, "difference": difference, "low": low, "high": high}
    return {"verdicts": {"brains": {"net": {"dice": {"pairs": [entry]}}}}}


@pytest.mark.parametrize(
    ("difference", "verdict", "outside", "contradicted"),
    [(0.02, "better", 0, 0), (0.02, "undecided", 0, 0), (0.05, "better", 1, 0), (-0.02, "worse", 1, 1)],
)
def test_differences_lie_in_the_published_intervals_or_are_told(difference, verdict, outside, contradicted):
    published, again = judged(0.02, 0.01, 0.03, "better"), judged(difference, 0.0, 0.0, verdict)
    found = agreement(published, again)
    assert (found.compared, len(found.outside), len(found.contradicted)) == (1, outside, contradicted)
    assert agreement(published, {"verdicts": {}}).compared == 0


def test_other_bytes_fail_where_they_were_promised_and_pass_inside_the_intervals(tmp_path):
    inside = agreement(judged(0.02, 0.01, 0.03, "better"), judged(0.021, 0.0, 0.0, "better"))
    outside = agreement(judged(0.02, 0.01, 0.03, "better"), judged(0.05, 0.0, 0.0, "better"))
    none = agreement({"verdicts": {}}, {"verdicts": {}})
    for promised, found, failed in (
        (True, inside, True),
        (False, inside, False),
        (False, outside, True),
        (False, none, True),
    ):
        repeated = Repeated(tmp_path, ["a difference"], promised, found, [])
        assert repeated.failed is failed
        assert ("were promised" in text(repeated)) is promised
    assert not Repeated(tmp_path, [], True, none, []).failed
