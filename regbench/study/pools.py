"""Folds that are pooled: their test pairs are one row a method of the tables, beside the rows of each fold."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from regbench.study.data_config import DatasetConfig
from regbench.system.names import same


class Pool(NamedTuple):
    """Folds whose test pairs are one table row a method.

    Attributes:
        id: of the dataset that the config names.
        folds: the ids of their datasets, in order: those of a deal, then those of the next.
        repeats: how often the folds were dealt.
    """

    id: str
    folds: tuple[str, ...]
    repeats: int = 1

    @property
    def of_one_deal(self) -> int:
        """In so many folds each subject is tested once."""
        return len(self.folds) // self.repeats

    @property
    def words(self) -> str:
        """What becomes of it, in a line."""
        names = f"`{self.folds[0]}` to `{self.folds[-1]}`"
        count = f"{len(self.folds)} folds"
        if self.repeats > 1:
            count = f"{self.repeats} deals of {self.of_one_deal} folds"
        return f"`{self.id}`: {count}, {names}, each trained by itself; tables pool their test pairs"


def pools_of(datasets: Sequence[DatasetConfig]) -> tuple[Pool, ...]:
    """The pools of a study, in the order of its datasets."""
    folds: dict[str, list[DatasetConfig]] = {}
    for dataset in datasets:
        if dataset.fold_of is not None:
            folds.setdefault(dataset.fold_of, []).append(dataset)
    return tuple(
        Pool(name, tuple(one.id for one in parts), len({one.splits.repeat or 0 for one in parts}))
        for name, parts in folds.items()
    )


def wrong_pools(datasets: Sequence[DatasetConfig], others: Sequence[str]) -> Iterator[str]:
    """What is wrong with the pools of a study.

    Args:
        datasets: of the study.
        others: ids of its test sets.
    """
    ids = [*(dataset.id for dataset in datasets), *others]
    for pool in pools_of(datasets):
        if clash := [name for name in ids if same(name) == same(pool.id)]:
            yield f"`{clash[0]}` is the id of a dataset, but the folds of another are pooled under it; rename one"
        members = [dataset for dataset in datasets if dataset.fold_of == pool.id]
        alike = {
            dataset.model_copy(update={"id": "", "splits": dataset.splits.model_copy(update={"fold": 0, "repeat": 0})})
            .model_dump_json()
            for dataset in members
        }  # fmt: skip
        whole = list(product(range(pool.repeats), range(members[0].splits.folds or 0)))
        if len(alike) > 1 or [(one.splits.repeat or 0, one.splits.fold) for one in members] != whole:
            yield (
                f"`fold_of: {pool.id}` must stand in one dataset for each fold, in order, which differ in `id`, "
                "`splits.fold` and `splits.repeat` alone; write one dataset with `splits: {folds: k}`, without `fold`, "
                "instead"
            )
