"""Reading JSON lines, the bad ones among them."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from coterie.agents import jsonlines
from coterie.agents.errors import CorpusError
from coterie.agents.jsonlines import BadLine, read_models, read_objects
from coterie.agents.messages import Message


class Price(BaseModel):
    day: str
    close: float = Field(gt=0)


class Headline(Message):
    text: str
    score: float


def write(folder: Path, content: str | bytes) -> Path:
    file = folder / "rows.jsonl"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def only_bad(file: Path, needed: tuple[str, ...] = ()) -> BadLine:
    (row,) = read_objects(file, needed)
    assert isinstance(row, BadLine)
    return row


def test_one_bad_line_does_not_stop_the_rest(tmp_path: Path) -> None:
    """Rows before and behind a bad line are read, and blank lines are skipped but counted."""
    file = write(tmp_path, '{"text": "a"}\n\n{"text": \n{"text": "b"}')
    first, bad, last = read_objects(file, needed=("text",))
    assert (first, last) == ({"text": "a"}, {"text": "b"})
    assert isinstance(bad, BadLine)
    assert (bad.file, bad.line) == (str(file), 3)
    assert str(bad).startswith(f"{file}, line 3: this is no JSON (Expecting value at column ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", 'found a list, expected an object such as {"text": …}'),
        ("null", "found null, expected an object"),
        ("true", "found true or false, expected an object"),
        ('{"txt": "a", "id": 3}', "'text' is missing; it has 'txt', 'id'"),
        ("{}", "'text' is missing; it has no columns"),
        ('{"text": NaN}', "found NaN, which is no JSON number; expected a finite number or null"),
        ('{"text": -Infinity}', "found -Infinity, which is no JSON number"),
        ('{"text": 1e999}', "found 1e999, which is beyond the largest number"),
        ('{"text": ' + "9" * 5_000 + "}", "its numbers or its nesting are too large"),
        ("[" * 200_000, "its numbers or its nesting are too large"),
        ('{"text": "a"} {"text": "b"}', "this is no JSON (Extra data at column 15)"),
    ],
)
def test_the_reason_says_what_was_found_and_expected(tmp_path: Path, line: str, reason: str) -> None:
    """Each kind of bad line is told in one sentence."""
    assert reason in only_bad(write(tmp_path, line), needed=("text",)).reason


def test_bytes_that_are_not_utf_8_are_a_bad_line(tmp_path: Path) -> None:
    """The byte and its position are named."""
    file = write(tmp_path, b'{"text": "caf\xe9"}\n{"text": "tea"}\n')
    bad, good = read_objects(file)
    assert isinstance(bad, BadLine)
    assert bad.reason == "byte 0xe9 at position 14 is not UTF-8; save the file as UTF-8"
    assert good == {"text": "tea"}


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    """Files saved by other systems are read as they are."""
    file = write(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}\r\n')
    assert list(read_objects(file, needed=("text",))) == [{"text": "a"}, {"text": "b"}]
    prices = read_models(write(tmp_path, b'\xef\xbb\xbf{"day": "1", "close": 2}'), Price)
    assert list(prices) == [Price(day="1", close=2)]


@pytest.mark.parametrize("tail", ["", "\n", '\n{"text": "b"}\n'])
def test_a_line_that_is_too_long_is_skipped_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    """The line behind it keeps its number."""
    monkeypatch.setattr(jsonlines, "LONGEST_LINE", 50)
    monkeypatch.setattr(jsonlines, "_SKIPPED_AT_ONCE", 7)
    bad, *rest = read_objects(write(tmp_path, '{"text": "' + "a" * 200 + '"}' + tail))
    assert isinstance(bad, BadLine)
    assert bad.reason == "it is longer than 50 bytes; split it over several lines"
    assert rest == ([{"text": "b"}] if "b" in tail else [])


def test_a_line_of_five_megabytes_is_read(tmp_path: Path) -> None:
    """Long is not too long."""
    (row,) = read_objects(write(tmp_path, '{"text": "' + "a" * 5_000_000 + '"}'))
    assert isinstance(row, dict)
    assert len(row["text"]) == 5_000_000


def test_rows_are_checked_against_a_model(tmp_path: Path) -> None:
    """Every column that is wrong is named with what was found."""
    file = write(tmp_path, '{"day": "1", "close": 2.5}\n{"close": -1}\n{"day": "3", "close": "high"}\n')
    good, negative, word = read_models(file, Price)
    assert good == Price(day="1", close=2.5)
    assert isinstance(negative, BadLine)
    assert negative.line == 2
    assert negative.reason == "'day' is missing; it has 'close'; 'close': input should be greater than 0, found -1"
    assert isinstance(word, BadLine)
    assert "'close': input should be a valid number" in word.reason
    assert word.reason.endswith("found 'high'")


def test_messages_are_rows_too(tmp_path: Path) -> None:
    """A message's own strictness holds: a number in a string is refused, an unknown column too."""
    file = write(tmp_path, '{"text": "up", "score": 1}\n{"text": "up", "score": "1"}\n{"text": "", "score": 0, "x": 1}')
    good, string, extra = read_models(file, Headline)
    assert good == Headline(text="up", score=1)
    assert isinstance(string, BadLine)
    assert "found '1'" in string.reason
    assert isinstance(extra, BadLine)
    assert extra.reason.startswith("'x': extra inputs are not permitted")


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    """What that means is the caller's business."""
    assert list(read_objects(write(tmp_path, ""))) == []


def test_missing_files_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    """The fault is told before the first row is asked for."""
    with pytest.raises(CorpusError, match=r"cannot read '.*none.jsonl': there is no such file; check the path"):
        read_objects(tmp_path / "none.jsonl")
    with pytest.raises(CorpusError, match="it is a folder; name a file of JSON lines in it"):
        read_models(tmp_path, Price)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=6))
def test_what_json_wrote_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    """Reading is the inverse of writing one object a line."""
    file = write(tmp_path_factory.mktemp("rows"), "\n".join(json.dumps(row) for row in rows))
    assert list(read_objects(file)) == rows


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever a file holds, each of its lines is a finite object or a bad line."""
    for row in read_objects(write(tmp_path_factory.mktemp("rows"), content)):
        assert isinstance(row, dict | BadLine)
        assert not isinstance(row, dict) or all(not isinstance(v, float) or math.isfinite(v) for v in row.values())
