"""What kinds of terms an objective has; torch-free, so that plans and checks need no loss.

A test compares the names with the registries of `regbench.losses`.
"""

from collections.abc import Iterable

# Consistency terms, which need the displacement of the other direction too: the network runs twice in a step.
TWO_WAY = frozenset({"inverse_consistency", "gradicon"})
# Terms of what is known of the training subjects, and what that is.
SUPERVISED = {"dice": "labels", "landmark_distance": "landmarks"}
WITHOUT_WEIGHTS = frozenset({"instance"})  # models that optimise each pair by itself, and must not see its labels
CURVE = "term."  # before the id of a further term, in curves and logs
WEIGHT = "weight."  # before the id of a further term, in what is searched and in tables
TERMS = ("loss", "similarity", "regularizer")  # that every objective has


def passes(directions: str, names: Iterable[str]) -> int:
    """How often a step runs the network: twice where the other direction is needed.

    Args:
        directions: of the training.
        names: of the terms of its objective.
    """
    return 2 if directions == "both" or not TWO_WAY.isdisjoint(names) else 1
