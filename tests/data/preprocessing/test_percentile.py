"""Percentiles are numpy's to the bit, whatever the values and however they lie in memory."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regbench.data.preprocessing import percentile as module
from regbench.data.preprocessing.percentile import percentiles

SHARES = (0.0, 0.5, 1.0, 25.0, 50.0, 99.5, 99.9, 100.0)
KINDS = {
    "normal": lambda random, n: random.standard_normal(n),
    "few values": lambda random, n: np.round(random.standard_normal(n) * 3),
    "background": lambda random, n: np.where(random.random(n) < 0.6, 0, random.random(n)),
    "heavy tail": lambda random, n: np.exp(random.standard_normal(n) * 5),
    "sorted": lambda random, n: np.sort(random.standard_normal(n)),
    "constant": lambda random, n: np.full(n, 3.0),
    "raw CT": lambda random, n: random.integers(-1000, 3000, n),
}


@pytest.fixture(autouse=True)
def _none_is_small(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.one_of(st.integers(1, 60), st.integers(60, 150_000)))
def test_it_is_numpys(kind, seed, count):
    values = KINDS[kind](np.random.default_rng(seed), count).astype(np.float32)
    assert percentiles(values, SHARES) == [float(each) for each in np.percentile(values, SHARES)]


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_any_order_in_memory(order):
    values = np.random.default_rng(0).standard_normal((40, 30, 50)).astype(np.float32)
    laid = values[::2, ::-1] if order == "strided" else np.asarray(values, order=order)
    before = laid.copy()
    assert percentiles(laid, [99.5]) == np.percentile(laid, [99.5]).tolist()
    assert (laid == before).all()


def test_a_sample_that_misleads(monkeypatch):
    """Periods of the sample's step: it sees one phase only, and the ranks lie outside its bracket."""
    monkeypatch.setattr(module, "SAMPLE", 100)
    values = np.tile(np.arange(1000, dtype=np.float32), 100)
    assert module._ranks(values, 49_999, 50_000, 0.5) is None
    assert percentiles(values, [50]) == np.percentile(values, [50]).tolist()
