"""A finished study whose proposals, trials and choices follow from each other, without a training."""

from typing import Any

import made_results
from tiny_study import TINY

from regbench.report.write import report
from regbench.study.load import load
from regbench.study.methods import Method, Study
from regbench.system.files import read_sealed, write_sealed
from regbench.tuning.search_files import choose_lambda, propose_round

# Data of one's own, whose pairs nobody has allowed to show.
OWN_DATA = {"source": "folder", "parameters": {"path": "somewhere/private/brains"}}


def finished(results, monkeypatch, *, dataset=None, **changes) -> Study:
    """Make it, analysis and report included.

    Args:
        results: folder of studies.
        monkeypatch: of the test, or of its module.
        dataset: changed keys of the dataset.
        changes: of the config.
    """
    raw = {**TINY, "results": str(results), **changes}
    raw["datasets"] = [{**TINY["datasets"][0], **(dataset or {})}]
    study = Study(load(raw))
    monkeypatch.setattr(made_results, "_search", _search)
    made_results.make_results(study)
    report(study)
    return study


def _search(study: Study, dataset: str, method: Method, cell: int, replicate: int) -> None:
    lay = study.layout
    for number in range(study.rounds(method.id)):
        propose_round(study, dataset, method.id, number, replicate)
        proposed = read_sealed(lay.proposals(dataset, method.id, number, replicate))
        for first, last in study.batches(method.id, number):
            results = [_result(proposal, cell) for proposal in proposed[first : last + 1]]
            write_sealed(lay.trials(dataset, method.id, number, (first, last), replicate), results)
    choose_lambda(study, dataset, method.id, replicate)


def _result(proposal: dict[str, Any], cell: int) -> dict[str, Any]:
    return {**made_results._trial(proposal["number"], cell), **proposal}
