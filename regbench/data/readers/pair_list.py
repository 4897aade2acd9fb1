"""The user's own pairs: a CSV with the columns fixed, moving and, if wanted, split."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from regbench.data.readers.csv_text import read_records
from regbench.data.subject import Source
from regbench.study.data_config import NAMES
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.names import given_path, nfc

COLUMNS = ("fixed", "moving", "split")
MOST_SHOWN = 10  # mistakes of a list; more are counted

Row = tuple[int, Mapping[str, str]]  # line, cells by column


def with_pair_list(source: Source, path: str, dataset: str) -> Source:
    """The dataset with the pairs of a list, and with the splits that the list names.

    Args:
        source: the dataset.
        path: the CSV, with any usual separator; relative to where the command runs.
        dataset: its id, for messages.

    Raises:
        RegbenchError: listing every row at fault, with file, line and value.
    """
    file = given_path(path)
    try:
        read = read_records(file, "a CSV with a row for each pair", COLUMNS, needed=("fixed", "moving"))
    except RegbenchError as error:
        raise RegbenchError(f"dataset `{dataset}`: pairs.list: {error}") from error
    rows: list[Row] = [(line, {column: nfc(cell) for column, cell in cells.items()}) for line, cells in read]
    wrong = [
        f"line {line}: {words}" for line, words in sorted([*_rows(rows, source.ids), *_splits(rows, source.given)])
    ]
    if wrong:
        lines = [f"  {words}" for words in dict.fromkeys(wrong)]
        more = [f"  and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
        raise RegbenchError(
            f"dataset `{dataset}`: the pairs of `{file}` must be of its subjects, each once, but:\n"
            + "\n".join([*lines[:MOST_SHOWN], *more])
        )
    named = {cells[side]: cells["split"] for _, cells in rows if cells["split"] for side in ("fixed", "moving")}
    pairs = {(cells["fixed"], cells["moving"]): f"`{file}`, line {line}" for line, cells in rows}
    return replace(source, given={**source.given, **named}, given_pairs=tuple(pairs), listed=pairs)


def _rows(rows: list[Row], ids: Collection[str]) -> Iterator[tuple[int, str]]:
    """Strangers, a subject with itself, pairs that stand twice, unknown splits."""
    first: dict[tuple[str, str], int] = {}
    for line, cells in rows:
        for side in ("fixed", "moving"):
            if not cells[side]:
                yield line, f"`{side}` must not be empty"
            elif cells[side] not in ids:
                yield line, f"{side}: no subject `{cells[side]}`; {did_you_mean(cells[side], list(ids))}"
        if cells["fixed"] == cells["moving"] != "":
            yield line, f"`{cells['fixed']}` must have another subject than itself"
        if cells["split"] not in ("", *NAMES):
            yield line, f"split: {cells['split']!r} is unknown; {did_you_mean(cells['split'], NAMES)}"
        earlier = first.setdefault((cells["fixed"], cells["moving"]), line)
        if earlier != line:
            yield line, f"`{cells['fixed']}` and `{cells['moving']}` stand in line {earlier} too; remove one"


def _splits(rows: list[Row], given: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Subjects that two splits name."""
    named: dict[str, tuple[str, str]] = {name: (split, "the data") for name, split in given.items()}
    for line, cells in rows:
        for side in ("fixed", "moving") if cells["split"] else ():
            split, where = named.setdefault(cells[side], (cells["split"], f"line {line}"))
            if split != cells["split"]:
                yield line, f"split: `{cells[side]}` is a subject of {split} by {where}, but of {cells['split']} here"
