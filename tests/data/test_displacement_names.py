"""Files of displacements: one a pair, whatever the ids; the Learn2Reg names where they tell subjects apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty import FUZZ, TEXT

from regbench.data.displacement_names import DisplacementNames
from regbench.system.names import same


def files(subjects):
    names = DisplacementNames(subjects)
    return {(fixed, moving): names.file(fixed, moving) for fixed in subjects for moving in subjects if fixed != moving}


def test_learn2reg_names_where_they_tell_subjects_apart():
    assert files(["OASIS_0001_0000", "OASIS_0002_0000"])["OASIS_0001_0000", "OASIS_0002_0000"] == (
        "disp_0001_0000_0002_0000.nii.gz"
    )


@pytest.mark.parametrize(
    "subjects",
    [
        ["siteA_0001_0000", "siteB_0001_0000", "siteA_0002_0000", "siteB_0002_0000"],
        ["0001_0000", "A_0001_0000", "b"],
        ["a", "a_a", "a_a_a", "_a", "a_"],
        ["sub-01/ses-1", "sub-01_ses-1", "sub-01%2Fses-1", "../../escaped", ".."],
        ["x" * 300, "x" * 301],
    ],
)
def test_each_pair_has_a_file_of_its_own(subjects):
    names = files(subjects)
    assert len({same(name) for name in names.values()}) == len(names)
    assert all("/" not in name and len(name.encode()) < 245 for name in names.values())


def test_two_sites_keep_their_ids_whole():
    assert files(["siteA_0001_0000", "siteB_0001_0000"])["siteA_0001_0000", "siteB_0001_0000"] == (
        "disp_siteA_0001_0000_siteB_0001_0000.nii.gz"
    )


@FUZZ
@given(st.lists(st.one_of(TEXT, st.from_regex(r"\A[ab]{0,2}_?000[12]_000[01]\Z")), min_size=2, max_size=6))
def test_no_file_of_one_pair_is_another_pairs(subjects):
    """Of the names that a reader takes too: a field is never judged as that of another pair."""
    distinct = list({same(subject): subject for subject in subjects}.values())
    names = DisplacementNames(distinct)
    stems = [names.stems(fixed, moving) for fixed in distinct for moving in distinct]
    every = [same(stem) for of_pair in stems for stem in of_pair]
    assert len(set(every)) == len(every)
