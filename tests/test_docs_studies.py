"""The site's table of published studies."""

import json

from script_files import script


def table(reference):
    return list(script("docs/reference_table.py").reference_table(reference))


def cell(similarity, rank, mean):
    return {
        "dataset": "brains", "model": "net", "similarity": similarity, "regularizer": "grad_l2", "rank": rank,
        "runs": [{}, {}], "pairs": 30, "metrics": {"dice": {"mean": mean}},
    }  # fmt: skip


def published(reference, name):
    folder = reference / name
    (folder / "analysis").mkdir(parents=True)
    verdicts = {"pairs": [{"verdict": "better"}, {"verdict": "undecided"}, {"verdict": "equal"}]}
    identity = {**cell(None, None, 0.5), "model": None}
    summary = {
        "study": name, "goals": {"brains": {"leading": "dice"}},
        "methods": [identity, cell("mse", 2, 0.6), cell("lcc", 1, 0.71234)],
        "verdicts": {"brains": {"net": {"dice": verdicts}}},
    }  # fmt: skip
    (folder / "analysis" / "summary.json").write_text(json.dumps(summary))
    (folder / "published.json").write_text(json.dumps({"made_by": {"regbench": "0.1.0", "git_commit": "0123456789"}}))
    files = ["runs/brains/net.mse.grad_l2/seed0/run.json", "curves/brains/net.mse.grad_l2/seed0/point1/run.json"]
    lines = [json.dumps({"file": name, "content": {"seconds": 1800.0}}) for name in files]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")


def test_a_row_a_study_dataset_and_model(tmp_path):
    published(tmp_path, "b")
    published(tmp_path, "a")
    (tmp_path / "no_study").mkdir()
    head, rule, *rows = table(tmp_path)
    assert head.count("|") == rule.count("|")
    assert rows == [
        f"| [{name}](../results/reference/{name}/report.html) | `brains` | `net` | 2 | 2 | 30 | `lcc` x `grad_l2` "
        "| `dice` | 0.7123 | 2 of 3 | 0.50 | 0.1.0 01234567 |"
        for name in ("a", "b")
    ]


def test_without_a_study_it_says_so(tmp_path):
    assert table(tmp_path / "nothing") == ["No study is published in `results/reference/` yet."]
