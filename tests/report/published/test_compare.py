"""Differences of two files are told by row, column, key or line; last digits pass only where they may."""

import base64

import pandas as pd
import pytest

from regbench.report.published.compare import Difference, compared


def found(tmp_path, name, one, other, *, exact=True):
    paths = [tmp_path / "one" / name, tmp_path / "other" / name]
    for path, content in zip(paths, (one, other), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return [(one.where, one.published, one.derived) for one in compared(*paths, name, exact=exact)]


def test_equal_bytes_have_no_difference(tmp_path):
    assert found(tmp_path, "a.csv", "x\n1\n", "x\n1\n") == []


def test_csv_by_row_and_column(tmp_path):
    one, other = "dataset,method,dice\nb,m,0.5\nb,n,0.61\n", "dataset,method,dice\nb,m,0.5\nb,n,0.62\n"
    assert found(tmp_path, "a.csv", one, other) == [("row 2, (b, n), dice", "0.61", "0.62")]


def test_csv_of_other_columns_by_line(tmp_path):
    assert found(tmp_path, "a.csv", "x,y\n1,2\n", "x,z\n1,2\n") == [("line 1", "y", "z")]


def test_markdown_by_line_and_column(tmp_path):
    one, other = (f"Words.\n\n| A | Dice |\n|---|---|\n| m | {dice} |\n" for dice in ("0.5", "0.7"))
    assert found(tmp_path, "a.md", one, other) == [("line 5, Dice", "0.5", "0.7")]


def test_text_by_line_and_the_word_that_differs(tmp_path):
    assert found(tmp_path, "a.tex", "a\nb & 0.51 & c\n", "a\nb & 0.52 & c\n") == [("line 2", "0.51", "0.52")]
    assert found(tmp_path, "a.tex", "a\nb\n", "a\n")[0] == ("", "2 lines", "1 lines")


def test_json_by_key(tmp_path):
    assert found(tmp_path, "a.json", '{"a": [{"b": 1}], "c": 2}', '{"a": [{"b": 3}]}') == [
        ("a[0].b", "1", "3"),
        ("c", "2", '"nothing"'),
    ]
    assert found(tmp_path, "a.json", '{"a": 1}', '{"a": true}') == [("a", "1", "true")]
    lines = [f'{{"file": "f", "content": {{"lam": {lam}}}}}\n' for lam in (1, 2)]
    assert found(tmp_path, "a.jsonl", *lines) == [("line 1 (f).content.lam", "1", "2")]


def test_parquet_by_row_and_column(tmp_path):
    frame = pd.DataFrame({"method": ["a", "b"], "dice": [0.5, float("nan")]})
    paths = [tmp_path / "one.parquet", tmp_path / "other.parquet"]
    frame.to_parquet(paths[0])
    frame.assign(dice=[0.5, 0.25]).to_parquet(paths[1])
    (one,) = compared(*paths, "rows.parquet", exact=False)
    assert one == Difference("rows.parquet", "row 2, (b), dice", "nan", "0.25")
    frame[["dice", "method"]].to_parquet(paths[1])
    other_order = Difference("rows.parquet", "columns", "method, dice", "dice, method")
    assert compared(*paths, "rows.parquet", exact=False) == [other_order]
    frame.iloc[:1].to_parquet(paths[1])
    assert compared(*paths, "rows.parquet", exact=False) == [Difference("rows.parquet", "rows", "2", "1")]
    frame.to_parquet(paths[1], compression="gzip")
    assert compared(*paths, "rows.parquet", exact=False) == []
    assert len(compared(*paths, "rows.parquet", exact=True)) == 1


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "x\n{}\n"), ("a.json", '{{"x": {}}}'), ("a.svg", "<path d='M {} 2'/>")],
)
def test_last_digits_pass_where_they_may(tmp_path, name, form):
    near = [form.format(number) for number in ("0.123456789012345", "0.123456789012346")]
    far = [form.format(number) for number in ("0.1234", "0.1235")]
    assert found(tmp_path, name, *near, exact=False) == []
    ((where, *_),) = found(tmp_path, name, *near, exact=True)
    assert where  # not of the file as a whole alone
    assert len(found(tmp_path, name, *far, exact=False)) == 1


def test_drawings_in_a_page_by_their_numbers_and_its_text_to_the_letter(tmp_path):
    def page(number, text):
        image = base64.b64encode(f"<svg d='{number}'/>".encode()).decode()
        return f'<img src="data:image/svg+xml;base64,{image}"> {text}\n'

    assert found(tmp_path, "a.html", page("1.0000001", "a"), page("1.0000002", "a"), exact=False) == []
    assert len(found(tmp_path, "a.html", page("1.0000001", "a"), page("1.0000002", "b"), exact=False)) == 1
    assert len(found(tmp_path, "a.html", page("1.1", "a"), page("1.2", "a"), exact=False)) == 1
    assert len(found(tmp_path, "a.html", "dice 0.123456789012345\n", "dice 0.123456789012346\n", exact=False)) == 1


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "a").write_text("")
    assert compared(tmp_path / "a", tmp_path / "b", "a", exact=True) == [Difference("a", "", "a file", "no file")]
