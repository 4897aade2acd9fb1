"""A look at the cells of a model: which pairs are decided, and which cells get further seeds. One file each."""

from collections.abc import Sequence
from itertools import combinations

from regbench.metrics import metric_of
from regbench.report.looked import looks_of
from regbench.report.read_rows import joined
from regbench.report.study_verdicts import collect, records
from regbench.report.summary_file import Manifest, stored
from regbench.statistics import Family, Outcome, Pair, comparisons, look, spent
from regbench.study.goals import leading
from regbench.study.job_specs import look_spec
from regbench.study.looks import Look, LookedPair, read_look
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import read_sealed, write_sealed


def make_look(study: Study, dataset: str, model: str, number: int) -> None:
    """Judge the open pairs of a model's cells and write the file of the look.

    Args:
        study: with `looks`.
        dataset: that the cells are of.
        model: that the cells are of.
        number: of the look, from 1.

    Raises:
        RegbenchError: if the look before is not there or gave nobody more, or rows are missing or damaged.
        UsageError: if the study has no such look.
    """
    lay, spec = study.layout, look_spec(study, model, number)
    pairs = _open_pairs(study, dataset, model, number)
    seeds = {method: study.seeds(method, dataset, number) for method in spec.methods}
    rows = joined([lay.pairs(dataset, method, seed) for method in spec.methods for seed in seeds[method]])
    manifest: Manifest = read_sealed(lay.manifest(dataset))
    metric = leading(spec.objective.metrics, manifest["references"]["test"])
    scores, subjects, design, _ = collect(rows, metric)
    compared = {method: scores[method] for method in spec.methods}
    family = Family(
        subjects, metric_of(metric).direction, spec.regions.get(metric), groups=design.searches if spec.searches else {}
    )
    looks = looks_of(study)
    outcomes = look(compared, family, looks, number - 1, pairs)
    more = {method for pair, outcome in outcomes.items() if outcome.goes_on for method in pair}
    content: Look = {
        "job": spec.to_json(),
        "metric": metric,
        "level": looks.levels(family.alpha / comparisons(compared))[number - 1],
        "spent": spent(looks.shares, family.alpha)[number - 1],
        "units": {method: study.units(method, dataset, number) or 0 for method in spec.methods},
        "pairs": [_record(outcome) for outcome in outcomes.values()],
        "further": {method: spec.counts[number] for method in spec.methods if method in more},
    }
    write_sealed(lay.look(dataset, model, number), content)


def _open_pairs(study: Study, dataset: str, model: str, number: int) -> Sequence[Pair]:
    """The pairs that no look before this one has decided or given up."""
    if number == 1:
        return list(combinations(study.cells_of(model), 2))
    before = read_look(study.layout.look(dataset, model, number - 1))
    pairs = [pair for pair in before["pairs"] if pair["goes_on"]]
    if not pairs:
        raise RegbenchError(
            f"look {number} at `{model}` on `{dataset}` must follow one that left a pair open, but the one before it "
            "left none."
        )
    return [(pair["comparison"]["a"], pair["comparison"]["b"]) for pair in pairs]


def _record(outcome: Outcome) -> LookedPair:
    (comparison,) = records([outcome.comparison])
    chance = None if outcome.comparison.verdict != "undecided" else stored(outcome.chance)
    return {"comparison": dict(comparison), "chance": chance, "goes_on": outcome.goes_on}
