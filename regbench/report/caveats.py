"""What a reader of the tables must know before believing them: one sentence a fault, with all that it is true of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from regbench.data.remarks import unused_masks
from regbench.metrics import SIMILARITY, metric_of, printed
from regbench.report.objectives import by_count, weights_searched
from regbench.report.summary_file import Choice, Goals, MadeBy, Manifest, MethodEntry, RunEntry, TrialEntry, number
from regbench.study.goals import is_higher_better, words
from regbench.system.files import digest
from regbench.system.provenance import Environment
from regbench.tuning.rounds import at_edge

IDENTITY = "identity"
NAMED = 6  # methods that a warning names; of more it gives the number
STILL = 0.05  # voxels: of a mean displacement below it, labels warped by nearest neighbour see nothing
ALIKE = 1e-6  # of mean scores
LATE = 0.05  # of the fall of the training similarity: more of it in the second half is no end (docs/training.md)
GAIN = 0.01  # validation Dice for twice the steps; of another score this share
DOUBLINGS = (0.3, 2.0)  # from a trial to a training: of less nothing is seen, of more the end is not
FEW_SEEDS, FEW_SUBJECTS = 3, 6
# Packages that no number of a training or a trial comes from.
IDLE = ("dipy", "mlflow", "pandas", "picsl-greedy", "pyarrow", "pydantic", "simpleitk", "snakemake")
Detail = tuple[str, str]  # the name of a method, and what is true of it
Parts = Mapping[str, object]  # of an environment, by the names that a reader knows


class Origin(NamedTuple):
    """An environment, the cells that it made something of, and how many trainings and trials these are."""

    parts: Parts
    cells: list[str]
    made: int


class Scene(NamedTuple):
    """What entries are read against."""

    entries: Sequence[MethodEntry]
    manifests: Mapping[str, Manifest]
    goals: Mapping[str, Goals]

    def leading(self, entry: MethodEntry) -> str:
        """The metric that the dataset of an entry is led by."""
        return self.goals[entry["dataset"]]["leading"]


def caveats(
    entries: Sequence[MethodEntry],
    manifests: Mapping[str, Manifest],
    goals: Mapping[str, Goals],
    *,
    steps: tuple[int, int] | None = None,
    masks_used: bool = False,
    fairness: str = "trials",
) -> list[str]:
    """The warnings of a study.

    Args:
        entries: `methods` of the summary, `made_by` among their keys.
        manifests: of the prepared data, by dataset.
        goals: by dataset.
        steps: of a trial and of a training.
        masks_used: whether a training or an evaluation counts by masks.
        fairness: what cells have the same of, as `tuning.fairness` says.
    """
    ranked = [entry for entry in entries if not entry.get("control")]
    scene = Scene(ranked, manifests, goals)
    return [
        *(f"{dataset}: {remark}" for dataset, manifest in manifests.items() for remark in manifest.get("remarks", ())),
        *_by_similarity(goals),
        *_unused_masks(manifests, masks_used),
        *_few_subjects(manifests),
        *_few_trainings(ranked),
        *_unfinished(scene, steps),
        *_unequal(ranked, fairness),
        *_edges(ranked),
        *_weights_at_edges(ranked),
        *_found_at_end(ranked),
        *_flat(ranked),
        *_unmoved(scene),
        *_below_identity(scene),
        *_failed(ranked),
        *_mixed(ranked),
    ]


def _unused_masks(manifests: Mapping[str, Manifest], used: bool) -> Iterator[str]:
    for dataset, manifest in manifests.items():
        masked, subjects = manifest.get("masked", []), manifest.get("subjects", [])
        yield from (f"{dataset}: {remark}" for remark in unused_masks(len(masked), len(subjects), used=used))


def made_by(entry: MethodEntry) -> list[MadeBy]:
    """The environments of a cell's trainings and trials: each once, with the numbers of what it made.

    Args:
        entry: with `runs` and `trials`, which have their `environment`.
    """
    groups: dict[str, MadeBy] = {}

    def group(environment: Environment) -> MadeBy:
        return groups.setdefault(digest(environment), {"environment": environment, "runs": [], "trials": []})

    for run in entry["runs"]:
        if "environment" in run:
            group(run["environment"])["runs"].append(run["seed"])
    for trial in entry["trials"]:
        if "environment" in trial:
            group(trial["environment"])["trials"].append(trial["number"])
    return list(groups.values())


def _named(items: Sequence[str]) -> str:
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _name(entry: MethodEntry) -> str:
    return f"{entry['dataset']}/{entry['method']}"


def _sentence(one: Callable[[str], str], many: str, details: Sequence[Detail]) -> Iterator[str]:
    """One sentence on all methods that something is true of; nothing where it is true of none.

    Args:
        one: the words for a single method, of its detail.
        many: what is true of several, after their number.
        details: names with their details.
    """
    if len(details) == 1:
        yield f"{details[0][0]}: {one(details[0][1])}"
    elif details:
        yield f"{len(details)} {many}: " + _named([f"{name} ({text})" if text else name for name, text in details])


def _unequal(entries: Sequence[MethodEntry], fairness: str) -> Iterator[str]:
    """Cells that had more weights to search, or more forward passes a step, than others with the same budget."""
    tuned = [entry for entry in entries if entry["trials"]]
    counts = by_count(tuned, list(map(weights_searched, tuned)))
    if counts and fairness == "trials":
        yield (
            f"cells search different numbers of weights with the same number of trials ({counts}): more weights are a "
            "handicap; `tuning.fairness: trials_per_weight` gives each weight its trials"
        )
    trained = [entry for entry in entries if entry.get("trained")]
    passes = by_count(trained, [entry.get("passes", 1) for entry in trained])
    if passes:
        yield (
            f"cells have different numbers of forward passes a step with the same number of steps ({passes}): where "
            "both directions are registered, a training saw each of its pairs twice"
        )


def _weights_at_edges(entries: Sequence[MethodEntry]) -> Iterator[str]:
    details = [
        (_name(entry), f"{term['id']} {weight:g} in [{term['range'][0]:g}, {term['range'][1]:g}]")
        for entry in entries
        if entry["trials"]
        for term in entry.get("terms", ())
        for weight in term["weights"]
        if term["range"] is not None and weight is not None and at_edge(weight, *term["range"])
    ]
    yield from _sentence(
        lambda detail: f"the weight of {detail.replace(' in ', ' is at the edge of its range ')}; widen it",
        "weights are at the edge of their range; widen it",
        list(dict.fromkeys(details)),
    )


def _edges(entries: Sequence[MethodEntry]) -> Iterator[str]:
    details = [
        (_name(entry), f"{chosen['lam']:g} in [{chosen['range'][0]:g}, {chosen['range'][1]:g}]")
        for entry in entries
        for chosen in _searches(entry)
        if chosen.get("edge") and chosen["lam"] is not None
    ]
    yield from _sentence(
        lambda detail: f"lambda {detail.replace(' in ', ' is at the edge of its range ')}; widen it",
        "lambdas are at the edge of their range; widen it",
        list(dict.fromkeys(details)),
    )


def _found_at_end(entries: Sequence[MethodEntry]) -> Iterator[str]:
    """Ranges that were found, whose best lambda is the last that was tried: beyond it may be better ones."""
    details = [
        (f"{entry['dataset']}/{entry['method'].partition('.')[2]}", f"[{chosen['range'][0]:g}, {chosen['range'][1]:g}]")
        for entry in entries
        if entry.get("range_at_end") and (chosen := entry.get("selected"))
    ]
    yield from _sentence(
        lambda detail: f"its range of lambda, {detail}, was found where the search for it ended; give one in `lambdas`",
        "ranges of lambda were found where the search for them ended; give them in `lambdas`",
        list(dict.fromkeys(details)),
    )


def _flat(entries: Sequence[MethodEntry]) -> Iterator[str]:
    searched = [entry for entry in entries if entry.get("trials")]
    details = [(_name(entry), _alike(entry)) for entry in searched if any(c.get("flat") for c in _searches(entry))]
    yield from _sentence(
        lambda detail: (
            f"its trials do not tell its lambdas apart{detail and f', {detail}'}: another search may choose another"
        ),
        f"of {len(searched)} tuned cells have lambdas that their trials do not tell apart: another search may choose "
        "others",
        details,
    )


def _alike(entry: MethodEntry) -> str:
    """From which lambda to which the trials of any of a cell's searches see no difference."""
    ends = [end for chosen in _searches(entry) if chosen.get("flat") for end in chosen.get("alike") or ()]
    return f"{min(ends):.2g} to {max(ends):.2g}" if ends else ""


def _failed(entries: Sequence[MethodEntry]) -> Iterator[str]:
    reasons: dict[str, list[Detail]] = {}
    for entry in entries:
        if entry["failed_rows"]:
            reasons.setdefault("; ".join(entry["reasons"]), []).append((_name(entry), f"{entry['failed_rows']} rows"))
    for reason, details in reasons.items():
        yield from _sentence(
            lambda detail, reason=reason: f"{detail} failed: {reason}",  # type: ignore[misc]
            f"methods have failed rows ({reason})",
            details,
        )


def _by_similarity(goals: Mapping[str, Goals]) -> Iterator[str]:
    """Datasets whose lambdas a similarity chose: what it rewards is what the losses reward."""
    for dataset, goal in goals.items():
        names = [name for name in goal["selection"] if name.startswith(SIMILARITY)]
        if names:
            yield (
                f"{dataset}: lambda was chosen by {', '.join(map(words, names))} of validation pairs, not by labels or "
                "landmarks: it favours the loss that it is, and a high similarity is no evidence of a registration "
                "(Rohlfing 2012)"
            )


def _unmoved(scene: Scene) -> Iterator[str]:
    details: dict[str, list[Detail]] = {}
    for entry in scene.entries:
        if entry["method"] != IDENTITY and moves_nothing(entry, scene):
            details.setdefault(words(scene.leading(entry)), []).append((_name(entry), _moved(entry)))
    for score, sentences in details.items():
        yield from _sentence(
            lambda detail, score=score: f"it moves nothing: its {score} is that of no registration, {detail}",  # type: ignore[misc]
            f"methods move nothing: their {score} is that of no registration",
            sentences,
        )


def _moved(entry: MethodEntry) -> str:
    length = _mean(entry, "displacement_mm")
    return "" if np.isnan(length) else f"mean displacement {length:.3g} mm"


def moves_nothing(entry: MethodEntry, scene: Scene) -> bool:
    """Whether a method leaves the moving image where it is, by its mean displacement or by the score of identity."""
    manifest = scene.manifests.get(entry["dataset"])
    spacing = manifest.get("spacing_mm", [1.0]) if manifest else [1.0]
    if _mean(entry, "displacement_mm") < STILL * min(spacing):
        return True
    before = _of_identity(entry["dataset"], scene)
    return abs(_mean(entry, scene.leading(entry)) - before) <= ALIKE * max(1.0, abs(before))


def _below_identity(scene: Scene) -> Iterator[str]:
    details: dict[str, list[Detail]] = {}
    for entry in scene.entries:
        metric = scene.leading(entry)
        known = metric_of(metric)
        sign = 1 if known.direction == "higher" else -1
        score = _mean(entry, metric)
        worse = sign * score < sign * _of_identity(entry["dataset"], scene)
        if entry["method"] != IDENTITY and worse and not moves_nothing(entry, scene):
            details.setdefault(metric, []).append((_name(entry), printed(score, metric)))
    for metric, sentences in details.items():
        where = "below" if metric_of(metric).direction == "higher" else "above"
        yield from _sentence(
            lambda _, metric=metric, where=where: (  # type: ignore[misc]
                f"mean {words(metric)} is {where} identity: the registration did not work"
            ),
            f"methods have a mean {words(metric)} {where} identity: the registration did not work",
            sentences,
        )


def _unfinished(scene: Scene, steps: tuple[int, int] | None) -> Iterator[str]:
    """Trainings that more steps would have made better: by their own curves, and by the trials that had fewer."""
    groups: dict[tuple[str, str | None], list[MethodEntry]] = {}
    for entry in scene.entries:
        if entry.get("trained"):
            groups.setdefault((entry["dataset"], entry["model"]), []).append(entry)
    for (dataset, model), cells in groups.items():
        shares = {entry["method"].removeprefix(f"{model}."): _late(entry) for entry in cells}
        late = [f"{name} {100 * share:.0f} %" for name, share in shares.items() if share is not None]
        metric = scene.goals[dataset]["selection"][0]
        gain, error = _gain(cells, steps, metric)
        least = GAIN if metric == "dice" else GAIN * _validated(cells, metric)
        if gain + 2 * error < least:  # what twice the steps did is the better witness
            continue
        reasons = []
        if late:
            reasons.append(f"in the second half came of the fall of the training similarity: {_named(late)}")
        if steps is not None and gain > max(least, 2 * error):
            reasons.append(
                f"trials of {steps[0]} steps and trainings of {steps[1]} say {_signed(gain, metric)} validation "
                f"{words(metric)} "
                "for twice the steps"
            )
        if reasons:
            count = f"{len(late)} of {len(cells)} cells" if late else "the cells"
            yield (
                f"{dataset}: {count} of {model} were still improving at their end, give more `training.steps` "
                f"({'; '.join(reasons)})"
            )


def _late(entry: MethodEntry) -> float | None:
    """The share of the second half, averaged over trainings; None where it is small, or within its own error."""
    halves = [half for run in entry["runs"] if (half := run.get("second_half"))]
    if not halves:
        return None
    share = float(np.mean([half["share"] for half in halves]))
    error = float(np.sqrt(np.sum([half["se"] ** 2 for half in halves])) / len(halves))
    return share if share > max(LATE, 2 * error) else None


def _signed(gain: float, metric: str) -> str:
    """A gain in the direction of its metric: of TRE a gain is less."""
    sign = 1 if is_higher_better(metric) else -1
    return ("+" if sign * gain >= 0 else "") + printed(sign * gain, metric)


def _validated(entries: Sequence[MethodEntry], metric: str) -> float:
    """Mean validation score of all trainings, without its sign; 0 where there is none."""
    scores = [score for entry in entries for run in entry["runs"] if (score := _validation(run, metric)) is not None]
    return abs(float(np.mean(scores))) if scores else 0.0


def _gain(entries: Sequence[MethodEntry], steps: tuple[int, int] | None, metric: str) -> tuple[float, float]:
    """What the validation score gains by twice the steps: a cell's trainings against the trial nearest in lambda.

    Mean over three or more cells and its standard error; NaN of fewer, and where the lengths do not tell.
    """
    nothing = float("nan"), float("nan")
    doublings = float(np.log2(steps[1] / steps[0])) if steps else 0.0
    if not DOUBLINGS[0] <= doublings <= DOUBLINGS[1]:
        return nothing
    gains = [gain for entry in entries if (gain := _longer(entry, metric)) is not None]
    if len(gains) < 3:
        return nothing
    return float(np.mean(gains)) / doublings, float(np.std(gains, ddof=1) / np.sqrt(len(gains))) / doublings


def _longer(entry: MethodEntry, metric: str) -> float | None:
    """Mean gain in validation score of a cell's trainings over that of the trial whose lambda is nearest to each."""
    trials = [trial for trial in entry["trials"] if metric in trial["scores"] and trial["status"] == "complete"]
    scores = [
        (score, lam) for run in entry["runs"] if (score := _validation(run, metric)) is not None and (lam := run["lam"])
    ]
    if not trials or not scores:
        return None
    sign = 1 if is_higher_better(metric) else -1
    return sign * float(np.mean([score - _nearest_score(trials, lam, metric) for score, lam in scores]))


def _validation(run: RunEntry, metric: str) -> float | None:
    return run["validation"].get(metric) if "validation" in run else None


def _nearest_score(trials: Sequence[TrialEntry], lam: float, metric: str) -> float:
    """Mean validation score of the trials whose lambda is nearest."""
    nearest = min((trial["lam"] for trial in trials), key=lambda tried: abs(np.log(tried / lam)))
    return float(np.mean([trial["scores"][metric] for trial in trials if trial["lam"] == nearest]))


def _few_trainings(entries: Sequence[MethodEntry]) -> Iterator[str]:
    counts = {len(entry["runs"]) for entry in entries if entry.get("trained")}
    if counts == {1}:
        yield (
            "one training of each cell: nothing is claimed about the losses, only about these networks; give more "
            "`seeds`, 4 or more"
        )
    elif counts and max(counts) <= FEW_SEEDS:
        count = max(counts)
        yield (
            f"{count} trainings of each cell: what they vary by is known badly, and intervals are wide; give more "
            "`seeds`"
        )


def _few_subjects(manifests: Mapping[str, Manifest]) -> Iterator[str]:
    for dataset, manifest in manifests.items():
        pairs = [set(pair) for pair in manifest.get("pairs", {}).get("test", ())]
        # One that is in each pair, an atlas, is no sample.
        atlas = set[str].intersection(*pairs) if len(pairs) > 1 else set[str]()
        subjects = set[str]().union(*pairs) - atlas
        if 0 < len(subjects) < FEW_SUBJECTS:
            yield (
                f"{dataset}: {len(subjects)} test subjects: what they vary by is known badly; take {FEW_SUBJECTS} or "
                "more"
            )


def _mixed(entries: Sequence[MethodEntry]) -> Iterator[str]:
    """Trainings and trials that another environment made than most."""
    origins: dict[str, Origin] = {}
    for entry in entries:
        for group in entry.get("made_by", ()):
            parts = _parts(group["environment"])
            known = origins.get(digest(parts), Origin(parts, [], 0))
            made = known.made + len(group["runs"]) + len(group["trials"])
            origins[digest(parts)] = Origin(parts, [*known.cells, f"{_name(entry)} ({_made(group)})"], made)
    ordered = sorted(origins.values(), key=lambda origin: -origin.made)
    for origin in ordered[1:]:
        difference = _difference(origin.parts, ordered[0].parts)
        yield f"made in another environment than the rest ({difference}): {_named(origin.cells)}"


def _made(group: MadeBy) -> str:
    runs = f"seed {', '.join(map(str, group['runs']))}" if group["runs"] else ""
    trials = f"{len(group['trials'])} trial{'s' if len(group['trials']) > 1 else ''}" if group["trials"] else ""
    return "; ".join(part for part in (runs, trials) if part)


def _parts(environment: Environment) -> Parts:
    """The parts of an environment that may change a number, by the names that a reader knows."""
    code = environment.get("code", {})
    packages = {name: version for name, version in environment.get("packages", {}).items() if name not in IDLE}
    return {
        **packages,
        "compiled losses": environment.get("compiled_losses"),
        "repeatable": environment.get("repeatable"),
        "device": environment.get("device"),
        "system": environment.get("system"),
        "commit": (code.get("git_commit") or "")[:8] or code.get("regbench"),
        "uncommitted changes": code.get("git_dirty"),
    }


def _difference(parts: Parts, others: Parts) -> str:
    names = [name for name in {**others, **parts} if parts.get(name) != others.get(name)]
    return "; ".join(f"{name} {_word(parts.get(name))}, not {_word(others.get(name))}" for name in names)


def _word(value: object) -> str:
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _searches(entry: MethodEntry) -> Sequence[Choice]:
    """The choice of each search of a cell; none where it was not tuned."""
    return entry.get("searches") or ([entry["selected"]] if entry.get("selected") else [])


def _of_identity(dataset: str, scene: Scene) -> float:
    unregistered = [entry for entry in scene.entries if (entry["dataset"], entry["method"]) == (dataset, IDENTITY)]
    return _mean(unregistered[0], scene.goals[dataset]["leading"]) if unregistered else float("nan")


def _mean(entry: MethodEntry, metric: str) -> float:
    """NaN where there is none, also in a summary that was read back."""
    spread = entry["metrics"].get(metric)
    return number(spread["mean"]) if spread else float("nan")
