"""Reading corpora, and cutting texts into chunks that keep their place."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.errors import CorpusError
from coterie.agents.messages import Passage
from coterie.agents.passages import Chunking, Document, documents_of, read_corpus, split

texts = st.text(alphabet="ab .!?\n\t|“”。é😀", max_size=300)
chunkings = st.integers(1, 60).flatmap(lambda size: st.builds(Chunking, st.just(size), st.integers(0, size - 1)))


@given(texts, chunkings)
def test_every_span_is_exact(text: str, chunking: Chunking) -> None:
    """source[start:end] is the chunk's text, which is never longer than the size, blank or padded."""
    for passage in split(Document("x", text), chunking):
        assert text[passage.start : passage.end] == passage.text
        assert 0 < len(passage.text) <= chunking.size
        assert passage.text == passage.text.strip()


@given(texts, chunkings)
def test_nothing_is_lost(text: str, chunking: Chunking) -> None:
    """Every character that is not blank is in a chunk, and chunks come in the order of the text."""
    passages = split(Document("x", text), chunking)
    covered = {place for passage in passages for place in range(passage.start, passage.end)}
    assert all(place in covered or character.isspace() for place, character in enumerate(text))
    assert [passage.start for passage in passages] == sorted({passage.start for passage in passages})
    assert [passage.end for passage in passages] == sorted({passage.end for passage in passages})


@given(texts, chunkings)
def test_chunks_share_no_more_than_the_overlap(text: str, chunking: Chunking) -> None:
    """A chunk repeats at most `overlap` characters of the one before it."""
    passages = split(Document("x", text), chunking)
    for before, after in pairwise(passages):
        assert before.end - after.start <= chunking.overlap


def test_a_text_that_fits_keeps_its_id() -> None:
    """Only what is split is numbered."""
    assert [passage.id for passage in split(Document("a", "Short."))] == ["a"]
    long = split(Document("a", "Net sales rose. " * 100, source="2019.md"), Chunking(200, 50))
    assert [passage.id for passage in long[:2]] == ["a#1", "a#2"]
    assert {passage.source for passage in long} == {"2019.md"}


def test_chunks_end_where_sentences_end_and_repeat_the_last_one() -> None:
    """Sentences are kept whole, quotes and brackets behind the full stop included."""
    text = 'Sales rose. He said "well." (So did costs.) Profit fell. Cash grew.'
    assert [passage.text for passage in split(Document("a", text), Chunking(45, 20))] == [
        'Sales rose. He said "well." (So did costs.)',
        "(So did costs.) Profit fell. Cash grew.",
    ]


def test_tables_are_cut_between_rows() -> None:
    """A row of a table is never torn apart, full stops or not."""
    rows = [f"Segment {number} | {number},452.4 | 44.1" for number in range(20)]
    chunks = split(Document("t", "\n".join(rows)), Chunking(100, 40))
    assert {row for chunk in chunks for row in chunk.text.split("\n")} == set(rows)


def test_a_sentence_longer_than_a_chunk_is_cut_at_words_and_then_anywhere() -> None:
    """There is no other way."""
    assert [chunk.text for chunk in split(Document("a", "one two three four"), Chunking(9, 0))] == [
        "one two",
        "three",
        "four",
    ]
    assert [chunk.text for chunk in split(Document("a", "a" * 10), Chunking(4, 2))] == ["aaaa"] * 3


@pytest.mark.parametrize("piece", ["The cat sat. ", ".", ".)", "a", "word ", " ", "\n", "。", "a\n", '!"'])
def test_five_megabytes_are_cut_in_linear_time(piece: str) -> None:
    """No text makes cutting slow: the suite's time limit would end a quadratic one."""
    text = piece * (5_000_000 // len(piece))
    chunks = split(Document("big", text))
    assert len(chunks) == 0 if not piece.strip() else len(chunks) > 4_000


def test_a_passage_keeps_its_place_in_its_source() -> None:
    """Chunks of a passage that was cut before count from the start of its source."""
    source = "Ignored. Net sales rose. Costs fell."
    given = Passage(id="p", text=source[9:], source="s", start=9, end=len(source))
    chunks = split(documents_of([given])[0], Chunking(16, 0))
    assert [source[chunk.start : chunk.end] for chunk in chunks] == ["Net sales rose.", "Costs fell."]


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (5, 5), (5, -1)])
def test_a_chunking_that_cannot_be_is_refused(size: int, overlap: int) -> None:
    """Overlap must leave room for something new."""
    with pytest.raises(ValueError, match="expected 0 <= overlap < size"):
        Chunking(size, overlap)


def test_json_lines_become_documents_and_bad_lines(tmp_path: Path) -> None:
    """Good rows are documents, numbers may be ids, the file is the source unless a row names one."""
    file = tmp_path / "reports.jsonl"
    file.write_text(
        '{"id": "a", "text": "Sales rose.", "year": 2019}\n{"id": "b"}\nnonsense\n{"id": 7, "text": "x", "source": "s"}'
        '\n{"id": "blank", "text": " "}\n'
    )
    corpus = read_corpus(file)
    assert corpus.documents == (Document("a", "Sales rose.", "reports.jsonl"), Document("7", "x", "s"))
    assert [(bad.line, bad.reason[:23]) for bad in corpus.bad_lines] == [
        (2, "'text' is missing; it h"),
        (3, "this is no JSON (Expect"),
        (5, "'text': it is blank; le"),
    ]


def test_a_folder_of_texts_is_read_in_order(tmp_path: Path) -> None:
    """Subfolders too; hidden files and other kinds of file are left alone; a file that is not UTF-8 is a bad line."""
    for name, content in {"b.md": b"# B", "a.txt": b"A", "sub/c.TXT": b"C", ".git/d.md": b"D", "e.pdf": b"E"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "latin.txt").write_bytes(b"first\ncaf\xe9")
    corpus = read_corpus(tmp_path)
    assert [(document.id, document.text, document.source) for document in corpus.documents] == [
        ("a.txt", "A", "a.txt"),
        ("b.md", "# B", "b.md"),
        ("sub/c.TXT", "C", "sub/c.TXT"),
    ]
    assert [str(bad) for bad in corpus.bad_lines] == [
        f"{tmp_path / 'latin.txt'}, line 2: byte 0xe9 is not UTF-8, so the file was left out; save it as UTF-8"
    ]
    assert [document.id for document in read_corpus(tmp_path / "b.md").documents] == ["b.md"]


def test_iterables_of_texts_passages_and_mappings_are_read() -> None:
    """Texts are called by their positions, and NUL and lone surrogates are repaired."""
    given = ["one", Passage(id="p", text="two", source="s"), {"id": "m", "text": "thr\0ee \ud800"}]
    assert read_corpus(given).documents == (
        Document("1", "one"),
        Document("p", "two", "s"),
        Document("m", "thr\ufffdee \ufffd"),
    )


def test_ids_that_occur_twice_are_named(tmp_path: Path) -> None:
    """Which of two passages a citation meant could not be told."""
    file = tmp_path / "twice.jsonl"
    file.write_text("\n".join(f'{{"id": "{name}", "text": "x"}}' for name in "abcab"))
    with pytest.raises(
        CorpusError, match=r"twice.jsonl': each passage needs an id of its own, but 'a', 'b' occur more"
    ):
        read_corpus(file)


def test_an_empty_corpus_says_what_to_do(tmp_path: Path) -> None:
    """An empty file, an empty folder, no passages, and lines that are all bad."""
    file = tmp_path / "empty.jsonl"
    file.touch()
    expected = r"it holds no passages; give a file of JSON lines with `id` and `text`, or a folder of .txt or .md files"
    for nothing in (file, tmp_path, []):
        with pytest.raises(CorpusError, match=expected):
            read_corpus(nothing)
    file.write_text('{"id": 1}\n{"id": 2}')
    with pytest.raises(CorpusError, match=r"none of its 2 lines is a passage; the first: .*line 1: 'text' is missing"):
        read_corpus(file)


def test_a_missing_corpus_and_a_bad_mapping_are_told() -> None:
    """In plain words, with the place."""
    with pytest.raises(CorpusError, match=r"cannot read 'nowhere.txt': there is no such file"):
        read_corpus("nowhere.txt")
    with pytest.raises(CorpusError, match="passage 2 of those given: 'text': Field required; it needs `id` and `text`"):
        read_corpus(["one", {"id": "a"}])
    with pytest.raises(CorpusError, match="passage 1 of those given: 'text': it is blank; leave the passage out"):
        documents_of(["\n"])
