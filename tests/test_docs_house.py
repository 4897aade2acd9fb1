"""The picture of the house is that of the code: order of the contract, words of the page, imports of the sources."""

import pytest
from script_files import script


@pytest.fixture(scope="module")
def house():
    return script("docs/house.py")


def test_the_picture_is_drawn_from_the_code(house):
    assert house.PICTURE.read_text(encoding="utf-8") == house.drawn(), "run `python docs/house.py`"


def test_the_page_has_the_rooms_in_their_order(house):
    assert list(house.words()) == house.rooms()


def test_imports_point_down(house):
    order = house.rooms()
    assert house.imported_by("losses") >= {"system"}
    for number, room in enumerate(order):
        assert house.imported_by(room) <= set(order[number + 1 :]), room
