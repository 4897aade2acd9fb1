"""A study promises what it compares before its results, and its report tells whether it kept to that."""

import copy
import hashlib
import json

import pytest
import yaml

from regbench.cli.main import main
from regbench.report.page.certainty import how_sure
from regbench.report.tables.main_caption import protocol
from regbench.statistics import verdicts
from regbench.study.frozen import ALPHA, freeze, kept, not_kept, promised, registrations, sentences
from regbench.study.job_specs import study_spec
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError


def test_all_that_may_change_a_number_is_promised(tiny):
    study = Study(load(tiny))
    said = promised(study)
    assert said["alpha"] == ALPHA == verdicts.ALPHA
    assert set(said) == {"alpha", *study.protocol} - {"description"}
    assert {"datasets", "grid", "models", "lambdas", "tuning", "training", "seeds", "equivalence", "evaluation"} < set(
        said
    )


def test_a_study_that_keeps_to_its_promise(tiny):
    study = Study(load(tiny))
    assert kept(study) is None
    registration = freeze(study)
    assert (registration["evaluated"], registration["runs"]) == (0, len(list(study.runs())))
    text = json.dumps(registration["promised"], sort_keys=True, separators=(",", ":"))
    assert registration["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    before = study.layout.frozen.read_bytes()
    again = Study(load({**tiny, "description": "in other words", "one_job_per": "cell"}))
    assert freeze(again) == registration
    assert study.layout.frozen.read_bytes() == before, "frozen once"
    state = kept(again)
    assert not state["changed"]
    assert not list(not_kept(state))
    assert " ".join(sentences(state)) == (
        f"Pre-registered at {state['frozen_at']}, before any run was evaluated (SHA-256 {state['sha256']}). "
        "The study kept to it."
    )


CHANGES = {
    "seeds": ([0, 1, 2], "`seeds` was [0, 1] and is [0, 1, 2]"),
    "equivalence": ({"dice": 0.05}, "`equivalence.dice` was not given and is 0.05"),
    "lambdas": ([{"value": 0.5}], "`lambdas` was"),
}


@pytest.mark.parametrize("key", CHANGES)
def test_what_changed_is_named_and_needs_a_reason(tiny, key):
    value, words = CHANGES[key]
    freeze(Study(load({**tiny, "equivalence": {}})))
    changed = Study(load({**tiny, "equivalence": {}, key: value}))
    with pytest.raises(RegbenchError, match="must keep to what was frozen at"):
        freeze(changed)
    with pytest.raises(RegbenchError, match="must keep to what was frozen at"):
        freeze(changed, "  ")
    assert any(clause.startswith(words) for clause in kept(changed)["changed"])
    assert words in " ".join(not_kept(kept(changed)))
    freeze(changed, "a reviewer asked")
    state = kept(changed)
    assert any(clause.startswith(words) for clause in state["changed"]), "the first promise still counts"
    assert len(state["amended"]) == 1
    assert state["amended"][0].endswith(": a reviewer asked")
    assert len(registrations(changed)) == 2


def test_a_parameter_of_one_loss_is_named_by_its_id(tiny):
    freeze(Study(load(tiny)))
    changed = copy.deepcopy(tiny)
    changed["grid"]["similarities"] = [{"name": "lcc", "parameters": {"window": 5}}, "mse"]
    assert kept(Study(load(changed)))["changed"] == ["`grid.similarities.lcc.parameters.window` was not given and is 5"]


def test_another_order_of_the_same_methods_is_the_same_promise(tiny):
    registration = freeze(Study(load(tiny)))
    turned = {**tiny["grid"], "similarities": tiny["grid"]["similarities"][::-1]}
    study = Study(load({**tiny, "grid": turned}))
    assert freeze(study) == registration
    assert not kept(study)["changed"]


def test_a_promise_after_results_is_told(tiny):
    study = Study(load(tiny))
    rows = study.layout.pairs(*next(study.runs()))
    rows.parent.mkdir(parents=True)
    rows.touch()
    freeze(study)
    assert "when 1 of" in " ".join(sentences(kept(study)))
    assert "may know results" in " ".join(not_kept(kept(study)))


def test_the_analysis_depends_on_it_and_an_altered_file_is_refused(tiny):
    study = Study(load(tiny))
    before = study_spec(study, "report.analyze")
    report = study_spec(study, "report.write")
    freeze(study)
    assert study_spec(study, "report.analyze") != before
    assert study_spec(study, "report.write") == report
    path = study.layout.frozen
    path.write_text(path.read_text().replace('"evaluated": 0', '"evaluated": 3'))
    with pytest.raises(RegbenchError, match=r"frozen\.json"):
        kept(study)


def test_the_verb_prints_the_number(tiny, tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    main(["freeze", str(path)])
    number = capsys.readouterr().out.split()[0]
    (registration,) = json.loads(Study(load(tiny)).layout.frozen.read_text())["registrations"]
    assert number == registration["sha256"]
    path.write_text(yaml.safe_dump({**tiny, "seeds": [0, 1, 2]}))
    with pytest.raises(SystemExit) as ended:
        main(["freeze", str(path)])
    assert ended.value.code == 1
    assert "give `--again REASON`" in capsys.readouterr().err
    main(["freeze", str(path), "--again", "more seeds"])
    assert capsys.readouterr().out.split()[0] != number


def test_caption_and_page_tell(tiny):
    study = Study(load(tiny))
    freeze(study)
    summary = {
        "study": "tiny", "seeds": [0], "datasets": {}, "goals": {}, "limited": False, "steps": 3, "methods": [],
    }  # fmt: skip
    assert "Pre-registered" not in protocol(summary) + str(how_sure(summary))
    summary["frozen"] = kept(study)
    assert "before any run was evaluated" in protocol(summary)
    assert dict(how_sure(summary))["Pre-registered"].endswith("UTC, kept")
    summary["frozen"] = kept(Study(load({**tiny, "seeds": [0, 1, 2]})))
    assert "Changed since: `seeds` was" in protocol(summary)
    assert dict(how_sure(summary))["Pre-registered"].endswith("1 key changed since")
