"""Names that people gave: which of them are one, and the file name of each.

A file name is made of an id here and nowhere else.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterable
from itertools import pairwise
from pathlib import Path

from regbench.system.errors import UsageError

LONGEST = 110  # bytes of a file name: two of them, with words around them, fit the 255 of a file system
TOGETHER = "%_"  # between two file names where an underscore could be read in two ways; no file name holds it
CUT = "%~"  # before the digest of a name that was cut; no file name holds it elsewhere
# What Windows forbids, what a shell reads at the start of a word, and the sign of this escape itself.
FORBIDDEN = set('/\\:*?"<>|%')
FIRST, LAST = set("-.~ "), set(". ")
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)


def nfc(text: str) -> str:
    """The composed Unicode form of `text`: a Mac writes an umlaut in two letters, Linux in one."""
    return unicodedata.normalize("NFC", text)


def same(text: str) -> str:
    """Equal for two names that some file system takes for one: in case and Unicode form it does not tell them apart."""
    return nfc(nfc(text).upper().casefold())


def spelled(text: str) -> str:
    """A name between quotes with each letter beyond ASCII by its number: shows in what two names differ."""
    return ascii(text)


def unprintable(text: str) -> str:
    """What forbids that `text` is a name: the first character that is no text on one line, or nothing in it; else ''.

    Control characters, ends of lines, and the halves of letters that stand for undecodable bytes of a file name.
    """
    if not text.strip():
        return "nothing"
    return next((spelled(sign) for sign in text if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")), "")


def twins(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that are one by `same`; None where all differ."""
    ordered = sorted((same(name), name) for name in names)
    return next(((one[1], other[1]) for one, other in pairwise(ordered) if one[0] == other[0]), None)


def file_name(text: str) -> str:
    """A file name, or a part of one, for any text: no two texts that differ by `same` share one.

    Ordinary names stay as they are. A character that some file system, shell or pattern reads is `%` and its bytes in
    hexadecimal; a long name is cut and ends in a digest.

    Args:
        text: a name; equal forms of Unicode have one file name.

    Returns:
        1 to `LONGEST` bytes of UTF-8, without a slash, never ``.`` or ``..``, never with a dash first.
    """
    text = nfc(text)
    device = DEVICES.fullmatch(text) is not None
    last = len(text) - 1
    signs = [
        _hex(sign)
        if _escaped(sign) or (place == 0 and (sign in FIRST or device)) or (place == last and sign in LAST)
        else sign
        for place, sign in enumerate(text)
    ]
    name = "".join(signs) or "%"
    if len(name.encode()) <= LONGEST:
        return name
    digest = CUT + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return name.encode()[: LONGEST - len(digest)].decode(errors="ignore") + digest


def _escaped(sign: str) -> bool:
    return sign in FORBIDDEN or (sign != " " and not sign.isprintable())


def _hex(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def joined(first: str, second: str, known: Collection[str]) -> str:
    """Two file names with an underscore between them; with `TOGETHER` where two others of `known` would give the same.

    Args:
        first: a file name.
        second: likewise.
        known: all file names by `same`, these two among them.
    """
    both = f"{first}_{second}"
    text = same(both)
    readings = [k for k, sign in enumerate(text) if sign == "_" and text[:k] in known and text[k + 1 :] in known]
    return both if len(readings) < 2 else f"{first}{TOGETHER}{second}"


def given_path(text: str) -> Path:
    """A path that a user gave: from the home folder on after a tilde, and as the disk spells it.

    Raises:
        UsageError: if no file system takes it.
    """
    if "\0" in text:
        raise UsageError(f"a path must have no NUL character, but got {spelled(text)}.")
    return on_disk(Path(os.path.expanduser(text)))  # noqa: PTH111  that of pathlib fails where there is no such user


def shown_path(text: str) -> str:
    """A path that a user gave, whole, for a message."""
    return os.path.normpath(given_path(text).absolute())


def on_disk(path: Path) -> Path:
    """`path` as the disk spells it: a part that is not there, but is in another form of Unicode, is that other one."""
    if os.path.lexists(path) or path.name in ("", "..") or path.parent == path or path.as_posix().isascii():
        return path
    parent = on_disk(path.parent)
    if os.path.lexists(parent / path.name):
        return parent / path.name
    try:
        equal = [name for name in os.listdir(parent) if nfc(name) == nfc(path.name)]  # noqa: PTH208  names, not paths
    except OSError:
        equal = []
    return parent / (equal[0] if len(equal) == 1 else path.name)
