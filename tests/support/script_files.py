"""Scripts beside the package (benchmarks, what makes the docs, mutants): no test imports them by a name."""

import importlib.util
import sys
from types import ModuleType

from tiny_study import ROOT


def script(path: str) -> ModuleType:
    """A script as a module, loaded anew; as where it runs, its folder is the first that it imports from.

    Args:
        path: from the project's root on.
    """
    spec = importlib.util.spec_from_file_location((ROOT / path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look a class's module up
    before = list(sys.path)
    sys.path.insert(0, str((ROOT / path).parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module
