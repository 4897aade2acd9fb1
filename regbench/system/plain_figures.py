"""matplotlib without what the user has set it to: a figure is the same bytes on every account and in every folder."""

import os
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Of a window, in which nothing is shown; to set them would choose a backend.
OF_WINDOWS = ("backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.", "tk.", "keymap.")


def load_matplotlib() -> Any:
    """matplotlib, imported for files alone.

    A notebook's MPLBACKEND names a backend that this environment may not have. Of all files `matplotlibrc` matplotlib
    reads the one in the working folder first: while it is imported, that is the folder of its own defaults.
    """
    package = find_spec("matplotlib")
    assert package is not None  # a dependency
    assert package.origin is not None
    notebooks = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    try:
        with chdir(Path(package.origin).parent / "mpl-data"):
            return import_module("matplotlib")
    finally:
        if notebooks is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = notebooks


@contextmanager
def plain_style(style: Mapping[str, Any] | None = None) -> Iterator[None]:
    """matplotlib's own defaults and `style`, whatever is set, until the end of the block."""
    matplotlib = load_matplotlib()
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith(OF_WINDOWS)}
    with matplotlib.rc_context({**defaults, **(style or {})}):
        yield
