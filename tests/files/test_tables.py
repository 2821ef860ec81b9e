"""Tables: what is written is what csv writes, what is read is what csv reads, and bad rows are named by their lines."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bike.errors import DataError
from bike.files import MAX_LINE_BYTES
from bike.files.tables import read_header, read_table, write_table

COLUMNS = ("path", "label")
TEXTS = st.one_of(  # bytes that no UTF-8 has are `\\udc80` and the like in paths
    st.text(st.sampled_from("ab ,;\"'\r\n\té日\u2028#0\udcfe\udcff"), max_size=8),
    st.text(st.sampled_from('a",;|\t\r\n\0\ufeff\ud800\udc80\udcc3\udca9\U0001f600'), max_size=6),
    st.builds(str.__mul__, st.sampled_from('a"\nü'), st.sampled_from([131_071, 131_072, 131_073])),
    st.sampled_from(["sep=;", " a", "a ", "'", "\\", "\x1a", "\x85", "1.0", "nan", "NA"]),
)
any_file = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(path: Path, **options: object) -> list[tuple[object, ...]]:
    """Line and fields of each row."""
    return list(read_table(path, COLUMNS, **options).itertuples(name=None))  # type: ignore[arg-type]


@any_file
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_any_text_is_written_as_csv_does_and_read_back_or_refused(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """Refused is just what could not be read back; then there is no file."""
    path = tmp_path / "a.csv"
    path.unlink(missing_ok=True)
    lost = [
        value
        for row in rows
        for value in row
        if "\0" in value or len(value) > 131_072 or re.search("[\ud800-\udbff]|\udcc3[\udc80\udca9]", value)
    ]
    if lost:
        with pytest.raises(DataError, match=r"a\.csv: row \d .* can't be read back: ") as caught:
            write_table(path, COLUMNS, rows)
        assert "\n" not in str(caught.value)
        assert not path.exists()
    else:
        write_table(path, COLUMNS, rows)
        assert [row[1:] for row in rows_of(path, exact=True)] == rows
        text = io.StringIO()
        for row in (COLUMNS, *rows):
            line = io.StringIO()
            csv.writer(line, lineterminator="\r\n").writerow(row)
            text.write(line.getvalue()[:-2] + "\n")
        assert path.read_bytes() == text.getvalue().encode("utf-8", "surrogateescape")


@any_file
@given(st.text(st.sampled_from('ab ,"\r\n'), max_size=40))
def test_what_strangers_write_is_read_as_csv_does(tmp_path: Path, text: str) -> None:
    content = f"path,label\n{text}"
    (tmp_path / "a.csv").write_bytes(content.encode())
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        expected = [(reader.line_num, *row) for row in reader if row][1:]
    except csv.Error:
        expected = []
        with pytest.raises(DataError, match="not CSV"):
            rows_of(tmp_path / "a.csv")
        assume(False)
    if all(len(row) > len(COLUMNS) for row in expected):
        assert rows_of(tmp_path / "a.csv") == [row[:3] for row in expected]
    else:
        with pytest.raises(DataError, match="ends before column 'label'"):
            rows_of(tmp_path / "a.csv")


def test_numbers_are_written_in_full_and_nothing_is_empty(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", ("a", "b", "c"), [(0.1 + 0.2, None, 1 << 40), (1e22, "", True)])
    assert (tmp_path / "a.csv").read_text() == "a,b,c\n0.30000000000000004,,1099511627776\n1e+22,,True\n"


def test_a_table_longer_than_a_batch_has_one_header(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", COLUMNS, ((number, "x") for number in range(100_000)))
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == ["path,label", *(f"{number},x" for number in range(100_000))]


def test_lines_are_counted_through_breaks_and_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('path,label\n\n"a\nb",1\n\n\nc,2', newline="")
    assert rows_of(tmp_path / "a.csv") == [(4, "a\nb", "1"), (7, "c", "2")]


def test_columns_are_found_by_name_and_may_lack(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeff Label;X;PATH\n1; 2;a\n3;;b\n")
    table = read_table(tmp_path / "a.csv", COLUMNS, ("split", "x"))
    assert table.columns.tolist() == ["path", "label", "split", "x"]
    assert list(table.itertuples(name=None)) == [(2, "a", "1", "", " 2"), (3, "b", "3", "", "")]
    assert read_header(tmp_path / "a.csv") == ["Label", "X", "PATH"]
    (tmp_path / "a.csv").write_text("")
    assert read_header(tmp_path / "a.csv") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("path,label\na b.mp4,1\n", 2),
        ("path;label\r\na b.mp4;1\r\n", 2),
        ("path\tlabel\na b.mp4\t1\n", 2),
        ("path|label\na b.mp4|1\n", 2),
        ("sep=;\r\npath;label\r\na b.mp4;1\r\n", 3),
        ('\ufeff"sep=|"\npath|label\na b.mp4|1\n', 3),
        ("\ufeffpath, label\na b.mp4, 1\n", 2),
        ('"label", "path"\n"1", "a b.mp4"\n', 2),
        ('"path";"label";"a, b"\n"a b.mp4";1;\n', 2),
        ("PATH,Label\n\na b.mp4,1\n", 3),
    ],
)
def test_forms_that_people_write(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "a.csv").write_text(text, newline="")
    assert rows_of(tmp_path / "a.csv") == [(line, "a b.mp4", "1")]


def test_of_two_columns_that_differ_in_case_the_written_one_is_meant(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Path,path,label\nx,y,1\n")
    assert rows_of(tmp_path / "a.csv") == [(2, "y", "1")]


def test_tables_without_bounds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"path,label\n" + b"a" * (2 * MAX_LINE_BYTES))
    with pytest.raises(DataError, match="line 2: has more than 16 MiB"):
        rows_of(path)
    path.write_text("path,label" + ",x" * 1_000_000 + "\na,1\n")
    with pytest.raises(DataError, match="1000002 columns; at most 10000"):
        rows_of(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,label\n" + b"a\n" * 12, "line 2 ends before column 'label'; line 3 .*line 11 .*; and 2 more"),
        (b'path,label\n"a\nb",0\n"c",0,0\n', "rows need 2 fields as the header has: line 4 has 3"),
        (b'path,label\n"a\nb",0\n"c,0\n', "line 4: not CSV"),
        (b'path,label\n"a"b,0\n', "line 2: not CSV"),
        (b"path,label\na," + b"x" * 131_073, r"line 2: not CSV \(field larger than"),
        (b"PATH,path,label,label\na,b,0,1\n", "2 columns are named 'label'"),
        (b"path,name\na,0\n", r"column 'label' is missing \(columns: path, name\)"),
        (b"path,label\na,0\n\0,0\n", "line 3: has a NUL byte"),
        ("path,label\na,0\n".encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x08rest", "compressed"),
    ],
)
def test_bad_rows_are_named_by_their_lines(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.csv: .*{said}") as caught:
        rows_of(tmp_path / "a.csv", exact=b"c" in content)
    assert "\n" not in str(caught.value)
