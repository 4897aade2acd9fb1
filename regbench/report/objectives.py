"""Objectives of several terms in words: what weighs them, how many weights were searched, and what that cost."""

from collections.abc import Iterator, Sequence

from regbench.report.summary_file import MethodEntry, Summary, TermEntry
from regbench.study.terms import WEIGHT

LAMBDA = "\u03bb"


def weight_names(entries: Sequence[MethodEntry]) -> list[str]:
    """The further terms of any cell, each once, as columns call their weights."""
    return list(dict.fromkeys(f"{WEIGHT}{term['id']}" for entry in entries for term in entry.get("terms", ())))


def weights_searched(entry: MethodEntry) -> int:
    """How many weights the searches of a cell have: lambda, and those of further terms; 0 where it was not tuned."""
    trials = entry["pooled"]["trials"] if "pooled" in entry else len(entry["trials"])
    return 1 + sum(term["range"] is not None for term in entry.get("terms", ())) if trials else 0


def by_count(entries: Sequence[MethodEntry], counts: Sequence[int]) -> str:
    """The numbers of cells by a count: ``1: 8 cells, 2: 4 cells``; one count gives nothing. A count of 0 is of none."""
    cells: dict[int, int] = {}
    for _, count in zip(entries, counts, strict=True):
        cells[count] = cells.get(count, 0) + (count > 0)
    known = sorted(count for count in cells if count)
    words = [f"{count}: {cells[count]} cell{'s' if cells[count] > 1 else ''}" for count in known]
    return ", ".join(words) if len(known) > 1 else ""


def caption_of(summary: Summary) -> str:
    """Sentences on terms, on the weights that were searched, and on forward passes; empty where there are none."""
    return "".join(f" {sentence}" for sentence in _sentences(summary))


def _sentences(summary: Summary) -> Iterator[str]:
    entries = [entry for entry in summary["methods"] if "pooled" not in entry]
    formulas = {str(entry["regularizer"]): formula(entry["terms"]) for entry in entries if entry.get("terms")}
    if formulas:
        named = "; ".join(f"{name} is {words}" for name, words in formulas.items())
        yield (
            f"The objective is the similarity plus {LAMBDA} times the regularizer; of several terms {LAMBDA} weighs "
            f"the first, and each further one has a weight of its own, which {LAMBDA} does not multiply: {named}."
        )
    counts = by_count(entries, list(map(weights_searched, entries)))
    budget = summary.get("budget")
    if counts and budget is not None and budget["fairness"] == "trials":
        yield (
            f"Cells differ in how many weights they searched ({counts}) and had the same trials: more weights are a "
            "handicap."
        )
    elif counts and budget is not None:
        yield f"Cells had {budget['trials']} trials a search for each weight that they searched ({counts})."
    twice = [entry["regularizer"] for entry in entries if entry.get("passes", 1) > 1]
    if twice:
        cells = [entry for entry in entries if entry["similarity"] is not None and "refined" not in entry]
        of = "" if len(twice) == len(cells) else f" with {', '.join(map(str, dict.fromkeys(twice)))}"
        yield (
            f"Each step of the cells{of} registers both directions: two forward passes, so that "
            f"{summary['steps']} training steps are {2 * summary['steps']} forward passes."
        )


def formula(terms: Sequence[TermEntry]) -> str:
    """The regularizer of several terms, with the weights that are fixed and the ranges of those that are searched."""
    further = [f"{_weight(term)} {term['name']}" for term in terms]
    return " + ".join([f"{LAMBDA} {terms[0]['behind']}", *further])


def _weight(term: TermEntry) -> str:
    if term["range"] is None:
        return f"{term['weight']:g}" if term["weight"] is not None else "w"
    return f"w({term['id']} in [{term['range'][0]:g}, {term['range'][1]:g}])"
