"""All registries under the word that configs use for them."""

from collections.abc import Mapping
from typing import Any

from regbench import components
from regbench.data import DATASETS, preprocess, splits
from regbench.losses import REGULARIZERS, SIMILARITIES
from regbench.models import MODELS

REGISTRIES: Mapping[str, components.Registry] = {
    "similarity": SIMILARITIES,
    "regularizer": REGULARIZERS,
    "model": MODELS,
    "dataset": DATASETS,
}


def check_component(kind: str, name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Mistakes in a component of a config; what `regbench.config.load` asks."""
    if kind == "splits":
        return splits.mistakes(given)
    if kind == "preprocessing":
        return preprocess.mistakes(name, given)
    return components.mistakes(REGISTRIES[kind], name, given)
