"""What MLflow takes of a text, in letters: a longer one is cut, and says where the whole of it is."""

from collections.abc import Mapping

from pydantic import JsonValue

from regbench.system.escaping import cut
from regbench.system.files import canonical_json, digest

RUN_NAME, PARAM, SOURCE = 250, 6000, 65535
LIMIT = 5000  # of tags of runs and of experiments, for servers of MLflow 2 too
WHOLE = "study"  # folder of the study's run that holds the texts that were cut
NOTE_OF_CUT = " … (cut: the artifacts of the study's own run have the whole text)"
LISTED = 20  # items of a list that are shown


def fitted(texts: Mapping[str, str], longest: int) -> dict[str, str]:
    """Texts by name, each no longer than what MLflow takes."""
    return {name: cut(text, longest, NOTE_OF_CUT) for name, text in texts.items()}


def is_long(source: Mapping[str, JsonValue]) -> bool:
    """Whether the description of a dataset is too long for MLflow as it is."""
    return len(canonical_json(source)) > SOURCE


def shortened(value: JsonValue) -> JsonValue:
    """A value with its long lists, such as those of thousands of subjects, by count, first items and digest."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > LISTED:
        return {"count": len(value), "first": value[:3], "sha256_16": digest(value)}
    return [shortened(item) for item in value] if isinstance(value, list) else value


def source_of(source: Mapping[str, JsonValue]) -> str:
    """The description of a dataset as JSON, its long lists shortened where it would be too long."""
    return cut(canonical_json(shortened(dict(source)) if is_long(source) else source), SOURCE, NOTE_OF_CUT)
