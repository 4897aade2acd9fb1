"""A report that several processes draw: the same bytes, in the same order, and no error is lost."""

import os
import sys
from functools import partial

import pytest
from made_results import make_results

from regbench.report.parallel import in_parallel
from regbench.report.write import report
from regbench.study.load import load
from regbench.study.methods import Study


def test_the_same_bytes_for_any_number_of_processes(tiny):
    study = Study(load(tiny))
    make_results(study)
    root, found = study.layout.root, []
    for processes in (1, 2):
        report(study, processes=processes)
        files = [root / "report.html", *(root / "tables").rglob("*"), *(root / "figures").rglob("*")]
        found.append({path.relative_to(root): path.read_bytes() for path in files if path.is_file()})
    assert len(found[0]) > 40
    assert found[0] == found[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one after the other")
def test_pieces_come_back_in_order_from_other_processes():
    found = in_parallel([partial(lambda number: (number, os.getpid()), number) for number in range(20)], 2)
    assert [number for number, _ in found] == list(range(20))
    assert os.getpid() not in {process for _, process in found}
    assert [process for _, process in in_parallel([lambda: (0, os.getpid())], 1)] == [os.getpid()]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_piece_is_ours(processes):
    with pytest.raises(ZeroDivisionError):
        in_parallel([lambda: 1, lambda: 1 // 0], processes)
