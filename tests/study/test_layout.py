"""Files of a study have one home for their names."""

import ast
from pathlib import Path

import regbench
from regbench.study.layout import PAIRS, PANELS
from regbench.system.files import CHECKPOINT, HISTORY, LIVE, MANIFEST, RUN

PACKAGE = Path(regbench.__file__).parent
NAMES = {CHECKPOINT, HISTORY, LIVE, MANIFEST, RUN, PAIRS, PANELS}
NAMES |= {
    "workflow.lock",
    "head.json",
    "optuna.owner",
    "tracked.json",
    "mlflow_runs.json",
    "selected.json",
    "rows.parquet",
}
FOLDERS = {"state", "runs", "tuning", "analysis", "tables", "figures", "logs"}
HOMES = {"study/layout.py", "system/files.py"}
NOT_YET = "cli"  # takes its paths from the layout when it is written anew


def written_in(path: Path) -> list[str]:
    """Names of a study's files, and folders of a study as a part of a path, that stand in a module as text."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and node.value in NAMES:
            found.append(f"{path}:{node.lineno}: {node.value}")
        parts = [node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Path":
            parts = node.args
        found += [
            f"{path}:{part.lineno}: {part.value}"
            for part in parts
            if isinstance(part, ast.Constant) and part.value in FOLDERS
        ]
    return found


def test_only_the_layout_names_the_files_of_a_study():
    modules = [path for path in PACKAGE.rglob("*.py") if str(path.relative_to(PACKAGE)) not in HOMES]
    modules = [path for path in modules if NOT_YET not in path.parts]
    assert [place for path in modules for place in written_in(path)] == []
    assert written_in(PACKAGE / "study/layout.py"), "the test sees them where they are"


def test_the_rules_name_no_file_of_a_study_either():
    text = "".join(path.read_text() for path in (PACKAGE.parent / "workflow/rules").glob("*.smk"))
    assert [name for name in NAMES if name in text] == []
