"""Optuna's own plots of each tuned cell, for the page: slices, importance of what is searched, Pareto front."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from regbench.report.summary_file import MethodEntry, Summary, TrialEntry
from regbench.report.tables.column_titles import metric_title
from regbench.study.goals import RANK
from regbench.study.methods import Study
from regbench.study.specs import ProposeSpec
from regbench.system.plain_figures import plain_style
from regbench.tuning.optuna_export import fill, goal_names
from regbench.tuning.range_files import proposing
from regbench.tuning.sampler import directions
from regbench.tuning.space import dimensions
from regbench.tuning.trial_files import check_entries
from regbench.tuning.trial_results import TrialResult

DPI = 90
RANKED = "mean rank (geometric)"
FEW = 100.0  # below this ratio of its ends, a log axis is named at 1 and 3 of each decade
DRAWN = 1  # searches of a cell: they are alike, and all of them are in the export for Optuna's dashboard
IMPORTANCE_FROM = 4  # trials: the importance of fewer is noise


def searches(study: Study, summary: Summary) -> list[tuple[MethodEntry, int]]:
    """Methods of the summary with the numbers of the searches that are drawn, as far as these have a trial."""
    return [
        (entry, replicate)
        for entry in summary["methods"]
        if entry["trials"]
        for replicate in study.replicates(entry["method"])[:DRAWN]
        if any(trial["status"] == "complete" for trial in _trials(entry, replicate))
    ]


def search_plots(study: Study, entry: MethodEntry, replicate: int) -> tuple[str, list[bytes]]:
    """Caption and PNGs of a search with a finished trial; the same bytes each time.

    Draws with pyplot, as Optuna does, and hence switches it to a backend without windows.

    Args:
        study: with the search.
        entry: of the method in the summary of the analysis, with its trials.
        replicate: number of the search.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415  0.4 s
    import optuna  # noqa: PLC0415

    plt.switch_backend("agg")
    trials = _trials(entry, replicate)
    with warnings.catch_warnings():
        # Optuna marks its matplotlib plots, and names of goals, as experimental; the pins fix which ones run.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        job = proposing(study, entry["dataset"], entry["method"])
        check_entries(trials, job, study.layout.summary)
        results = cast("list[TrialResult]", trials)  # the entries of results that the summary keeps
        searched = optuna.create_study(directions=directions(job, results))
        fill(searched, job, results)
        goals = [f"validation {RANKED if name == RANK else metric_title(name)}" for name in goal_names(job, results)]
        images = [_png(draw) for draw in _plots(searched, job, goals)]
    which = f", search {replicate + 1}" if study.config.tuning.replicates > 1 else ""
    return f"{entry['dataset']} / {entry['method']}{which}: {len(trials)} trials.", images


def _trials(entry: MethodEntry, replicate: int) -> list[TrialEntry]:
    return [trial for trial in entry["trials"] if trial.get("replicate", 0) == replicate]


def _plots(searched: Any, spec: ProposeSpec, goals: Sequence[str]) -> Iterator[Callable[[], Any]]:
    """The plots that tell something of a cell: no importance of a single parameter, no front of a single goal."""
    from optuna.importance import FanovaImportanceEvaluator  # noqa: PLC0415
    from optuna.visualization import matplotlib as of  # noqa: PLC0415

    names = [dimension.name for dimension in dimensions(spec)]
    finished = [trial for trial in searched.trials if trial.state.name == "COMPLETE"]
    for number, goal in enumerate(goals):
        value = partial(_value, number)
        yield partial(of.plot_slice, searched, target=value, target_name=goal)
        varied = len({trial.values[number] for trial in finished}) > 1
        if len(names) > 1 and len(finished) >= IMPORTANCE_FROM and varied:
            evaluator = FanovaImportanceEvaluator(seed=0)
            yield partial(of.plot_param_importances, searched, evaluator=evaluator, target=value, target_name=goal)
    if len(goals) > 1:
        yield partial(of.plot_pareto_front, searched, target_names=list(goals))


def _value(number: int, trial: Any) -> float:
    return float(trial.values[number])


def _png(draw: Callable[[], Any]) -> bytes:
    """The plot that a function of Optuna draws; it sets a style of its own, which is undone."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    with plain_style():
        panels = np.atleast_1d(draw())
        for axes in panels:
            low, high = axes.get_xlim()
            if axes.get_xscale() == "log":  # names of minor ticks would cover each other
                few = high / low < FEW
                axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,), numticks=5))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
        figure = panels[0].figure
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        plt.close(figure)
    return png.getvalue()
