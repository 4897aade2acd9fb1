"""Checks of a config across its sections, and of its components by their own signatures.

The second ask a `Checker` that the caller passes in (`regbench.orchestration.registries.check_component`): this module
imports no torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from regbench.study.components import code_within
from regbench.study.config import Training, range_ends
from regbench.study.goals import FOLDING, RANK, SIMILARITY, base
from regbench.study.grid_config import id_of_term
from regbench.study.layout import CONTROLS, IDENTITY, REFINED
from regbench.study.look_checks import look_checks
from regbench.study.mistakes import Mistake, readable
from regbench.study.term_checks import as_mapping, entries, first_rule, id_of_regularizer, places, term_checks
from regbench.study.terms import WITHOUT_WEIGHTS
from regbench.system.errors import did_you_mean

TUNABLE = ("learning_rate", "weight_decay", "warmup", "dice_weight", "batch")  # numbers of the training
# Where a config names components: their kind, the key of the name, and where they stand.
PLACES = (
    ("similarity", "name", ("grid", "similarities")),
    ("model", "name", ("models",)),
    ("dataset", "source", ("datasets",)),
    ("dataset", "source", ("test_sets",)),
    ("baseline", "name", ("baselines",)),
)
Raw = Mapping[str, Any]  # a config as YAML gave it: it may be wrong anywhere
# Kind of component ("similarity", ...), name, parameters -> mistakes as (parameter or "", message). The kind
# "preprocessing" takes the name of the dataset's source, "equivalence" and "goal" that of a metric.
Checker = Callable[[str, str, Mapping[str, Any]], list[tuple[str, str]]]


def _name_of(item: Any) -> Any:
    """The id of a component; of what is wrong, what stands there."""
    given = item.get("id", item.get("name")) if isinstance(item, Mapping) else item
    return id_of_term(item) or given


def cross_checks(raw: Raw) -> Iterator[Mistake]:
    """What no single field can know; on the raw mapping, so that it is reported beside all other mistakes."""
    ids = {
        "similarities": [_name_of(item) for item in entries(raw, "grid", "similarities")],
        "regularizers": [id_of_regularizer(item) for item in entries(raw, "grid", "regularizers")],
    }
    rules = [rule for rule in entries(raw, "lambdas") if isinstance(rule, Mapping)]
    for number, rule in enumerate(rules):
        for field, kind in (("similarity", "similarities"), ("regularizer", "regularizers")):
            name = rule.get(field, "*")
            if isinstance(name, str) and name not in ("*", *ids[kind]):
                known = [str(entry) for entry in ids[kind]]
                yield Mistake(
                    f"lambdas[{number}].{field}", f"`{name}` is not in grid.{kind}; {did_you_mean(name, known)}"
                )
        yield from _hidden_rule(rules, number)
    yield from term_checks(raw)
    yield from _dimension_checks(raw)
    yield from _replicate_checks(raw)
    yield from look_checks(raw)
    yield from _atlas_checks(raw)
    yield from _transfer_checks(raw)
    yield from _refined_ids(raw)
    for number, baseline in enumerate(entries(raw, "baselines")):
        if _name_of(baseline) == IDENTITY:
            yield Mistake(
                f"baselines[{number}]", "`identity` is always in the table; leave it out or choose another id"
            )
        if _name_of(baseline) in CONTROLS:
            yield Mistake(f"baselines[{number}]", "the id is one of the rows that `controls` adds; choose another")


def _refined_ids(raw: Raw) -> Iterator[Mistake]:
    """Models that are called as the refined rows of another."""
    models = entries(raw, "models")
    refined = {f"{_name_of(item)}{REFINED}" for item in models if _is_refined(item)}
    for number, item in enumerate(models):
        if _name_of(item) in refined:
            yield Mistake(
                f"models[{number}]", f"the refined rows of a model have the id `{_name_of(item)}`; choose another"
            )


def _is_refined(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("refine") is not None


def _hidden_rule(rules: Sequence[Mapping[str, Any]], number: int) -> Iterator[Mistake]:
    """A rule for a loss that an earlier rule takes every cell from; a last one for all cells may stand unused."""
    parts = ("similarity", "regularizer")
    asked = [rules[number].get(part, "*") for part in parts]
    for first, rule in enumerate(rules[:number]):
        taken = [rule.get(part, "*") for part in parts]
        if asked != ["*", "*"] and all(wide in ("*", narrow) for wide, narrow in zip(taken, asked, strict=True)):
            words = f"is never used: lambdas[{first}] stands before it and takes its cells; put the narrower rule first"
            yield Mistake(f"lambdas[{number}]", words)
            return


def _atlas_checks(raw: Raw) -> Iterator[Mistake]:
    """An atlas of the training beside pairs that say what is trained."""
    training = raw.get("training")
    if not isinstance(training, Mapping) or training.get("atlas") is None:
        return
    for number, dataset in enumerate(entries(raw, "datasets")):
        pairs = dataset.get("pairs") if isinstance(dataset, Mapping) else None
        given = [key for key in ("list", "rule") if isinstance(pairs, Mapping) and pairs.get(key) is not None]
        if given:
            yield Mistake(
                f"datasets[{number}].pairs.{given[0]}",
                "says which pairs are trained, and so does `training.atlas`; leave one of them out "
                "(`rule: to_atlas` or `from_atlas` takes an atlas in training, validation and test)",
            )


def _replicate_checks(raw: Raw) -> Iterator[Mistake]:
    """Whether the seeds can be dealt to the searches."""
    tuning, seeds = raw.get("tuning"), entries(raw, "seeds")
    count = tuning.get("replicates", 1) if isinstance(tuning, Mapping) else 1
    if isinstance(count, int) and count > 0 and seeds and len(seeds) % count:
        words = f"must divide the number of `seeds` ({len(seeds)}), but got {count}; each search trains as many seeds"
        yield Mistake("tuning.replicates", words)
    draws = tuning.get("splits", 1) if isinstance(tuning, Mapping) else 1
    if isinstance(draws, int) and draws > 1:
        yield from _split_checks(raw, draws, count)


def _split_checks(raw: Raw, draws: int, count: Any) -> Iterator[Mistake]:
    """Whether searches can be dealt to draws of validation subjects, and whether the draws would change anything."""
    if isinstance(count, int) and count > 0 and count % draws:
        words = f"must divide `tuning.replicates` ({count}), but got {draws}; each draw is searched as often"
        yield Mistake("tuning.splits", words)
    for number, dataset in enumerate(entries(raw, "datasets")):
        part = as_mapping(as_mapping(dataset).get("splits")).get("validation")
        if part == "given" or isinstance(part, list | tuple):
            words = f"must be a count or a share where `tuning.splits: {draws}` draws it anew, but is fixed"
            yield Mistake(f"datasets[{number}].splits.validation", words)
        if as_mapping(as_mapping(dataset).get("splits")).get("repeat"):
            words = f"deals the validation subjects anew, and so does `tuning.splits: {draws}`; leave one of them out"
            yield Mistake(f"datasets[{number}].splits.repeats", words)
    models = [as_mapping(item).get("name", item) for item in entries(raw, "models")]
    similarities = [_name_of(item) for item in entries(raw, "grid", "similarities")]
    regularizers = [id_of_regularizer(item) for item in entries(raw, "grid", "regularizers")]
    rules = [first_rule(raw, one, other) for one in similarities for other in regularizers]
    untrained = models and all(name in WITHOUT_WEIGHTS for name in models if isinstance(name, str))
    if untrained and rules and all(rule is not None and rule[1].get("value") is not None for rule in rules):
        yield Mistake("tuning.splits", "has no effect: nothing is trained, and every lambda is fixed; leave it out")


def _transfer_checks(raw: Raw) -> Iterator[Mistake]:
    """Sets to test on that are not there, or that would test nothing."""
    trained, further = ([_id_of(item) for item in entries(raw, kind)] for kind in ("datasets", "test_sets"))
    tested, pools = entries(raw, "evaluate_on"), _pool_of_folds(raw)
    for number, name in enumerate(tested):
        if isinstance(name, str) and name not in (*trained, *further):
            known = [one for one in (*trained, *further) if one]
            yield Mistake(f"evaluate_on[{number}]", f"no dataset or test set `{name}`; {did_you_mean(name, known)}")
        elif isinstance(name, str) and all(pools.get(other, other) == pools.get(name, name) for other in trained):
            own = pools.get(name, name)
            words = f"the runs of `{own}` are evaluated on it anyway, and no other dataset is trained; leave it out"
            yield Mistake(f"evaluate_on[{number}]", words)
    for number, name in enumerate(further):
        if name and name in trained:
            words = f"`{name}` is a dataset that is trained; leave it out here and name it in `evaluate_on`"
            yield Mistake(f"test_sets[{number}].id", words)
        elif name and name not in tested:
            yield Mistake(f"test_sets[{number}]", f"`{name}` is never tested; name it in `evaluate_on`")
    for number, item in enumerate(entries(raw, "test_sets")):
        splits = item.get("splits") if isinstance(item, Mapping) else None
        for key in splits if isinstance(splits, Mapping) else ():
            if key in ("train", "validation", "folds", "fold", "repeats", "repeat"):
                yield Mistake(f"test_sets[{number}].splits.{key}", "a test set has no split but `test`; leave it out")


def _pool_of_folds(raw: Raw) -> dict[Any, Any]:
    """What the datasets that are folds are pooled in."""
    items = [item for item in entries(raw, "datasets") if isinstance(item, Mapping) and item.get("fold_of")]
    return {_id_of(item): item["fold_of"] for item in items}


def _id_of(item: Any) -> str:
    """The id of a section; empty where the typed check refuses it."""
    name = item.get("id") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else ""


def _parts(raw: Raw, kind: str) -> list[tuple[str, Any]]:
    """(id, component) of a kind that a cell is made of; of a regularizer the term that lambda weighs."""
    if kind == "regularizer":
        return [(place.regularizer, place.term) for place in places(raw) if place.first]
    path = {"similarity": ("grid", "similarities"), "model": ("models",)}[kind]
    return [(str(_name_of(item)), item) for item in entries(raw, *path)]


def _searched(raw: Raw) -> Iterator[tuple[str, Mapping[str, Any], str, str]]:
    """(place, entry, kind, keyword) of each dimension that can be read."""
    for number, entry in enumerate(entries(raw, "tuning", "search")):
        if isinstance(entry, Mapping) and isinstance(entry.get("parameter"), str):
            kind, _, keyword = entry["parameter"].partition(".")
            yield f"tuning.search[{number}]", entry, kind, keyword


def _dimension_checks(raw: Raw) -> Iterator[Mistake]:
    """Names of components that are not there, numbers that no training has, and dimensions declared twice."""
    for place, entry, kind, keyword in _searched(raw):
        for part in ("similarity", "regularizer", "model"):
            known, name = [str(known) for known, _ in _parts(raw, part)], entry.get(part, "*")
            if isinstance(name, str) and name not in ("*", *known):
                yield Mistake(f"{place}.{part}", f"`{name}` is not in this study; {did_you_mean(name, known)}")
        if kind == "training" and keyword not in TUNABLE:
            message = f"`{keyword}` of the training cannot be searched; {did_you_mean(keyword, TUNABLE)}"
            yield Mistake(f"{place}.parameter", message)
        elif kind == "training":
            yield from _training_checks(place, keyword, range_ends(entry))
        known = ["similarity", "regularizer", "model", "training"]
        if kind not in known:
            yield Mistake(f"{place}.parameter", f"`{kind}` is unknown; {did_you_mean(kind, known)}")


def _training_checks(place: str, keyword: str, ends: Sequence[Any]) -> Iterator[Mistake]:
    """Whether a training takes both ends of a range."""
    for end in ends:
        try:
            Training.model_validate({"steps": 1, "optimiser": "adamw", keyword: end})
        except ValidationError as error:
            for item in error.errors():
                yield Mistake(f"{place}.parameter", f"training.{keyword}: {readable(dict(item)).message}")


def _tried(entry: Mapping[str, Any]) -> list[Any]:
    """The ends that can be reached, and of whole numbers the next one: a window that may be 3 and 9 may not be 4."""
    reached, step = range_ends(entry), entry.get("step")
    if entry.get("type") != "int" or len(reached) != 2 or not all(isinstance(end, int) for end in reached):
        return reached
    low, high = reached
    stride = step if isinstance(step, int) and step > 0 else 1
    return [value for value in (low, low + stride, low + (high - low) // stride * stride) if value <= high]


def _search_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """Whether each component that a dimension names has the keyword, and takes both ends of the range."""
    for place, entry, kind, keyword in _searched(raw):
        for name, given in _searched_parts(raw, entry, kind):
            of = "term" if kind == "regularizer" else kind
            anyhow = [message for parameter, message in check(of, name, given) if parameter != keyword]
            for value in _tried(entry):
                messages = [message for _, message in check(of, name, {**given, keyword: value})]
                yield from (Mistake(f"{place}.parameter", message) for message in messages if message not in anyhow)


def _searched_parts(raw: Raw, entry: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and parameters of the components that a dimension names; other forms have their own message."""
    if kind not in ("similarity", "regularizer", "model"):
        return
    for known, item in _parts(raw, kind):
        part = as_mapping(item)
        name, given = part.get("name"), part.get("parameters", {})
        if entry.get(kind, "*") in ("*", known) and isinstance(name, str) and isinstance(given, Mapping):
            yield name, given


def imported_names(raw: Raw) -> list[str]:
    """What a config names that is code, each once: functions of the user's own, TorchScript; on the raw mapping."""
    items = [
        item.get(name_key) if isinstance(item, Mapping) else item
        for name_key, path in (*((key, path) for _, key, path in PLACES), ("name", ("similarities",)))
        for item in entries(raw, *path)
    ]
    items += [place.name for place in (*places(raw), *places(raw, ("regularizers",)))]
    names = [name for name in items if isinstance(name, str) and ":" in name]
    return list(dict.fromkeys([*names, *_code_in_parameters(raw)]))


def _code_in_parameters(raw: Raw) -> Iterator[str]:
    for path in (("grid", "similarities"), ("similarities",)):
        for item in entries(raw, *path):
            yield from code_within(item.get("parameters") if isinstance(item, Mapping) else None)


def component_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """What the components themselves say of their names and parameters; on the raw mapping too."""
    yield from _search_checks(raw, check)
    for kind, name_key, path in PLACES:
        for number, item in enumerate(entries(raw, *path)):
            yield from _entry_checks(f"{'.'.join(path)}[{number}]", kind, name_key, item, check)
    for place in places(raw):
        item = place.name if set(place.term) == {"name"} else place.term
        yield from _entry_checks(place.key, "term", "name", item, check) if place.name else ()
    regions = raw.get("equivalence")
    for name, width in regions.items() if isinstance(regions, Mapping) else ():
        for _, message in check("equivalence", str(name), {"width": width}):
            yield Mistake(f"equivalence.{name}", message)
    yield from _curve_checks(raw, check)
    yield from _goal_checks(raw, check)
    yield from _pairing_checks(raw, check)
    yield from _range_checks(raw, check)
    yield from _mask_checks(raw, check)
    for number, item in enumerate(entries(raw, "models")):
        if _is_refined(item) and isinstance(item.get("name"), str):
            for _, message in check("refined", item["name"], {}):
                yield Mistake(f"models[{number}].refine", message)


def _curve_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """What is compared at equal regularity, and levels that no field has."""
    curve = raw.get("curve")
    if not isinstance(curve, Mapping):
        return
    regularity = curve.get("regularity", "sdlogj")
    for number, name in enumerate(entries(raw, "curve", "metrics")):
        if isinstance(name, str) and name == regularity:
            yield Mistake(f"curve.metrics[{number}]", f"`{name}` is what is held equal; leave it out")
        elif isinstance(name, str):
            for _, message in check("equivalence", name, {"width": 0}):
                yield Mistake(f"curve.metrics[{number}]", message)
    for number, level in enumerate(entries(raw, "curve", "levels")):
        if regularity == FOLDING and isinstance(level, int | float) and level >= 100:
            yield Mistake(f"curve.levels[{number}]", f"must be a percentage below 100, but got {level:g}")


def _mask_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """Losses that cannot count by the masks that the training names."""
    training = raw.get("training")
    settings = training if isinstance(training, Mapping) else {}
    use = settings.get("mask", "none")
    if use not in ("fixed", "moving", "both"):
        return
    similarities = enumerate(map(as_mapping, entries(raw, "grid", "similarities")))
    asked = [(f"grid.similarities[{k}]", "similarity", item.get("name")) for k, item in similarities]
    if settings.get("mask_regularizer") is True:
        asked += [(place.key, "term", place.name) for place in places(raw)]
    for key, kind, name in asked:
        why = f"training.mask: {use}" if kind == "similarity" else "training.mask_regularizer"
        for _, message in check(f"masked {kind}", name, {"use": use}) if name and isinstance(name, str) else ():
            yield Mistake(key, f"{message} (`{why}`)")


def _goal_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """Whether what trials are scored by is a metric, `rank`, or a similarity of the grid or of ours."""
    tuning = raw.get("tuning")
    if not isinstance(tuning, Mapping):
        return
    ids = [str(_name_of(item)) for item in entries(raw, "grid", "similarities")]
    named = [(f"tuning.{key}", goal) for key in ("objective", "selection") if isinstance(goal := tuning.get(key), str)]
    metrics = [(place, base(goal)) for place, goal in named if base(goal) != RANK]
    metrics += [(f"tuning.rank_by[{k}]", name) for k, name in enumerate(entries(raw, "tuning", "rank_by"))]
    for place, name in metrics:
        if isinstance(name, str) and name.removeprefix(SIMILARITY) not in ids:
            for _, message in check("goal", name, {}):
                yield Mistake(place, message)
        elif isinstance(name, str) and not name.startswith(SIMILARITY):
            yield Mistake(place, f"`{name}` is a similarity of the grid; write {SIMILARITY}{name}")


def _range_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """Cells whose range of lambda cannot be found: by a similarity, or of a regularizer that `instance` cannot have."""
    similarities = [_name_of(item) for item in entries(raw, "grid", "similarities")]
    weighed = [place for place in places(raw) if place.first]
    tuning, ids = raw.get("tuning"), [place.regularizer for place in weighed]
    goal = tuning.get("objective") if isinstance(tuning, Mapping) else None
    if isinstance(goal, str) and base(goal) == RANK:
        goal = next(iter(entries(raw, "tuning", "rank_by")), None)  # by which ranges are found
    without = [(one, other) for one in similarities for other in ids if first_rule(raw, one, other) is None]
    if isinstance(goal, str) and goal.startswith(SIMILARITY) and without:
        yield Mistake(
            "lambdas",
            f"must have a rule for {without[0][0]} x {without[0][1]}, where trials are scored by a similarity "
            f"(`{goal}`): a similarity is best without a regularizer, so it finds no range",
        )
    for place in weighed:
        name, known = place.name, place.regularizer
        open_cells = [similarity for similarity in similarities if first_rule(raw, similarity, known) is None]
        refused = check("pairing", name, {"model": "instance"}) if open_cells and name else ()
        for _ in refused:
            yield Mistake(
                "lambdas",
                f"must have a rule for {known}, such as {{regularizer: {known}, range: [0.001, 10]}}: a range is found "
                f"by registrations of `instance`, which gives displacements, and `{name}` judges matrices",
            )


def _entry_checks(where: str, kind: str, name_key: str, item: Any, check: Checker) -> Iterator[Mistake]:
    """Mistakes of one component, and of a dataset's preprocessing; a bare name is short for an entry."""
    entry = item if isinstance(item, Mapping) else {name_key: item}
    name, given = entry.get(name_key), entry.get("parameters", {})
    if not isinstance(name, str) or not isinstance(given, Mapping):
        return  # the typed check says so
    for parameter, message in check(kind, name, given):
        suffix = f".parameters.{parameter}" if parameter else ("" if isinstance(item, str) else f".{name_key}")
        yield Mistake(where + suffix, message)
    settings = entry.get("preprocessing", {}) if kind == "dataset" else None
    for setting, message in check("preprocessing", name, settings) if isinstance(settings, Mapping) else ():
        yield Mistake(f"{where}.preprocessing" + (f".{setting}" if setting else ""), message)


def _pairing_checks(raw: Raw, check: Checker) -> Iterator[Mistake]:
    """Regularizers that do not fit a model of the study."""
    for place in places(raw):
        for model in map(as_mapping, entries(raw, "models")):
            if place.name and isinstance(other := model.get("name"), str):
                for _, message in check("pairing", place.name, {"model": other}):
                    yield Mistake(place.key, message)
