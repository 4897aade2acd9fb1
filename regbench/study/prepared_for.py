"""Which config prepared data are of: those of another one are refused, not used."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from regbench.study.components import shown
from regbench.study.job_specs import prepare_spec
from regbench.study.methods import Study
from regbench.study.specs import PrepareSpec
from regbench.system.errors import RegbenchError

MOST_SHOWN = 5  # differences in a message


def differences(study: Study, dataset: str, stored: PrepareSpec, *, by_hand: bool = False) -> list[str]:
    """What the config asks for and was not prepared so, a clause a key.

    Args:
        study: with the dataset.
        dataset: its id.
        stored: of its prepared arrays.
        by_hand: compare the code that prepared them too. Snakemake compares it before it sends a job, which would pay
            70 ms at its start for the same answer (measured), and whose node may have another Python.
    """
    section = study.dataset(dataset)
    wanted = (
        prepare_spec(study, dataset)
        if by_hand
        else PrepareSpec.of(section, stored.code, study.unneeded_splits(section))
    )
    return [*_clauses(stored.to_json(), wanted.to_json())]


def check_prepared_for(study: Study, dataset: str, stored: PrepareSpec, *, by_hand: bool = False) -> None:
    """Refuse what was prepared for another config; the arguments are those of `differences`.

    Raises:
        RegbenchError: naming the keys.
    """
    clauses = differences(study, dataset, stored, by_hand=by_hand)
    if not clauses:
        return
    if len(clauses) > MOST_SHOWN:
        clauses[MOST_SHOWN:] = [f"and {len(clauses) - MOST_SHOWN} keys more"]
    raise RegbenchError(
        f"`{study.layout.data(dataset)}` must be prepared as the config says, but is not: {'; '.join(clauses)}. "
        "Run `regbench prepare` (Snakemake does so by itself), or give the study another name."
    )


def _clauses(stored: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> Iterator[str]:
    """A sentence for each key that differs, in the config's words."""
    before, now = dict(_leaves(stored)), dict(_leaves(wanted))
    for key in [*now, *(key for key in before if key not in now)]:
        there, here = (shown(side[key]) if key in side else "not given" for side in (before, now))
        if there != here or before.get(key) != now.get(key):
            yield "its source's code has changed" if key == "code" else f"`{key}` was {there} and is {here}"


def _leaves(values: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of whatever is no mapping with entries."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value
