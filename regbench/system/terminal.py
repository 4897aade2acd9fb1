"""Output that every terminal can show, and output that nobody takes."""

import codecs
import io
import os
import sys
from contextlib import suppress

from regbench.system.escaping import without_unicode


def show_everywhere() -> None:
    """Let no text fail because the terminal, the log or the pipe of this process has another encoding than UTF-8.

    A stream that is closed becomes one that swallows all: else the next file that is opened would get its number, and
    with it what some library or child process writes there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
    codecs.register_error("regbench", without_unicode)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="regbench")


def lost_output(*, ask: bool = False) -> str:
    """Why what was printed cannot be written, such as a full disk or a reader that has gone; empty where it can be.

    What is lost is given up, so that the end of the process does not stumble over it.

    Args:
        ask: write an empty line to see: a stream without a buffer has nothing left to fail on.
    """
    reason = ""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        try:
            if ask and stream is sys.stdout:
                stream.write("\n")
            stream.flush()
        except OSError as error:
            if stream is sys.stdout:
                reason = error.strerror or str(error)
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
    return reason
