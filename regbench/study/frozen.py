"""Pre-registration: what a study says that it will compare, and how, written down before its results are known.

Imports neither torch nor mlflow: the Snakefile reads this.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NotRequired, TypedDict, cast

from pydantic import JsonValue

from regbench import __version__
from regbench.study.differences import differences
from regbench.study.methods import Study
from regbench.system.errors import RegbenchError
from regbench.system.files import canonical_json, read_sealed, write_sealed

# Of the verdicts: all intervals of a metric and model hold together with 95 %; `regbench.statistics.verdicts.ALPHA`,
# which imports scipy (a test compares them).
ALPHA = 0.05
NOT_BOUND = ("description",)  # keys of a protocol that promise nothing


class Registration(TypedDict):
    """What was promised, and when."""

    frozen_at: str  # UTC
    sha256: str  # of `promised`
    promised: dict[str, JsonValue]
    evaluated: int  # runs that had results by then
    runs: int
    regbench: str
    reason: NotRequired[str]  # of one that took the place of another


class Kept(TypedDict):
    """Whether a study kept to what was promised."""

    frozen_at: str
    sha256: str
    evaluated: int
    runs: int
    changed: list[str]  # since the first registration
    amended: list[str]  # date and reason of each later one


def promised(study: Study) -> dict[str, JsonValue]:
    """What is compared and on what, regions of equivalence, level, selection, budget, exclusions.

    All of the config that may change a number, so that nothing can be left out: whom the splits draw, which labels
    count, how lambda is chosen, how many seeds and trials.
    """
    return {"alpha": ALPHA} | {key: value for key, value in study.protocol.items() if key not in NOT_BOUND}


def _sha256(promise: Mapping[str, JsonValue]) -> str:
    """All 64 digits: of a digest that is cut short, its own author could find a second text."""
    return hashlib.sha256(canonical_json(promise).encode()).hexdigest()


def freeze(study: Study, reason: str | None = None) -> Registration:
    """Write down what a study promises.

    Args:
        study: to freeze.
        reason: why it is frozen anew; needed where it was frozen with another promise, which stays on record.

    Returns:
        The registration that now holds: the one that is there if it says the same, in whatever order.

    Raises:
        RegbenchError: if another promise is there and no reason is given; names what differs.
    """
    before, now = registrations(study), promised(study)
    changed = [*differences(before[-1]["promised"], now)] if before else []
    if before and not changed:
        return before[-1]
    if before and not (reason or "").strip():
        raise RegbenchError(
            f"study `{study.name}` must keep to what was frozen at {before[-1]['frozen_at']}, but "
            f"{'; '.join(changed)}. Change it back, or give `--again REASON`: both registrations are then reported."
        )
    runs = list(study.runs())
    registration: Registration = {
        "frozen_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "sha256": _sha256(now),
        "promised": now,
        "evaluated": sum(study.layout.pairs(*run).exists() for run in runs),
        "runs": len(runs),
        "regbench": __version__,
    }
    if before:
        registration["reason"] = str(reason).strip()
    write_sealed(study.layout.frozen, {"registrations": [*before, registration]})
    return registration


def registrations(study: Study) -> list[Registration]:
    """All that were made of a study, the first one first.

    Raises:
        RegbenchError: if the file was altered.
    """
    path = study.layout.frozen
    return cast("list[Registration]", read_sealed(path)["registrations"]) if path.is_file() else []


def kept(study: Study) -> Kept | None:
    """Whether a study keeps to its first registration; None where it has none."""
    made = registrations(study)
    if not made:
        return None
    first, *later = made
    return {
        "frozen_at": first["frozen_at"],
        "sha256": first["sha256"],
        "evaluated": first["evaluated"],
        "runs": first["runs"],
        "changed": [*differences(first["promised"], promised(study))],
        "amended": [f"{one['frozen_at']}: {one.get('reason', '')}" for one in later],
    }


def not_kept(registration: Kept) -> Iterable[str]:
    """Warnings: what was promised and changed, and promises that came after results."""
    at, changed = registration["frozen_at"], registration["changed"]
    if changed:
        yield f"The study does not keep to what was pre-registered at {at}: {'; '.join(changed)}."
    if registration["evaluated"]:
        yield (
            f"The study was pre-registered at {at}, when {registration['evaluated']} of {registration['runs']} runs "
            "were evaluated already: its promise may know results."
        )


def sentences(registration: Kept) -> Iterable[str]:
    """What a report says of it."""
    before = (
        "before any run was evaluated"
        if not registration["evaluated"]
        else f"when {registration['evaluated']} of {registration['runs']} runs were evaluated"
    )
    yield f"Pre-registered at {registration['frozen_at']}, {before} (SHA-256 {registration['sha256']})."
    if registration["changed"]:
        yield f"Changed since: {'; '.join(registration['changed'])}."
    else:
        yield "The study kept to it."
    if registration["amended"]:
        yield f"Registered anew at {'; '.join(registration['amended'])}."
