"""All registries under the word that configs use for them."""

from collections.abc import Mapping
from typing import Any

from regbench import components
from regbench.baselines import BASELINES
from regbench.data import DATASETS, preprocess, splits
from regbench.losses import AFFINE_REGULARIZERS, REGULARIZERS, SIMILARITIES
from regbench.models import AFFINE_MODELS, MODELS

REGISTRIES: Mapping[str, components.Registry] = {
    "similarity": SIMILARITIES,
    "regularizer": {**REGULARIZERS, **AFFINE_REGULARIZERS},
    "model": {**MODELS, **AFFINE_MODELS},
    "dataset": DATASETS,
    "baseline": BASELINES,
}


def check_component(kind: str, name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Mistakes in a component of a config; what `regbench.config.load` asks.

    The kind ``pairing`` asks whether the regularizer `name` fits the model ``given["model"]``.
    """
    if kind == "pairing":
        return _pairing(name, given["model"])
    if kind == "splits":
        return splits.mistakes(given)
    if kind == "preprocessing":
        return preprocess.mistakes(name, given)
    return components.mistakes(REGISTRIES[kind], name, given)


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
