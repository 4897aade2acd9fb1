"""The quick half of an audit, of the functions of their own that users name in a config."""

import functools
import json
from collections.abc import Mapping
from typing import Any

from regbench.losses.audit.audited import Asked, resolve
from regbench.losses.audit.certificate import quick
from regbench.losses.audit.findings import Finding, Verdict
from regbench.study.components import imported


def own_mistakes(kind: str, name: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What fails, as `components.mistakes` lists mistakes: in no study could it train anything right.

    Args:
        kind: ``similarity`` or ``regularizer``; nothing is said of another.
        name: of the component; nothing is said of ours.
        given: its parameters.
    """
    return [("", f"`{name}`: {words}; `regbench audit {name}` says more") for words in _said(kind, name, given, "fail")]


def own_notes(kind: str, name: str, given: Mapping[str, Any]) -> list[str]:
    """What is worth knowing of it."""
    return [f"`{name}`: {words}" for words in _said(kind, name, given, "note")]


def _said(kind: str, name: str, given: Mapping[str, Any], verdict: Verdict) -> list[str]:
    if ":" not in name or kind not in ("similarity", "regularizer", "term"):
        return []
    asked: Asked = "similarity" if kind == "similarity" else "regularizer"
    findings = _findings(imported(name), asked, name, json.dumps(given, default=str))
    return [f"{finding.topic}: {finding.seen}" for finding in findings if finding.verdict == verdict]


@functools.cache
def _findings(_: object, kind: Asked, name: str, parameters: str) -> tuple[Finding, ...]:
    """Once for each function and set of parameters: a search asks for many."""
    return tuple(quick(resolve(name, kind, json.loads(parameters))))
