"""The errors a user is meant to read: what must hold, what was found instead, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class RegbenchError(Exception):
    """The work failed (exit status 1): bad data, no room, an unreadable file."""


class UsageError(RegbenchError):
    """The request was wrong (exit status 2): a config, an argument, a name."""


class InterruptedTrainingError(RegbenchError):
    """Stopped from outside after saving its state (exit status 75: the same command goes on from there)."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Say which known name a misspelt one resembles; all of them when none does."""
    names = sorted(known)
    close = get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known: {', '.join(names)}" if names else "nothing is known here"


def one_of(name: str, given: str, *known: str) -> None:
    """Demand one of some words: another would be taken for the last of them, or end in a KeyError.

    Raises:
        ValueError: with the words that it may be.
    """
    if given not in known:
        *most, last = (f"`{word}`" for word in known)
        raise ValueError(f"{name} must be {', '.join(most)} or {last}, but got `{given}`.")


def nearest(given: str, known: Iterable[str], count: int = 3) -> str:
    """Say which known names come nearest to `given`; where none is near, the first few, and how many there are."""
    names = list(dict.fromkeys(known))
    shown = get_close_matches(given, names, n=count, cutoff=0.4) or names[:count]
    if not shown:
        return "nothing is known here"
    return f"near: {', '.join(f'`{name}`' for name in shown)} ({len(names)} in all)"
