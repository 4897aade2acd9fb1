"""Every job of a study, as the workflow will send it: its rule, what it writes, its log, the lock of who runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from regbench.study import plan
from regbench.study.config import Config


class Step(NamedTuple):
    """One job of a dataset, or of a cell of it."""

    rule: str
    dataset: str
    method: str = ""
    detail: str = ""  # the seed, or the search and its round
    output: str = ""  # the file that the job writes last
    owner: str = ""  # the lock of the process that runs it, where the rule has one
    seed: int = 0
    replicate: int = 0  # of the cell's searches

    @property
    def name(self) -> str:
        """Where its log lies below their folder."""
        return "/".join(part for part in (self.rule, self.dataset, self.method, self.detail) if part)


# The layout's paths as text with places to fill in: of 40,000 jobs, joining paths would take most of the time.
_BARE = plan.Layout(Path())
_CELL = ("{d}", "{m}")
_RUN = str(_BARE.run(*_CELL, "{s}") / "run.json")
_PAIRS = str(_BARE.pairs(*_CELL, "{s}"))
_TRAINING = str(_BARE.training_state(*_CELL, "{s}").with_suffix(".owner"))
_EVALUATION = str(_BARE.root / "state" / "evaluation" / "{d}" / "{m}" / "seed{s}.owner")
_PROPOSALS = str(_BARE.proposals(*_CELL, "{n}", "{r}"))
_TRIALS = str(_BARE.trials(*_CELL, "{n}", ("{first}", "{last}"), "{r}"))
_TRIAL = str(_BARE.trial_state(*_CELL, "{r}") / "{name}.owner")
_SELECTED = str(_BARE.selected(*_CELL, "{r}"))
_WHOLE = str(_BARE.cell_owner(*_CELL))
CELL = ("cell", "untrained")  # rules whose job does a whole cell


def of_dataset(config: Config, dataset: str) -> tuple[Step, Step]:
    """What is done once a dataset: preparation, and the timing after all runs."""
    lay = plan.layout(config)
    owner = str(lay.root / "state" / "runtime" / f"{dataset}.owner")
    return (
        Step("prepare", dataset, output=str(lay.manifest(dataset))),
        Step("runtime", dataset, output=str(lay.runtime(dataset)), owner=owner),
    )


def of_cell(config: Config, dataset: str, method: str) -> Iterator[Step]:
    """The jobs of a cell in the order of their dependence."""
    root, seeds = str(plan.layout(config).root), plan.seeds(config, method)

    def at(template: str, **places: object) -> str:
        return f"{root}/{template.format(d=dataset, m=method, **places)}"

    if plan.one_job(config, method):
        rule = "untrained" if plan.untrained(config, method) else "cell"
        yield Step(rule, dataset, method, output=at(_PAIRS, s=seeds[-1]), owner=at(_WHOLE), seed=seeds[0])
        return
    tuned = plan.find_method(config, method).tuned
    for replicate in plan.replicates(config, method) if tuned else ():
        search = f"replicate{replicate}"
        for number in range(plan.rounds(config, method)):
            output = at(_PROPOSALS, n=number, r=replicate)
            yield Step("propose", dataset, method, f"{search}/round{number}", output, replicate=replicate)
            for first, last in plan.batches(config, number):
                name = f"round{number}.trials{first}-{last}"
                output = at(_TRIALS, n=number, first=first, last=last, r=replicate)
                owner = at(_TRIAL, name=name, r=replicate)
                yield Step("trial", dataset, method, f"{search}/{name}", output, owner, replicate=replicate)
        yield Step("select", dataset, method, search, at(_SELECTED, r=replicate), replicate=replicate)
    for seed in seeds if tuned else ():
        yield Step("train", dataset, method, f"seed{seed}", at(_RUN, s=seed), at(_TRAINING, s=seed), seed)
    for seed in seeds:
        yield Step("evaluate", dataset, method, f"seed{seed}", at(_PAIRS, s=seed), at(_EVALUATION, s=seed), seed)


def round_of(step: Step) -> str:
    """The round of a trial's job, such as ``round0``: the same for all searches of a cell."""
    return step.detail.rpartition("/")[2].partition(".")[0]


def of_study(config: Config) -> list[Step]:
    """All jobs but the closing ones (analyze, report, track)."""
    found: list[Step] = []
    for dataset in config.datasets:
        prepare, runtime = of_dataset(config, dataset.id)
        found.append(prepare)
        for method in plan.methods(config):
            found += of_cell(config, dataset.id, method.id)
        found.append(runtime)
    return found


def log_of(root: Path, step: Step) -> str:
    """The log of a job, as the workflow names it."""
    return f"{root}/logs/{step.name}.log"
