"""Every job of a study, as the workflow will send it: its rule, what it writes, its log, the lock of who runs it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from regbench.study.layout import Layout
from regbench.study.looks import made
from regbench.study.methods import Study

# Rules whose job does a whole cell, of a network and of a model without weights: the work of `regbench cell`.
CELL, CELL_UNTRAINED = "cell", "cell_untrained"
WHOLE_CELL = (CELL, CELL_UNTRAINED)
# Rules of curves: of one point, and of all points of a cell.
CURVE, CURVE_CELL, CURVE_UNTRAINED = "curve", "curve_cell", "curve_cell_untrained"
OF_CURVE = (CURVE, CURVE_CELL, CURVE_UNTRAINED)


class Job(NamedTuple):
    """One job of a dataset, or of a cell of it."""

    rule: str
    dataset: str
    method: str = ""
    detail: str = ""  # the seed, or the search and its round
    output: str = ""  # the file that the job writes last
    log: str = ""
    owner: str = ""  # the lock of the process that runs it, where the rule has one
    seed: int = 0
    replicate: int = 0  # of the cell's searches
    cells: int = 1  # that its process does, one after the other; they share the log
    point: int = 0  # of the curve of the seed's run; 0 of any other job, and of one that does all points of a cell

    @property
    def name(self) -> str:
        """Where its log lies below their folder."""
        return _name(self.rule, self.dataset, self.method, self.detail)

    @property
    def round(self) -> str:
        """The round of a job of a search, such as ``round0``: the same for all searches of a cell."""
        return self.detail.rpartition("/")[2].partition(".")[0]


def _name(*parts: str) -> str:
    return "/".join(part for part in parts if part)


# The layout's paths as text with places to fill in: of 40,000 jobs, joining paths would take most of the time.
_LAYOUT = Layout(Path())
_CELL = ("{d}", "{m}")
_RECORD = str(_LAYOUT.run_record(*_CELL, "{s}"))
_PAIRS = str(_LAYOUT.pairs(*_CELL, "{s}"))
_TRAINING = str(_LAYOUT.training_owner(*_CELL, "{s}"))
_EVALUATION = str(_LAYOUT.evaluation_state(*_CELL, "{s}"))
_PROPOSALS = str(_LAYOUT.proposals(*_CELL, "{n}", "{r}"))
_TRIALS = str(_LAYOUT.trials(*_CELL, "{n}", ("{first}", "{last}"), "{r}"))
_TRIAL = str(_LAYOUT.trial_owner(*_CELL, "{name}", "{r}"))
_TRANSFER = str(_LAYOUT.transfer(*_CELL, "{other}"))
_TRANSFER_OWNER = str(_LAYOUT.transfer_owner(*_CELL, "{other}"))
_SELECTED = str(_LAYOUT.selected(*_CELL, "{r}"))
_WHOLE = str(_LAYOUT.cell_owner(*_CELL))
_POINT = str(_LAYOUT.curve_pairs(*_CELL, "{s}", "{p}"))
_POINT_OWNER = str(_LAYOUT.curve_owner(*_CELL, "{s}", "{p}"))
_CURVE_OWNER = str(_LAYOUT.curve_cell_owner(*_CELL))
_LOG = str(_LAYOUT.log("{name}"))


def of_dataset(study: Study, dataset: str) -> tuple[Job, Job]:
    """What is done once a dataset: preparation, and the timing after all runs."""
    layout = study.layout
    prepare, runtime = (str(layout.log(_name(rule, dataset))) for rule in ("prepare", "runtime"))
    owner = str(layout.runtime_owner(dataset))
    return (
        Job("prepare", dataset, output=str(layout.manifest(dataset)), log=prepare),
        Job("runtime", dataset, output=str(layout.runtime(dataset)), log=runtime, owner=owner),
    )


def of_ranges(study: Study, dataset: str) -> list[Job]:
    """The jobs that find the ranges of lambda that the config does not give."""
    layout, jobs, together = study.layout, [], study.ranges_together
    for similarity, regularizer in study.found_ranges:
        losses = f"{similarity.id}.{regularizer.id}"
        output, owner = layout.lambda_range(dataset, losses), layout.lambda_range_owner(dataset, losses)
        log = str(layout.log(_name("lambda_range", dataset, regularizer.id if together else losses)))
        job = Job("lambda_range", dataset, "", losses, str(output), log, str(owner), cells=len(together) or 1)
        jobs.append(job)
    return jobs


def of_looks(study: Study, dataset: str) -> list[Job]:
    """The looks at the cells of each model that are made, and the one that comes next."""
    layout, jobs = study.layout, []
    for model in study.looked_models:
        files = list(made(layout, dataset, model))
        for number in range(1, len(files) + 1 + (not files or bool(files[-1]["further"]))):
            output, log = (
                layout.look(dataset, model, number),
                layout.log(_name("look", dataset, f"{model}/look{number}")),
            )
            jobs.append(Job("look", dataset, "", f"{model}/look{number}", str(output), str(log)))
    return jobs


def of_cell(study: Study, dataset: str, method: str) -> Iterator[Job]:
    """The jobs of a cell in the order of their dependence."""
    maker = _Maker(study, dataset, method)
    yield from maker.whole_cell() if study.one_job(method) else maker.stages()
    yield from maker.curves() if study.method(method).tuned else ()
    for other in study.tested_elsewhere(dataset) if study.method(method).cell else ():
        yield maker.job("transfer", other, _TRANSFER, _TRANSFER_OWNER, other=other)


class _Maker:
    """Of the jobs of one cell."""

    def __init__(self, study: Study, dataset: str, method: str) -> None:
        self.study, self.dataset, self.method, self.seeds = study, dataset, method, study.seeds(method, dataset)
        self.root, self.known = str(study.layout.root), study.method(method)

    def at(self, template: str, **places: object) -> str:
        return f"{self.root}/{template.format(d=self.dataset, m=self.method, **places)}"

    def job(
        self, rule: str, detail: str, *templates: str, seed: int = 0, replicate: int = 0, **places: int | str
    ) -> Job:
        """A job from the templates of its output and, if it has one, its owner; `places` goes into them."""
        output, owner = ([self.at(template, s=seed, r=replicate, **places) for template in templates] + [""])[:2]
        log = self.at(_LOG, name=_name(rule, self.dataset, self.method, detail))
        return Job(rule, self.dataset, self.method, detail, output, log, owner, seed, replicate)

    def whole_cell(self) -> Iterator[Job]:
        rule = CELL if self.known.needs_training else CELL_UNTRAINED
        name, cells = self.study.job_of_cells(self.method)
        job = self.job(rule, "", _PAIRS, _WHOLE, seed=self.seeds[-1])
        log = self.at(_LOG, name=_name(rule, self.dataset, name))
        yield job._replace(log=log, cells=cells, seed=self.seeds[0])

    def stages(self) -> Iterator[Job]:
        for replicate in self.study.replicates(self.method, self.dataset) if self.known.tuned else ():
            yield from self.search(replicate)
        for seed in self.seeds if self.known.tuned else ():
            yield self.job("train", f"seed{seed}", _RECORD, _TRAINING, seed=seed)
        for seed in self.seeds:
            yield self.job("evaluate", f"seed{seed}", _PAIRS, _EVALUATION, seed=seed)

    def curves(self) -> Iterator[Job]:
        points = self.study.further_points
        if points and self.study.one_job(self.method):
            rule = CURVE_CELL if self.known.needs_training else CURVE_UNTRAINED
            job = self.job(rule, "", _POINT, _CURVE_OWNER, seed=self.seeds[-1], p=points[-1])
            yield job._replace(seed=self.seeds[0])
            return
        for seed in self.seeds:
            for point in points:
                job = self.job(CURVE, f"seed{seed}.point{point}", _POINT, _POINT_OWNER, seed=seed, p=point)
                yield job._replace(point=point)

    def search(self, replicate: int) -> Iterator[Job]:
        search = f"replicate{replicate}"
        for number in range(self.study.rounds(self.method)):
            yield self.job("propose", f"{search}/round{number}", _PROPOSALS, replicate=replicate, n=number)
            for first, last in self.study.batches(self.method, number):
                name = f"round{number}.trials{first}-{last}"
                yield self.job(
                    "trial", f"{search}/{name}", _TRIALS, _TRIAL,
                    replicate=replicate, n=number, first=first, last=last, name=name,
                )  # fmt: skip
        yield self.job("select", search, _SELECTED, replicate=replicate)


def processes(jobs: Iterable[Job]) -> Counter[str]:
    """How many processes the jobs of each rule are: cells that one process does share its log."""
    return Counter(rule for rule, _ in dict.fromkeys((job.rule, job.log) for job in jobs))


def of_study(study: Study) -> list[Job]:
    """All jobs but the closing ones (analyze, report, track)."""
    jobs = [of_dataset(study, dataset.id)[0] for dataset in (*study.config.datasets, *study.config.test_sets)]
    for dataset in study.config.datasets:
        jobs += of_ranges(study, dataset.id)
        for method in study.methods:
            jobs += of_cell(study, dataset.id, method.id)
        jobs.append(of_dataset(study, dataset.id)[1])
    return jobs
