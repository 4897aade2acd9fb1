"""Which (fixed, moving) pairs of each split are used: those of the data or of a list, else those of a rule."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, permutations

import numpy as np

from regbench.data.splits import Splits
from regbench.data.subject import Source
from regbench.study.data_config import NAMES, OF_ATLAS, PairsConfig, SplitConfig
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import nfc

Pair = tuple[str, str]
Pairs = dict[str, list[list[str]]]
NONE = {  # why a split has no pair by a rule, and what to do
    "all": "the roles of its subjects leave none. Give it fixed and moving subjects.",
    "within_group": "no group has two of its subjects. Give more subjects, or groups of two and more.",
    "across_modalities": "no two of its subjects (of one group, where the data have groups) differ in modality. Put "
    "the images of a person into one group, so that a split has all of them.",
    "consecutive": "no two neighbours of a series are in it. Make each series a group, or list the subjects of the "
    "splits.",
    "to_atlas": "the roles of its subjects leave none. The atlas is the fixed image.",
    "from_atlas": "the roles of its subjects leave none. The atlas is the moving image.",
}


def atlas_of(wanted: PairsConfig, splits: SplitConfig, source: Source, dataset: str) -> str | None:
    """The subject of all pairs, which is in no split; None without.

    Raises:
        RegbenchError: if there is no such subject, a split lists it, or others of its group would be in a split.
    """
    if wanted.rule not in OF_ATLAS or wanted.atlas is None:
        return None
    name, where = nfc(wanted.atlas), f"dataset `{dataset}`: pairs.atlas"
    if name not in source.ids:
        raise RegbenchError(f"{where}: no subject `{name}`; {did_you_mean(name, source.ids)}")
    for key in NAMES:
        part = splits.part(key)
        if isinstance(part, tuple) and name in map(nfc, part):
            raise RegbenchError(
                f"dataset `{dataset}`: splits.{key}: `{name}` is the atlas of all pairs and in no split. "
                "Leave it out there."
            )
    others = [other for other in source.ids if other != name and _group(source, other) == _group(source, name)]
    if others:
        raise RegbenchError(
            f"{where} must be alone in its group, for it is in the pairs of every split, but `{others[0]}` is in the "
            f"group of `{name}` too. Take another atlas, or leave that subject out."
        )
    return name


def used_pairs(
    wanted: PairsConfig, source: Source, splits: Splits, dataset: str, most: Mapping[str, int] | None = None
) -> Pairs:
    """The pairs of validation and test; those of train where training may not draw any two subjects.

    Args:
        wanted: what the config says of pairs.
        source: the dataset, with the pairs of a list if there is one.
        splits: subjects of each split.
        dataset: its id, for messages.
        most: pairs of a split to draw where any two subjects may be a pair and more would be used.

    Raises:
        RegbenchError: if a split has no pair, or fewer than are asked for, or a pair lies in two splits.
    """
    _check_inside(source, splits, dataset)
    pairs: Pairs = {}
    for key in NAMES:
        where = f"dataset `{dataset}`: pairs of {key}"
        if not splits[key]:
            pairs[key] = []
        elif prescribed := _prescribed(wanted, source, splits[key], where):
            pairs[key] = prescribed
        elif key != "train" or source.roles:
            pairs[key] = [list(pair) for pair in permutations(splits[key], 2) if _fits(source, pair)]
            if not pairs[key]:
                raise RegbenchError(f"{where}: {NONE['all']}")
            if wanted.count(key) is None:
                bound = min((most or {}).get(key, len(pairs[key])), len(pairs[key]))
                pairs[key] = draw(pairs[key], bound, where, subjects=len(splits[key]))
        if (count := wanted.count(key)) is not None:
            pairs[key] = draw(pairs[key], count, f"dataset `{dataset}`: pairs.{key}", subjects=len(splits[key]))
    return {key: pairs[key] for key in NAMES if key in pairs and (key != "train" or pairs[key])}


def draw(pairs: list[list[str]], count: int, where: str, *, subjects: int, seed: int = 0) -> list[list[str]]:
    """`count` of the pairs, in their order.

    Raises:
        RegbenchError: if there are fewer.
    """
    if count > len(pairs):
        raise RegbenchError(f"{where} asks for {count}, but {subjects} subjects make {len(pairs)}.")
    chosen = np.random.default_rng([seed, len(pairs)]).permutation(len(pairs))[:count]
    return [pairs[i] for i in sorted(chosen)]


def _prescribed(wanted: PairsConfig, source: Source, names: Sequence[str], where: str) -> list[list[str]]:
    """The pairs of a list, of the data or of a rule that is not ``all``; empty where any two subjects may be a pair."""
    if wanted.rule is None:
        pairs = [pair for pair in source.given_pairs if set(pair) <= set(names)]
        if source.listed and not pairs:
            raise RegbenchError(f"{where}: the list has none of its subjects. Add some, or leave `list` out.")
        bad = next((pair for pair in pairs if not _fits(source, pair)), None)
        if bad is not None:
            roles = " and ".join(f"`{name}` is {role}" for name in bad if (role := source.roles.get(name)))
            raise RegbenchError(f"{where}: {_place(source, bad)}: a pair is fixed, moving, but by their roles {roles}.")
        return [list(pair) for pair in pairs]
    if wanted.rule == "all":
        return []
    if wanted.rule == "across_modalities" and not source.modalities:
        raise RegbenchError(
            f"{where}: `rule: across_modalities` needs modalities, but no subject has one. Give a table the column "
            "`modality`, a folder of images a folder for each."
        )
    atlas = nfc(wanted.atlas) if wanted.atlas is not None else ""
    by_rule: Mapping[str, Callable[[], Iterable[Pair]]] = {
        "within_group": lambda: _of_groups(source, names),
        "across_modalities": lambda: _across(source, names),
        "consecutive": lambda: _consecutive(source, names),
        "to_atlas": lambda: ((atlas, name) for name in names),
        "from_atlas": lambda: ((name, atlas) for name in names),
    }
    pairs = [pair for pair in by_rule[wanted.rule]() if _fits(source, pair)]
    if not pairs:
        raise RegbenchError(f"{where}: `rule: {wanted.rule}` makes none: {NONE[wanted.rule]}")
    return [list(pair) for pair in pairs]


def _group(source: Source, name: str) -> str:
    return source.groups.get(name, name)


def _members(source: Source, names: Sequence[str]) -> dict[str, list[str]]:
    """Subjects by group, in their order."""
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(_group(source, name), []).append(name)
    return members


def _of_groups(source: Source, names: Sequence[str]) -> list[Pair]:
    members = _members(source, names)
    return [(fixed, moving) for fixed in names for moving in members[_group(source, fixed)] if moving != fixed]


def _across(source: Source, names: Sequence[str]) -> list[Pair]:
    """Of two modalities; within a group where the data have groups."""
    near = _of_groups(source, names) if source.groups else permutations(names, 2)
    modality = source.modalities.get
    return [(fixed, moving) for fixed, moving in near if modality(fixed) != modality(moving)]


def _consecutive(source: Source, names: Sequence[str]) -> list[Pair]:
    """Neighbours in the order of the data, the earlier fixed: of a group, or of all subjects where there are none."""
    series = _members(source, source.ids).values() if source.groups else [list(source.ids)]
    inside = set(names)
    return [pair for one in series for pair in pairwise(one) if inside.issuperset(pair)]


def _fits(source: Source, pair: Sequence[str]) -> bool:
    """Whether the roles of two subjects let them be fixed and moving."""
    return source.roles.get(pair[0]) != "moving" and source.roles.get(pair[1]) != "fixed"


def _place(source: Source, pair: Pair) -> str:
    return f"{source.listed.get(pair, 'the data')}: `{pair[0]}`, `{pair[1]}`"


def _unplaced(source: Source, name: str) -> str:
    """Why a subject is in no split, where the data or the list put it into one."""
    split = source.given.get(name)
    return f"no split (splits.{split} drew others: write `given` there, or leave it out)" if split else "no split"


def _check_inside(source: Source, splits: Splits, dataset: str) -> None:
    """Whether each prescribed pair lies in one split, or in none."""
    sides = {name: key for key, names in splits.items() for name in names}
    for pair in source.given_pairs:
        fixed, moving = (sides.get(name) for name in pair)
        if fixed != moving and (source.listed or {fixed, moving} != {"train", None}):
            of = " and ".join(f"`{name}` is in {sides.get(name) or _unplaced(source, name)}" for name in pair)
            raise RegbenchError(
                f"dataset `{dataset}`: a pair must lie within one split, but of {_place(source, pair)}, {of}. Put both "
                "into one (a list may have the column `split`; subjects of one group stay together)."
            )
