"""Checks of regularizers that have several terms, on the raw config: which keys go together, and with what else.

Names, parameters and models of the terms are looked up by `regbench.study.checks`, as those of all components.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from regbench.study.config_values import as_number
from regbench.study.grid_config import id_of_term
from regbench.study.mistakes import Mistake
from regbench.study.terms import SUPERVISED, WITHOUT_WEIGHTS, passes
from regbench.system.names import twins

Raw = Mapping[str, Any]  # a config, or a part of one, as YAML gave it: it may be wrong anywhere


class Place(NamedTuple):
    """A term of a regularizer that can be read: a mapping, of a bare name too.

    Attributes:
        key: where it stands.
        term: its keys.
        regularizer: id of the whole.
        first: whether lambda weighs it.
    """

    key: str
    term: Raw
    regularizer: str
    first: bool

    @property
    def name(self) -> str:
        """Of the function; empty where there is none."""
        name = self.term.get("name")
        return name if isinstance(name, str) else ""


def entries(raw: Raw, *path: str) -> list[Any]:
    """The list at `path`; empty where there is none."""
    value: Any = raw
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return list(value) if isinstance(value, list | tuple) else []


def as_mapping(item: Any) -> Raw:
    """A component; a bare name is short for one, what is neither is empty."""
    return item if isinstance(item, Mapping) else {"name": item} if isinstance(item, str) else {}


def has_terms(item: Any) -> bool:
    """Whether a regularizer is a list of terms."""
    return isinstance(item, Mapping) and isinstance(item.get("terms"), list | tuple)


def id_of_regularizer(item: Any) -> str:
    """What tables call a regularizer; empty where that is wrong."""
    if not has_terms(item) or isinstance(item.get("id"), str):
        return id_of_term(item)
    return "+".join(filter(None, map(id_of_term, item["terms"])))


def places(raw: Raw, path: tuple[str, ...] = ("grid", "regularizers")) -> list[Place]:
    """Every term of every regularizer; one without a list is one term.

    Args:
        raw: config.
        path: of the regularizers.
    """
    key = ".".join(path)
    return [
        place for number, item in enumerate(entries(raw, *path)) for place in _of_regularizer(f"{key}[{number}]", item)
    ]


def _of_regularizer(key: str, item: Any) -> Iterator[Place]:
    if not has_terms(item):
        yield Place(key, as_mapping(item), id_of_regularizer(item), first=True)
        return
    for number, term in enumerate(item["terms"]):
        yield Place(f"{key}.terms[{number}]", as_mapping(term), id_of_regularizer(item), first=number == 0)


def first_rule(raw: Raw, similarity: Any, regularizer: Any) -> tuple[int, Raw] | None:
    """The rule that gives the lambda of a cell, and its number: the first that names it; None where none does."""
    wanted = (("similarity", similarity), ("regularizer", regularizer))
    for number, rule in enumerate(entries(raw, "lambdas")):
        if isinstance(rule, Mapping) and all(rule.get(part, "*") in ("*", name) for part, name in wanted):
            return number, rule
    return None


def term_checks(raw: Raw) -> Iterator[Mistake]:
    """Every mistake of terms that their own keys, or other keys of the config, tell."""
    for number, item in enumerate(entries(raw, "grid", "regularizers")):
        yield from _form_checks(f"grid.regularizers[{number}]", item)
    for place in places(raw):
        yield from _supervision_checks(raw, place)
    yield from _weight_checks(raw)
    yield from _budget_checks(raw)


def _form_checks(key: str, item: Any) -> Iterator[Mistake]:
    """Which keys of a regularizer go together."""
    if not isinstance(item, Mapping):
        return
    if "terms" not in item:
        if not item.get("name"):
            yield Mistake(f"{key}.name", "is required, unless `terms` are given")
        return
    if item.get("name"):
        yield Mistake(key, "`name` and `terms` exclude each other; put the name among the terms, or leave them out")
    if item.get("parameters"):
        yield Mistake(f"{key}.parameters", "are of a single term; give each of the `terms` its own")
    if has_terms(item):
        yield from _list_checks(key, item["terms"])


def _list_checks(key: str, terms: Sequence[Any]) -> Iterator[Mistake]:
    """Which weights and ids the terms of a regularizer have."""
    if not terms:
        yield Mistake(f"{key}.terms", "must not be empty; name a regularizer, or leave it out for a single `name`")
    for number, term in enumerate(terms):
        weight = as_mapping(term).get("weight")
        if number == 0 and weight is not None:
            yield Mistake(f"{key}.terms[0].weight", "must be left out: the first term is weighted by lambda")
        if number > 0 and weight is None:
            words = "is required: a number, or {range: [low, high]} to search it"
            yield Mistake(f"{key}.terms[{number}].weight", words)
    yield from _id_checks(key, [id_of_term(term) for term in terms])


def _id_checks(key: str, ids: list[str]) -> Iterator[Mistake]:
    for number, name in enumerate(ids):
        if name and name in ids[:number]:
            yield Mistake(f"{key}.terms[{number}].id", f"`{name}` is given twice; give each term an `id` of its own")
    if two := twins(dict.fromkeys(ids)):
        yield Mistake(f"{key}.terms", f"ids must differ in more than case, but got {two[0]!r} and {two[1]!r}")


def _supervision_checks(raw: Raw, place: Place) -> Iterator[Mistake]:
    """Terms of what is known of training subjects: behind a regularizer, of networks, and each once."""
    known = SUPERVISED.get(place.name)
    if known is None:
        return
    if place.first:
        yield Mistake(
            place.key,
            f"`{place.name}` must stand behind a regularizer among `terms`, with a weight: lambda weighs a regularizer "
            "or a consistency term",
        )
    for number, model in enumerate(entries(raw, "models")):
        if (name := as_mapping(model).get("name")) in tuple(WITHOUT_WEIGHTS):
            yield Mistake(
                place.key,
                f"`{place.name}` does not fit models[{number}], `{name}`, which optimises each pair by itself and must "
                f"not see its {known}; give it a study of its own",
            )
    training = raw.get("training")
    if place.name == "dice" and isinstance(training, Mapping) and training.get("dice_weight"):
        yield Mistake(place.key, "`training.dice_weight` is the same term, in every cell; leave one of them out")


def _weight_checks(raw: Raw) -> Iterator[Mistake]:
    """Weights that nothing would search, and a rule of fairness that changes nothing."""
    searched = [place for place in places(raw) if not place.first and isinstance(place.term.get("weight"), Mapping)]
    similarities = [id_of_term(item) for item in entries(raw, "grid", "similarities")]
    for place in searched:
        rules = (first_rule(raw, similarity, place.regularizer) for similarity in similarities)
        fixed = [number for number, rule in filter(None, rules) if rule.get("value") is not None]
        if fixed:
            yield Mistake(
                f"{place.key}.weight",
                f"cannot be searched where lambda is fixed, and lambdas[{fixed[0]}] fixes it; give that a `range`, or "
                "the term a number",
            )
    tuning = raw.get("tuning")
    if isinstance(tuning, Mapping) and tuning.get("fairness") == "trials_per_weight" and not searched:
        yield Mistake(
            "tuning.fairness", "`trials_per_weight` has no effect: no term has a `weight: {range: [low, high]}`"
        )


def _budget_checks(raw: Raw) -> Iterator[Mistake]:
    """Whether a budget of forward passes pays a trial in both directions."""
    tuning, training = raw.get("tuning"), raw.get("training")
    settings = tuning if isinstance(tuning, Mapping) else {}
    steps, amount = settings.get("steps"), as_number(settings.get("budget_amount"))
    if settings.get("budget") != "steps" or not isinstance(steps, int) or not isinstance(amount, int | float):
        return
    directions = training.get("directions") if isinstance(training, Mapping) else None
    if steps <= amount < steps * passes(str(directions), [place.name for place in places(raw)]):
        words = f"must pay one trial of {steps} steps, each of two forward passes where both directions are registered"
        yield Mistake("tuning.budget_amount", f"{words}, but got {amount:g}")
