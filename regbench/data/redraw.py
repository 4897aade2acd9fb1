"""Validation subjects drawn anew for some of a study's searches (`tuning.splits`); the test subjects stay."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from regbench.data.pairing import Pairs, used_pairs
from regbench.data.splits import Splits
from regbench.data.subject import Source
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError

TRIES = 300  # orders of the subjects in which a further draw is looked for
DRAWN = ("train", "validation")


class Redrawn(NamedTuple):
    """Who is where in a further draw, and its pairs."""

    splits: Splits
    pairs: Pairs


def redrawn(spec: PrepareSpec, source: Source, first: Splits) -> list[Redrawn]:
    """A further draw for each seed in ``spec.redraws``: as many validation subjects, out of train and validation.

    What holds for the declared draw holds for each: groups stay together, and so do subjects of a prescribed pair; whom
    the config or the data put into a split by name stays there; who cannot be scored (or masked) as the validation
    subjects are stays in training. No two draws are the same.

    Args:
        spec: of the dataset.
        source: its subjects, groups, pairs.
        first: the declared draw.

    Raises:
        RegbenchError: if there are no validation subjects, or no further draw is found; names the dataset.
    """
    if not spec.redraws:
        return []
    where = f"dataset `{spec.id}`: `tuning.splits: {len(spec.redraws) + 1}`"
    if not first["validation"]:
        raise RegbenchError(f"{where} draws validation subjects, but there are none. Give it some, or leave it out.")
    draws = [first]
    found = list[Redrawn]()
    for seed in spec.redraws:
        found.append(_further(spec, source, draws, seed, where))
        draws.append(found[-1].splits)
    return found


def _further(spec: PrepareSpec, source: Source, draws: Sequence[Splits], seed: int, where: str) -> Redrawn:
    """A draw that is none of those before it."""
    first = draws[0]
    blocks = [block for block in _blocks(source, first) if not block & _staying(spec, source, first)]
    movable = set[str]().union(*blocks)
    stays = set(first["validation"]) - movable
    count, free = len(first["validation"]) - len(stays), sorted(blocks, key=sorted)
    known = {frozenset(one["validation"]) for one in draws}
    generator = np.random.default_rng([spec.splits.seed, seed])
    reason = ""
    for _ in range(TRIES):
        chosen = stays | _whole([free[k] for k in generator.permutation(len(free))], count)
        if len(chosen) < len(first["validation"]) or frozenset(chosen) in known:
            continue
        rest = {*first["train"], *first["validation"]} - chosen
        splits = {"train": sorted(rest), "validation": sorted(chosen), "test": first["test"]}
        try:
            pairs = used_pairs(spec.pairs, source, splits, spec.id, spec.most_pairs)
        except RegbenchError as error:
            reason = f" ({error})"
            continue
        return Redrawn(splits, pairs)
    raise RegbenchError(
        f"{where} asks for {len(spec.redraws) + 1} different draws of {len(first['validation'])} validation subjects, "
        f"but only {len(draws)} {'was' if len(draws) == 1 else 'were'} found: {len(movable)} of "
        f"{len(first['train']) + len(first['validation'])} subjects of train and validation may change sides{reason}. "
        "Ask for fewer, give more subjects, or let them be drawn (counts or shares, not lists nor `given`)."
    )


def _whole(blocks: Sequence[set[str]], count: int) -> set[str]:
    """Blocks in their order, as far as they fit into so many subjects."""
    chosen = set[str]()
    for block in blocks:
        if len(chosen) + len(block) <= count:
            chosen |= block
    return chosen


def _staying(spec: PrepareSpec, source: Source, first: Splits) -> set[str]:
    """Subjects of train and validation that do not change sides."""
    names = [name for key in DRAWN for name in first[key]]
    if spec.splits.folds is None:
        named = {key for key in DRAWN if isinstance(spec.splits.part(key), tuple)}
        staying = {name for key in DRAWN for name in first[key] if key in named or source.given.get(name) == key}
    else:
        staying = set[str]()
    kinds = {_kind(source, name) for name in first["validation"]}
    return staying | {name for name in names if _kind(source, name) not in kinds}


def _kind(source: Source, name: str) -> tuple[bool, bool, bool]:
    """What a subject can be scored by and trained with."""
    return name in source.unlabelled, name in source.landmarked, name in source.masked


def _blocks(source: Source, first: Splits) -> list[set[str]]:
    """Subjects of train and validation that stay together: of a group, or of a prescribed pair."""
    names = [name for key in DRAWN for name in first[key]]
    of = {name: {name} for name in names}
    linked = [pair for pair in source.given_pairs if set(pair) <= set(names)]
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(source.groups.get(name, name), []).append(name)
    linked += [pair for group in members.values() for pair in combinations(group, 2)]
    for a, b in linked:
        if of[a] is not of[b]:
            of[a] |= of[b]
            for name in of[b]:
                of[name] = of[a]
    return list({id(block): block for block in of.values()}.values())
