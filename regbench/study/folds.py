"""Folds that all run: a dataset with `folds` and no `fold` is k datasets, which the report pools under its own name.

With `repeats` the folds are dealt so often, each time from the start, and all folds of all deals are pooled.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from regbench.study.config_values import LONGEST_ID, MOST_PARTS, Id
from regbench.study.data_config import FEWEST_FOLDS, MOST_REPEATS
from regbench.study.mistakes import Mistake

ORIGIN = "splits.folds"  # what the keys of a fold's dataset come from
Place = tuple[str | int, ...]  # of a key in a config


class Unfolded(NamedTuple):
    """A config whose folds are datasets of their own.

    Attributes:
        raw: the config.
        origins: keys that were filled in.
        written: of each entry of `datasets` and `evaluate_on`, its number as written.
    """

    raw: dict[str, Any]
    origins: dict[Place, str]
    written: dict[tuple[str, int], int]


def fold_id(dataset: str, fold: int, repeat: int = 0) -> str:
    """The dataset of a fold; that of the first deal is called, and is, as where there is no other."""
    return f"{dataset}_repeat{repeat}_fold{fold}" if repeat else f"{dataset}_fold{fold}"


def unfolded(raw: Mapping[str, Any], mistakes: list[Mistake]) -> Unfolded:
    """`raw` with a dataset for each fold; anything that cannot be read stays as it is, for the typed check.

    Args:
        raw: a config in its long form.
        mistakes: receives folds that cannot all run.
    """
    datasets, tested = raw.get("datasets"), raw.get("evaluate_on")
    long = Unfolded(dict(raw), {}, {})
    if not isinstance(datasets, list) or not any(map(_folds, datasets)):
        return long
    entries, pools = list[Any](), dict[str, list[str]]()
    long.raw["datasets"] = entries
    for number, dataset in enumerate(datasets):
        for part in _parts(dataset, f"datasets[{number}]", mistakes):
            place = len(entries)
            long.written["datasets", place] = number
            if part is not dataset and "fold_of" in part:
                long.origins.update({("datasets", place, key): ORIGIN for key in ("id", "fold_of")})
                chosen = {"fold": ORIGIN, "repeat": f"{ORIGIN.partition('.')[0]}.repeats"}
                given = {key: origin for key, origin in chosen.items() if key in part["splits"]}
                long.origins.update({("datasets", place, "splits", key): origin for key, origin in given.items()})
                pools.setdefault(part["fold_of"], []).append(part["id"])
            entries.append(part)
    if isinstance(tested, list):
        names = [(number, one) for number, name in enumerate(tested) for one in _named(name, pools)]
        long.raw["evaluate_on"] = [one for _, one in names]
        long.written.update({("evaluate_on", place): number for place, (number, _) in enumerate(names)})
    return long


def _named(name: Any, pools: Mapping[str, Sequence[str]]) -> Sequence[Any]:
    return pools.get(name, [name]) if isinstance(name, str) else [name]


def _folds(dataset: Any) -> int:
    """How many folds of a dataset run; 0 for one that has none, or names the one that runs."""
    splits = dataset.get("splits") if isinstance(dataset, Mapping) else None
    if not isinstance(splits, Mapping) or splits.get("fold") is not None:
        return 0
    count = splits.get("folds")
    return count if type(count) is int and count >= FEWEST_FOLDS else 0


def _parts(dataset: Any, where: str, mistakes: list[Mistake]) -> Iterator[Any]:
    """A dataset for each fold, or the dataset as it is."""
    count = _folds(dataset)
    if not count:
        yield dataset
        return
    name, splits = dataset.get("id"), dict(dataset["splits"])
    repeats = splits.get("repeats", 1)
    if type(repeats) is not int or not 1 <= repeats <= MOST_REPEATS:
        yield {**dataset, "splits": {**splits, "fold": 0}}  # for the typed check of `repeats`
        return
    splits.pop("repeats", None)
    last = fold_id(str(name), count - 1, repeats - 1)
    if count * repeats > MOST_PARTS:
        of = count if repeats == 1 else f"{count} of {repeats} deals"
        words = f"must be at most {MOST_PARTS} where all folds run, but got {of}; name one by `fold`, or take fewer"
        mistakes.append(Mistake(f"{where}.splits.folds", words))
    elif _is_id(name) and len(last) > LONGEST_ID:
        words = f"must leave room for the names of its folds, such as `{last}`: {LONGEST_ID} letters in all"
        mistakes.append(Mistake(f"{where}.id", words))
    elif _is_id(name) and dataset.get("fold_of") is None:
        for repeat, fold in product(range(repeats), range(count)):
            chosen = {**splits, "fold": fold} | ({"repeat": repeat} if repeat else {})
            yield {**dataset, "id": fold_id(name, fold, repeat), "splits": chosen, "fold_of": name}
        return
    yield {**dataset, "splits": {**splits, "fold": 0}}  # whose other mistakes are its own


def _is_id(name: Any) -> bool:
    try:
        TypeAdapter(Id).validate_python(name, strict=True)
    except ValidationError:
        return False
    return True
