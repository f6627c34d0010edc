"""Reading tables as text, against pandas where it reads the same, and every mistake in one line."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from howdeep.errors import UserError
from howdeep.intake import reading
from howdeep.intake.reading import SEPARATORS, encoding_of, read, separator_of, stream

TEXT = 'name;size;note\n"Köln; am Rhein";1,5;007\nParis;2,5;"two\nlines"\n'


def zipped(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("of.csv", content)
    return made.getvalue()


def sheet(path):
    encoding, _ = encoding_of(path)
    return read(path, encoding, separator_of(path, encoding)[0])


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_any_usual_encoding_gives_the_same_table(tmp_path, encoding, expected):
    path = tmp_path / "of.csv"
    path.write_bytes(TEXT.encode(encoding))
    assert encoding_of(path)[0] == expected
    found = sheet(path)
    assert found.names == ["name", "size", "note"]
    assert found.rows == [["Köln; am Rhein", "1,5", "007"], ["Paris", "2,5", "two\nlines"]]
    assert found.lines == [2, 3]


@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6).map(str.strip),
            min_size=3,
            max_size=3,
        ).filter(any),
        min_size=1,
        max_size=5,
    ),
    separator=st.sampled_from(sorted(SEPARATORS)),
)
@settings(max_examples=60)
def test_what_pandas_writes_is_read_as_it_was(tmp_path_factory, rows, separator):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    table = pd.DataFrame(rows, columns=["a", "b", "c"])
    table.to_csv(path, sep=separator, index=False)
    assert read(path, "utf-8", separator).rows == rows


@pytest.mark.parametrize("separator", sorted(SEPARATORS))
def test_the_separator_is_that_which_gives_every_row_as_many_columns(tmp_path, separator):
    path = tmp_path / "of.csv"
    path.write_text(
        "\n".join(separator.join(row) for row in (["a", "b", "c"], ["1.5", "x y", "2"], ["3", "z", "4"]))
    )
    assert separator_of(path, "utf-8")[0] == separator


def test_a_single_column_needs_none(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("value\n1\n2\n")
    assert sheet(path).rows == [["1"], ["2"]]


def test_parquet_is_the_same_table_as_text(tmp_path):
    path = tmp_path / "of.parquet"
    pd.DataFrame(
        {"n": [1.5, None], "day": pd.to_datetime(["2020-01-02", "2020-01-03"]), "word": ["x", None]}
    ).to_parquet(path)
    assert read(path, "utf-8", ",").rows == [
        ["1.5", "2020-01-02T00:00:00", "x"],
        ["", "2020-01-03T00:00:00", ""],
    ]


@pytest.mark.parametrize("cells", [1, reading.CELLS])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a table, got an empty file"),
        (b"a,b\n", "expected rows below the header, got none"),
        (
            b"a,b\n1,2\n3\n4,5,6\n",
            "expected 2 columns in every row, as in the header, but line 3 has 1, line 4 has 3",
        ),
        (b"a,b\n1,2\n3\n4\n5,6\n7\n8\n9\n", "but line 3 has 1, line 4 has 1, line 6 has 1 and 2 more"),
        (b"a,,c\n1,2,3\n", "column 2 has none"),
        (b"a,b,a\n1,2,3\n", "'a' is there 2 times"),
        (b"a,b\n1,2\n\x81\x8d,4\n", "got the byte 0x81 in line 3"),
        (b'a,b\n1,"2\n', "not readable as a table"),
        (b'a,b\n1\n1,2\n3,"2\n', "not readable as a table"),
        (codecs.BOM_UTF8 + b"a,b\n", "expected rows below the header"),
        (b"PAR1 no parquet", "expected a Parquet file, got a broken one"),
    ],
)
def test_what_is_no_table_is_told_in_one_line_in_whichever_chunk_it_is(
    tmp_path, monkeypatch, content, told, cells
):
    monkeypatch.setattr(reading, "CELLS", cells)
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told.replace("(", r"\(")) as error:
        sheet(path)
    assert "bad.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_first_column_without_a_name_has_the_names_of_rows_as_r_and_pandas_write_them(tmp_path):
    path = tmp_path / "of.csv"
    table = pd.DataFrame({"a": ["1", "2"], "row": ["x", "x"]}, index=["first", "second"])
    table.to_csv(path)
    assert sheet(path).names == ["row_", "a", "row"]
    assert sheet(path).column("row_") == ["first", "second"]
    path.write_text(",a\nx,1\nx,2\n")
    with pytest.raises(UserError, match="column 1 has none"):
        sheet(path)


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_a_table_that_is_packed_is_no_text_in_a_strange_encoding(tmp_path, packed):
    path = tmp_path / "of.csv"
    path.write_bytes(packed(b"a,b\n1,2\n"))
    with pytest.raises(UserError, match=r"expected text, or a table in CSV or Parquet, got a .*: unpack it"):
        encoding_of(path)


def test_a_text_that_begins_as_a_packed_one_is_read(tmp_path):
    path = tmp_path / "of.csv"
    path.write_text("BZhang,PK\n1,2\n")
    assert encoding_of(path)[0] == "utf-8"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"expected a file at .*none\.csv, found none"):
        encoding_of(tmp_path / "none.csv")
    with pytest.raises(UserError, match="found a folder"):
        encoding_of(tmp_path)


def test_a_wrong_encoding_in_the_yaml_is_told_with_its_line(tmp_path):
    path = tmp_path / "of.csv"
    path.write_bytes("a,b\n1,2\n3,é\n".encode("cp1252"))
    with pytest.raises(UserError, match="expected text in utf-8, got other bytes in line 3"):
        read(path, "utf-8", ",")
    with pytest.raises(UserError, match="encoding must be one of"):
        read(path, "klingon", ",")


def test_lines_are_those_of_an_editor_where_texts_have_lines_of_their_own(tmp_path):
    path = tmp_path / "of.csv"
    path.write_text('a,b\n"x\ny",1\n\nz,2\n')
    assert sheet(path).lines == [2, 5]
    assert pd.read_csv(io.StringIO(path.read_text())).shape == (2, 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("cells", [1, 4, 1000])
def test_chunks_are_the_table_with_its_lines(tmp_path, monkeypatch, encoding, cells):
    monkeypatch.setattr(reading, "BLOCK", 3)  # characters lie across blocks
    path = tmp_path / "of.csv"
    path.write_bytes('a,b\n"x\ny",ä\n\nz,2\nü,"€"\n'.encode(encoding))
    assert encoding_of(path)[0] == encoding
    monkeypatch.setattr(reading, "CELLS", cells)
    chunks = list(stream(path, encoding, ","))
    assert [len(sheet.rows) for sheet in chunks] == {1: [1, 1, 1], 4: [2, 1], 1000: [3]}[cells]
    assert {tuple(sheet.names) for sheet in chunks} == {("a", "b")}
    assert [row for sheet in chunks for row in sheet.rows] == [["x\ny", "ä"], ["z", "2"], ["ü", "€"]]
    assert [line for sheet in chunks for line in sheet.lines] == [2, 5, 6]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize("block", [1, 5, 1 << 20])
def test_a_wrong_byte_is_told_with_its_line_wherever_a_file_is_cut_into_blocks(
    tmp_path, monkeypatch, encoding, block
):
    monkeypatch.setattr(reading, "BLOCK", block)
    wrong = {"utf-8": b"\xe4\xbf", "cp1252": b"\x81", "utf-16": b"\x00\xdc"}[encoding]  # half a pair
    path = tmp_path / "of.csv"
    path.write_bytes("a,b\né,2\n3,4\n".encode(encoding) + wrong + "5,6\n".encode(encoding)[-8:])
    with pytest.raises(UserError, match=f"expected text in {encoding}, got other bytes in line 4"):
        read(path, encoding, ",")


def test_text_in_utf_16_needs_no_mark_where_the_yaml_says_what_it_is(tmp_path):
    path = tmp_path / "of.csv"
    path.write_bytes("a,b\nä,2\n".encode("utf-16-le"))
    assert read(path, "utf-16", ",").rows == [["ä", "2"]]


def test_parquet_comes_in_chunks_that_number_their_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CELLS", 4)
    path = tmp_path / "of.parquet"
    pd.DataFrame({"n": range(5), "word": list("abcde")}).to_parquet(path, row_group_size=3)
    chunks = list(stream(path, "utf-8", ","))
    assert [line for sheet in chunks for line in sheet.lines] == [1, 2, 3, 4, 5]
    assert [row for sheet in chunks for row in sheet.rows] == [[str(n), "abcde"[n]] for n in range(5)]
    assert len(chunks) > 1
