"""A name and its parameters become a bound function."""

from typing import Literal

import pytest
from torch import Tensor

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
    ],
)
def test_mistakes(name, given, expected):
    found = mistakes(REGISTRY, name, given)
    assert len(found) == 1
    assert found[0][0] == expected[0]
    assert expected[1] in found[0][1]
    with pytest.raises(UsageError):
        bind(REGISTRY, name, given)


def test_lists_of_yaml_become_tuples():
    assert bind(REGISTRY, "scale", {"sizes": [1, 2]}).keywords == {"sizes": (1, 2)}


def test_a_users_own_function():
    assert bind({}, "operator:neg", {})(2) == -2


def test_tensors_are_no_hyper_parameters():
    assert list(parameters(masked)) == ["order"]


def test_summary():
    assert summary(scale) == "Scale a number."
