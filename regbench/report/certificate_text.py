"""The certificate of a loss as a table for the terminal."""

import textwrap

from regbench.losses.audit.findings import WORDS, Certificate

NARROWEST = 40  # letters of the last column


def text(certificate: Certificate, width: int) -> str:
    """Verdict, topic and what was seen, a line each; before them what it is, after them whether it may enter a study.

    Args:
        certificate: of an audit.
        width: letters of a line.
    """
    given = ", ".join(f"{key}={value}" for key, value in certificate.parameters.items())
    lines = [f"`{certificate.name}`{f' ({given})' if given else ''}, {WORDS[certificate.kind]}"]
    if certificate.relative:
        lines += _wrapped("        ", f"{certificate.relative}", width)
    lines.append("")
    topics = max(len(line.topic) for line in certificate.findings)
    for line in certificate.findings:
        lines += _wrapped(f"{line.verdict:<5} {line.topic:<{topics}}  ", line.seen, width)
    if certificate.adapter:
        lines += ["", certificate.adapter]
    return "\n".join([*lines, "", f"`{certificate.name}` {certificate.conclusion}"])


def _wrapped(before: str, words: str, width: int) -> list[str]:
    room = max(width - len(before), NARROWEST)
    rows = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [before + rows[0], *(" " * len(before) + row for row in rows[1:])]
