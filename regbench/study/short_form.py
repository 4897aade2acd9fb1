"""A config of six lines: what its short keys stand for, and what it leaves out.

    study, data: FOLDER, models, similarities, regularizers, steps

A config that writes `training`, `tuning` and `seeds` itself is taken as it is.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from regbench.study.config import SHORT
from regbench.study.config_values import MOST_PARTS
from regbench.study.data_kind import assumed, dataset_of
from regbench.study.folds import Place, unfolded
from regbench.study.mistakes import Mistake
from regbench.system.errors import RegbenchError

# What `data` leaves out. Pairs grow with the square of the subjects: beyond these a trial takes longer than it tells.
MOST_PAIRS = {"validation": 20, "test": 100}
# What `steps` leaves out. Claims are to hold when somebody repeats the study with other seeds: several searches a cell,
# a training each, and repeats that tell the noise of a trial (docs/statistics.md, docs/tuning.md).
SEEDS = [0, 1, 2, 3]
TUNING = {"trials": 6, "round_size": 3}
PARTS_OF_TRIAL = 3  # a trial is as long as a third of a training
EQUIVALENCE = {"dice": 0.005}


class Expanded(NamedTuple):
    """A config in its long form.

    Attributes:
        raw: the long form.
        origins: places of the long form that were filled in, with the short key that they come from; "" is a default.
        written: of entries of lists whose folds were written out, their number as the user wrote it.
    """

    raw: dict[str, Any]
    origins: dict[Place, str]
    written: dict[tuple[str, int], int]


def expanded(raw: Mapping[str, Any], mistakes: list[Mistake], *, look: bool = True) -> Expanded:
    """The long form of a config; one that is long already stays as it is.

    Args:
        raw: what was read, its keys text.
        mistakes: receives short keys that stand beside what they are short for, and data that nobody can read.
        look: at the data, to say who reads them, and complain if nothing is there.
    """
    long = {key: value for key, value in raw.items() if key not in SHORT}
    origins: dict[Place, str] = {}
    if "data" in raw and not _clash(raw, "data", ("datasets",), mistakes):
        long["datasets"] = [_dataset(raw["data"], mistakes, look=look)]
        origins |= {("datasets", 0, key): "data" for key in ("id", "source", "parameters")}
        origins["datasets", 0, "most_pairs"] = ""
    for key in ("similarities", "regularizers"):
        if key in raw and not _clash(raw, key, ("grid", key), mistakes):
            grid = long.get("grid", {})
            long["grid"] = {**grid, key: raw[key]} if isinstance(grid, Mapping) else grid
            origins["grid", key] = key
    if "steps" in raw:
        clashes = [_clash(raw, "steps", (part, "steps"), mistakes) for part in ("training", "tuning")]
        if not any(clashes):
            filled = _protocol(raw, raw["steps"])
            origins |= filled.origins
            long |= filled.raw
    folds = unfolded(long, mistakes)
    return Expanded(folds.raw, origins | folds.origins, folds.written)


def as_written(mistake: Mistake, long_form: Expanded) -> Mistake:
    """A mistake of the long form by the key that the user wrote."""
    if entry := re.match(r"(\w+)\[(\d+)\]", mistake.key):
        number = long_form.written.get((entry[1], int(entry[2])), int(entry[2]))
        mistake = Mistake(f"{entry[1]}[{number}]{mistake.key[entry.end() :]}", mistake.message)
    for place, short in long_form.origins.items():
        if short not in SHORT:
            continue
        long = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        if mistake.key == long or mistake.key.startswith((f"{long}.", f"{long}[")):
            rest = "" if short == "data" else mistake.key[len(long) :]
            return Mistake(short + rest, mistake.message)
    return mistake


def _clash(raw: Mapping[str, Any], short: str, long: Place, mistakes: list[Mistake]) -> bool:
    """Whether a short key stands beside what it is short for."""
    value: Any = raw
    for part in long:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    name = ".".join(map(str, long))
    mistakes.append(Mistake(short, f"is short for `{name}`, which is given too; leave one of them out"))
    return True


def _dataset(data: Any, mistakes: list[Mistake], *, look: bool) -> dict[str, object]:
    if not isinstance(data, str) or not data.strip():
        mistakes.append(Mistake("data", f"must be the path of a folder or a file, but got {data!r}"))
        return {**assumed("data"), "most_pairs": MOST_PAIRS}
    try:
        dataset = dataset_of(data)
    except (RegbenchError, OSError) as error:
        if look:
            mistakes.append(Mistake("data", str(error).removesuffix(".")))
        # The study is read where its data are not, too.
        dataset = assumed(data)
    return {**dataset, "most_pairs": MOST_PAIRS}


def _protocol(raw: Mapping[str, Any], steps: Any) -> Expanded:
    """The sections that `steps` fills in; what the config gives of them stays."""
    seeds, tuning = raw.get("seeds"), raw.get("tuning", {})
    if seeds is None:
        searches = tuning.get("replicates") if isinstance(tuning, Mapping) else None
        seeds = list(range(searches)) if isinstance(searches, int) and 1 <= searches <= MOST_PARTS else SEEDS
    sections = {
        "training": {"steps": steps},
        "tuning": _search(steps, tuning if isinstance(tuning, Mapping) else {}, seeds),
        "seeds": seeds,
        "equivalence": EQUIVALENCE,
    }
    filled = Expanded({}, {}, {})
    for name, section in sections.items():
        given = raw.get(name, {} if isinstance(section, dict) and name != "equivalence" else None)
        if given is None:
            filled.raw[name], filled.origins[name,] = section, ""
        elif name in ("training", "tuning") and isinstance(given, Mapping) and isinstance(section, dict):
            filled.raw[name] = {**section, **given}
            filled.origins.update({(name, key): "" for key in section if key not in given})
            filled.origins[name, "steps"] = "steps"
    return filled


def _search(steps: Any, given: Mapping[str, Any], seeds: Any) -> dict[str, Any]:
    """The budget of a search: as many searches as seeds, and a repeat in its second round, where it has one."""
    trials, size = (given.get(key, TUNING[key]) for key in ("trials", "round_size"))
    second = _is_count(trials) and _is_count(size) and trials > size > 1
    return {
        **TUNING,
        "repeats": 1 if second else 0,
        "replicates": len(seeds) if isinstance(seeds, list) and seeds else len(SEEDS),
        "steps": -(-steps // PARTS_OF_TRIAL) if _is_count(steps) else steps,
    }


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
