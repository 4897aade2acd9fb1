"""Every job of a study, as the workflow will send it: its rule, what it writes, its log, the lock of who runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regbench import plan
from regbench.config import Config


@dataclass(frozen=True)
class Step:
    """One job of a dataset, or of a cell of it."""

    rule: str
    dataset: str
    method: str = ""
    detail: str = ""  # the seed or the round
    output: str = ""  # the file that the job writes last
    owner: str = ""  # the lock of the process that runs it, where the rule has one
    seed: int = 0

    @property
    def name(self) -> str:
        """Where log and benchmark lie below their folders."""
        return "/".join(part for part in (self.rule, self.dataset, self.method, self.detail) if part)


Cell = tuple[str, str]  # dataset, method


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
    lay = plan.layout(config)
    seeds = plan.seeds(config, method)
    if plan.untrained(config, method):
        yield Step("untrained", dataset, method, output=str(lay.pairs(dataset, method, seeds[0])), seed=seeds[0])
        return
    tuned = plan.find_method(config, method).tuned
    if tuned:
        yield from _tuning(config, dataset, method)
    for seed in seeds if tuned else ():
        output = str(lay.run(dataset, method, seed) / "run.json")
        owner = str(lay.training_state(dataset, method, seed).with_suffix(".owner"))
        yield Step("train", dataset, method, f"seed{seed}", output, owner, seed)
    for seed in seeds:
        owner = str(lay.root / "state" / "evaluation" / dataset / method / f"seed{seed}.owner")
        yield Step("evaluate", dataset, method, f"seed{seed}", str(lay.pairs(dataset, method, seed)), owner, seed)


def _tuning(config: Config, dataset: str, method: str) -> Iterator[Step]:
    lay = plan.layout(config)
    for number in range(plan.rounds(config, method)):
        yield Step("propose", dataset, method, f"round{number}", output=str(lay.proposals(dataset, method, number)))
        for first, last in plan.batches(config, number):
            name = f"round{number}.trials{first}-{last}"
            output = str(lay.trials(dataset, method, number, first, last))
            yield Step("trial", dataset, method, name, output, str(lay.trial_state(dataset, method) / f"{name}.owner"))
    yield Step("select", dataset, method, output=str(lay.selected(dataset, method)))


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
