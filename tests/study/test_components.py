"""A name and its parameters become a bound function."""

import sys
from typing import Literal

import pytest
from torch import Tensor

from regbench.study import components
from regbench.study.components import bind, mistakes, parameters, summary
from regbench.system.errors import UsageError


def scale(
    x: float, /, *, factor: float = 2.0, mode: Literal["up", "down"] = "up", sizes: tuple[int, ...] = (1,)
) -> float:
    """Scale a number.

    More words.
    """
    return x * factor if mode == "up" else x / factor


def masked(x: Tensor, /, *, mask: Tensor | None = None, order: int) -> Tensor:
    return x


REGISTRY = {"scale": scale, "masked": masked}


def test_bind():
    assert bind(REGISTRY, "scale", {"factor": 3.0})(2.0) == 6.0
    assert bind(REGISTRY, "scale", {"factor": 4, "mode": "down"})(2.0) == 0.5


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("scael", {}, ("", "`scael` is unknown; did you mean `scale`?")),
        ("scale", {"factr": 1.0}, ("factr", "`scale` has no parameter `factr`; did you mean `factor`?")),
        ("scale", {"factor": "3"}, ("factor", "'3'")),
        ("scale", {"factor": True}, ("factor", "True")),
        ("scale", {"mode": "sideways"}, ("mode", "'up' or 'down'")),
        ("scale", {"sizes": [1, 2.5]}, ("sizes", "2.5")),
        ("masked", {}, ("order", "`masked` needs the parameter `order`")),
        ("masked", {"order": 1, "mask": 1}, ("mask", "no parameter `mask`")),
        ("json:lodas", {}, ("", "importable")),
        ("no_such_package:f", {}, ("", "importable")),
        ("math:pi", {}, ("", "must be a function")),
        ("this_exits:f", {}, ("", "but got: SystemExit: 7")),
        ("this_raises:f", {}, ("", "but got: ZeroDivisionError: division by zero")),
        ("json:JSONDecodeError", {}, ("", "must be a function (x, /, *, ...), its data by position and its hyper")),
        ("subprocess:call", {}, ("", "but has (*popenargs)")),
        ("builtins:dict", {}, ("", "but has no signature")),
    ],
)
def test_mistakes(name, given, expected, tmp_path, monkeypatch):
    (tmp_path / "this_exits.py").write_text("raise SystemExit(7)")
    (tmp_path / "this_raises.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(components, "_allowed", {name.partition(":")[0]})
    found = mistakes(REGISTRY, name, given)
    assert len(found) == 1
    assert found[0][0] == expected[0]
    assert expected[1] in found[0][1]
    with pytest.raises(UsageError):
        bind(REGISTRY, name, given)


def test_lists_of_yaml_become_tuples():
    assert bind(REGISTRY, "scale", {"sizes": [1, 2]}).keywords == {"sizes": (1, 2)}


@pytest.mark.parametrize("allowed", ["own_loss", "own_loss:halve"])
def test_a_users_own_function(allowed, tmp_path, monkeypatch):
    (tmp_path / "own_loss.py").write_text("def halve(x, /, *, by=2):\n    return x / by\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(components, "_allowed", set())
    with pytest.raises(UsageError, match=r"`own_loss:halve` must be allowed before it is imported.*--allow own_loss$"):
        bind(REGISTRY, "own_loss:halve", {})
    assert "own_loss" not in sys.modules
    components.allow([allowed])
    assert bind(REGISTRY, "own_loss:halve", {"by": 4})(2) == 0.5
    del sys.modules["own_loss"]


def test_one_allowed_function_allows_no_other(monkeypatch):
    monkeypatch.setattr(components, "_allowed", {"os:path"})
    with pytest.raises(UsageError, match="must be allowed"):
        bind(REGISTRY, "os:system", {})


def test_tensors_are_no_hyper_parameters():
    assert list(parameters(masked)) == ["order"]


def test_summary():
    assert summary(scale) == "Scale a number."
