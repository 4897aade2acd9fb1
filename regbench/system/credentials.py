"""Passwords in URIs: users may read the URI, nobody the password."""

import re
from functools import partial
from urllib.parse import unquote

# Words in the name of an option whose value is a secret.
_SECRET = r"[\w.-]*(?:pass|pwd|token|secret|key|auth|credential|sig)[\w.-]*"
_SCHEME = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
# Where a URI ends: alone it is the whole text, in quotes it ends with them, in a sentence with a space.
_ENDS = ((r"\A{}.*", r"[^&;#]+"), (r"(?<=[`'\"]){}[^`'\"\n]*", r"[^&;#`'\"]+"), (r"{}[^\s`'\"]*", r"[^&;#\s`'\"]+"))
_URIS = [(re.compile(form.format(_SCHEME), re.DOTALL), value) for form, value in _ENDS]
_OPTIONS = [re.compile(rf"(?i)([?&;#]{_SECRET}=){value}") for _, value in _ENDS]
_PLAIN = ("sqlite", "file")  # schemes whose URI is a path, which may hold any letter
SHORTEST = 4  # letters of what may be no secret, and is masked in other text too


def without_password(text: str, *uris: str) -> str:
    """Mask the credentials of every URI in `text`.

    They stand before the host, where a password may hold any of ``/``, ``@``, ``:`` and spaces, among the options after
    the ``?``, or in the fragment.

    Args:
        text: a URI, or a message with URIs.
        uris: whose secrets are masked wherever they stand: who writes a message may quote a part of one.
    """
    for secret in sorted({secret for uri in uris for secret in _secrets(uri)}, key=len, reverse=True):
        text = text.replace(secret, "***")
    for (form, _), option in zip(_URIS, _OPTIONS, strict=True):
        text = form.sub(partial(_masked, option), text)
    return text


def _masked(option: re.Pattern[str], match: re.Match[str]) -> str:
    scheme, uri = match["scheme"], option.sub(r"\1***", match[0])
    if scheme.lower().startswith(_PLAIN):
        return uri
    user, separator, rest = uri.rpartition("@")
    if "#" in user and scheme.lower().startswith("http"):
        return f"{scheme}://***"  # a password with a `#`, or a fragment with an `@`: nobody knows which
    if separator:
        uri = f"{scheme}://***@{rest}"
    start, fragment, _ = uri.partition("#")
    return f"{start}#***" if fragment else uri


def _secrets(uri: str) -> set[str]:
    """What must not be shown of a URI, as it stands there and decoded."""
    scheme, _, rest = uri.partition("://")
    if not rest:
        return set()
    plain = scheme.lower().startswith(_PLAIN)
    user = "" if plain else rest.rpartition("@")[0]
    password, fragment = user.partition(":")[2], "" if plain else rest.partition("#")[2]
    others = {match[0].partition("=")[2] for match in _OPTIONS[0].finditer(rest)} | {user, fragment}
    secrets = {secret for secret in others if len(secret) >= SHORTEST} | ({password} - {""})
    return secrets | {unquote(secret) for secret in secrets}
