"""The site's table of published studies."""

import json

from script_files import script


def table(reference):
    return list(script("docs/reference_table.py").reference_table(reference))


MAIN = """dataset,method,model,similarity,regularizer,seeds,pairs,dice_mean,dice_sd,ndv_percent_mean,rank
brains,identity,identity,,,1,30,0.5,0.1,0,
brains,net.mse.grad_l2,net,mse,grad_l2,2,30,0.6,0.1,0,2
brains,net.lcc.grad_l2,net,lcc,grad_l2,2,30,0.712,0.1,0,1
"""
VERDICTS = """dataset,model,metric,family,a,verdict,b
brains,net,dice,pairs,a,better,b
brains,net,dice,pairs,a,undecided,c
brains,net,dice,pairs,b,equal,c
brains,net,dice,similarity,a,better,b
brains,net,ndv_percent,pairs,a,better,b
brains,other,dice,pairs,a,better,b
"""


def published(reference, name):
    folder = reference / name
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "main.csv").write_text(MAIN)
    (folder / "tables" / "verdicts.csv").write_text(VERDICTS)
    (folder / "published.json").write_text(
        json.dumps({"study": name, "made_by": {"regbench": "0.1.0", "git_commit": "0123456789"}})
    )
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
        "| `dice` | 0.712 | 2 of 3 | 0.50 | 0.1.0 01234567 |"
        for name in ("a", "b")
    ]


def test_without_a_study_it_says_so(tmp_path):
    assert table(tmp_path / "nothing") == ["No study is published in `results/reference/` yet."]
