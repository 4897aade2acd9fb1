"""The headline says what the verdicts say, in short sentences, and nothing else."""

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_verdicts import compared, family, summarised, verdicts

from regbench.report.headline import headline
from regbench.report.verdict_clauses import Relations, clauses

THREE = ("m.lcc.a", "m.gcc.a", "m.mse.a")


def said(found, more=()):
    (text,) = headline(summarised({"d": {"m": {"dice": found}}}, more))
    return text


def test_the_example_of_the_issue():
    regularizers = family(
        ["grad_l2", "grad_l1", "bending", "displacement_l1"],
        {
            "grad_l2 grad_l1": "equal", "grad_l2 bending": "equal", "grad_l1 bending": "equal",
            "grad_l1 displacement_l1": "undecided", "bending displacement_l1": "undecided",
        },
    )  # fmt: skip
    cells = family(["m.lcc.grad_l2", "m.lcc.bending", "m.mse.grad_l2"], {"m.lcc.grad_l2 m.lcc.bending": "equal"})
    made = verdicts(
        cells, similarity=family(["lcc", "gcc", "mse"], {"gcc mse": "undecided"}), regularizer=regularizers,
        scope="fixed",
    )  # fmt: skip
    assert said(made) == (
        "With `m`, lcc is better than gcc and mse; nothing is decided between gcc and mse "
        "(8 seeds, or 6 seeds and 60 pairs would); grad_l2, grad_l1 and bending are equal within 0.005; "
        "displacement_l1 is worse than grad_l2; displacement_l1 against grad_l1 and bending is undecided. "
        "lcc x grad_l2 has the best mean of 3 cells: better than mse x grad_l2, equal to lcc x bending within 0.005. "
        "This holds at these lambdas."
    )


@pytest.mark.parametrize(
    ("levels", "relations", "expected"),
    [
        ("a b", {}, ["a is better than b"]),
        ("a b", {"a b": "equal"}, ["a and b are equal within 0.005"]),
        ("a b", {"a b": "undecided"}, ["nothing is decided between a and b (8 seeds, or 6 seeds and 60 pairs would)"]),
        ("a b c", {}, ["a is better than b, and both are better than c"]),
        ("a b c d e f", {f"{a} {b}": "equal" for a, b in combinations("bcdef", 2)},
         ["a is better than all other levels", "b, c, d, e and f are equal within 0.005"]),
        ("a b c d", {}, ["in the order a > b > c > d each is better than all to its right"]),
        (
            "a b c d e",
            {"b c": "equal"},
            ["in the order a > {b, c} > d > e each is better than all to its right", "b and c are equal within 0.005"],
        ),
        (
            "a b c",  # equal is not transitive
            {"a b": "equal", "b c": "equal"},
            ["a and b are equal within 0.005", "b and c are equal within 0.005", "c is worse than a"],
        ),
        (
            "a b c",
            {"a b": "undecided", "b c": "undecided"},
            ["a is better than c", "b against a and c is undecided"],
        ),
        (
            "a b c d",  # two parts, each with its own relation
            {"a b": "equal", "c d": "undecided"},
            ["a and b are better than c and d", "a and b are equal within 0.005",
             "nothing is decided between c and d (8 seeds, or 6 seeds and 60 pairs would)"],
        ),
        ("a b c", {"a b": "undecided", "a c": "undecided", "b c": "undecided"},
         ["nothing is decided between a, b and c"]),
    ],
)  # fmt: skip
def test_clauses(levels, relations, expected):
    assert clauses(Relations(family(levels.split(), relations)), 0.005, "levels") == expected


def test_a_smaller_distance_is_better():
    lower = [compared("a", "b", "better", -1.0), compared("a", "c", "better", -2.0), compared("b", "c", "better", -1.0)]
    assert Relations(lower, "lower").levels == ["a", "b", "c"]
    assert clauses(Relations(lower, "lower"), None, "levels") == ["a is better than b, and both are better than c"]


def test_all_undecided_claims_nothing():
    cells = family(THREE, {f"{a} {b}": "undecided" for a, b in combinations(THREE, 2)})
    made = verdicts(cells, identity=dict.fromkeys(THREE, "undecided"), scope="networks", region=None)
    text = said(made)
    assert text == (
        "With `m`, lcc x a has the best mean, but against the other 2 cells nothing is decided. 3 of 3 cells are "
        "undecided against no registration. One training each: nothing is claimed about trainings."
    )


def test_one_cell_stands_against_no_registration():
    for verdict, words in (
        ("better", "With `m`, lcc x a is better than no registration. This holds at these lambdas."),
        ("worse", "With `m`, lcc x a is worse than no registration. This holds at these lambdas."),
        ("equal", "With `m`, lcc x a and no registration are equal within 0.005. This holds at these lambdas."),
        ("undecided", "With `m`, nothing is decided between lcc x a and no registration "
         "(8 seeds, or 6 seeds and 60 pairs would)."),
    ):  # fmt: skip
        assert said(verdicts(identity={"m.lcc.a": verdict})) == words


def test_one_similarity_is_not_said_twice():
    cells = family(["m.lcc.a", "m.lcc.b"], {})
    made = verdicts(cells, regularizer=family(["a", "b"], {}))
    assert said(made) == "With `m`, a is better than b. This holds at these lambdas."
    assert (
        said(verdicts(cells)) == "With `m`, lcc x a is the best cell, better than lcc x b. This holds at these lambdas."
    )


def test_several_datasets_and_models_have_a_paragraph_each():
    made = {"dice": verdicts(family(["m.lcc.a", "m.mse.a"], {}))}
    texts = headline(summarised({"d": {"m": made}, "e": {"m": made}}))
    assert [text.split(",")[0] for text in texts] == ["On `d` with `m`", "On `e` with `m`"]


def test_cells_without_a_result_are_named():
    made = verdicts(family(["m.lcc.a", "m.mse.a"], {}))
    assert "mse x b is without a result." in said(made, ["d/m.mse.b"])
    assert "3 cells are without a result." in said(made, ["d/m.mse.b", "d/m.mse.c", "d/m.mse.d"])
    assert "Only the best 2 of 3 cells are compared." in said({**made, "left_out": 1}, ["d/m.mse.b"])
    assert headline({**summarised({}, ["d/m.lcc.a"]), "verdicts": {}}) == [
        "With `m`, no cell has a result that can be compared."
    ]
    all_failed = {**verdicts(family(["m.lcc.a", "m.mse.a"], {})), "best": None}
    assert said(all_failed) == "With `m`, no cell has a result that can be compared."
    assert headline({"methods": []}) == []


def failing(*methods, **said):
    """A summary whose named methods have no number, as `analyze` writes it: they stand among the verdicts."""
    lost = {"reason": "it failed", "difference": None, "low": None, "high": None, "needs": None}
    cells = [one | (lost if {one["a"], one["b"]} & set(methods) else {}) for one in family(THREE, said)]
    against = dict.fromkeys(methods, "undecided")
    made = summarised({"d": {"m": {"dice": verdicts(cells, identity=against)}}})
    for entry in made["methods"]:
        if entry["method"] in methods:
            entry["metrics"]["dice"]["median"] = None
    return made


def test_cells_that_failed_are_named_and_are_no_rivals():
    undecided = {"m.lcc.a m.mse.a": "undecided", "m.gcc.a m.mse.a": "undecided"}
    assert headline(failing("m.mse.a", **undecided)) == [
        "With `m`, lcc x a is the best cell, better than gcc x a. mse x a is without a result. "
        "This holds at these lambdas."
    ]
    undecided["m.lcc.a m.gcc.a"] = "undecided"
    (text,) = headline(failing("m.gcc.a", "m.mse.a", **undecided))
    assert text.startswith("With `m`, lcc x a is better than no registration. gcc x a and mse x a are without a result")
    infinite = failing("m.mse.a", **undecided)
    infinite["methods"][-1]["metrics"]["dice"]["infinite"] = 20
    assert "without a result" not in headline(infinite)[0], "where most labels vanished, that is the result"


def test_a_study_without_labels_is_judged_by_what_it_has():
    made = {"tre_mm": verdicts([compared("m.lcc.a", "m.mse.a", "better", -1.0)], scope="tuning", region=None)}
    (text,) = headline(summarised({"d": {"m": made}}))
    assert text == (
        "With `m`, by TRE, lcc x a is the best cell, better than mse x a. "
        "This is said of the losses, tuned in this way."
    )


def test_a_reason_that_all_share_is_given():
    cells = [compared(*pair, "undecided", reason="1 subject", needs=None) for pair in combinations("abc", 2)]
    assert clauses(Relations(cells), None, "levels") == ["nothing is decided between a, b and c (1 subject)"]


def test_cells_that_do_not_help_are_said():
    made = verdicts(family(THREE, {}), identity={"m.mse.a": "worse", "m.gcc.a": "undecided"})
    assert "mse x a is worse than, gcc x a is undecided against no registration." in said(made)


NAMES = st.integers(2, 10).map(lambda count: [f"r{k}" for k in range(count)])
WORDS = ("better", "worse", "equal", "undecided")


@st.composite
def families(draw):
    """Any verdicts at all between up to ten levels, consistent or not."""
    names = draw(NAMES)
    some = draw(st.sampled_from([WORDS, ("better", "equal"), ("better",), ("equal", "undecided"), ("undecided",)]))
    pairs = list(combinations(names, 2))
    words = draw(st.lists(st.sampled_from(some), min_size=len(pairs), max_size=len(pairs)))
    return [compared(*pair, word) for pair, word in zip(pairs, words, strict=True)]


def names_in(text):
    return re.findall(r"r\d", text)


def claims(clause, levels):
    """The relations that a clause states, read by a reader who knows the grammar alone."""
    if match := re.fullmatch(r"(r\d) is (better|worse) than all other levels", clause):
        yield from ((match[1], match[2], b) for b in levels if b != match[1])
    elif match := re.fullmatch(r"in the order (.+) each is better than all to its right", clause):
        parts = [names_in(part) for part in match[1].split(" > ")]
        yield from ((a, "better", b) for one, two in combinations(parts, 2) for a in one for b in two)
    elif match := re.fullmatch(
        r"(.+) (?:is|are) better than (.+), and (?:both|these (\d+)) are better than (.+)", clause
    ):
        first, second, third = names_in(match[1]), names_in(match[2]), names_in(match[4])
        assert int(match[3] or 2) == len(first + second)
        yield from ((a, "better", b) for a in first for b in second)
        yield from ((a, "better", b) for a in first + second for b in third)
    elif match := re.fullmatch(r"(.+) (is|are) (better|worse) than (.+)", clause):
        first, second = names_in(match[1]), names_in(match[4])
        assert match[2] == ("is" if len(first) == 1 else "are")
        yield from ((a, match[3], b) for a in first for b in second)
    elif match := re.fullmatch(r"(.+) are equal within 0\.005", clause):
        yield from ((a, "equal", b) for a, b in combinations(names_in(match[1]), 2))
    elif match := re.fullmatch(r"nothing is decided between ([^(]+)(?: \(.*\))?", clause):
        yield from ((a, "undecided", b) for a, b in combinations(names_in(match[1]), 2))
    elif match := re.fullmatch(r"(r\d) against (.+) is undecided", clause):
        yield from ((match[1], "undecided", b) for b in names_in(match[2]))
    else:
        assert re.fullmatch(
            r"\d+ of \d+ comparisons of levels are undecided|the table of verdicts has \d+ more", clause
        )


@settings(max_examples=400, deadline=None)
@given(families())
def test_no_clause_states_what_no_verdict_says(comparisons):
    found = Relations(comparisons)
    texts = clauses(found, 0.005, "levels")
    stated = [one for clause in texts for one in claims(clause, found.levels)]
    assert all(found.verdicts[a, b] == word for a, word, b in stated)
    counted = {frozenset((a, b)) for a, word, b in stated if word != "undecided"}
    more = [int(text.split()[-2]) for text in texts if text.startswith("the table")]
    decided = [one for one in comparisons if one["verdict"] != "undecided"]
    assert len(counted) + sum(more) == len(decided), "each decision is said, or counted"
    number = [text.split()[0:3:2] for text in texts if text.endswith("levels are undecided")]
    undecided = len(comparisons) - len(decided)
    assert number in ([], [[str(undecided), str(len(comparisons))]])
    if not number:
        assert len({frozenset((a, b)) for a, word, b in stated if word == "undecided"}) == undecided
    assert len(texts) <= 4 + 1 + 2, "short"


@settings(max_examples=100, deadline=None)
@given(families(), st.data())
def test_the_sentence_on_the_best_cell_counts_right(comparisons, data):
    cells = [{**one, "a": f"m.{one['a']}.a", "b": f"m.{one['b']}.a"} for one in comparisons]
    best = data.draw(st.sampled_from(sorted({one["a"] for one in cells} | {one["b"] for one in cells})))
    text = said(verdicts(cells, best=best))
    assert text.startswith(f"With `m`, {best.split('.')[1]} x a ")
    words = Relations(cells).verdicts
    for phrase, word in (("better than", "better"), ("equal to", "equal"), ("undecided against", "undecided")):
        count = sum(verdict == word for (a, _), verdict in words.items() if a == best)
        match = re.search(rf"{phrase} (\d+|r\d x a(?: and r\d x a)?)", text)
        if match:
            assert count == (int(match[1]) if match[1].isdigit() else len(names_in(match[1])))
