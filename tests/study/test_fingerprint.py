"""A changed formula changes the fingerprint of what depends on it, and of nothing else."""

import sys
import textwrap

import pytest

from regbench.losses import REGULARIZERS, SIMILARITIES
from regbench.study import fingerprint as module
from regbench.study.fingerprint import component_module, fingerprint
from regbench.system.errors import UsageError

CACHED = (module._registered_in, module._of_modules, module._source, module._read)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        for cached in CACHED:
            cached.cache_clear()
        sys.path_importer_cache.clear()

    yield write
    for cached in CACHED:
        cached.cache_clear()


def test_comments_and_docstrings_change_nothing(package):
    package("mine_a", 'def f(x):\n    """Old words."""\n    return x + 1\n')
    before = fingerprint("mine_a")
    package("mine_a", '"""New."""\n\ndef f(x):\n    """New words."""\n    # why\n    return (x + 1)\n')
    assert fingerprint("mine_a") == before


def test_a_formula_changes_it(package):
    package("mine_b", "def f(x):\n    return x + 1\n")
    before = fingerprint("mine_b")
    package("mine_b", "def f(x):\n    return x + 2\n")
    assert fingerprint("mine_b") != before


def test_a_losss_own_module_is_found():
    assert component_module("regbench.losses", "lcc") == "regbench.losses.lcc"
    assert component_module("regbench.losses", "grad_l1") == "regbench.losses.grad"
    assert component_module("regbench.models", "voxelmorph") == "regbench.models.voxelmorph"
    assert component_module("regbench.losses", "my.module:loss") == "my.module"


def test_stages_depend_on_what_they_use():
    assert "regbench.spatial.displacement" in reached("regbench.training.final_run")
    assert "regbench.losses.objective" in reached("regbench.training.final_run")
    # A registry leads to every loss; a method names its own.
    ours = {component_module("regbench.losses", name) for name in (*SIMILARITIES, *REGULARIZERS)}
    assert not ours & reached("regbench.training.final_run")
    assert not any("report" in name or "tracking" in name for name in reached("regbench.training.final_run"))


def test_what_a_study_has_to_do_is_no_part_of_what_one_job_depends_on():
    """A job's own slice of the study stands in its spec; another method, seed or path changes nothing of it."""
    ours = {"regbench.study.layout", "regbench.study.methods", "regbench.study.job_specs", "regbench.study.config"}
    for stage in ("data.prepare", "tuning.rounds", "tuning.trial", "training.final_run", "evaluation.evaluate"):
        assert not ours & reached(f"regbench.{stage}")
    assert "regbench.study.specs" in reached("regbench.evaluation.evaluate")
    assert "regbench.study.methods" in reached("regbench.report.analyze"), "whose rows are joined, it asks the study"


def reached(start):
    pending, seen = [start], set()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += [other for other in imports(name) if other not in module._NOT_FOLLOWED]
    return seen


def imports(name):
    return module._read(module._source(name)).imports


def test_an_import_of_a_module_and_of_what_a_package_holds_counts_both():
    text = "from regbench.statistics import judge, ranks\nfrom regbench.study import specs, terms\n"
    assert module._read(text).imports == (
        "regbench.statistics", "regbench.statistics.ranks", "regbench.study.specs", "regbench.study.terms",
    )  # fmt: skip


def test_imports_and_docstrings_are_found_wherever_they_stand():
    where = """
try:
    import regbench.a
except ImportError:
    import regbench.b
else:
    import regbench.c
finally:
    import regbench.d
with x:
    for y in z:
        import regbench.e
    else:
        match y:
            case 1:
                import regbench.f
async def g():
    "Said."
    while h:
        def i():
            "Said."
            import regbench.g
if j:
    k
elif l:
    class M:
        "Said."
        import regbench.h
"""
    assert module._read(where).imports == tuple(f"regbench.{letter}" for letter in "abcdefgh")
    assert module._read(where).code == module._read(where.replace("Said.", "Otherwise.")).code
    assert module._read(where).code != module._read(where.replace("k\n", "m\n")).code


def test_a_missing_module_is_named():
    with pytest.raises(UsageError, match="no_such_module_here"):
        fingerprint("no_such_module_here")


def test_a_baseline_is_no_part_of_what_a_network_s_evaluation_depends_on():
    """The registry imports every baseline; the one that a job runs is added by name."""
    seen, pending = set(), ["regbench.evaluation.evaluate"]
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += [each for each in module._read(module._source(name)).imports if each not in module._NOT_FOLLOWED]
    assert "regbench.metrics.overlap" in seen
    assert not {name for name in seen if name.startswith("regbench.models.classical")}
    assert fingerprint(
        "regbench.evaluation.evaluate", component_module("regbench.models.classical", "ants_syn")
    ) != fingerprint("regbench.evaluation.evaluate", component_module("regbench.models.classical", "dipy_syn"))
    assert "regbench.models.classical.ants_program" in imports("regbench.models.classical.ants_syn")
