"""Who is in which split, and which pairs are used: fixed before anything runs."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from regbench.errors import RegbenchError, did_you_mean

NAMES = ("train", "validation", "test")


def split(ids: Sequence[str], wanted: Mapping[str, Any], dataset: str, seed: int = 0) -> dict[str, list[str]]:
    """Subjects of each split, by counts (drawn with the seed) or by explicit lists; never one subject in two splits.

    Raises:
        RegbenchError: naming the dataset and the key.
    """
    for key in (*wanted, *NAMES):
        if key not in NAMES:
            raise RegbenchError(f"dataset `{dataset}`: splits.{key} is unknown; {did_you_mean(key, NAMES)}")
        if not wanted.get(key):
            raise RegbenchError(f"dataset `{dataset}`: splits.{key} must have subjects, but got {wanted.get(key)!r}.")
    found: dict[str, list[str]] = {key: list(wanted[key]) for key in NAMES if isinstance(wanted[key], list | tuple)}
    for key, names in found.items():
        unknown = [name for name in names if name not in ids]
        if unknown:
            raise RegbenchError(
                f"dataset `{dataset}`: splits.{key}: no subject `{unknown[0]}`; {did_you_mean(unknown[0], ids)}"
            )
    taken = [name for names in found.values() for name in names]
    twice = [name for i, name in enumerate(taken) if name in taken[:i]]
    if twice:
        raise RegbenchError(
            f"dataset `{dataset}`: subject `{twice[0]}` stands twice in splits; a subject has one place."
        )
    free = [ids[i] for i in np.random.default_rng(seed).permutation(len(ids)) if ids[i] not in taken]
    for key in NAMES:
        if key not in found:
            count = wanted[key]
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise RegbenchError(f"dataset `{dataset}`: splits.{key} must be a count or a list, but got {count!r}.")
            if count > len(free):
                left = f"{len(free)} of {len(ids)} are left"
                raise RegbenchError(f"dataset `{dataset}`: splits.{key} asks for {count} subjects, but {left}.")
            found[key], free = sorted(free[:count]), free[count:]
        if len(found[key]) < 2:
            raise RegbenchError(f"dataset `{dataset}`: splits.{key} must have at least 2 subjects to make a pair.")
    return found


def pairs(names: Sequence[str], count: int | None, dataset: str, key: str, seed: int = 0) -> list[list[str]]:
    """Ordered pairs (fixed, moving) of a split: all, or `count` of them drawn with the seed.

    Raises:
        RegbenchError: if there are fewer than asked for.
    """
    every = [list(pair) for pair in permutations(names, 2)]
    if count is None:
        return every
    if count > len(every):
        raise RegbenchError(
            f"dataset `{dataset}`: pairs.{key} asks for {count}, but {len(names)} subjects make {len(every)}."
        )
    chosen = np.random.default_rng([seed, len(every)]).permutation(len(every))[:count]
    return [every[i] for i in sorted(chosen)]
