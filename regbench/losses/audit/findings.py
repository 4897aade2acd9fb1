"""What an audit says: one verdict a line, and the certificate that they make."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import JsonValue

from regbench import __version__

Kind = Literal["similarity", "regularizer", "affine_regularizer", "consistency"]
Verdict = Literal["pass", "note", "fail"]
RAW = "raw intensities"  # the topic that a study whose images are scaled never meets
WORDS: dict[Kind, str] = {
    "similarity": "similarity",
    "regularizer": "regularizer of displacements",
    "affine_regularizer": "regularizer of matrices",
    "consistency": "consistency of both directions",
}


@dataclass(frozen=True)
class Finding:
    """One line of a certificate.

    Attributes:
        topic: what was looked at, in a word or two.
        verdict: ``fail`` keeps the function out of a study; ``note`` is worth knowing.
        seen: what was seen, a sentence.
        numbers: the figures behind it, by name.
    """

    topic: str
    verdict: Verdict
    seen: str
    numbers: tuple[tuple[str, float], ...] = ()


class RelationRow(NamedTuple):
    """``value = offset + factor * loss of ours``, or its square is.

    Attributes:
        dims: in which it was seen.
        name: of the loss of ours.
        parameters: of it, where they are not its defaults.
        factor: times its value.
        offset: beside it.
        squared: whether the square of the value is meant.
        left: what is left of the values' spread, as a part of it; an exact relation leaves less than 0.0001.
    """

    dims: int
    name: str
    parameters: dict[str, JsonValue]
    factor: float
    offset: float
    squared: bool
    left: float


@dataclass(frozen=True)
class Certificate:
    """All that an audit found.

    Attributes:
        name: of the function, as it was given.
        kind: what it was audited as.
        parameters: that were set.
        adapter: lines that a config needs to name it; empty where it can be named as it is.
        relative: the nearest relation to a loss of ours, a sentence.
        relations: the same for programs, one a number of dimensions.
        findings: in the order of the probes.
        environment: what the figures depend on.
    """

    name: str
    kind: Kind
    parameters: dict[str, JsonValue]
    adapter: str
    relative: str
    relations: tuple[RelationRow, ...]
    findings: tuple[Finding, ...]
    environment: tuple[tuple[str, str], ...]

    @property
    def may_enter(self) -> bool:
        """Whether no line failed."""
        return not any(finding.verdict == "fail" for finding in self.findings)

    @property
    def conclusion(self) -> str:
        """Whether it may enter a study, and why not, a sentence."""
        failed = list(dict.fromkeys(finding.topic for finding in self.findings if finding.verdict == "fail"))
        notes = sum(finding.verdict == "note" for finding in self.findings)
        if not failed:
            return f"may enter a study ({notes} {'note' if notes == 1 else 'notes'})"
        if failed == [RAW]:
            return f"may not enter a study of unscaled images: it fails on {RAW}; on images of order one it serves"
        return f"may not enter a study: {', '.join(failed)}"

    def to_json(self) -> dict[str, JsonValue]:
        """For programs."""
        return {
            "regbench": __version__,
            "name": self.name,
            "kind": self.kind,
            "parameters": self.parameters,
            "may_enter": self.may_enter,
            "conclusion": self.conclusion,
            "adapter": self.adapter or None,
            "relative": self.relative,
            "relations": [relation._asdict() for relation in self.relations],
            "findings": [
                {"topic": line.topic, "verdict": line.verdict, "seen": line.seen, "numbers": dict(line.numbers)}
                for line in self.findings
            ],
            "environment": dict(self.environment),
        }
