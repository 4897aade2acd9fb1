"""Who is in which split, and which pairs are used: fixed before anything runs."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc

NAMES = ("train", "validation", "test")
EXTRA = ("seed", "folds", "fold")
MOST_FOLDS = 10_000
Splits = dict[str, list[str]]


def split(
    ids: Sequence[str],
    wanted: Mapping[str, Any],
    dataset: str,
    *,
    groups: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    only_tested: bool = False,
) -> Splits:
    """Subjects of each split; never one subject, nor two of one group, on two sides.

    Args:
        ids: all subjects.
        wanted: for each of train, validation and test a count, a share (0.2), a list of ids, ``given`` (whom the data's
            authors put there; the default where there are any) or ``rest``; or ``folds`` and ``fold`` (fold k is the
            test, the next one the validation, the others train). ``seed`` for the draw.
        dataset: for messages.
        groups: subject to group.
        given: subject to the split it was put in; it is drawn for no other.
        only_tested: there is a test alone, whoever the data's authors trained with.

    Raises:
        RegbenchError: naming the dataset and the key.
    """
    groups = {name: (groups or {}).get(name, name) for name in ids}
    given, where = {} if only_tested else given or {}, f"dataset `{dataset}`: splits"
    for key, message in mistakes(wanted):
        raise RegbenchError(f"{where}{f'.{key}' if key else ''} {message}.")
    shuffled = [ids[i] for i in np.random.default_rng(wanted.get("seed", 0)).permutation(len(ids))]
    if "folds" in wanted:
        splits = _folds(shuffled, wanted, groups)
    else:
        splits = _fixed(ids, {"train": [], "validation": [], **wanted} if only_tested else wanted, given, where)
        _draw(splits, shuffled, wanted, groups=groups, given=given, where=where)
    _check(splits, groups, where)
    return {key: splits[key] for key in NAMES}


def mistakes(wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with splits whatever the subjects, as (key or "", message)."""
    wrong = [
        (key, f"unknown; {did_you_mean(str(key), (*NAMES, *EXTRA))}") for key in wanted if key not in (*NAMES, *EXTRA)
    ]
    wrong += [(key, message) for key in NAMES if key in wanted and (message := _wrong(wanted[key]))]
    wrong += _together(wanted)
    seed, folds, fold = wanted.get("seed", 0), wanted.get("folds"), wanted.get("fold")
    if type(seed) is not int or seed < 0:
        wrong.append(("seed", f"must be an integer from 0, but got {seed!r}"))
    if "folds" in wanted or "fold" in wanted:
        if any(key in wanted for key in NAMES):
            wrong.append(("", "must have either folds and fold or train, validation and test, but has both"))
        if type(folds) is not int or type(fold) is not int or not 3 <= folds <= MOST_FOLDS or not 0 <= fold < folds:
            wrong.append(
                (
                    "folds",
                    f"must be from 3 to {MOST_FOLDS}, and fold from 0 to folds - 1, but got {folds!r} and {fold!r}",
                )
            )
    return wrong


def _together(wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with the three splits of a dataset side by side."""
    shares = [value for key in NAMES if type(value := wanted.get(key)) is float and 0 < value < 1]
    wrong = []
    if sum(shares) > 1 + 1e-9:
        sum_of = " + ".join(f"{share:g}" for share in shares)
        wrong.append(("", f"must have shares that sum to 1 at most, but got {sum_of} = {sum(shares):g}"))
    rests = [key for key in NAMES if wanted.get(key) == "rest"]
    if len(rests) > 1:
        wrong.append(
            (rests[1], f"`rest` can be one split alone, but {rests[0]} is `rest` too; give a count or a share")
        )
    return wrong


def _wrong(value: Any) -> str:
    """Why `value` can be no split; empty if it can."""
    if isinstance(value, list | tuple):
        if not value:
            return f"must have subjects, but got {value!r}"
        bad = [name for name in value if not isinstance(name, str)]
        return f"must list ids as text, but got {bad[0]!r}; put it in quotes" if bad else ""
    if value in ("given", "rest") or (type(value) is int and value > 0) or (type(value) is float and 0 < value < 1):
        return ""
    return f"must be a count or a list, a share such as 0.2, `given` or `rest`, but got {value!r}"


def pairs(
    names: Sequence[str],
    count: int | None,
    dataset: str,
    key: str,
    seed: int = 0,
    *,
    given: Sequence[tuple[str, str]] = (),
) -> list[list[str]]:
    """Ordered pairs (fixed, moving) of a split: all of them (or all that are given), or `count` drawn with the seed.

    Raises:
        RegbenchError: if there are fewer than asked for, or a given pair is half inside the split.
    """
    inner = [[fixed, moving] for fixed, moving in given if fixed in names or moving in names]
    for pair in inner:
        if not all(name in names for name in pair):
            raise RegbenchError(
                f"dataset `{dataset}`: the data's own pairs must lie within one split, but only one of {pair} is in "
                f"splits.{key}. Put both there, or neither."
            )
    every = inner or [list(pair) for pair in permutations(names, 2)]
    if count is None:
        return every
    if count > len(every):
        raise RegbenchError(
            f"dataset `{dataset}`: pairs.{key} asks for {count}, but {len(names)} subjects make {len(every)}."
        )
    chosen = np.random.default_rng([seed, len(every)]).permutation(len(every))[:count]
    return [every[i] for i in sorted(chosen)]


def _fixed(ids: Sequence[str], wanted: Mapping[str, Any], given: Mapping[str, str], where: str) -> Splits:
    """The splits that are listed or given."""
    splits: Splits = {}
    known = set(ids)
    for key in NAMES:
        value = wanted.get(key)
        if isinstance(value, list | tuple):
            value = [nfc(name) for name in value]
            unknown = [name for name in value if name not in known]
            if unknown:
                raise RegbenchError(f"{where}.{key}: no subject `{unknown[0]}`; {did_you_mean(str(unknown[0]), ids)}")
            splits[key] = value
        elif value == "given" or (value is None and key in given.values()):
            splits[key] = [name for name in ids if given.get(name) == key]
            if not splits[key]:
                raise RegbenchError(
                    f"{where}.{key} is `given`, but the data put no subject there. Give a count, a share or a list."
                )
        elif value is None:
            raise RegbenchError(f"{where}.{key} must have subjects, but is missing. Give a count, a share or a list.")
    for key, names in splits.items():
        for name in names:
            if given.get(name, key) != key:
                raise RegbenchError(f"{where}.{key}: `{name}` is a {given[name]} subject of the data. Leave it out.")
    return splits


def _draw(
    splits: Splits,
    shuffled: Sequence[str],
    wanted: Mapping[str, Any],
    *,
    groups: Mapping[str, str],
    given: Mapping[str, str],
    where: str,
) -> None:
    """Fill the splits that are counts, shares or the rest; whole groups only."""
    taken = {groups[name] for names in splits.values() for name in names}
    free = [name for name in shuffled if groups[name] not in taken]
    total = len(free)
    open_keys = [key for key in NAMES if key not in splits]
    for key in sorted(open_keys, key=lambda name: wanted[name] == "rest"):
        allowed = [name for name in free if given.get(name, key) == key]
        count = (
            len(allowed)
            if wanted[key] == "rest"
            else round(wanted[key] * (total if isinstance(wanted[key], float) else 1))
        )
        chosen: list[str] = []
        for group in dict.fromkeys(groups[name] for name in allowed):
            members = [name for name in allowed if groups[name] == group]
            if len(chosen) + len(members) <= count and len(members) == sum(groups[name] == group for name in free):
                chosen += members
        _check_count(wanted[key], count, len(allowed), len(chosen), f"{where}.{key}", of=len(shuffled))
        splits[key] = sorted(chosen)
        free = [name for name in free if name not in chosen]


def _check_count(wanted: Any, count: int, allowed: int, chosen: int, where: str, *, of: int) -> None:
    """Whether a split has the subjects that it asks for; shares may lose one to the rounding of the others."""
    share = isinstance(wanted, float)
    if wanted == "rest" or chosen >= count or (share and allowed >= count - 1):
        return
    left = f"whole groups make only {chosen}" if allowed >= count else f"{allowed} of {of} are left"
    asked = f"{wanted:g} of them, {count} subjects" if share else f"{count} subjects"
    raise RegbenchError(f"{where} asks for {asked}, but {left}. Ask for less, or leave another split less.")


def _folds(shuffled: Sequence[str], wanted: Mapping[str, Any], groups: Mapping[str, str]) -> Splits:
    folds, fold = wanted["folds"], wanted["fold"]
    parts: list[list[str]] = [[] for _ in range(folds)]
    for group in dict.fromkeys(groups[name] for name in shuffled):
        min(parts, key=len).extend(name for name in shuffled if groups[name] == group)
    splits: Splits = {"train": [], "validation": sorted(parts[(fold + 1) % folds]), "test": sorted(parts[fold])}
    splits["train"] = sorted(name for name in shuffled if name not in splits["validation"] + splits["test"])
    return splits


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
        if names and len(names) < 2:
            raise RegbenchError(f"{where}.{key} must have at least 2 subjects to make a pair.")
