"""What a reader of the tables must know before believing them: one sentence a fault, with all that it is true of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from regbench.system.files import digest

IDENTITY = "identity"
NAMED = 6  # methods that a warning names; of more it gives the number
STILL = 0.05  # voxels: of a mean displacement below it, labels warped by nearest neighbour see nothing
ALIKE = 1e-6  # of mean Dice
LATE = 0.05  # of the fall of the training similarity: more of it in the second half is no end (docs/training.md)
GAIN = 0.01  # validation Dice for twice the steps
DOUBLINGS = (0.3, 2.0)  # from a trial to a training: of less nothing is seen, of more the end is not
FEW_SEEDS, FEW_SUBJECTS = 3, 6
# Packages that no number of a training or a trial comes from.
IDLE = ("dipy", "mlflow", "pandas", "picsl-greedy", "pyarrow", "pydantic", "simpleitk", "snakemake")
Entry = Mapping[str, Any]


def caveats(
    entries: Sequence[Entry], manifests: Mapping[str, Mapping[str, Any]], *, steps: tuple[int, int] | None = None
) -> list[str]:
    """The warnings of a study.

    Args:
        entries: `methods` of the summary, `made_by` among their keys.
        manifests: of the prepared data, by dataset.
        steps: of a trial and of a training.
    """
    ranked = [entry for entry in entries if not entry.get("control")]
    return [
        *_few_subjects(manifests),
        *_few_trainings(ranked),
        *_unfinished(ranked, steps),
        *_edges(ranked),
        *_flat(ranked),
        *_unmoved(ranked, manifests),
        *_below_identity(ranked, manifests),
        *_failed(ranked),
        *_mixed(ranked),
    ]


def made_by(entry: Entry) -> list[dict[str, Any]]:
    """Where a cell's trainings and trials were made: each environment once, with the numbers of what it made.

    Args:
        entry: with `runs` and `trials`, which have their `environment`.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, key in (("runs", "seed"), ("trials", "number")):
        for made in entry[kind]:
            if "environment" in made:
                where = made["environment"]
                group = found.setdefault(digest(where), {"environment": where, "runs": [], "trials": []})
                group[kind].append(made[key])
    return list(found.values())


def _named(items: Sequence[str]) -> str:
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _name(entry: Entry) -> str:
    return f"{entry['dataset']}/{entry['method']}"


def _said(one: Callable[[str], str], many: str, found: Sequence[tuple[str, str]]) -> Iterator[str]:
    """One sentence for each group of two or more, the single ones in their own words.

    Args:
        one: the words for a single method, of its detail.
        many: what is true of several, after their number.
        found: names with their details.
    """
    if len(found) == 1:
        yield f"{found[0][0]}: {one(found[0][1])}"
    elif found:
        yield f"{len(found)} {many}: " + _named([f"{name} ({detail})" if detail else name for name, detail in found])


def _edges(entries: Sequence[Entry]) -> Iterator[str]:
    found = [
        (_name(entry), f"{chosen['lam']:g} in [{chosen['range'][0]:g}, {chosen['range'][1]:g}]")
        for entry in entries
        for chosen in _searches(entry)
        if chosen.get("edge") and chosen["lam"] is not None
    ]
    found = list(dict.fromkeys(found))
    yield from _said(
        lambda detail: f"lambda {detail.replace(' in ', ' is at the edge of its range ')}; widen it",
        "lambdas are at the edge of their range; widen it",
        found,
    )


def _flat(entries: Sequence[Entry]) -> Iterator[str]:
    searched = [entry for entry in entries if entry.get("trials")]
    found = [(_name(entry), _alike(entry)) for entry in searched if any(c.get("flat") for c in _searches(entry))]
    yield from _said(
        lambda detail: (
            f"its trials do not tell its lambdas apart{detail and f', {detail}'}: another search may choose another"
        ),
        f"of {len(searched)} tuned cells have lambdas that their trials do not tell apart: another search may choose "
        "others",
        found,
    )


def _alike(entry: Entry) -> str:
    """From which lambda to which the trials of any of a cell's searches see no difference."""
    ends = [end for chosen in _searches(entry) if chosen.get("flat") for end in chosen.get("alike") or ()]
    return f"{min(ends):.2g} to {max(ends):.2g}" if ends else ""


def _failed(entries: Sequence[Entry]) -> Iterator[str]:
    reasons: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        if entry["failed_rows"]:
            reasons.setdefault("; ".join(entry["reasons"]), []).append((_name(entry), f"{entry['failed_rows']} rows"))
    for reason, found in reasons.items():
        yield from _said(
            lambda detail, reason=reason: f"{detail} failed: {reason}",  # type: ignore[misc]
            f"methods have failed rows ({reason})",
            found,
        )


def _unmoved(entries: Sequence[Entry], manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    found = [
        (_name(entry), _moved(entry))
        for entry in entries
        if entry["method"] != IDENTITY and moves_nothing(entry, entries, manifests)
    ]
    yield from _said(
        lambda detail: f"it moves nothing: its Dice is that of no registration, {detail}",
        "methods move nothing: their Dice is that of no registration",
        found,
    )


def _moved(entry: Entry) -> str:
    length = _mean(entry, "displacement_mm")
    return "" if np.isnan(length) else f"mean displacement {length:.3g} mm"


def moves_nothing(entry: Entry, entries: Sequence[Entry], manifests: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a method leaves the moving image where it is: by its mean displacement, or by Dice, that of identity."""
    spacing = manifests.get(entry["dataset"], {}).get("spacing_mm", [1.0])
    if _mean(entry, "displacement_mm") < STILL * min(spacing):
        return True
    return abs(_mean(entry, "dice") - _of_identity(entry["dataset"], entries)) <= ALIKE


def _below_identity(entries: Sequence[Entry], manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    found = [
        (_name(entry), f"{_mean(entry, 'dice'):.3f}")
        for entry in entries
        if entry["method"] != IDENTITY
        and _mean(entry, "dice") < _of_identity(entry["dataset"], entries)
        and not moves_nothing(entry, entries, manifests)
    ]
    yield from _said(
        lambda _: "mean Dice is below identity: the registration did not work",
        "methods have a mean Dice below identity: the registration did not work",
        found,
    )


def _unfinished(entries: Sequence[Entry], steps: tuple[int, int] | None) -> Iterator[str]:
    """Trainings that more steps would have made better: by their own curves, and by the trials that had fewer."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.get("trained"):
            groups.setdefault((entry["dataset"], entry["model"]), []).append(entry)
    for (dataset, model), mine in groups.items():
        shares = {str(entry["method"]).removeprefix(f"{model}."): _late(entry) for entry in mine}
        late = [f"{name} {100 * share:.0f} %" for name, share in shares.items() if share is not None]
        gain, error = _gain(mine, steps)
        if gain + 2 * error < GAIN:  # what twice the steps did is the better witness
            continue
        reasons = []
        if late:
            reasons.append(f"in the second half came of the fall of the training similarity: {_named(late)}")
        if steps is not None and gain > max(GAIN, 2 * error):
            reasons.append(
                f"trials of {steps[0]} steps and trainings of {steps[1]} say {gain:+.3f} validation Dice for twice the "
                "steps"
            )
        if reasons:
            count = f"{len(late)} of {len(mine)} cells" if late else "the cells"
            yield (
                f"{dataset}: {count} of {model} were still improving at their end, give more `training.steps` "
                f"({'; '.join(reasons)})"
            )


def _late(entry: Entry) -> float | None:
    """The share of the second half, averaged over trainings; None where it is small, or within its own error."""
    found = [run["second_half"] for run in entry["runs"] if run.get("second_half")]
    if not found:
        return None
    share = float(np.mean([each["share"] for each in found]))
    error = float(np.sqrt(np.sum([each["se"] ** 2 for each in found])) / len(found))
    return share if share > max(LATE, 2 * error) else None


def _gain(entries: Sequence[Entry], steps: tuple[int, int] | None) -> tuple[float, float]:
    """Validation Dice for twice the steps, by a cell's trainings against its trial nearest to their lambda.

    Mean over three or more cells and its standard error; NaN of fewer, and where the lengths do not tell.
    """
    nothing = float("nan"), float("nan")
    doublings = float(np.log2(steps[1] / steps[0])) if steps else 0.0
    if not DOUBLINGS[0] <= doublings <= DOUBLINGS[1]:
        return nothing
    found = [difference for entry in entries if (difference := _longer(entry)) is not None]
    if len(found) < 3:
        return nothing
    return float(np.mean(found)) / doublings, float(np.std(found, ddof=1) / np.sqrt(len(found))) / doublings


def _longer(entry: Entry) -> float | None:
    """Mean validation Dice of a cell's trainings, less that of the trial whose lambda is nearest to each one's."""
    trials = [trial for trial in entry["trials"] if trial.get("dice") is not None and trial["status"] == "complete"]
    runs = [run for run in entry["runs"] if run.get("validation", {}).get("dice") is not None and run["lam"]]
    if not trials or not runs:
        return None
    return float(np.mean([run["validation"]["dice"] - _at(trials, run["lam"]) for run in runs]))


def _at(trials: Sequence[Mapping[str, Any]], lam: float) -> float:
    """Mean validation Dice of the trials whose lambda is nearest."""
    nearest = min((trial["lam"] for trial in trials), key=lambda tried: abs(np.log(tried / lam)))
    return float(np.mean([trial["dice"] for trial in trials if trial["lam"] == nearest]))


def _few_trainings(entries: Sequence[Entry]) -> Iterator[str]:
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


def _few_subjects(manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for dataset, manifest in manifests.items():
        subjects = {name for pair in manifest.get("pairs", {}).get("test", ()) for name in pair}
        if 0 < len(subjects) < FEW_SUBJECTS:
            yield (
                f"{dataset}: {len(subjects)} test subjects: what they vary by is known badly; take {FEW_SUBJECTS} or "
                "more"
            )


def _mixed(entries: Sequence[Entry]) -> Iterator[str]:
    """Trainings and trials that another environment made than most were."""
    groups: dict[str, tuple[dict[str, Any], list[str], int]] = {}
    for entry in entries:
        for group in entry.get("made_by", ()):
            parts = _parts(group["environment"])
            known = groups.setdefault(digest(parts), (parts, [], 0))
            count = len(group["runs"]) + len(group["trials"])
            groups[digest(parts)] = (parts, [*known[1], f"{_name(entry)} ({_made(group)})"], known[2] + count)
    ordered = sorted(groups.values(), key=lambda group: -group[2])
    for parts, names, _ in ordered[1:]:
        yield f"made in another environment than the rest ({_difference(parts, ordered[0][0])}): {_named(names)}"


def _made(group: Mapping[str, Any]) -> str:
    runs = f"seed {', '.join(map(str, group['runs']))}" if group["runs"] else ""
    trials = f"{len(group['trials'])} trial{'s' if len(group['trials']) > 1 else ''}" if group["trials"] else ""
    return "; ".join(part for part in (runs, trials) if part)


def _parts(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What of an environment may change a number, by the names that a reader knows."""
    code = environment.get("code", {})
    packages = {name: found for name, found in environment.get("packages", {}).items() if name not in IDLE}
    return {
        **packages,
        "compiled losses": environment.get("compiled_losses"),
        "device": environment.get("device"),
        "system": environment.get("system"),
        "commit": (code.get("git_commit") or "")[:8] or code.get("regbench"),
        "uncommitted changes": code.get("git_dirty"),
    }


def _difference(parts: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    names = [name for name in {**others, **parts} if parts.get(name) != others.get(name)]
    return "; ".join(f"{name} {_word(parts.get(name))}, not {_word(others.get(name))}" for name in names)


def _word(value: Any) -> str:
    return {None: "none", True: "yes", False: "no"}.get(value, str(value)) if not isinstance(value, str) else value


def _searches(entry: Entry) -> Sequence[Mapping[str, Any]]:
    """The choice of each search of a cell; none where it was not tuned."""
    return entry.get("searches") or ([entry["selected"]] if entry.get("selected") else [])


def _of_identity(dataset: str, entries: Sequence[Entry]) -> float:
    found = [entry for entry in entries if (entry["dataset"], entry["method"]) == (dataset, IDENTITY)]
    return _mean(found[0], "dice") if found else float("nan")


def _mean(entry: Entry, metric: str) -> float:
    """NaN where there is none, also in a summary that was read back."""
    value = entry["metrics"].get(metric, {}).get("mean")
    return float("nan") if value is None else float(value)
