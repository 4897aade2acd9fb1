"""Figures are the same bytes whatever the user's account says of matplotlib."""

import os
import subprocess
import sys

HOSTILE = (
    "font.size: 30\ntext.usetex: true\naxes.grid: true\nsvg.fonttype: path\nsavefig.bbox: tight\nbackend: TkAgg\n"
    "image.cmap: jet\nsavefig.transparent: true\naxes.formatter.use_locale: true\n"
)
DRAW = """
import sys
from pathlib import Path
import pandas as pd
from regbench.report.figures.figure_style import drawing, save
with drawing(3, 2) as figure:
    axes = figure.subplots()
    axes.plot([1, 2], [3.5, 4])
    axes.imshow([[0, 1], [2, 3]])
    save(figure, pd.DataFrame({"a": [1]}), Path(sys.argv[1]))
"""


def draw(folder, **variables):
    """The bytes of a figure that a process of its own draws in `folder`."""
    env = {**os.environ, **variables}
    command = [sys.executable, "-c", DRAW, str(folder / "figure")]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [(folder / f"figure.{kind}").read_bytes() for kind in ("svg", "png")]


def test_a_hostile_account_changes_no_byte(tmp_path):
    plain, hostile = tmp_path / "plain", tmp_path / "hostile"
    plain.mkdir()
    hostile.mkdir()
    (hostile / "matplotlibrc").write_text(HOSTILE)
    theirs = draw(
        hostile,
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        MPLCONFIGDIR="/dev/null/none",
        LC_ALL="de_DE.UTF-8",
        TZ="Asia/Kolkata",
        PYTHONHASHSEED="7",
    )
    assert theirs == draw(plain, PYTHONHASHSEED="1")


def test_a_damaged_matplotlibrc_is_not_read(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: \xff\n")
    assert draw(tmp_path)


def test_the_backend_of_the_caller_stays_in_the_environment(monkeypatch):
    from regbench.system.plain_figures import load_matplotlib

    monkeypatch.setenv("MPLBACKEND", "module://elsewhere")
    load_matplotlib()
    assert os.environ["MPLBACKEND"] == "module://elsewhere"


def test_the_style_ends_with_the_block():
    import matplotlib as mpl

    from regbench.system.plain_figures import plain_style

    with mpl.rc_context({"font.size": 30}):
        with plain_style({"font.size": 8}):
            assert mpl.rcParams["font.size"] == 8
            assert not mpl.rcParams["axes.grid"]
        assert mpl.rcParams["font.size"] == 30
