"""Whether a browser has a desktop to open on."""

import os
import sys


def has_desktop() -> bool:
    """Whether this session has one: without, Python would start a text browser in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
