"""Who is in which split: fixed before anything runs."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from regbench.study.data_config import FEWEST_FOLDS, NAMES, Part, SplitConfig
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc

# Of a dataset without splits, for those that the data do not give.
DEFAULT: Mapping[str, Part] = {"train": "rest", "validation": 0.1, "test": 0.2}
ALL_TESTED: Mapping[str, Part] = {"test": "rest"}  # where nothing is trained nor searched
Splits = dict[str, list[str]]


def split(
    ids: Sequence[str],
    wanted: SplitConfig,
    dataset: str,
    *,
    groups: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    needed: Collection[str] = NAMES,
    least: int = 2,
) -> Splits:
    """Subjects of each split; never one subject, nor two of one group, on two sides.

    Args:
        ids: all subjects.
        wanted: for each of train, validation and test a count, a share (0.2; two subjects at least), a list of ids,
            ``given`` (whom the data's authors put there; the default where there are any) or ``rest``; or ``folds`` and
            ``fold`` (fold k is the test, the next one the validation, the others train; whom the authors put into
            validation or test is in no fold), and ``repeat``, of several deals. ``seed`` for the draw. With none of
            these, `DEFAULT` holds for the splits that are not given.
        dataset: for messages.
        groups: subject to group.
        given: subject to the split it was put in; it is drawn for no other.
        needed: splits that must have subjects; another one that `wanted` and the data leave out is empty.
        least: subjects of a split; one is enough where an atlas is the other half of each pair.

    Raises:
        RegbenchError: naming the dataset and the key.
    """
    groups = {name: (groups or {}).get(name, name) for name in ids}
    if wanted.folds is None and not any(map(wanted.part, NAMES)):
        given_keys = set((given or {}).values())
        default = DEFAULT if "validation" in needed else ALL_TESTED
        wanted = wanted.model_copy(update={key: part for key, part in default.items() if key not in given_keys})
    given, where = given or {}, f"dataset `{dataset}`: splits"
    seed = [wanted.seed, wanted.repeat] if wanted.repeat else wanted.seed
    shuffled = [ids[i] for i in np.random.default_rng(seed).permutation(len(ids))]
    if wanted.folds is not None and wanted.fold is not None:
        held_out = {groups[name] for name, split in given.items() if split != "train"}
        dealt = [name for name in shuffled if groups.get(name) not in held_out]
        _check_folds(wanted.folds, [groups[name] for name in dealt], least, where)
        splits = _folds(dealt, wanted.folds, wanted.fold, groups)
    else:
        splits = _fixed(ids, wanted, given, needed, where)
        _draw(splits, shuffled, wanted, groups=groups, given=given, least=least, where=where)
    splits = {key: splits.get(key, []) for key in NAMES}
    _check(splits, groups, where)
    for key, names in splits.items():
        if len(names) < least and (names or key in needed):
            many = "2 subjects to make a pair" if least == 2 else "a subject"
            raise RegbenchError(f"{where}.{key} must have at least {many}, but has {len(names)} of {len(ids)}.")
    return splits


def _fixed(
    ids: Sequence[str], wanted: SplitConfig, given: Mapping[str, str], needed: Collection[str], where: str
) -> Splits:
    """The splits that are listed or given."""
    splits: Splits = {}
    known = set(ids)
    for key in NAMES:
        value = wanted.part(key)
        if isinstance(value, tuple):
            names = [nfc(name) for name in value]
            unknown = [name for name in names if name not in known]
            if unknown:
                raise RegbenchError(f"{where}.{key}: no subject `{unknown[0]}`; {did_you_mean(str(unknown[0]), ids)}")
            splits[key] = names
        elif value == "given" or (value is None and key in given.values()):
            splits[key] = [name for name in ids if given.get(name) == key]
            if not splits[key]:
                raise RegbenchError(
                    f"{where}.{key} is `given`, but the data put no subject there. Give a count, a share or a list."
                )
        elif value is None and key in needed:
            raise RegbenchError(f"{where}.{key} must have subjects, but is missing. Give a count, a share or a list.")
    for key, names in splits.items():
        for name in names:
            if given.get(name, key) != key:
                raise RegbenchError(f"{where}.{key}: `{name}` is a {given[name]} subject of the data. Leave it out.")
    return splits


def _draw(
    splits: Splits,
    shuffled: Sequence[str],
    wanted: SplitConfig,
    *,
    groups: Mapping[str, str],
    given: Mapping[str, str],
    least: int,
    where: str,
) -> None:
    """Fill the splits that are counts, shares or the rest; whole groups only."""
    taken = {groups[name] for names in splits.values() for name in names}
    free = [name for name in shuffled if groups[name] not in taken]
    total = len(free)
    parts = {key: part for key in NAMES if key not in splits and (part := wanted.part(key)) is not None}
    for key, part in sorted(parts.items(), key=lambda item: item[1] == "rest"):
        allowed = [name for name in free if given.get(name, key) == key]
        count = round(part * total) if isinstance(part, float) else part if isinstance(part, int) else len(allowed)
        chosen: list[str] = []
        for group in dict.fromkeys(groups[name] for name in allowed):
            members = [name for name in allowed if groups[name] == group]
            if len(chosen) + len(members) <= count and len(members) == sum(groups[name] == group for name in free):
                chosen += members
        if isinstance(part, float) and len(chosen) < least:
            chosen = _fewest(allowed, free, groups, least)
        _check_count(part, count, len(allowed), len(chosen), f"{where}.{key}", of=len(shuffled))
        splits[key] = sorted(chosen)
        free = [name for name in free if name not in chosen]


def _fewest(allowed: Sequence[str], free: Sequence[str], groups: Mapping[str, str], least: int) -> list[str]:
    """The first whole groups that make the `least` subjects of a split, or all there are."""
    chosen: list[str] = []
    for group in dict.fromkeys(groups[name] for name in allowed):
        members = [name for name in free if groups[name] == group]
        if len(chosen) < least and all(name in allowed for name in members):
            chosen += members
    return chosen


def _check_count(wanted: Part, count: int, allowed: int, chosen: int, where: str, *, of: int) -> None:
    """Whether a split has the subjects that it asks for; shares may lose one to the rounding of the others."""
    share = isinstance(wanted, float)
    if wanted == "rest" or chosen >= count or (share and allowed >= count - 1):
        return
    left = f"whole groups make only {chosen}" if allowed >= count else f"{allowed} of {of} are left"
    asked = f"{wanted:g} of them, {count} subjects" if share else f"{count} subjects"
    raise RegbenchError(f"{where} asks for {asked}, but {left}. Ask for less, or leave another split less.")


def _folds(shuffled: Sequence[str], folds: int, fold: int, groups: Mapping[str, str]) -> Splits:
    parts: list[list[str]] = [[] for _ in range(folds)]
    for group in dict.fromkeys(groups[name] for name in shuffled):
        min(parts, key=len).extend(name for name in shuffled if groups[name] == group)
    splits: Splits = {"train": [], "validation": sorted(parts[(fold + 1) % folds]), "test": sorted(parts[fold])}
    splits["train"] = sorted(name for name in shuffled if name not in splits["validation"] + splits["test"])
    return splits


def _check_folds(folds: int, groups: Sequence[str], least: int, where: str) -> None:
    """Whether each fold can have the subjects that a pair needs."""
    whole = len(set(groups))
    most = min(len(groups) // least, whole)
    if folds > most:
        of = "" if whole == len(groups) else f" in {whole} groups, which stay together"
        advice = f"Take at most {most}" if most >= FEWEST_FOLDS else "Write train, validation and test"
        raise RegbenchError(
            f"{where}.folds must leave {least} subject{'s' if least > 1 else ''} to each, but got {folds} folds of "
            f"{len(groups)} subjects{of}. {advice}, or give more subjects."
        )


def _check(splits: Splits, groups: Mapping[str, str], where: str) -> None:
    place: dict[str, str] = {}
    for key in NAMES:
        names = splits[key]
        if len(set(names)) < len(names) or any(place.get(f"subject {name}") for name in names):
            twice = next(name for i, name in enumerate(names) if place.get(f"subject {name}") or name in names[:i])
            raise RegbenchError(f"{where}: subject `{twice}` stands twice; a subject has one place.")
        place |= {f"subject {name}": key for name in names}
        for name in names:
            other = place.setdefault(f"group {groups[name]}", key)
            if other != key:
                raise RegbenchError(
                    f"{where}: group `{groups[name]}` must be on one side, but is in both {other} and {key} (`{name}`)."
                )
