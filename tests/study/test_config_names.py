"""Any text as a name of a config: refused with its key, or a folder of its own inside the results."""

import copy
from pathlib import Path

import pytest
from hypothesis import given
from nasty import FUZZ, TEXT
from tiny_study import TINY

from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import UsageError

PLACES = {
    "study": lambda raw, text: raw.update(study=text),
    "datasets[0].id": lambda raw, text: raw["datasets"][0].update(id=text),
    "models[0]": lambda raw, text: raw["models"][0].update(id=text),
    "grid.similarities[0]": lambda raw, text: raw["grid"]["similarities"].__setitem__(0, {"name": "lcc", "id": text}),
    "grid.regularizers[0]": lambda raw, text: raw["grid"]["regularizers"].__setitem__(
        0, {"name": "bending", "id": text}
    ),
    "results": lambda raw, text: raw.update(results=text),
}


def loaded(raw, place):
    """The study; None where the config is refused, by the key of what is wrong or of half a letter."""
    message = ""
    try:
        return Study(load(raw))
    except UsageError as error:
        message = str(error)
    assert place in message or "half a letter" in message
    return None


@pytest.mark.parametrize("place", PLACES)
@FUZZ
@given(text=TEXT)
def test_any_name_is_refused_by_its_key_or_makes_sound_paths(place, text):
    raw = copy.deepcopy(TINY)
    PLACES[place](raw, text)
    study = loaded(raw, place)
    if study is None:
        return
    paths = [study.layout.pairs(*run) for run in study.runs()] + [study.layout.log(f"train/{study.methods[-1].id}")]
    for path in paths:
        inner = path.relative_to(study.layout.root)
        assert ".." not in inner.parts
        assert not set(str(path)) & set("{}\n\0\\?")
        assert all(len(part.encode()) < 240 for part in inner.parts)
    assert len({str(path).casefold() for path in paths}) == len(paths)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ("a{b}", "braces"), ("a?b", "database"), ("a\\b", "separator"), ("a\nb", "one line"), ("-a", "dash"),
        ("a ", "blank"), ("x" * 256, "bytes"), ("a/" * 1500, "bytes"),
    ],
)  # fmt: skip
def test_what_a_tool_would_read_in_a_path_is_refused(results, words):
    with pytest.raises(UsageError, match=f"results: .*{words}"):
        load({**TINY, "results": results})


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert Study(load({**TINY, "results": "~/r"})).layout.root == Path("/home/ann/r/tiny")


@pytest.mark.parametrize("results", ["My Drive", "a'b\"c#d%41e;f&g$h`i!j(k)l=m,n@o+p^q", "ü 😀", "a*b[c]", "a:b", "~~"])
def test_other_paths_stay_as_they_are(results):
    assert load({**TINY, "results": results}).results == results


def test_ids_that_differ_in_case_alone_are_one_folder_on_some_disks():
    raw = copy.deepcopy(TINY)
    raw["grid"]["similarities"] = [{"name": "lcc", "id": "a"}, {"name": "mse", "id": "A"}]
    with pytest.raises(UsageError, match="differ in more than case"):
        load(raw)


def test_a_study_is_not_called_as_the_folder_of_the_artifacts():
    with pytest.raises(UsageError, match=r"study: .*MLflow"):
        load({**TINY, "study": "mlartifacts"})
