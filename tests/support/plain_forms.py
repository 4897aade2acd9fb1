"""The forms of numpy in place of the compiled loops."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from regbench.system import numba_loops


@contextmanager
def without_loops() -> Iterator[None]:
    """As on a machine where Numba does not serve."""
    with mock.patch.object(numba_loops, "available", return_value=False):
        yield
