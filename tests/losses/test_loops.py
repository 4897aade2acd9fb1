"""The compiled loops: the numbers of the formulas, whatever the shape, the options and the threads."""

import errno
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loss_references import CASES, images
from torch import Tensor

from regbench.losses import REGULARIZERS, SIMILARITIES, difference_loops, gcc_loops, lcc_loops, mi_loops
from regbench.spatial import determinant_loops, jacobian_determinant
from regbench.system import numba_loops

if not numba_loops.available():
    pytest.skip("Numba does not serve here", allow_module_level=True)

Loss = Callable[..., Tensor]
# Axes of one voxel, of the fewest, longer than a vector, and in every number of dimensions.
FIELDS = [(3,), (40,), (3, 3), (9, 40), (3, 3, 3), (3, 9, 40), (17, 4, 5)]
IMAGES = [((40,), 9), ((20, 22), (5, 9)), ((9, 40), (9, 1)), ((14, 15, 16), (5, 3, 7)), ((12, 11, 10), (1, 5, 3))]


@pytest.fixture
def threads() -> Any:
    """So many threads, and as few voxels for each as there are."""
    before = torch.get_num_threads(), numba_loops.VOXELS_A_THREAD

    def use(count: int) -> None:
        torch.set_num_threads(count)
        numba_loops.VOXELS_A_THREAD = 1

    yield use
    torch.set_num_threads(before[0])
    numba_loops.VOXELS_A_THREAD = before[1]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that ran: a test of the compiled loops that ran the formula would show nothing."""
    names: list[str] = []
    original = numba_loops.in_parts

    def spy(kernel: Any, *given: Any) -> None:
        names.append(kernel.py_func.__name__)
        original(kernel, *given)

    for module in (determinant_loops, difference_loops, gcc_loops, mi_loops, lcc_loops):
        monkeypatch.setattr(module, "in_parts", spy)
    return names


def with_gradients(loss: Loss, inputs: list[Tensor], wanted: tuple[bool, ...] = (True, True)) -> list[Tensor]:
    leaves = [x.clone().requires_grad_(want) for x, want in zip(inputs, wanted, strict=False)]
    value = 3 * loss(*leaves)
    asked = [x for x in leaves if x.requires_grad]
    return [value.detach(), *(torch.autograd.grad(value, asked) if asked else ())]


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shape", FIELDS, ids=str)
@pytest.mark.parametrize("name", ["grad_l1", "grad_l2", "bending"])
def test_regularizers(name: str, shape: tuple[int, ...], count: int, threads: Any, called: list[str]) -> None:
    threads(count)
    torch.manual_seed(0)
    u = torch.randn(2, len(shape), *shape)
    for spacing in (None, (1.5, 0.7, 2.0)[: len(shape)]):
        loss = partial(REGULARIZERS[name], spacing=spacing)
        for found, expected in zip(with_gradients(loss, [u]), with_gradients(loss, [u.double()]), strict=True):
            assert relative(found, expected) <= 5e-7
    kernel = "bending" if name == "bending" else "grad"
    assert called == [f"_{kernel}_value", f"_{kernel}_gradient"] * 2


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 3, 3), (5, 2, 40), (4, 7, 4), (17, 4, 5)], ids=str)
def test_determinant(shape: tuple[int, ...], count: int, threads: Any, called: list[str]) -> None:
    threads(count)
    torch.manual_seed(0)
    u, upstream = torch.randn(2, 3, *shape), torch.randn(2, *shape)
    weighted = lambda x: (jacobian_determinant(x) * upstream.to(x.dtype)).sum()  # noqa: E731
    (_, gradient), (_, exact) = with_gradients(weighted, [u]), with_gradients(weighted, [u.double()])
    assert relative(gradient, exact) <= 1e-6
    assert (jacobian_determinant(u) - jacobian_determinant(u.double())).abs().max() <= 1e-4
    assert called == ["_determinant", "_cofactors", "_gradient", "_determinant"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("shape", "window"), IMAGES, ids=str)
def test_lcc(shape: tuple[int, ...], window: Any, count: int, threads: Any, called: list[str]) -> None:
    threads(count)
    torch.manual_seed(0)
    f = torch.rand(2, 2, *shape)
    m = (f + 0.3 * torch.rand(f.shape)).flip(0)
    f[0, 0, ..., :4] = 0  # windows that are flat in one image
    runs = 0
    for border, signed, denominator in product(("valid", "zero"), (False, True), ("add", "clamp")):
        # Clamped where it is: about as much variance as a window of uniform noise has.
        size = window ** len(shape) if isinstance(window, int) else prod(window)
        eps = size / 12 if denominator == "clamp" else 1e-3
        options = {"window": window, "border": border, "signed": signed, "denominator": denominator, "eps": eps}
        loss = partial(SIMILARITIES["lcc"], **options)
        for wanted in product((False, True), repeat=2):
            found, expected = (with_gradients(loss, images_, wanted) for images_ in ([f, m], [f.double(), m.double()]))
            for one, two in zip(found, expected, strict=True):
                assert relative(one, two) <= 1e-6
            runs += 1
    assert called == ["_lcc"] * runs


@pytest.mark.parametrize("side", range(3, 32, 2))
def test_every_window(side: int) -> None:
    f, m = images((37, 35))
    loss = partial(SIMILARITIES["lcc"], window=side)
    for found, expected in zip(
        with_gradients(loss, [f, m]), with_gradients(loss, [f.double(), m.double()]), strict=True
    ):
        assert (found.double() - expected).norm() <= 2e-6 * expected.norm() + 1e-12


@pytest.mark.usefixtures("engine")
def test_images_of_a_batch_do_not_meet() -> None:
    """The sums run on from plane to plane, and planes are images in 2D: a bright one must not drown the next."""
    torch.manual_seed(0)
    f, m = torch.rand(2, 2, 1, 20, 20).unbind()
    f[0] *= 1e6
    m[0] *= 1e6
    loss = SIMILARITIES["lcc"]
    whole = with_gradients(loss, [f, m])[1:]
    alone = with_gradients(loss, [f[1:], m[1:]])[1:]
    for one, two in zip(whole, alone, strict=True):
        assert torch.equal(2 * one[1:], two)


@pytest.mark.usefixtures("engine")
def test_what_a_bright_region_leaves_is_no_texture() -> None:
    """Sums that a bright region passed through end at rounding, not at zero; where nothing is, that is no texture."""
    torch.manual_seed(0)
    f, m = 3000 * torch.rand(2, 1, 1, 40, 12, 12) ** 9  # of all magnitudes, or the sums would be exact
    for image in (f, m):  # at the mean, which is taken off, the other test for a flat window has nothing to compare
        image[:, :, 10:] = image[:, :, :10].mean()
    for signed in (False, True):
        _, *gradients = with_gradients(partial(SIMILARITIES["lcc"], signed=signed), [f, m])
        assert all(g[:, :, 20:].abs().max() <= 1e-14 * g.abs().max() for g in gradients)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_gcc(case: str, count: int, threads: Any, called: list[str]) -> None:
    threads(count)
    f, m = (x.expand(2, 1, -1, -1).clone() for x in images((250, 301), case))  # more than two parts
    f[1] = f[1].flip(0)
    loss = SIMILARITIES["gcc"]
    for found, expected in zip(
        with_gradients(loss, [f, m]), with_gradients(loss, [f.double(), m.double()]), strict=True
    ):
        assert relative(found, expected) <= 1e-6
    assert called == ["_sums", "_gradient", "_gradient"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["mi", "nmi"])
@pytest.mark.parametrize("window", [(2, 0.3), (5, 0.05), (5, 2.0), (32, 0.3), (32, 0.5), (32, 2.0)], ids=str)
def test_histogram(name: str, window: tuple[int, float], count: int, threads: Any, called: list[str]) -> None:
    threads(count)
    bins, sigma = window
    torch.manual_seed(0)
    f = torch.rand(2, 2, 9, 8, 7)
    m = f.sqrt() + 0.1 * torch.rand(f.shape)
    for mask, ends in product((None, torch.rand(2, 1, 9, 8, 7)), (None, (0.2, 0.7))):
        loss = partial(SIMILARITIES[name], bins=bins, sigma=sigma, intensity_range=ends, mask=mask)
        double = partial(loss, mask=None if mask is None else mask.double())
        value, *gradients = with_gradients(loss, [f, m])
        expected, *exact = with_gradients(double, [f.double(), m.double()])
        assert abs(value - expected) <= 1e-6
        # Where windows hardly overlap, a voxel that float32 puts elsewhere between two bins has another gradient.
        for one, two in zip(gradients, exact, strict=True):
            assert relative(one, two) <= (1e-4 if sigma >= 0.3 else 1e-2)
    assert set(called) == {"_joint", "_gradients"}


@pytest.mark.parametrize("name", ["grad_l1", "grad_l2", "bending"])
def test_four_axes_go_by_the_formula(name: str, called: list[str]) -> None:
    u = torch.rand(1, 4, 3, 4, 3, 3)
    for found, expected in zip(
        with_gradients(REGULARIZERS[name], [u]), with_gradients(REGULARIZERS[name], [u.double()]), strict=True
    ):
        assert relative(found, expected) <= 1e-6
    assert called == []


@pytest.mark.parametrize("name", ["lcc", "gcc", "mi", "grad_l1", "grad_l2", "bending"])
def test_what_has_no_memory_goes_by_the_formula(name: str, called: list[str]) -> None:
    """vmap, second derivatives, torch.compile; a layout of its own is copied."""
    loss = (SIMILARITIES | REGULARIZERS)[name]
    torch.manual_seed(0)
    inputs = [torch.rand(3, 2, 12, 11) for _ in range(1 if name in REGULARIZERS else 2)]
    expected = with_gradients(loss, inputs)
    called.clear()
    stacked = [x[:, None] for x in inputs]
    gradient = torch.func.vmap(torch.func.grad(loss))(*stacked)
    each = torch.stack([with_gradients(loss, [x[k : k + 1] for x in inputs])[1] / 3 for k in range(3)])
    assert relative(gradient, each.double()) <= 1e-4
    last = [x.movedim(1, -1).contiguous().movedim(-1, 1) for x in inputs]
    for one, two in zip(with_gradients(loss, last), expected, strict=True):
        assert relative(one, two.double()) <= 1e-6
    assert called
    leaf = inputs[0].clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf, *inputs[1:]), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), leaf)
    assert second.isfinite().all()
    value = loss(leaf, *inputs[1:])
    twice = [torch.autograd.grad(value, leaf, retain_graph=True)[0] for _ in range(2)]
    assert torch.equal(*twice)


def test_a_mistake_in_a_thread_is_raised(threads: Any) -> None:
    threads(3)

    class Kernel:
        signatures = ("compiled",)

        def __call__(self, start: int, stop: int) -> None:
            if stop == 5:
                raise ZeroDivisionError(start)

    done = Kernel()
    with pytest.raises(ZeroDivisionError):
        numba_loops.in_parts(done, 5, 10**6, tuple)
    numba_loops.in_parts(done, 4, 10**6, tuple)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_item_is_done_once(count: int, threads: Any) -> None:
    threads(count)

    class Kernel:
        signatures = ("compiled",)

        def __call__(self, start: int, stop: int, done: Any) -> None:
            done[start:stop] += 1

    for items in (1, 2, 5, 100):
        done = np.zeros(items)
        numba_loops.in_parts(Kernel(), items, 10**6, tuple, done)
        assert (done == 1).all()


def test_a_full_disk_keeps_nothing_but_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba compiles, fails to keep the result for the next process, and would end this one."""
    from numba.core.caching import FunctionCache

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def double(start: int, stop: int, values: Any) -> None:
        for k in range(start, stop):
            values[k] *= 2

    monkeypatch.setattr(FunctionCache, "_save_overload", full)
    values = np.ones(3)
    numba_loops.in_parts(numba_loops.jit(double), 3, 3, tuple, values)
    assert values.tolist() == [2, 2, 2]


def test_without_a_place_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    original = numba.njit

    def njit(*given: Any, cache: bool = False, **more: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return original(*given, **more)

    monkeypatch.setattr(numba, "njit", njit)

    def double(start: int, stop: int, values: Any) -> None:
        for k in range(start, stop):
            values[k] *= 2

    values = np.ones(3)
    numba_loops.in_parts(numba_loops.jit(double), 3, 3, tuple, values)
    assert values.tolist() == [2, 2, 2]


def test_threads_are_those_of_torch() -> None:
    """A second team would share its cores with the first, which waits for work in a loop."""
    code = (
        "import torch\nfrom regbench.system import numba_loops\nassert numba_loops.available()\n"
        "print(*{line.split()[-1] for line in open('/proc/self/maps') if 'libgomp' in line})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 1, done.stdout


@pytest.mark.parametrize("reason", ["Numba needs NumPy 2.4 or less. Got NumPy 9.", "No module named 'numba'"])
def test_where_numba_is_missing_or_broken(
    reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The formula serves, and the log says so once."""
    f, m = images((12, 13))
    compiled = with_gradients(SIMILARITIES["lcc"], [f, m])
    (tmp_path / "numba.py").write_text(f"raise ImportError({reason!r})")
    numba_loops.available.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, "numba")
            patch.syspath_prepend(tmp_path)
            for _ in range(3):
                by_formula = with_gradients(SIMILARITIES["lcc"], [f, m])
                assert REGULARIZERS["bending"](torch.rand(1, 2, 5, 6)).isfinite()
            assert not numba_loops.serves(f)
    finally:
        numba_loops.available.cache_clear()
    (message,) = (record.getMessage() for record in caplog.records if record.name == numba_loops.__name__)
    assert f"cannot: {reason}. Losses run by their formulas" in message
    for one, two in zip(by_formula, compiled, strict=True):
        assert relative(one, two.double()) <= 5e-7
    assert numba_loops.serves(f)


def test_who_looks_for_a_fault_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import numba

    numba_loops.available.cache_clear()
    try:
        monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
        assert not numba_loops.available()
    finally:
        numba_loops.available.cache_clear()
    assert "NUMBA_DISABLE_JIT is set" in caplog.text
