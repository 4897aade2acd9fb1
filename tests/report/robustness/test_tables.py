"""The table of the conventions: what it counts, names and says."""

import pandas as pd

from regbench.report.robustness import tables
from regbench.report.robustness.compare import Judged, Outcome, Place
from regbench.report.robustness.views import LEFT_OUT, OWN, POOLED_SD, SAME

PLACE = Place("brains", "net", "dice")
HD95 = Place("brains", "net", "hd95_mm")
SUMMARY = {"study": "made", "datasets": {"brains": {"spacing_mm": [1.0, 1.0]}}, "equivalence": {}}
NAMES = ("net.a", "net.b", "net.c")


def judged(ab, ac, bc, ranks=(1, 2, 3)):
    keys = (("net.a", "net.b", ab), ("net.a", "net.c", ac), ("net.b", "net.c", bc))
    pairs = [
        {"a": a, "b": b, "verdict": verdict, "difference": 0.0123456, "low": None, "high": 0.5, "reason": ""}
        for a, b, verdict in keys
    ]
    return Judged(pairs, dict(zip(NAMES, (0.3, 0.2, float("nan")), strict=True)), dict(zip(NAMES, ranks, strict=True)))


STUDY = judged("better", "undecided", "equal")


def outcome(words, now=STUDY, group="", note="", place=PLACE):
    return Outcome(place, words, group, STUDY, now, note)


MIXED = outcome("mixed", judged("worse", "better", "undecided", (2, 1, 3)))
TO_WORSE = outcome("to worse", judged("better", "undecided", "worse"))


def test_counts_and_words_of_a_convention():
    frame = tables.table([MIXED, TO_WORSE, outcome("none", note="as it was")])
    counts = ["reversed", "gained", "lost", "equal_or_not", "ranks_moved"]
    assert frame[counts].to_numpy().tolist() == [[1, 1, 1, 0, 2], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
    assert frame["changes"].to_list() == [
        "best b, not a; reversed a > b (now <); gained a > c; lost b = c",
        "no longer b = c (now <)",
        "as it was",
    ]
    all_lost = outcome("lost", judged("undecided", "undecided", "undecided"))
    assert tables.changes(all_lost, most=1) == "lost a > b and 1 more"
    assert tables.changes(all_lost, most=None) == "lost a > b, b = c"


def test_of_labels_left_out_the_one_that_changes_most_stands_for_all():
    group = [outcome("without x", group=LEFT_OUT), MIXED._replace(words="without y", group=LEFT_OUT),
             TO_WORSE._replace(words="without z", group=LEFT_OUT)]  # fmt: skip
    shown = tables.foremost([outcome("before"), *group, outcome("after")])
    assert [one.words for one in shown] == ["before", f"{LEFT_OUT}: 2 of 3 change", "after"]
    assert shown[1].changes == MIXED.changes
    assert shown[1].note == "most without y"
    (none,) = tables.foremost([group[0], group[0]._replace(words="without w")])
    assert (none.words, none.note) == (f"{LEFT_OUT}: 0 of 2 change", "")


def test_conventions_that_give_the_same_numbers_are_one_line_at_the_end_of_their_metric():
    found = [outcome("a", note=SAME), outcome("b"), outcome("c", note=SAME), outcome("d", place=HD95)]
    shown = tables.foremost([*found, outcome("e", note=SAME, place=HD95)])
    assert [one.words for one in shown] == ["b", "2 others", "d", "e"]
    assert shown[1].note == f"{SAME}: a; c"


def test_groups_of_two_metrics_stand_apart():
    found = [outcome("without x", group=LEFT_OUT), outcome("without x", group=LEFT_OUT, place=HD95)]
    assert [one.place.metric for one in tables.foremost(found)] == ["dice", "hd95_mm"]


def test_the_conclusion_counts_conventions_without_the_studys_own():
    found = [outcome(OWN), MIXED, TO_WORSE, outcome("same"), outcome(POOLED_SD)]
    assert tables.conclusion(found) == (
        "1 of 3 conventions reverses a verdict; 1 gains a decision, 1 loses one, and 1 changes the best method."
    )
    assert tables.conclusion([outcome(OWN), outcome("same")]) == (
        "None of 1 conventions reverses a verdict; none gains a decision, none loses one, and none changes the best "
        "method."
    )


def test_the_terminal_keeps_its_width_and_says_what_it_guards_against():
    text = tables.text([outcome(OWN, note="2 of 3 decided"), MIXED, TO_WORSE], SUMMARY)
    assert max(map(len, text.splitlines())) <= tables.WIDTH
    assert "brains, net: 3 methods, 3 comparisons" in text
    line = next(line for line in text.splitlines() if line.lstrip().startswith("mixed"))
    assert line.split()[1:6] == ["1", "1", "1", ".", "2"]
    assert " ".join(text.split()).endswith("report the study's own, and whether the others agree.")


def test_files_have_every_convention_in_csv_and_the_same_bytes_again(tmp_path):
    group = [outcome("without x", group=LEFT_OUT), MIXED._replace(words="without y", group=LEFT_OUT)]
    found = [outcome(OWN), *group, TO_WORSE]
    for folder in ("one", "two"):
        tables.write_robustness(found, SUMMARY, tmp_path / folder)
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {f"robustness.{form}" for form in ("csv", "md", "tex", "html")} | {"verdicts.csv", "scores.csv"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    whole = pd.read_csv(tmp_path / "one/robustness.csv")
    assert whole["convention"].to_list() == [OWN, "without x", "without y", "to worse"]
    verdicts = pd.read_csv(tmp_path / "one/verdicts.csv")
    assert len(verdicts) == 4 * 3
    last = verdicts.iloc[-1]
    assert (last["verdict"], last["own_verdict"], last["difference"]) == ("worse", "equal", 0.0123)
    scores = pd.read_csv(tmp_path / "one/scores.csv")
    assert scores[["rank", "own_rank"]].iloc[6:8].to_numpy().tolist() == [[2, 1], [1, 2]]
    for form in ("md", "tex", "html"):
        text = (tmp_path / f"one/robustness.{form}").read_text()
        assert "one label left out: 1 of 2 change" in text
        assert "guards against" in text
        assert "Equal or not" in text
