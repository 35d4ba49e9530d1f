"""Every format gives back what was written, and what is wrong is said with its row."""

from __future__ import annotations

import csv
import doctest
import io
import zipfile
from importlib import import_module

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seiko.errors import MissingDependencyError, ParameterError, TableError
from seiko.tables import FORMATS, Formula, Options, format_of, read_table, write_table
from seiko.tables.base import guard, unguard
from seiko.tables.files import check_writable
from seiko.tables.numbers import NumberFault, number_of, whole_of

ENDINGS = ["csv", "tsv", "jsonl", "xlsx"]


def rows_of(path, **options):
    return [row.cells for row in read_table(path, options=Options(**options))]


def made(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems_of(path, **options):
    with pytest.raises(TableError) as caught:
        rows_of(path, **options)
    return caught.value.problems


@pytest.mark.parametrize("name", ["base", "numbers", "files", "sheets"])
def test_examples(name):
    found = doctest.testmod(import_module(f"seiko.tables.{name}"), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_and_numbers_come_back(tmp_path, ending):
    texts = ["CCO", "=1+1", "-ACD", "+", "@home", "'=x", "a,b;c", 'say "x"', "a\nb", "é 分子", "'quoted'"]
    path = tmp_path / f"a.{ending}"
    write_table(path, ["design", "value", "none"], [{"design": t, "value": 0.1 + 0.2} for t in texts])
    found = rows_of(path)
    assert [row["design"] for row in found] == texts
    exact = 0.1 + 0.2 if ending != "xlsx" else pytest.approx(0.1 + 0.2, rel=1e-15)  # Excel keeps 15 digits
    assert [number_of(row["value"]) for row in found] == [exact] * len(texts)
    assert all(row["none"] in (None, "") for row in found)


@given(
    st.sampled_from(["csv", "tsv", "jsonl"]),
    st.lists(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1)),
)
@settings(max_examples=150, deadline=None)
def test_any_text_comes_back(tmp_path_factory, ending, texts):
    path = tmp_path_factory.mktemp("any") / f"a.{ending}"
    write_table(path, ["mark", "note"], [{"mark": "x", "note": text} for text in texts])
    assert [row["note"] for row in rows_of(path)] == texts


@given(st.text())
def test_guarded_text_comes_back_and_no_spreadsheet_computes_it(text):
    assert unguard(guard(text)) == text
    assert not guard(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.floats(min_value=-1e30, max_value=1e30))
def test_any_number_comes_back(number):
    assert number_of(repr(number)) == number
    assert number_of(repr(number).replace(".", ","), decimal="comma") == number


@pytest.mark.parametrize(
    "cell",
    ["nan", "NaN", "inf", "-inf", "1e400", "-1e400", "1e31", "0x10", "1_000", "1 000", "1,5", "1,234.5",
     "½", "١", "#N/A", "1e", "e5", ".", "--1", "", "True", True, None, float("nan"), float("inf"),
     10**400, -(10**31), Formula("=A1"),
     "1" * 5000, "2024-01-03", "5 nM", "<3", "0.5\0"],
)  # fmt: skip
def test_what_is_no_number(cell):
    with pytest.raises(NumberFault):
        number_of(cell)


@pytest.mark.parametrize(
    "cell", ["1.5", "-1", -1, 1.5, "nan", None, True, "x", 2**60, "1e300", Formula("=1")]
)
def test_what_is_no_whole_number(cell):
    with pytest.raises(NumberFault):
        whole_of(cell)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_so_themselves(tmp_path, encoding):
    assert rows_of(made(tmp_path, "id,note\n1,café\n".encode(encoding))) == [{"id": "1", "note": "café"}]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
def test_encodings_that_must_be_named(tmp_path, encoding):
    path = made(tmp_path, "id,note\n1,plain\n2,café\n".encode(encoding))
    [(row, what)] = problems_of(path)
    assert row == (1 if encoding == "utf-16-le" else 3)
    assert ("utf-16-le" if encoding == "utf-16-le" else "--encoding latin-1") in what
    assert rows_of(path, encoding=encoding)[1]["note"] == "café"


def test_unknown_encodings_are_refused(tmp_path):
    path = made(tmp_path, "id\n1\n")
    for encoding in ("klingon", "zlib", "", "\0"):
        with pytest.raises(TableError, match="encoding"):
            rows_of(path, encoding=encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(tmp_path, separator, end):
    lines = [["Trial ID", "design"], ["0", "CC"], [], ["1", '"a\nb"']]
    path = made(tmp_path, end.join(separator.join(line) for line in lines))
    assert rows_of(path) == [{"trial_id": "0", "design": "CC"}, {"trial_id": "1", "design": "a\nb"}]
    assert [row.number for row in read_table(path)] == [2, 4]


def test_rows_may_end_in_separators_where_the_header_does(tmp_path):
    path = made(tmp_path, "a,b,,\n1,2,,\n,,,,,\n3,4\n")
    assert rows_of(path) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_a_line_that_names_the_separator(tmp_path):
    path = made(tmp_path, "sep=;\nid;a,b\n1;2\n")
    assert [(row.number, row.cells) for row in read_table(path)] == [(3, {"id": "1", "a,b": "2"})]


@pytest.mark.parametrize(
    ("content", "row", "words"),
    [
        ("", 1, "empty"),
        ("\n", 1, "no header"),
        (",,\n1,2,3\n", 1, "no header"),
        ("a,b,A\n", 1, "2 times"),
        ("a,b\n1,2,3\n", 2, "3 cells below 2 columns"),
        ("trial_id,value,noise_std,note\n0,0,41,,\n", 2, "decimal comma"),
        ("a,b\n1,2\n3,4,\n", 3, "only where the header does"),
        ("a;b\n1;2; \n", 2, "3 cells below 2 columns"),
        ("a,\n1,2\n", 2, "column without a name"),
        ('a\n1\n"2\n', 3, "unexpected end"),
        ('a\n"1"2\n', 2, "no CSV"),
        ("a\n" + "x" * 200_000 + "\n", 2, "field larger"),
        (b"a\n\xff\xff\n", 2, "not UTF-8"),
        (b"a\n1\0\n", 1, "NUL"),
    ],
)
def test_broken_csv(tmp_path, content, row, words):
    [(found, what)] = problems_of(made(tmp_path, content))
    assert (found, words in what) == (row, True), what


@pytest.mark.parametrize(
    ("content", "row", "words"),
    [
        ("[1]\n", 1, "one JSON object"),
        ("[]\n", 1, "one JSON object"),
        ('{"a": 1}\n{"a": NaN}\n', 2, "NaN"),
        ('{"a": -Infinity}\n', 1, "Infinity"),
        ('{"a": [1]}\n', 1, "list or an object"),
        ('{"a": {}}\n', 1, "list or an object"),
        ('{"a": 1, "A": 2}\n', 1, "2 times"),
        ('{"a": 1\n', 1, "no JSON"),
        ("[" * 100_000 + "\n", 1, "no JSON"),
        ('{"a": ' + "1" * 5000 + "}\n", 1, "no JSON"),
        (b'\n{"a": "\xff"}\n', 2, "no text in UTF-8"),
    ],
)
def test_broken_json_lines(tmp_path, content, row, words):
    [(found, what)] = problems_of(made(tmp_path, content, "a.jsonl"))
    assert (found, words in what) == (row, True), what


def workbook(path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_excel_gives_typed_cells_and_shows_formulas(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ["trial_id", "value"], [3, 0.25], [], [4, "=A2*2"])
    found = list(read_table(path))
    assert found[0].cells == {"trial_id": 3, "value": 0.25}
    assert (found[1].number, type(found[1].cells["value"])) == (4, Formula)


def test_written_text_is_no_formula_in_excel(tmp_path):
    write_table(tmp_path / "a.xlsx", ["design"], [{"design": "=1+1"}])
    cell = openpyxl.load_workbook(tmp_path / "a.xlsx").active["A2"]
    assert (cell.value, cell.data_type, cell.quotePrefix) == ("=1+1", "s", True)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_workbook(tmp_path, content):
    [(row, what)] = problems_of(made(tmp_path, content, "a.xlsx"))
    assert row == 0
    assert "workbook" in what


def test_a_workbook_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", ["a"])
    monkeypatch.setattr("seiko.tables.excel.MOST_BYTES", 100)
    assert "unpacks to" in problems_of(path)[0][1]


def test_a_workbook_with_a_broken_sheet(tmp_path):
    whole, broken = workbook(tmp_path / "a.xlsx", ["a"], [1]), tmp_path / "b.xlsx"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:200])
    assert "damaged" in problems_of(broken)[0][1]


def test_excel_limits_are_said(tmp_path, monkeypatch):
    with pytest.raises(TableError, match="32,767"):
        write_table(tmp_path / "a.xlsx", ["a"], [{"a": "x" * 40_000}])
    with pytest.raises(TableError, match="Excel cannot"):
        write_table(tmp_path / "a.xlsx", ["a"], [{"a": "\x01"}])
    monkeypatch.setattr("seiko.tables.excel.MOST_ROWS", 2)
    with pytest.raises(TableError, match="rows at most"):
        write_table(tmp_path / "a.xlsx", ["a"], [{"a": 1}, {"a": 2}])
    assert list(tmp_path.iterdir()) == []


def test_excel_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match="extra `excel`"):
        write_table(tmp_path / "a.xlsx", ["a"], [])


def test_formulas_in_csv_are_seen_and_numbers_are_none(tmp_path):
    path = made(tmp_path, 'a\n=1+1\n"+cmd|x"\n-@x\n@SUM(1)\n-1.5\n+2e3\n"-1,5"\n\'=text\n')
    cells = [row["a"] for row in rows_of(path)]
    assert [type(cell) for cell in cells] == [Formula] * 4 + [str] * 4
    assert cells[-1] == "=text"


def test_reading_streams(tmp_path):
    path = tmp_path / "a.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a"])
        writer.writerows([i] for i in range(100_000))
        file.write('"never closed')
    rows = read_table(path)
    assert next(rows).cells == {"a": "0"}
    rows.close()


def test_a_file_that_is_there_is_kept(tmp_path):
    path = made(tmp_path, "filled")
    with pytest.raises(TableError, match="may hold readings"):
        write_table(path, ["a"], [])
    assert path.read_text() == "filled"
    write_table(path, ["a"], [{"a": 1}], replace=True)
    assert path.read_text() == "a\n1\n"


def test_a_write_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield {"a": 1}
        raise OSError(28, "No space left on device")

    with pytest.raises(TableError, match="No space left"):
        write_table(tmp_path / "a.csv", ["a"], broken())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TableError, match="not there"):
        check_writable(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(TableError, match="is a folder"):
        check_writable(made(tmp_path, "", "x.csv").parent, format="csv", replace=True)


def test_formats_by_ending_and_by_name(tmp_path):
    assert {format_of(f"x.{ending.upper()}").name for ending in ENDINGS} == set(FORMATS)
    assert format_of("x.tab").name == "tsv"
    for path, name in (("x.xls", None), ("x", None), ("x.csv", "parquet")):
        with pytest.raises(ParameterError, match="table format"):
            format_of(path, name)
    for path in (tmp_path / "none.csv", tmp_path, "a\0.csv"):
        with pytest.raises(TableError, match="cannot be read"):
            list(read_table(path, format="csv"))


def test_standard_streams(monkeypatch, capsysbinary):
    write_table("-", ["a"], [{"a": "é"}])
    out = capsysbinary.readouterr().out
    assert out == "a\né\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(out)))
    assert rows_of("-") == [{"a": "é"}]
