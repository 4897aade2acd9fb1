"""The two stages of a search that train nothing, from its files to its files: propose a round, choose the lambda."""

from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import write_sealed
from regbench.system.job_usage import clocked
from regbench.tuning.range_files import proposing, selecting
from regbench.tuning.rounds import affordable, propose, select
from regbench.tuning.trial_files import read_proposals, read_trials
from regbench.tuning.trial_results import TrialResult
from regbench.tuning.trial_store import put_together


def propose_round(study: Study, dataset: str, method: str, number: int, replicate: int = 0) -> None:
    """Write the proposals of one round; they depend on the trials of the rounds before it, and on no other file."""
    earlier = search_results(study, dataset, method, replicate, before=number)
    with clocked("propose"):
        proposals = propose(proposing(study, dataset, method, number, replicate), number, earlier)
    write_sealed(
        study.layout.proposals(dataset, method, number, replicate),
        [proposal.to_json() for proposal in proposals],
    )


def choose_lambda(study: Study, dataset: str, method: str, replicate: int = 0) -> None:
    """Write the lambda that the trials of a search support, and pack the state of its trials into one file."""
    lay = study.layout
    with clocked("select"):
        chosen = select(selecting(study, dataset, method, replicate), search_results(study, dataset, method, replicate))
    put_together(lay.trial_state(dataset, method, replicate))
    write_sealed(lay.selected(dataset, method, replicate), chosen)


def search_results(
    study: Study, dataset: str, method: str, replicate: int, before: int | None = None
) -> list[TrialResult]:
    """The trials of a search, of all rounds or of those before one, each as it was proposed.

    Raises:
        RegbenchError: if a file is missing, or of another search; names it.
    """
    spec, results = selecting(study, dataset, method, replicate), list[TrialResult]()
    for number in range(study.rounds(method) if before is None else before):
        at = study.layout.proposals(dataset, method, number, replicate)
        proposed = read_proposals(at, spec)
        paid = affordable(
            proposing(study, dataset, method, number, replicate), results, study.round_size(method, number)
        )
        if len(proposed) != paid:
            raise RegbenchError(
                f"`{at}` must propose the {paid} trials that the budget pays, but has {len(proposed)}. Delete it and "
                "run again."
            )
        for first, last in study.batches(method, number):
            path = study.layout.trials(dataset, method, number, (first, last), replicate)
            found = read_trials([path], spec)
            wanted = [proposal.number for proposal in proposed[first : last + 1]]
            if (got := [result["number"] for result in found]) != wanted:
                raise RegbenchError(
                    f"`{path}` must hold the trials {wanted} that were proposed, as every cell has the same budget, "
                    f"but has {got}. Delete it and run again."
                )
            results += found
    return results
