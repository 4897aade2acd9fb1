"""The space that a cell is searched in, and the points that Optuna's samplers propose in it.

A point has lambda, and a value for each further dimension that the study declares: any keyword of a component, or a
number of the training. Whatever a sampler remembers is rebuilt from the results of earlier rounds, so a point is a
pure function of them.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from regbench.system.files import canonical_json

Result = Mapping[str, Any]
Point = dict[str, Any]
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
SCORES = ("dice", "ndv_percent")
UNUSED = "unused"  # CMA-ES wants two dimensions: a second one that changes nothing


def dimensions(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lambda first, then what else is searched: name, type, range or choices, scale, step of each."""
    lam = {"name": "lam", "type": "float", "range": job["range"], "scale": "log"}
    return [lam, *job.get("search", ())]


def anchors(job: Mapping[str, Any], count: int) -> list[Point]:
    """The first round: lambda on a log grid inside its range, the other dimensions spread evenly over theirs.

    The middle comes first: a round that has not all its slots, or not yet, covers the range too.
    """
    lam, *others = dimensions(job)
    spread = dict.fromkeys(int(halton(index, 2) * count) for index in range(1, 4 * count))
    return [
        {"lam": at(lam, (slot + 0.5) / count)}
        | {other["name"]: at(other, halton(slot + 1, base)) for other, base in zip(others, PRIMES, strict=False)}
        for slot in spread
    ]


def lattice(job: Mapping[str, Any], number: int) -> Point:
    """Point `number` of a grid that grows: each new point halves the widest gap (Halton's sequence)."""
    pairs = zip(dimensions(job), PRIMES, strict=False)
    return {each["name"]: at(each, halton(number + 1, base)) for each, base in pairs}


def halton(index: int, base: int) -> float:
    """Element `index` (from 1) of the van der Corput sequence; in (0, 1).

    Reference:
        Halton 1960, doi:10.1007/BF01386213.
    """
    share, scale = 0.0, 1.0
    while index:
        scale /= base
        index, digit = divmod(index, base)
        share += digit * scale
    return share


def at(dimension: Mapping[str, Any], share: float) -> Any:
    """The value at a share in [0, 1) of a dimension."""
    if dimension["type"] == "choice":
        return dimension["choices"][int(share * len(dimension["choices"]))]
    low, high = dimension["range"]
    if dimension["type"] == "int":
        step = dimension.get("step") or 1
        if dimension["scale"] == "log":
            return min(int(low * ((high + 1) / low) ** share), high)
        return low + step * int(share * ((high - low) // step + 1))
    return low * (high / low) ** share if dimension["scale"] == "log" else low + share * (high - low)


def place(job: Mapping[str, Any], result: Result) -> list[float]:
    """Where a result lies in the searched space, each dimension from 0 to 1, lambda first."""
    values = {"lam": result["lam"], **result.get("values", {})}
    found = []
    for each in dimensions(job):
        value = values[each["name"]]
        if each["type"] == "choice":
            found.append(each["choices"].index(value) / (len(each["choices"]) - 1))
            continue
        low, high = each["range"]
        log = each["scale"] == "log"
        found.append(math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low))
    return found


def tidy(dimension: Mapping[str, Any], value: Any) -> Any:
    """Six significant digits, still inside the range: a value that a file and a paper can hold exactly."""
    if dimension["type"] != "float":
        return value
    low, high = dimension["range"]
    return min(max(float(f"{value:.6g}"), low), high)


def with_values(job: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A training's slice with searched values in their places, such as ``similarity.window`` or ``training.batch``."""
    changed = dict(job)
    for name, value in values.items():
        kind, _, key = name.partition(".")
        if kind == "training":
            changed["training"] = {**changed["training"], key: value}
        else:
            component = changed[kind]
            changed[kind] = {**component, "parameters": {**component["parameters"], key: value}}
    return changed


def ask(job: Mapping[str, Any], number: int, slot: int, earlier: Sequence[Result], before: Sequence[Point]) -> Point:
    """Optuna's proposal for a slot of a round.

    Args:
        job: slice of the config (`plan.propose_job`).
        number: of the round, from 1.
        slot: of the round.
        earlier: results of all trials of all earlier rounds.
        before: the points of the slots before this one: they count as finished with the mean of what is known
            (constant liar), or a sampler would propose one point many times.
    """
    import optuna  # noqa: PLC0415  0.3 s and, for the sampler, torch: the first round and the choice need neither

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # Optuna marks the GP sampler and more as experimental; the pins fix which one runs.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if job["sampler"] == "cmaes":
            return _replay(job, number, slot, earlier)
        sampler = _sampler(job, number, slot)
        study = optuna.create_study(directions=directions(job), sampler=sampler)
        space = distributions(job)
        known = [result for result in by_number(earlier) if scored(result)]
        lie = {name: float(np.mean([r[name] for r in known])) if known else 0.0 for name in SCORES}
        running = [{"number": job["round_size"] * number, **as_result(point), **lie} for point in before]
        for result in [*judged(earlier), *running]:
            study.add_trial(frozen(job, result, space))
        if not known and job["sampler"] != "random":
            # nothing to model: every earlier trial diverged
            study.sampler = optuna.samplers.RandomSampler(seed=_seed(job, f"{number}/{slot}"))
        return _point(job, study.ask(space).params)


def scored(result: Result) -> bool:
    """Whether a trial has a Dice and an NDV: one that diverged has none."""
    return all(result[name] is not None and math.isfinite(result[name]) for name in SCORES)


def judged(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results in the order of their numbers; one that diverged with the worst of the others.

    Optuna's samplers pass over failed trials, and would propose such a point again.
    """
    known = [result for result in results if scored(result)]
    worst = {
        "dice": min((result["dice"] for result in known), default=0.0),
        "ndv_percent": max((result["ndv_percent"] for result in known), default=0.0),
    }
    return [dict(result) if scored(result) else {**result, **worst} for result in by_number(results)]


def repeated(result: Result) -> bool:
    """Whether a trial is an earlier point once more, with a training seed of its own."""
    return "seed" in result


def by_number(results: Sequence[Result]) -> list[Result]:
    """The results in the order of their numbers, in which even a mean has the same last digit each time."""
    return sorted(results, key=lambda result: int(result["number"]))


def as_result(point: Point) -> dict[str, Any]:
    """A point in the form in which proposals and results hold it."""
    values = {name: value for name, value in point.items() if name != "lam"}
    return {"lam": point["lam"]} | ({"values": values} if values else {})


def distributions(job: Mapping[str, Any]) -> dict[str, Any]:
    """The space in Optuna's words."""
    from optuna import distributions as of  # noqa: PLC0415

    space: dict[str, Any] = {}
    for each in dimensions(job):
        name = each["name"]
        if each["type"] == "choice":
            space[name] = of.CategoricalDistribution(_labels(each))
            continue
        low, high = each["range"]
        log, step = each["scale"] == "log", each.get("step") or 1
        if each["type"] == "int":
            space[name] = of.IntDistribution(low, high - (high - low) % step, log=log, step=step)
        else:
            space[name] = of.FloatDistribution(low, high, log=log)
    return space


def _labels(dimension: Mapping[str, Any]) -> list[Any]:
    """The choices as Optuna takes them: lists and mappings as JSON."""
    plain = (str, int, float, bool, type(None))
    return [choice if isinstance(choice, plain) else canonical_json(choice) for choice in dimension["choices"]]


def params(job: Mapping[str, Any], result: Result) -> dict[str, Any]:
    """A result's point in Optuna's words."""
    found = {"lam": result["lam"], **result.get("values", {})}
    for each in dimensions(job):
        if each["type"] == "choice":
            found[each["name"]] = _labels(each)[each["choices"].index(found[each["name"]])]
    return found


def _point(job: Mapping[str, Any], asked: Mapping[str, Any]) -> Point:
    """What Optuna asked for, in the study's own values."""
    found = {each["name"]: asked[each["name"]] for each in dimensions(job)}
    for each in dimensions(job):
        if each["type"] == "choice":
            found[each["name"]] = each["choices"][_labels(each).index(found[each["name"]])]
    return found


def frozen(job: Mapping[str, Any], result: Result, space: Mapping[str, Any], **more: Any) -> Any:
    """A result as a finished trial of Optuna's, with NDV as a constraint where the study asks for it."""
    import optuna  # noqa: PLC0415

    both = (result["dice"], result["ndv_percent"])
    attributes = {}
    if job["sampler"] == "nsga2":  # a round is a generation
        attributes[optuna.samplers.NSGAIISampler._get_generation_key()] = result["number"] // job["round_size"]
    limit = job.get("ndv_limit_percent")
    return optuna.trial.create_trial(
        params=params(job, result),
        distributions=dict(space),
        values=both if _two(job) else both[:1],
        constraints=None if limit is None else {"ndv_percent": both[1] - limit},
        system_attrs=attributes,
        **more,
    )


def _two(job: Mapping[str, Any]) -> bool:
    return bool(job.get("objective", "dice") == "dice_ndv")


def directions(job: Mapping[str, Any]) -> list[Any]:
    """Dice up, and NDV down where the study has two goals."""
    return ["maximize", "minimize"] if _two(job) else ["maximize"]


def _seed(job: Mapping[str, Any], where: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{job['seed']}/{job['cell']}/{where}".encode()).digest()[:4], "big")


def _sampler(job: Mapping[str, Any], number: int, slot: int) -> Any:
    from optuna import samplers as of  # noqa: PLC0415

    seed = _seed(job, f"{number}/{slot}")
    made: dict[str, Callable[[], Any]] = {
        "gp": lambda: of.GPSampler(seed=seed, n_startup_trials=0, deterministic_objective=not job.get("noisy")),
        "tpe": lambda: of.TPESampler(seed=seed, n_startup_trials=0),
        "random": lambda: of.RandomSampler(seed=seed),
        "nsga2": lambda: of.NSGAIISampler(seed=seed, population_size=max(job["round_size"], 2)),
    }
    return made[job["sampler"]]()


def _replay(job: Mapping[str, Any], number: int, slot: int, earlier: Sequence[Result]) -> Point:
    """CMA-ES has a state: it asks again what it asked in earlier rounds, and is told what came of it."""
    import optuna  # noqa: PLC0415

    size = job["round_size"]
    sampler = optuna.samplers.CmaEsSampler(
        seed=_seed(job, "cmaes"), popsize=max(size, 4), warn_independent_sampling=False
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = {**distributions(job), UNUSED: optuna.distributions.FloatDistribution(0.0, 1.0)}
    ordered = judged(earlier)
    for result in ordered:
        if result["number"] < size:
            point = {**params(job, result), UNUSED: 0.5}
            study.add_trial(optuna.trial.create_trial(params=point, distributions=space, value=result["dice"]))
    for first in range(size, number * size, size):
        mine = [result for result in ordered if first <= result["number"] < first + size and not repeated(result)]
        asked = [study.ask(space) for _ in mine]
        for trial, result in zip(asked, mine, strict=True):
            study.tell(trial, result["dice"])
    asked = [study.ask(space) for _ in range(slot + 1)]
    return _point(job, asked[-1].params)
