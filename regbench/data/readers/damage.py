"""What damaged and dishonest files do to the libraries that read them."""

import gzip
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from regbench.system.memory import affordable

# deflate cannot expand by more; a header that claims more than this lies.
DEFLATE = 1032
# All that nibabel, Pillow, zlib and numpy were seen to raise on damaged files.
DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, AttributeError, SyntaxError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
LONGEST_HEAD = 2**24  # bytes before the voxels of a NIfTI, extensions included
LONGEST_TEXT = 2**28  # bytes of a table or a list


def check_claim(shape: tuple[int, ...], dtype: Any, size: int, *, packed: bool) -> None:
    """Compare what a header promises with the bytes that are there, and with memory; nothing is unpacked before.

    Args:
        shape: as the header says.
        dtype: as the header says.
        size: of the file, in bytes.
        packed: whether its numbers are compressed.

    Raises:
        ValueError: if the file cannot hold it, or this machine cannot.
    """
    claimed = int(np.prod(shape, dtype=object)) * int(np.dtype(dtype).itemsize)
    if claimed > size * (DEFLATE if packed else 1):
        raise ValueError(f"its header claims {claimed} bytes of numbers, shape {shape}, but it has {size}")
    if claimed > affordable():
        raise ValueError(
            f"its numbers take {claimed} bytes, shape {shape}, more than a quarter of this machine's memory "
            f"({affordable()}). Split, crop or resample it, or use a larger machine"
        )


def check_member(info: zipfile.ZipInfo, shape: tuple[int, ...], dtype: Any) -> None:
    """`check_claim` of an array in an archive, whose entry promises a size too.

    Raises:
        ValueError: naming the array.
    """
    if info.file_size > info.compress_size * DEFLATE + 1024:
        raise ValueError(f"`{info.filename}` claims {info.file_size} bytes from {info.compress_size}")
    try:
        check_claim(shape, dtype, info.file_size, packed=False)
    except ValueError as error:
        raise ValueError(f"`{info.filename}`: {error}") from None


def check_nifti_head(path: Path) -> None:
    """Refuse a NIfTI whose voxels begin far behind its header: a library reads all that lies between.

    Raises:
        ValueError: with the place that the header names.
        OSError, EOFError, zlib.error: if it cannot be unpacked.
    """
    with gzip.open(path) if path.name.lower().endswith("z") else path.open("rb") as file:
        head = file.read(176)
    for order in "<>":
        sizes = {348: (108, "f"), 540: (168, "q")}  # of NIfTI-1 and -2: where the offset stands, and its type
        place, kind = sizes.get(struct.unpack_from(f"{order}i", head.ljust(4, b"\0"))[0], (0, ""))
        if kind and len(head) == 176:
            offset = struct.unpack_from(order + kind, head, place)[0]
            if not 0 <= offset <= LONGEST_HEAD:
                raise ValueError(f"its voxels must begin within {LONGEST_HEAD} bytes, but vox_offset is {offset}")


def limited_bytes(path: Path) -> bytes:
    """The content of a table or a list.

    Raises:
        OSError: if it cannot be read, or is larger than any table.
    """
    with path.open("rb") as file:  # which may be a device without an end
        content = file.read(LONGEST_TEXT + 1)
    if len(content) > LONGEST_TEXT:
        raise OSError(f"more than {LONGEST_TEXT} bytes, which no table has")
    return content
