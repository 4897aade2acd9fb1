"""Each probe sees what it is for: odd losses by their one oddity, and figures that are known otherwise."""

import re

import pytest
import torch

from regbench.losses.audit import regularizer_probes, similarity_probes
from regbench.losses.audit.audited import Audited, resolve
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.calls import outcome
from regbench.losses.audit.certificate import audit, quick
from regbench.losses.audit.cost import _memory
from regbench.losses.audit.gradient_probes import finite_differences, order_one, unscaled
from regbench.losses.audit.relatives import relations, sentence
from regbench.study import components
from regbench.system.errors import UsageError

ODD = {  # topic, verdict and words of the quick half
    "vector": ("scalar", "fail", r"of a batch of two it returns a tensor of shape \(2,\), no scalar"),
    "boxed": ("scalar", "fail", r"returns a tensor of shape \(1,\), and a training takes scalars: end it with"),
    "number": ("runs", "fail", "in neither 2D nor 3D: returns float, no tensor"),
    "not_a_number": ("value", "fail", "nan on ordinary data"),
    "detached": ("gradient", "fail", "none reaches `moved`: it depends on `fixed` alone"),
    "constant": ("gradient", "fail", "is 0 everywhere"),
    "raising": ("runs", "fail", "raises KeyError: 'no such window'"),
    "exiting": ("runs", "fail", "raises SystemExit: 3"),
    "changing": ("arguments", "fail", "changes `moved` in place"),
    "counting": ("repeatable", "fail", "two calls with one seed give"),
    "sampled": ("repeatable", "note", "the same for one seed"),
    "total": ("batch", "note", "the sum of its samples"),
    "root": ("identical images", "fail", "the gradient is not finite"),
    "decibel": ("sign", "fail", "not finite: identical -inf"),
    "skew": ("axes in 3D", "note", "not alike in a cube"),
    "multiples_of_four": ("sizes", "note", "not on 40 x 43, .* audited on 128 x 128"),
    "Remembering": ("runs", "pass", "in 2D and 3D"),
    "one_axis": ("axes in 3D", "note", "varies along axis 0 and 1 alone is not seen"),
    "even_sizes": (
        "sizes",
        "note",
        "not on 40 x 43, where it raises ValueError: even sizes only; audited on 128 x 128",
    ),
    "planes": ("runs", "note", "in 2D alone; in 3D it raises ValueError: 2D only"),
    "rewarding": ("at rest", "fail", "more than a rough one"),
    "lengths": ("at rest", "fail", "the gradient at no displacement is not finite"),
    "one_component": ("axes in 2D", "fail", "component 1 of the displacement is not seen"),
    "linear_part": ("entries in 2D", "fail", "row 0, column 2 is not seen"),
}


def of(name: str, **parameters: object) -> Audited:
    components.allow([name])
    return resolve(name, None, parameters)


@pytest.mark.parametrize("name", ODD)
def test_an_oddity_is_named(name: str) -> None:
    topic, verdict, words = ODD[name]
    lines = [line for line in quick(of(f"odd_losses:{name}")) if line.topic == topic]
    assert {line.verdict for line in lines} == {verdict}
    assert re.search(words, lines[0].seen), lines[0].seen


def test_the_order_of_calls_leaves_no_random_number_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    quick(of("odd_losses:sampled"))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("name", "parameters", "side"),
    [("lcc", {"window": 3}, 3), ("lcc", {"window": 7, "border": "zero"}, 7), ("mse", {}, 1), ("ngf", {}, 3)],
)
def test_the_window_is_measured(name: str, parameters: dict[str, object], side: int) -> None:
    assert similarity_probes.reach(Bench(of(name, **parameters))) == side


@pytest.mark.parametrize(("border", "verdict"), [("zero", "note"), ("valid", "pass")])
def test_a_border_of_zeros_is_seen(border: str, verdict: str) -> None:
    assert [line.verdict for line in similarity_probes.border(Bench(of("lcc", border=border)))] == [verdict]


def test_a_global_loss_sees_the_whole_image() -> None:
    assert [line.seen for line in similarity_probes.window(Bench(of("gcc")))] == ["the whole image"]


@pytest.mark.parametrize(
    ("name", "verdict"), [("jacobian", "note"), ("odd_losses:central", "note"), ("grad_l2", "pass")]
)
def test_a_checkerboard_escapes_central_differences(name: str, verdict: str) -> None:
    assert [line.verdict for line in regularizer_probes.checkerboard(Bench(of(name)))] == [verdict]


def test_an_object_serves_one_shape_alone() -> None:
    assert audit(of("odd_losses:Remembering")).may_enter


@pytest.mark.parametrize(("name", "power"), [("grad_l2", 0), ("bending", 2), ("displacement_l1", -1)])
def test_the_law_of_resolution(name: str, power: int) -> None:
    """In voxels: a second difference squared is of voxel^-2, of a displacement in voxels."""
    for line in regularizer_probes.resolution(Bench(of(name))):
        values = [value for key, value in line.numbers if key.startswith("spacing")]
        assert values[1] / values[2] == pytest.approx(2**power, rel=0.03)
        assert line.verdict == ("pass" if power == 0 else "note")


@pytest.mark.parametrize(("name", "power"), [("grad_l1", 1), ("displacement_l2", 2)])
def test_the_power_of_growth(name: str, power: int) -> None:
    growth = {line.topic: line for line in regularizer_probes.growth(Bench(of(name)))}["growth"]
    assert dict(growth.numbers)["power"] == pytest.approx(power, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("odd_losses:scaled", {}, "it = 3 x grad_l2"),
        ("odd_losses:scaled", {"by": 0.25}, "it = 0.25 x grad_l2"),
        ("odd_losses:rewarding", {}, "it = -1 x displacement_l2"),
        ("odd_losses:root", {}, "its square = mse"),
        ("odd_losses:total", {}, r"in 2D it = 648 x mse on 27 x 24 voxels: a sum, whose factor grows with the voxels"),
    ],
)
def test_the_relative_and_its_factor(name: str, parameters: dict[str, object], words: str) -> None:
    bench = Bench(of(name, **parameters))
    assert re.match(words, sentence(relations(bench, None)))


def test_what_a_loss_is_exactly_is_what_its_digits_are_held_against() -> None:
    bench = Bench(of("odd_losses:scaled"))
    relations(bench, None)
    assert sorted(bench.relatives) == [2, 3]
    u = bench.sample(2)
    assert bench.exact(u).value == pytest.approx(3 * resolve("grad_l2").make()(u[0]).item(), rel=1e-12)
    sums = Bench(of("odd_losses:total"))
    relations(sums, None)
    assert sums.relatives == {}  # its factor holds for one size alone


def test_finite_differences_measure_how_wrong_a_slope_is() -> None:
    (line,) = finite_differences(Bench(of("odd_losses:half_slope")))
    assert line.verdict == "fail"
    (right,) = finite_differences(Bench(of("mse")))
    assert dict(right.numbers)["error"] < 1e-7
    (single,) = finite_differences(Bench(of("odd_losses:slope_of_single")))
    assert single.verdict == "fail"
    assert dict(single.numbers)["error"] == pytest.approx(dict(line.numbers)["error"], rel=0.1)


def test_a_value_that_is_no_number_is_not_precise() -> None:
    bench = Bench(of("odd_losses:quotient"))
    for line in (*order_one(bench), *unscaled(bench)):
        assert line.verdict == "fail"
        assert "value not a number" in line.seen


def test_memory_is_that_of_tensors_which_live_at_one_time() -> None:
    def keeping(count: int) -> int | None:
        images = [torch.rand(1, 1, 100, 100) for _ in range(2)]
        return _memory(lambda f, m: sum(torch.exp(k * m + f).sum() for k in range(1, count + 1)), images)

    few, many = keeping(5), keeping(15)
    assert few is not None
    assert many is not None
    assert many - few == pytest.approx(10 * 40_000, rel=1e-3)  # each exponential keeps its result for its slope
    assert 5 * 40_000 <= few <= 10 * 40_000


def test_a_call_changes_nothing_of_its_inputs() -> None:
    images = [torch.rand(1, 1, 8, 8) for _ in range(2)]
    copies = [image.clone() for image in images]
    called = outcome(of("odd_losses:changing").make(), images)
    assert called.differentiable
    assert all(torch.equal(one, two) for one, two in zip(images, copies, strict=True))


def test_a_whole_audit_of_what_counts_its_calls_ends() -> None:
    assert "repeatable" in audit(of("odd_losses:counting")).conclusion


@pytest.mark.parametrize(
    ("name", "kind", "parameters", "words"),
    [
        ("lc", None, {}, "`lc` is no loss of ours; did you mean `lcc`?"),
        ("lcc", "regularizer", {}, "is a similarity, but --as says regularizer"),
        ("lcc", None, {"windw": 3}, "did you mean `window`?"),
        ("odd_losses:nothing", None, {}, "must be importable"),
        ("odd_losses:CALLS", None, {}, "must be a function or a class of losses, but is list"),
        ("odd_losses:Needs", None, {}, r"raises TypeError: .*'window'(.|\n)*return Needs\(\.\.\.\)\(fixed, moved\)"),
        ("odd_losses:of_three", None, {}, "takes 3 arguments(.|\n)*from odd_losses import of_three"),
        ("odd_losses:OfTwo", "regularizer", {}, r"takes 2 arguments(.|\n)*OfTwo\(\)\(displacement, None\)"),
        ("odd_losses:scaled", None, {"bye": 3}, "has no parameter `bye`; did you mean `by`?"),
    ],
)
def test_what_cannot_be_audited_is_said_with_what_to_write(
    name: str, kind: str | None, parameters: dict[str, object], words: str
) -> None:
    components.allow([name])
    with pytest.raises(UsageError, match=words):
        resolve(name, kind, parameters)


def test_a_class_and_a_method_are_called() -> None:
    needs = of("odd_losses:Needs", window=2)
    assert "return Needs(window=2)(fixed, moved)" in needs.adapter
    assert sentence(relations(Bench(needs), None)) == "it = 2 x mse"
    assert "return OfMethod().loss(fixed, moved)" in of("odd_losses:OfMethod").adapter
    assert of("odd_losses:linear_part").kind == "affine_regularizer"
    assert of("inverse_consistency").kind == "consistency"
