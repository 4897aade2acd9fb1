"""MLflow as a sink: what its runs should hold is read from the study's files (`records`), what they hold from the
store, and the difference is pushed (`push`); once, or again and again while the study runs (`follow`).

The files are the truth. A push may be killed, repeated, made by several at once, or made after the store was wiped: the
store ends in the state that an undisturbed study leaves.
"""

from regbench.tracking.follow import follow
from regbench.tracking.push import COMPLETE, DIGEST, KEY, Changes, Sink, describe
from regbench.tracking.records import Record, study_items
from regbench.tracking.store import finished, note_tracked, track, tracking_uri

__all__ = [
    "COMPLETE",
    "DIGEST",
    "KEY",
    "Changes",
    "Record",
    "Sink",
    "describe",
    "finished",
    "follow",
    "note_tracked",
    "study_items",
    "track",
    "tracking_uri",
]
