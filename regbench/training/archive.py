"""What torch saved, read back as data: no code of a file runs, and whatever is wrong with it is one error."""

import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

# Damaged bytes lead torch's unpickler and its tensors into many kinds of errors.
DAMAGE = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    AssertionError, MemoryError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


def read_archive(source: Path | BinaryIO) -> Any:
    """What `torch.save` wrote, on the CPU.

    Args:
        source: the file, or its content.

    Raises:
        ValueError: if it is damaged, cut off or something else; with the first line of the cause.
    """
    if not zipfile.is_zipfile(source):  # torch takes other bytes for an old format
        raise ValueError("it is missing, cut off or something else")
    try:
        with zipfile.ZipFile(source) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("its entries are packed, which torch does not do")
        if not isinstance(source, Path):
            source.seek(0)  # torch reads on from where zipfile stopped
        with warnings.catch_warnings():  # of versions that damaged bytes claim
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(source, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        first = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(first) from error
