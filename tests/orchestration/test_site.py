"""What jobs ask for: one declaration for the rules and for the profile of a cluster; the site file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import ROOT, TINY

from regbench.orchestration import jobs, site
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError


def site_file(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def value(text: str, attempt: int = 1, dataset: str = "small"):
    wildcards = type("Wildcards", (), {"dataset": dataset})
    return eval(text, {"attempt": attempt, "wildcards": wildcards})  # as Snakemake does


def test_the_given_site_asks_for_nothing_in_particular():
    found = site.resources(ROOT / "workflow/profiles/slurm/site.yaml")
    assert set(found) == {*site.FIRST, *site.ALIKE}
    assert found["train"] == {"mem_mb": "8000 * attempt", "runtime": "1440 * attempt"}
    assert value(found["runtime"]["slurm_extra"]) == "--exclusive"
    assert "slurm_extra" not in found["evaluate"]


def test_the_nearest_site_file_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGBENCH_SITE", raising=False)
    assert site.site_file() == ROOT / "workflow/profiles/slurm/site.yaml"
    here = site_file(tmp_path, "cpu: {partition: here}")
    assert site.site_file() == Path(here.name)
    monkeypatch.setenv("REGBENCH_SITE", "/of/the/cluster.yaml")
    assert site.site_file() == Path("/of/the/cluster.yaml")


def test_every_rule_of_the_workflow_has_its_size_from_here():
    """One place says it: a rule names its own entry, and no number stands beside it."""
    names = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        text = path.read_text()
        assert not re.search(r"(mem_mb|runtime|gpu)=\d", text), path
        for rule, block in re.findall(
            r"^ *(?:use rule \w+ as|rule|checkpoint) (\w+)[^\n]*:\n(.*?)(?=^ *(?:use )?rule |^\S|\Z)", text, re.M | re.S
        ):
            names.add(rule)
            if rule != "evaluate_identity":  # another output of the rule whose resources it has
                assert f'**needs("{rule}")' in block, rule
    assert names == {*site.FIRST, *site.ALIKE}


@pytest.mark.parametrize(
    ("device", "changes"),
    [
        ("auto", {"one_job_per": "cell"}),
        ("cpu", {"models": [*TINY["models"], "instance"]}),
        pytest.param("auto", {"models": [*TINY["models"], "instance"]}, marks=pytest.mark.slow),
        pytest.param("cpu", {"one_job_per": "cell"}, marks=pytest.mark.slow),
    ],
)
def test_rules_and_profile_ask_for_the_same(tmp_path, device, changes):
    """What Snakemake plans for a first attempt here is what the profile of a cluster gives for it."""
    planned = dry_run(tmp_path, {**TINY, **changes, "training": {**TINY["training"], "device": device}})
    profile = site.resources(ROOT / "workflow/profiles/slurm/site.yaml")
    assert {"prepare", "evaluate_identity", "runtime", "analyze", "report", "track"} < set(planned) <= set(profile)
    assert profile["evaluate_identity"] == profile["evaluate"]
    assert planned.keys() >= ({"cell"} if "one_job_per" in changes else {"trial", "cell_untrained"})
    for rule, resources in planned.items():
        assert {name: resources[name] for name in ("mem_mb", "runtime")} == {
            name: value(profile[rule][name]) for name in ("mem_mb", "runtime")
        }, rule
        assert resources.get("gpu") == ((device != "cpu") if site.ALIKE.get(rule, rule) in site.ON_GPU else None), rule


def dry_run(folder: Path, raw) -> dict[str, dict[str, int]]:
    """The resources of each rule, as Snakemake sees them."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**raw, "results": "results"}))
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(ROOT / "Snakefile"), "-n"]
    done = subprocess.run(
        [*command, "--configfile", str(path)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    blocks = re.findall(r"^rule (\w+):\n((?:    .*\n)+)", done.stdout + done.stderr, re.M)
    return {
        rule: {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)\b", block.partition("resources: ")[2])}
        for rule, block in blocks
        if rule != "all"
    }


def test_every_job_is_of_a_rule_with_a_size(tiny):
    for changes in ({}, {"models": ["instance"]}, {"one_job_per": "cell"}):
        assert {job.rule for job in jobs.of_study(Study(load({**tiny, **changes})))} <= set(site.FIRST)
    assert set(site.ON_GPU) < set(site.FIRST)
    assert set(jobs.WHOLE_CELL) < set(site.FIRST)


def test_partitions_sizes_and_gpus_by_rule_and_dataset(tmp_path):
    found = site.resources(
        site_file(
            tmp_path,
            "cpu: {partition: thin, account: lab}\n"
            "gpu: {partition: fat, qos: long, constraint: 'a100|h100', extra: --mail-user=me}\n"
            "rules: {train: {runtime: 100}, runtime: {gpu: 4}}\n"
            "datasets: {big: {mem_mb: 64000, gpu_model: a100}, flat: {gpu: 0}}\n",
        )
    )
    assert value(found["select"]["slurm_partition"]) == "thin"
    assert value(found["train"]["slurm_partition"]) == "fat"
    assert value(found["train"]["constraint"]) == "a100|h100"
    assert value(found["runtime"]["slurm_extra"]) == "--mail-user=me --exclusive"
    assert value(found["train"]["runtime"], attempt=3) == 300
    assert [value(found["train"]["mem_mb"], 2, name) for name in ("big", "small")] == [128000, 16000]
    assert [value(found["trial"]["gpu"], 1, name) for name in ("big", "flat")] == [1, 0]
    assert [value(found["trial"]["gpu_model"], 1, name) for name in ("big", "flat")] == ["a100", ""]
    assert [value(found["runtime"]["gpu"], 1, name) for name in ("big", "flat")] == [4, 0]
    assert "gpu" not in found["prepare"]
    assert "wildcards" not in "".join(found["analyze"].values()), "it has no dataset"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpus: {}", "gpus"),
        ("gpu: {queue: a}\nrules: {train: {mem_mb: 0}}", "gpu.queue.*rules.train.mem_mb"),
        ("rules: {training: {}}", "rules.training: no such rule; did you mean `train`"),
        ("rules: {evaluat: {}, train: {mem_mb: 0}}\ngpu: {queue: a}", "rules.evaluat.*gpu.queue.*rules.train.mem_mb"),
        ("datasets: {a: {gpu_model: 'a100:1'}}", "datasets.a.gpu_model"),
    ],
)
def test_mistakes_of_a_site_are_named(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        site.read_site(site_file(tmp_path, text))
