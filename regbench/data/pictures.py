"""Whose images may be shown in what is published: a licence must allow it, else the user does."""

from collections.abc import Mapping

from pydantic import JsonValue

# Sources, and sets of `public`, with the licence that allows it. What users bring is theirs to judge.
MAY_BE_SHOWN: Mapping[str, str] = {
    "mni152": "MNI152 2009a: free to copy with its notice",
    "allen": "CC BY 4.0",
    "msd_hippocampus": "CC BY-SA 4.0",
}


def may_be_shown(source: str, parameters: Mapping[str, JsonValue]) -> bool:
    """Whether pictures of a dataset may be published without asking its user.

    Args:
        source: of the dataset, as a config names it.
        parameters: of the source; of `public` they name the set.
    """
    return (str(parameters.get("name")) if source == "public" else source) in MAY_BE_SHOWN
