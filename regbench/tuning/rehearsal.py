"""Every component of a study on the shape of its images, before an hour is spent: windows, strides, levels, axes.

Of volumes shapes alone are computed (torch's fake tensors), which costs no memory and little time.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from pydantic import JsonValue
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from regbench.data.cache import load
from regbench.data.prepare import divide, is_of, open_source
from regbench.data.redraw import redrawn
from regbench.data.remarks import unused_masks, without_split
from regbench.data.room import check_room
from regbench.data.splits import Splits
from regbench.data.subject import Source
from regbench.losses import SIMILARITIES
from regbench.losses.objective import bound_term, judged_shapes, objective
from regbench.models.instance import Instance
from regbench.models.predict import build_model
from regbench.models.refined import check_refinable
from regbench.spatial.registration import parts
from regbench.study.components import bind
from regbench.study.goals import default_goal
from regbench.study.grid_config import Regularizer
from regbench.study.job_specs import objective_spec, prepare_spec, search_of, selection_spec, train_spec
from regbench.study.methods import Method, Study
from regbench.study.specs import ComponentSpec, DimensionSpec, PrepareSpec, TrainSpec
from regbench.study.terms import SUPERVISED, WEIGHT
from regbench.system.errors import RegbenchError, did_you_mean
from regbench.system.files import read_sealed
from regbench.system.names import nfc
from regbench.training.validation import wrong_goal
from regbench.tuning.space import Point

TRAINING = "training."  # before a number of the training, in what is searched
SMALL = 2**17  # voxels: an image of which zeros are computed, which is faster than to follow their shapes
Shape = tuple[int, ...]


def first_look(study: Study, dataset: str) -> list[str]:
    """What `prepare` would leave out or not use of a dataset, as far as headers tell; all of it once it is prepared.

    Raises:
        RegbenchError: if `prepare` would refuse the dataset's files, its size, its splits, or a component on its shape.
    """
    spec, manifest = prepare_spec(study, dataset), study.layout.manifest(dataset)
    if manifest.is_file() and is_of(spec, stored := read_sealed(manifest)):
        masked = tuple(stored.get("masked", ()))
        _check_goals(study, dataset, stored["references"][_judged_on(spec)])
        _check_prepared(study, dataset)
        rehearse(study, dataset, tuple(stored["shape"]), tuple(stored["subjects"]), masked)
        return [
            *_counted(spec, stored["pairs"]),
            *_drawn([one["splits"] for one in (stored, *stored.get("redrawn", ()))]),
            *stored.get("remarks", ()),
            *_masks_left_out(study, len(masked), len(stored["subjects"])),
        ]
    if spec.source == "public":
        return ["not looked at: `prepare` downloads it"]
    source = open_source(spec)
    splits, pairs = divide(spec, source)
    draws = redrawn(spec, source, splits)
    check_room(spec, source, study.layout.data(dataset))
    rehearse_source(study, dataset, source)
    masks = _masks_left_out(study, len(source.masked), len(source.ids))
    return [
        *_counted(spec, pairs),
        *_drawn([splits, *(one.splits for one in draws)]),
        *source.remarks,
        *without_split(source, splits, pairs),
        *masks,
    ]


def _check_prepared(study: Study, dataset: str) -> None:
    """Whether the training subjects of a dataset that is prepared have what terms must know of them."""
    if not _has_networks(study, dataset):
        return
    data = load(study.layout.data(dataset))
    unlabelled = [name for name in data.subjects if not data.labels or not data.record(name).get("labelled", True)]
    landmarked = [name for name in data.subjects if data.landmarks(name) is not None]
    _check_known(study, dataset, data.split("train"), unlabelled, landmarked)


def _counted(spec: PrepareSpec, pairs: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    """How many pairs a list or a rule makes of each split."""
    if not spec.pairs.prescribed:
        return []
    counts = ", ".join(f"{len(used)} of {split}" for split, used in pairs.items())
    return [f"pairs by `{spec.pairs.list or spec.pairs.rule}`: {counts}"]


def _drawn(draws: Sequence[Splits]) -> Iterator[str]:
    """How many draws of validation subjects there are, where there are several."""
    if len(draws) > 1:
        count = len(draws[0]["validation"])
        of = count + len(draws[0]["train"])
        yield f"{len(draws)} draws of {count} validation subjects out of {of}; the test subjects stay"


def _masks_left_out(study: Study, masked: int, subjects: int) -> Iterator[str]:
    return unused_masks(masked, subjects, used=study.uses_masks)


def rehearse_source(study: Study, dataset: str, source: Source) -> None:
    """Whether a dataset whose files are known, but not read, fits the study: its goal, and each component on its shape.

    Raises:
        RegbenchError: if `tuning.objective` is not to be had, or as `rehearse`.
    """
    spec = prepare_spec(study, dataset)
    splits, used = divide(spec, source)
    _check_goals(study, dataset, source.references(used[_judged_on(spec)]))
    if _has_networks(study, dataset):
        _check_known(study, dataset, splits["train"], source.unlabelled, source.landmarked)
    rehearse(study, dataset, source.shape, source.ids, source.masked)


def _judged_on(spec: PrepareSpec) -> str:
    """The split whose pairs tell what the study is for: where nothing is searched, there may be test pairs alone."""
    return "test" if "validation" in spec.unneeded else "validation"


def _check_goals(study: Study, dataset: str, known: Sequence[str]) -> None:
    """Whether what trials are scored by can be measured on these pairs, where any cell is tuned."""
    if not _is_trained(study, dataset):
        return
    for goal in (objective_spec(study), selection_spec(study)):
        if fault := wrong_goal(goal.metrics or default_goal(known), known):
            raise RegbenchError(f"dataset `{dataset}`: {fault}")


def _is_trained(study: Study, dataset: str) -> bool:
    """Whether any run is trained on a dataset: none is on a test set."""
    return all(known.id != dataset for known in study.config.test_sets)


def _has_networks(study: Study, dataset: str) -> bool:
    """Whether any network is trained on a dataset."""
    return _is_trained(study, dataset) and any(method.needs_training for method in study.methods)


def _check_known(
    study: Study, dataset: str, names: Sequence[str], unlabelled: Collection[str], landmarked: Collection[str]
) -> None:
    """Whether the training subjects have what terms must know of them.

    Args:
        study: with the terms.
        dataset: its id, for the message.
        names: of the training subjects.
        unlabelled: subjects without labels.
        landmarked: subjects with landmarks.

    Raises:
        RegbenchError: listing each term that has nothing to work by, with its key.
    """
    none = {
        "labels": set(unlabelled).issuperset(names),
        "landmarks": len(set(landmarked).intersection(names)) < 2,
    }
    terms = [
        (f"grid.regularizers[{number}].terms[{place}]", term.name)
        for number, regularizer in enumerate(study.config.grid.regularizers)
        for place, term in enumerate(regularizer.terms)
    ]
    if study.uses_dice:
        terms.append(("training.dice_weight", "dice"))
    lines = [
        f"  {key}: `{name}` must have {what} of the training subjects of dataset `{dataset}`, but "
        f"{'they have none' if what == 'labels' else 'fewer than two have any'}; leave it out, or add {what}"
        for key, name in terms
        if (what := SUPERVISED.get(name, "")) and none[what]
    ]
    if lines:
        raise RegbenchError(f"study `{study.name}` does not fit its data; nothing was prepared:\n" + "\n".join(lines))


def rehearse(study: Study, dataset: str, shape: Shape, subjects: tuple[str, ...], masked: tuple[str, ...]) -> None:
    """Try each cell's model, similarity and regularizer, at the ends of what is searched too; and ask for the masks.

    Args:
        study: with the cells.
        dataset: id, for the message.
        shape: of its prepared images.
        subjects: ids of the dataset.
        masked: those of them that have a mask.

    Raises:
        RegbenchError: listing every mistake with its key, the cells and the shape.
    """
    wrong: dict[str, list[str]] = {}
    tried: dict[str, str] = {}
    for method in study.methods:
        if not method.tuned:
            continue
        for key, spec in _specs(study, method):
            for part in _parts(spec):
                name = f"{part.kind} {part.component.to_json()} {part.beside}"
                if name not in tried:
                    tried[name] = _fault(part, spec, shape)
                if tried[name]:
                    message = f"{key or _key(study, method, part, tried[name])}: {tried[name]}"
                    wrong.setdefault(message, []).append(method.id)
    lines = [f"  {message} (cells: {', '.join(dict.fromkeys(cells))})" for message, cells in wrong.items()]
    if not lines:  # else a model that fails would be named twice
        lines += [f"  {line}" for line in _without_displacement(study, shape)]
    if _is_trained(study, dataset):
        lines += [f"  {line}" for line in _of_training(study, dataset, shape, subjects)]
    lines += [f"  {line}" for line in _of_masks(study, dataset, subjects, masked)]
    if lines:
        size = " x ".join(map(str, shape))
        raise RegbenchError(
            f"study `{study.name}` does not fit dataset `{dataset}`, whose prepared images have {size} voxels; nothing "
            "was prepared:\n" + "\n".join(lines)
        )


def _without_displacement(study: Study, shape: Shape) -> Iterator[str]:
    """Models that are refined, and whose regularizer sees something other than a displacement."""
    for number, model in enumerate(study.config.models):
        method = next((m for m in study.methods if m.model == model and m.refine is None), None)
        if model.refine is not None and method is not None:
            spec = train_spec(study, method.id, seed=0, steps=1).model_copy(update={"lam": 1.0})
            if fault := _tried(partial(_penalised, spec, shape), shape):
                yield f"models[{number}].refine: `{model.name}`: {fault}"


def _specs(study: Study, method: Method) -> Iterator[tuple[str, TrainSpec]]:
    """The training of a cell as it is written, and at each end of each dimension; with the key of the dimension."""
    spec = train_spec(study, method.id, seed=0, steps=1).model_copy(update={"lam": 1.0})
    searched = search_of(study, method.id)
    of_components = [dimension for dimension in searched if not dimension.name.startswith((TRAINING, WEIGHT))]
    if not of_components:
        yield "", Point(1.0, _first(searched)).apply(spec)
    for dimension in of_components:
        number = next(k for k, entry in enumerate(study.config.tuning.search) if entry.parameter == dimension.name)
        for value in _ends(dimension):
            values = {**_first(searched), dimension.name: value}
            yield f"tuning.search[{number}] ({dimension.name} = {value})", Point(1.0, values).apply(spec)


def _first(searched: tuple[DimensionSpec, ...]) -> dict[str, JsonValue]:
    """A value of each dimension, so that one is varied at a time."""
    return {dimension.name: _ends(dimension)[0] for dimension in searched}


def _ends(dimension: DimensionSpec) -> list[JsonValue]:
    if dimension.choices is not None:
        return list(dimension.choices)
    assert dimension.range is not None  # by the config's check of dimensions
    low, high = dimension.range
    if dimension.type != "int":
        return [low, high]
    step = dimension.step or 1
    return [int(low), int(low) + (int(high) - int(low)) // step * step]


class _Part(NamedTuple):
    """A component of a training that is tried.

    Attributes:
        kind: similarity, term or model.
        component: with its parameters.
        place: of a term, in its regularizer.
        beside: what else its fault depends on.
    """

    kind: str
    component: ComponentSpec
    place: int = 0
    beside: str = ""


def _parts(spec: TrainSpec) -> list[_Part]:
    """What is tried of a training."""
    terms = (spec.regularizer, *(ComponentSpec(name=term.name, parameters=term.parameters) for term in spec.terms))
    coarser = spec.model.name == "instance"  # which has coarser levels
    return [
        _Part("similarity", spec.similarity),
        *(_Part("term", term, place) for place, term in enumerate(terms)),
        _Part("model", spec.model, beside=str([spec.similarity, *terms]) if coarser else ""),
    ]


def _fault(part: _Part, spec: TrainSpec, shape: Shape) -> str:
    """What a component says against the shape; empty if nothing."""
    attempts: dict[str, Callable[[], None]] = {
        "similarity": lambda: _similarity(part.component, shape),
        "term": lambda: _term(part.component, shape),
        "model": lambda: _model(spec, shape),
    }
    return _tried(attempts[part.kind], shape)


def _tried(attempt: Callable[[], None], shape: Shape) -> str:
    small = torch.Size(shape).numel() <= SMALL
    fault = _raised(attempt, nullcontext() if small else FakeTensorMode())
    # A user's own function may look at values, which shapes alone have not: what torch says then is no fault.
    return fault.partition(": ")[2] if small or fault.startswith(("ValueError: ", "TypeError: ")) else ""


def _raised(attempt: Callable[[], None], mode: AbstractContextManager[object]) -> str:
    """Type and words of what an attempt raised; empty if nothing."""
    try:
        with torch.random.fork_rng(devices=[]), mode:
            attempt()
    except RegbenchError as error:  # in which the objective of a model names its loss
        return f"ValueError: {error}"
    except (ValueError, TypeError, RuntimeError, IndexError, ArithmeticError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _similarity(component: ComponentSpec, shape: Shape) -> None:
    image = torch.zeros((1, 1, *shape), dtype=torch.float64)  # which needs no compiled loop
    bind(SIMILARITIES, component.name, component.parameters)(image, torch.zeros_like(image))


def _term(component: ComponentSpec, shape: Shape) -> None:
    judged = [torch.zeros(sizes, dtype=torch.float64) for sizes in judged_shapes(component.name, shape)]
    bound_term(component)(*judged)


def _penalised(spec: TrainSpec, shape: Shape) -> None:
    image = torch.zeros((1, 1, *shape))
    output = parts(build_model(spec.model, len(shape))(image, torch.zeros_like(image)))
    check_refinable(output)


def _model(spec: TrainSpec, shape: Shape) -> None:
    # Without masks, which zeros have none of.
    of = objective(
        spec.similarity, spec.regularizer, spec.weight, terms=spec.further, directions=spec.training.directions
    )
    model = build_model(spec.model, len(shape), of)
    if isinstance(model, Instance):
        model.levels = [(shrink, 1) for shrink, _ in model.levels]  # one step shows what a hundred would
    image = torch.zeros((1, 1, *shape))
    displacement: Tensor = parts(model(image, torch.zeros_like(image))).displacement
    if tuple(displacement.shape) != (1, len(shape), *shape):
        raise ValueError(f"its displacement must be {(1, len(shape), *shape)}, but got {tuple(displacement.shape)}")


def _key(study: Study, method: Method, part: _Part, message: str) -> str:
    """Where the config has a component, and the parameter that its message names."""
    grid = study.config.grid
    places = {
        "similarity": ("grid.similarities", grid.similarities, method.similarity),
        "term": ("grid.regularizers", grid.regularizers, method.regularizer),
        "model": ("models", study.config.models, method.model),
    }
    path, components, component = places[part.kind]
    assert component is not None  # a cell has all three
    key = f"{path}[{[entry.id for entry in components].index(component.id)}]"
    if isinstance(component, Regularizer) and component.terms:
        key += f".terms[{part.place}]"
    given: Mapping[str, object] = part.component.parameters
    named = next((f".parameters.{key}" for key in given if re.search(rf"\b{re.escape(key)}\b", message)), "")
    return f"{key}{named}: `{part.component.name}`"


def _of_training(study: Study, dataset: str, shape: Shape, subjects: tuple[str, ...]) -> Iterator[str]:
    """What the protocol of the trainings says of axes and subjects that the dataset has not."""
    protocol = study.config.training
    for axis in protocol.augmentation.flips:
        if axis >= len(shape):
            yield f"training.augmentation.flips: must be axes from 0 to {len(shape) - 1}, but got {axis}"
    if protocol.atlas is not None and nfc(protocol.atlas) not in subjects:
        yield (
            f"training.atlas: must be a subject of `{dataset}`, but got `{protocol.atlas}`; "
            f"{did_you_mean(protocol.atlas, subjects)}"
        )


def _of_masks(study: Study, dataset: str, subjects: tuple[str, ...], masked: tuple[str, ...]) -> Iterator[str]:
    """What asks for masks that the dataset has not."""
    lacking = [name for name in subjects if name not in set(masked)]
    for key, use in (("training.mask", study.config.training.mask), ("evaluation.mask", study.config.evaluation.mask)):
        if use != "none" and lacking:
            yield (
                f"{key}: `{use}` must have a mask of every subject of `{dataset}`, but {len(lacking)} of "
                f"{len(subjects)} have none (`{lacking[0]}`); give them one, leave them out, or set `none`"
            )
