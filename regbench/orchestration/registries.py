"""All registries under the word that configs use for them."""

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from math import prod
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from regbench.data import DATASETS
from regbench.data.embedded import grid_limits
from regbench.data.preprocessing import preprocess
from regbench.losses import AFFINE_REGULARIZERS, CONSISTENCIES, REGULARIZERS, SIMILARITIES, SUPERVISIONS
from regbench.losses.audit.own_components import own_mistakes, own_notes
from regbench.losses.objective import judged_shapes
from regbench.metrics import COMPARABLE, GOALS, SIMILARITY, widest_difference
from regbench.models import AFFINE_MODELS, MODELS
from regbench.models.classical import BASELINES, missing
from regbench.models.own_baseline import baseline_mistakes, baseline_notes
from regbench.models.own_network import network_mistakes, network_notes
from regbench.study import components
from regbench.study.goals import RANK
from regbench.study.methods import Study
from regbench.study.terms import WITHOUT_WEIGHTS
from regbench.system.errors import UsageError, did_you_mean

REGISTRIES: Mapping[str, components.Registry] = {
    "similarity": SIMILARITIES,
    "regularizer": {**REGULARIZERS, **AFFINE_REGULARIZERS},
    "consistency": CONSISTENCIES,
    "supervision": SUPERVISIONS,
    "model": {**MODELS, **AFFINE_MODELS},
    "dataset": DATASETS,
    "baseline": BASELINES,
}

MOST_VOXELS = 2**22  # of an image that is made only to ask a loss; a larger one is a shape without memory
MOST_WEIGHTS = 2**29  # of a model: with gradients and Adam's moments they take 8 GiB


def check_component(kind: str, name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Mistakes in a component of a config; what `regbench.study.load.load` asks.

    The kind ``term`` takes a regularizer, a consistency or a supervision; ``pairing`` asks whether the regularizer
    `name` fits the model ``given["model"]``; ``masked similarity`` and ``masked term`` whether a component takes the
    masks that ``given["use"]`` names; ``refined`` whether there is a network's displacement to refine.
    """
    if kind in ("masked similarity", "masked term"):
        return _masked(_kind(kind.removeprefix("masked "), name), name, given["use"])
    kind = _kind(kind, name)
    special: dict[str, Callable[[], list[tuple[str, str]]]] = {
        "pairing": lambda: _pairing(name, given["model"]),
        "equivalence": lambda: _equivalence(name, given["width"]),
        "goal": lambda: _goal(name),
        "refined": lambda: _refined(name),
        "preprocessing": lambda: preprocess.mistakes(DATASETS, name, given),
    }
    if kind in special:
        return special[kind]()
    if kind == "regularizer" and name not in REGISTRIES[kind] and ":" not in name:
        known = [*REGISTRIES["regularizer"], *CONSISTENCIES, *SUPERVISIONS]
        return [("", f"`{name}` is unknown; {did_you_mean(name, known)}")]
    return components.mistakes(REGISTRIES[kind], name, given) or _refused(kind, name, given)


def _kind(kind: str, name: str) -> str:
    """The kind of a term: that of the registry which has it; a function of one's own is a regularizer."""
    if kind != "term":
        return kind
    return next((of for of in ("consistency", "supervision") if name in REGISTRIES[of]), "regularizer")


class AuditingCheck:
    """As `check_component`; and calls the losses, networks and baselines that users wrote themselves, on small samples.

    Attributes:
        notes: what is worth knowing of those that do not fail.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __call__(self, kind: str, name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Mistakes in a component of a config."""
        of = _kind(kind, name)
        mistakes = check_component(kind, name, given)
        if kind == "model":
            mistakes, notes = mistakes or network_mistakes(name, given), network_notes
        elif kind == "baseline":
            mistakes, notes = mistakes or baseline_mistakes(name, given), baseline_notes
        else:
            mistakes, notes = mistakes or own_mistakes(of, name, given), partial(own_notes, of)
        self.notes += [] if mistakes else [note for note in notes(name, given) if note not in self.notes]
        return mistakes


def check_installed(study: Study) -> None:
    """Whether each baseline has the packages that do its work on this machine.

    Raises:
        UsageError: listing every baseline that lacks one, with its key.
    """
    lines = [
        f"  baselines[{number}]: `{baseline.name}`: {words}"
        for number, baseline in enumerate(study.config.baselines)
        if (words := missing(baseline.name))
    ]
    if lines:
        raise UsageError(
            f"study `{study.name}` has baselines that cannot run here; nothing was started:\n" + "\n".join(lines)
        )


def _refused(kind: str, name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a component of ours says against its parameters when it is called: a mistake if neither 2D nor 3D will do.

    Of small samples in float64, which need no compiled loop.
    """
    if not given or name not in REGISTRIES[kind]:
        return []
    if kind == "dataset":
        return grid_limits.mistakes(name, REGISTRIES[kind][name], given)
    if kind not in ("similarity", "regularizer", "consistency", "supervision", "model"):
        return []
    return _said(kind, name, json.dumps(given, default=str))


@functools.cache
def _said(kind: str, name: str, parameters: str) -> list[tuple[str, str]]:
    """Once for each set of parameters: a search asks for many."""
    given, said = json.loads(parameters), []
    for dims in (2, 3):
        try:
            _call(kind, name, given, dims)
        except (ValueError, TypeError, ArithmeticError, RuntimeError, IndexError) as error:
            if isinstance(error, RuntimeError) and any(components.code_within(given)):
                return []  # an encoder, that may ask for another shape than this one
            said.append(str(error))
        else:
            return []
    named = (key for key in given if re.search(rf"\b{re.escape(key)}\b", said[0]))
    return [(next(named, ""), f"`{name}`: {said[0]}")]


def _call(kind: str, name: str, given: Mapping[str, Any], dims: int) -> None:
    bound = components.bind(REGISTRIES[kind], name, given)
    if kind == "model":
        objective = "objective" in inspect.signature(REGISTRIES[kind][name]).parameters  # that the study gives
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # without memory: layers may be of any size
            built = bound(dims, **({"objective": None} if objective else {}))
        if (weights := sum(values.numel() for values in built.parameters())) > MOST_WEIGHTS:
            raise ValueError(f"must have at most {MOST_WEIGHTS} weights, but has {weights}; make its layers smaller")
        return
    side = 8 + max(64, *(size for size in _numbers(given) if size < 1000), 0)  # with room for any window
    levels = given.get("levels", 3) if name == "multi_scale" else 1
    side *= 2 ** (min(levels, 5) - 1) if isinstance(levels, int) and levels > 0 else 1  # on the coarsest grid too
    image = (1, 1, *[side] * dims)
    shapes = [image] * 2 if kind == "similarity" else judged_shapes(name, image[2:])
    with nullcontext() if max(map(prod, shapes)) < MOST_VOXELS else FakeTensorMode():
        bound(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))


def _numbers(value: Any) -> Iterator[int]:
    """Whole numbers at any depth."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(inner)


def _masked(kind: str, name: str, use: str) -> list[tuple[str, str]]:
    """Whether a loss takes weights, and where a mask moves what the weights should sum to."""
    try:
        takes = inspect.signature(components.find(REGISTRIES[kind], name)).parameters
    except (UsageError, TypeError, ValueError):
        return []  # which has its own message
    if kind == "supervision":
        return []  # which counts labels and landmarks, wherever they are
    wanted = ["mask", *(["expected"] if kind == "similarity" and use in ("moving", "both") else [])]
    missing_keywords = [key for key in wanted if key not in takes]
    if not missing_keywords:
        return []
    keys = " and ".join(f"`{key}`" for key in missing_keywords)
    return [("", f"`{name}` takes no keyword {keys}, which docs/losses.md describes; give it one, or choose another")]


def _equivalence(metric: str, width: Any) -> list[tuple[str, str]]:
    """A region is of a metric that two methods can be compared by, and inside what the metric can differ by."""
    if metric.startswith(SIMILARITY) and not _goal(metric):
        return []
    if metric not in COMPARABLE:
        return [("", f"no verdict is given on `{metric}`; {did_you_mean(metric, COMPARABLE)}")]
    widest = widest_difference(metric)
    if isinstance(width, int | float) and not isinstance(width, bool) and width >= widest:
        return [("", f"must be less than the whole range of {metric}, {widest:g}, but got {width:g}")]
    return []


def _goal(name: str) -> list[tuple[str, str]]:
    """What trials are scored by: a metric of single pairs, or a similarity."""
    if name.startswith(SIMILARITY):
        part = name.removeprefix(SIMILARITY)
        if part not in SIMILARITIES:
            return [("", f"`{part}` is no similarity; {did_you_mean(part, SIMILARITIES)}")]
        lacks = [message for _, message in components.mistakes(SIMILARITIES, part, {})]
        return [("", f"{message}: name the id of a similarity of the grid that has it") for message in lacks]
    known = [*GOALS, RANK, *(f"{SIMILARITY}{part}" for part in SIMILARITIES)]
    return (
        [] if name in GOALS else [("", f"`{name}` is nothing that trials are scored by; {did_you_mean(name, known)}")]
    )


def _refined(model: str) -> list[tuple[str, str]]:
    """Only the displacement of a network can be refined; a user's own functions are not judged."""
    if model in WITHOUT_WEIGHTS:
        return [("", f"`{model}` has no network to begin from: it optimises each pair anyway; leave `refine` out")]
    if model in AFFINE_MODELS:
        return [("", f"`{model}` gives a matrix, and what is refined is a displacement; leave `refine` out")]
    return []


def _pairing(regularizer: str, model: str) -> list[tuple[str, str]]:
    """A regularizer of matrices fits a model that gives one, and no other; a user's own functions are not judged."""
    if model in MODELS and regularizer in AFFINE_REGULARIZERS:
        fitting, sees = REGULARIZERS, "displacements"
    elif model in AFFINE_MODELS and regularizer in REGULARIZERS:
        fitting, sees = AFFINE_REGULARIZERS, "matrices"
    else:
        return []
    known = ", ".join(sorted(fitting))
    return [
        (
            "",
            f"`{regularizer}` does not fit model `{model}`, whose regularizer judges {sees}: {known}; "
            "give the model a study of its own",
        )
    ]
