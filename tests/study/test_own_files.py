"""A function in a user's own file is a component: found by its path, with what it imports from beside it."""

import importlib
import os
from pathlib import Path

import pytest

from regbench.study import components
from regbench.study.components import bind, mistakes
from regbench.study.fingerprint import component_module, fingerprint
from regbench.study.grid_config import id_of
from regbench.system.errors import UsageError


def scale(x: float, /, *, by: float = 2.0) -> float:
    return x * by


REGISTRY = {"scale": scale}
HALVE = "import own_parts\n\n\ndef halve(x, /, *, by=2):\n    return x / by + own_parts.NOTHING\n"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder with a file of two modules, of which nothing is allowed yet."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/own_halves.py").write_text(HALVE)
    (tmp_path / "lab/own_parts.py").write_text("NOTHING = 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(components, "_allowed", set())
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    importlib.invalidate_caches()
    yield tmp_path
    __import__("sys").modules.pop("own_parts", None)


@pytest.mark.parametrize("allowed", ["lab/own_halves.py:halve", "lab/own_halves.py", "./lab/../lab/own_halves.py"])
def test_a_file_is_a_component_once_it_is_allowed(allowed, lab):
    name = "lab/own_halves.py:halve"
    with pytest.raises(UsageError, match=r"must be allowed before it is imported.*--allow lab/own_halves\.py$"):
        bind(REGISTRY, name, {})
    components.allow([allowed])
    assert bind(REGISTRY, name, {"by": 4})(2.0) == 0.5
    assert bind(REGISTRY, str(lab / name), {})(2.0) == 1.0
    assert mistakes(REGISTRY, name, {"b": 4}) == [("b", f"`{name}` has no parameter `b`; did you mean `by`?")]


def test_one_function_is_no_leave_for_another(lab):
    components.allow(["lab/own_halves.py:other", "lab.own_halves"])
    assert not components.allowed("lab/own_halves.py:halve")


def test_a_record_s_file_that_was_moved_is_found_where_it_is_allowed(lab):
    components.allow(["lab/own_halves.py"])
    assert bind(REGISTRY, "elsewhere/own_halves.py:halve", {})(2.0) == 1.0
    assert not components.allowed("elsewhere/own_thirds.py:halve")
    components.allow(["other/own_halves.py"])  # of which nobody can say which is meant
    assert not components.allowed("elsewhere/own_halves.py:halve")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("lab/none.py:f", None, "must be a Python file, but got: No such file or directory. In its folder: `own"),
        ("lab/own_halves.py:have", HALVE, "importable with `have`, but has none; did you mean `halve`?"),
        ("lab/own_halves.py:halve", "def halve(x, /:\n", "must be Python, but got: SyntaxError"),
        ("lab/own_halves.py:halve", "import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such"),
        ("lab/own_halves.py:halve", f"from {'.' * 99}above import x\n", "got: Import"),
        ("lab/own_halves.py:halve", "raise SystemExit(3)\n", "SystemExit: 3"),
        ("lab/own_halves.py:halve", "def halve(x):\n    return x\n", "must be a function (x, /, *, ...)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(name, content, words, lab):
    components.allow([name])
    if content is not None:
        (lab / "lab/own_halves.py").write_text(content)
    ((_, message),) = mistakes(REGISTRY, name, {})
    assert words in message


def test_a_file_may_begin_with_the_mark_of_utf_8(lab):
    """As Notepad writes it, and Python reads it; named as a file, and as a module."""
    before = code(Path("lab/own_halves.py"))
    for name, text in (("own_halves.py", HALVE), ("own_parts.py", "NOTHING = 0\n")):
        (lab / "lab" / name).write_text(text, encoding="utf-8-sig")
    components.allow(["lab/own_halves.py"])
    assert bind(REGISTRY, "lab/own_halves.py:halve", {})(2.0) == 1.0
    assert code(Path("lab/own_halves.py")) == before
    __import__("sys").path.append(str(lab / "lab"))
    assert fingerprint("own_parts") != fingerprint("regbench.losses.mse")


def test_a_changed_file_is_read_anew(lab):
    components.allow(["lab/own_halves.py"])
    assert bind(REGISTRY, "lab/own_halves.py:halve", {})(2.0) == 1.0
    (lab / "lab/own_halves.py").write_text("def halve(x, /, *, by=2):\n    return x / by / by\n")
    assert bind(REGISTRY, "lab/own_halves.py:halve", {})(2.0) == 0.5


def test_a_file_beside_it_with_the_name_of_another_module_is_refused(lab):
    (lab / "lab/textwrap.py").write_text("")
    (lab / "lab/own_halves.py").write_text("import textwrap\n" + HALVE)
    components.allow(["lab/own_halves.py"])
    ((_, message),) = mistakes(REGISTRY, "lab/own_halves.py:halve", {})
    assert "imports `textwrap`, which must be one module, but is" in message
    assert "Give `textwrap.py` another name" in message


def code(place: Path) -> str:
    return fingerprint("regbench.losses.mse", component_module("regbench.losses", f"{place}:halve"))


def test_the_file_and_what_it_imports_are_in_the_fingerprint(lab):
    place = Path("lab/own_halves.py")
    before = code(place)
    assert before != fingerprint("regbench.losses.mse")
    place.write_text(f'"""Words."""\n# more\n{HALVE}')
    assert code(place) == before
    Path("lab/own_parts.py").write_text("NOTHING = 1e-9\n")
    changed = code(place)
    assert changed != before
    place.write_text(HALVE.replace("x / by", "x * by"))
    assert code(place) not in (before, changed)


def test_what_a_file_uses_of_regbench_is_in_it_too(lab):
    place = Path("lab/own_halves.py")
    place.write_text(f"from regbench.losses.lcc import lcc\n{HALVE}")
    with_lcc = code(place)
    place.write_text(f"from regbench.losses.ngf import ngf\n{HALVE}")
    assert code(place) != with_lcc


def test_a_moved_file_has_the_same_fingerprint(lab):
    before = code(Path("lab/own_halves.py"))
    assert code(lab / "lab/own_halves.py") == before
    os.rename("lab", "clinic")  # noqa: PTH104  of the working folder
    assert code(Path("clinic/own_halves.py")) == before


def test_packages_beside_it_count_too(lab):
    (lab / "lab/own_nets/deep").mkdir(parents=True)
    (lab / "lab/own_nets/__init__.py").write_text("from .blocks import one\n")
    (lab / "lab/own_nets/blocks.py").write_text("one = 1\n")
    (lab / "lab/own_nets/deep/other.py").write_text("two = 2\n")
    place = Path("lab/own_halves.py")
    place.write_text(f"import own_nets\nfrom own_nets.deep import other\n{HALVE}")
    seen = [code(place)]
    for inner in ("blocks.py", "deep/other.py"):
        (lab / "lab/own_nets" / inner).write_text("changed = 3\n")
        seen.append(code(place))
    assert len(set(seen)) == 3


def test_an_id_does_not_tell_where_the_file_lies():
    assert id_of("lab/own-halves.py:halve") == id_of("/a/b/own-halves.py:halve") == "own-halves_halve"
    assert id_of("lab.own:halve") == "lab_own_halve"
