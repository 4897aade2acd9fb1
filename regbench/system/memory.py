"""What glibc does with large buffers that are freed; elsewhere nothing is set."""

import ctypes
import platform
import sys

# M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD of malloc.h
_MAPPED_FROM, _TRIMMED_FROM, _PADDED_BY = -3, -1, -2


def keep() -> None:
    """Keep them for the next step: a training asks for the same ones again, and new pages are a third of its time."""
    _set((_MAPPED_FROM, 1 << 30), (_TRIMMED_FROM, 2**31 - 1), (_PADDED_BY, 64 << 20))


def give_back() -> None:
    """Give them back at once: among volumes of many sizes, those that are kept leave holes that no other one fills."""
    _set((_MAPPED_FROM, 4 << 20), (_TRIMMED_FROM, 4 << 20))


def _set(*options: tuple[int, int]) -> None:
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in options:
            libc.mallopt(option, value)
