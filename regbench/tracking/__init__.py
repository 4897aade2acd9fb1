"""MLflow as a sink: `records` reads from the study's files what its runs should hold, `push` reads from the store what
they hold and writes the difference; once, or again and again while the study runs (`follow`).

The files are the truth. A push may be killed, repeated, made by several at once, or made after the store was wiped: the
store ends in the state that an undisturbed study leaves.
"""

from regbench.tracking.follow import follow
from regbench.tracking.mlflow_run import Record
from regbench.tracking.push import COMPLETE, DIGEST, KEY, Changes, Sink, describe
from regbench.tracking.records import study_items
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
