"""One intensity rule for all images, or one for each modality: a CT window beside an MR percentile."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from regbench.data.native import Entry
from regbench.data.preprocessing.intensity import Kind
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc

ENDS = (0.5, 99.5)  # percentiles
Ends = dict[Literal["window", "percentiles"], list[float]]  # with one key, which names the kind
Intensity = Kind | dict[str, Kind | Ends]  # of all images, or by modality


class Scaling(NamedTuple):
    """Arguments of `regbench.data.preprocessing.intensity.normalise`."""

    kind: Kind
    percentiles: tuple[float, float] = ENDS
    window: tuple[float, float] | None = None


def by_modality(rules: Mapping[str, Kind | Ends]) -> dict[str, Scaling]:
    """The rule of each modality, whose names are in the composed form of Unicode; `mistakes` found none in them."""
    scalings = {}
    for modality, rule in rules.items():
        if isinstance(rule, str):
            scalings[nfc(modality)] = Scaling(rule)
        elif "window" in rule:
            low, high = rule["window"]
            scalings[nfc(modality)] = Scaling("window", window=(low, high))
        else:
            low, high = rule["percentiles"]
            scalings[nfc(modality)] = Scaling("percentile", percentiles=(low, high))
    return scalings


def mistakes(rules: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What is wrong with rules by modality, as (setting, message); their types are sound."""
    if not rules:
        yield "intensity", "must have a rule for each modality, but is empty"
    for modality, rule in rules.items():
        key = f"intensity.{modality}"
        if rule == "window":
            yield key, "`window` needs its ends; write {window: [low, high]}"
        elif isinstance(rule, Mapping) and len(rule) != 1:
            yield key, f"must be one of `window` and `percentiles`, but got {sorted(rule) or 'none'}"
        elif isinstance(rule, Mapping):
            (kind, ends), *_ = rule.items()
            within = " within 0 to 100" if kind == "percentiles" else ""
            lowest, highest = (0, 100) if within else (-float("inf"), float("inf"))
            if len(ends) != 2 or not lowest <= ends[0] < ends[1] <= highest:
                yield key, f"`{kind}` must be two numbers that rise{within}, but got {list(ends)}"


def scaling_of(
    entries: tuple[Entry, ...],
    intensity: Intensity,
    percentiles: tuple[float, float],
    window: tuple[float, float] | None,
) -> dict[str, Scaling]:
    """That of each subject, by its id; of the subjects of a dataset and the settings of `preprocess`.

    Raises:
        RegbenchError: if a modality has no rule, or a rule no subject.
    """
    if isinstance(intensity, str):
        return dict.fromkeys((entry.id for entry in entries), Scaling(intensity, percentiles, window))
    scalings = by_modality(intensity)
    _check_modalities(scalings, entries)
    return {entry.id: scalings[entry.modality] for entry in entries}


def _check_modalities(scalings: Mapping[str, Scaling], entries: tuple[Entry, ...]) -> None:
    """Whether each subject has a rule, and each rule a subject.

    Raises:
        RegbenchError: naming every modality and the first subject at fault.
    """
    known = sorted({entry.modality for entry in entries if entry.modality})
    without = [entry.id for entry in entries if not entry.modality]
    wrong = [
        f"modality `{name}` (subject `{next(entry.id for entry in entries if entry.modality == name)}`) has no rule; "
        f"{did_you_mean(name, list(scalings))}"
        for name in known
        if name not in scalings
    ]
    wrong += [
        f"no subject has modality `{name}`; {did_you_mean(name, known)}" for name in scalings if name not in known
    ]
    if without:
        wrong.append(
            f"{len(without)} of {len(entries)} subjects have no modality (`{without[0]}`...); give a table the column "
            "`modality`, a folder of images a folder for each"
        )
    if wrong:
        raise RegbenchError(f"preprocessing.intensity must have one rule for each modality, but {'; '.join(wrong)}.")
