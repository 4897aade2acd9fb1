"""How much memory there is, and what glibc does with large buffers that are freed; elsewhere nothing is set."""

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

# M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD of malloc.h
_MAPPED_FROM, _TRIMMED_FROM, _PADDED_BY = -3, -1, -2


@cache
def affordable() -> int:
    """Bytes that one array may take: a quarter of the memory of this machine, or of its control group.

    An image lies in memory as it is stored, in single precision, turned, and on the grid of the dataset.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return total // 4


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
