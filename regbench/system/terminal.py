"""Output that every terminal can show."""

import codecs
import io
import sys

from regbench.system.escaping import without_unicode


def show_everywhere() -> None:
    """Let no text fail because the terminal, the log or the pipe of this process has another encoding than UTF-8."""
    codecs.register_error("regbench", without_unicode)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="regbench")
