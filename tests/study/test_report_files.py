"""One list of tables and figures for the workflow, the writer and the page."""

import pytest
from made_results import make_results

from regbench.report.write import report
from regbench.study import report_files
from regbench.study.load import load
from regbench.study.methods import Study


@pytest.mark.parametrize("controls", [False, True])
def test_a_report_writes_what_the_list_says(tiny, controls):
    study = Study(load({**tiny, "controls": controls}))
    make_results(study)
    report(study)
    layout = study.layout
    optional = {"controls"} if controls else set()
    names = report_files.table_names(optional)
    assert ("controls" in names) is controls
    tables = {f"{name}.csv" for name in names} | set(report_files.beside_tables(optional))
    figures = {f"{name}.svg" for name in report_files.figure_names(set())} | set(report_files.beside_figures(set()))
    assert {path.name for path in layout.tables.iterdir() if path.is_file()} == tables
    assert {path.name for path in layout.figures.iterdir() if path.is_file()} == figures
    page = layout.page.read_text()
    assert all(f'id="figure-{name}"' in page for name in report_files.figure_names(set()))
    assert all(f'id="table-{name}"' in page for name in names)


def test_every_figure_has_words_for_those_who_do_not_see_it():
    for name, figure in report_files.FIGURES.items():
        assert len(figure.alt) > len(name) + 40, "what it shows, not only its name"
