"""Where passages come from: files, folders and iterables, cut into chunks that keep their place in the source.

A `Document` is one text with an id; `split` cuts it on sentence, row or paragraph bounds into `Passage`s whose span
[start, end) is exact: source[start:end] is the passage's text. This file knows nothing of models or of searching.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, StrictInt, StrictStr, ValidationError
from pydantic_core import PydanticCustomError

from .errors import CorpusError
from .jsonlines import BadLine, read_models
from .messages import Passage, repair_text

CorpusSource: TypeAlias = str | PathLike[str] | Iterable[Passage | str | Mapping[str, Any]]

_TEXT_SUFFIXES = (".txt", ".md")
_STOPS = "\u3002\uff01\uff1f"  # full stops of Chinese and Japanese, which no space follows
_GAP = re.compile(rf"\s+|[{_STOPS}]")  # one alternative consumes each character once, so it is linear in any text
_ENDINGS = ".!?…"
_CLOSINGS = "\"'\u201d\u2019)]»*_"


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a corpus, of any length, before it is cut."""

    id: str
    text: str
    source: str = ""  # file, URL or name of the collection
    offset: int = 0  # where `text` starts in its source, in characters


@dataclass(frozen=True, slots=True)
class Chunking:
    """How long passages may be. The encoder reads at most 256 word pieces, about 1,000 characters of English."""

    size: int = 1_000  # characters, at most
    overlap: int = 150  # characters that a chunk may repeat of the one before it, in whole sentences

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.overlap < self.size:
            raise ValueError(
                f"chunks of {self.size} characters cannot overlap by {self.overlap}; expected 0 <= overlap < size"
            )


@dataclass(frozen=True, slots=True)
class Corpus:
    """What could be read, and what could not."""

    documents: tuple[Document, ...]
    bad_lines: tuple[BadLine, ...] = ()


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "it is blank; leave the passage out")
    return text


class _Row(BaseModel):
    id: StrictStr | StrictInt
    text: Annotated[StrictStr, AfterValidator(_not_blank)]
    source: StrictStr = ""


def read_corpus(source: CorpusSource) -> Corpus:
    """The documents of a file of JSON lines (`id`, `text`, optional `source`), of a .txt or .md file, of a folder of
    such text files (with its subfolders, in order of their paths), or of an iterable of passages, texts or mappings.

    Raises:
        CorpusError: there is nothing to read, nothing usable in it, or two documents have the same id.
    """
    if isinstance(source, str | PathLike):
        path = Path(source)
        items, name = (_from_folder(path) if path.is_dir() else _from_file(path)), repr(str(path))
    else:
        items, name = _from_iterable(source), "the passages given"
    documents: list[Document] = []
    bad_lines: list[BadLine] = []
    for item in items:
        if isinstance(item, BadLine):
            bad_lines.append(item)
        elif item.text.strip():  # an empty text file is no fault
            documents.append(item)
    if not documents:
        raise CorpusError(_nothing(name, bad_lines))
    check_unique((document.id for document in documents), name)
    return Corpus(tuple(documents), tuple(bad_lines))


def documents_of(passages: Iterable[Passage | str | Mapping[str, Any]]) -> tuple[Document, ...]:
    """Documents from passages, plain texts (their ids are their positions from 1) or mappings with `id` and `text`.

    Raises:
        CorpusError: a text is blank, a mapping lacks a column or holds another type, or two ids are the same.
    """
    documents = tuple(_from_iterable(passages))
    check_unique((document.id for document in documents), "the passages given")
    return documents


def check_unique(ids: Iterable[str], where: str) -> None:
    """Refuse ids that occur twice.

    Raises:
        CorpusError: naming them.
    """
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5]) + (
            f" and {len(twice) - 5:,} more" if len(twice) > 5 else ""
        )
        raise CorpusError(
            f"{where}: each passage needs an id of its own, but {shown} occur more than once; rename them"
        )


def split(document: Document, chunking: Chunking = Chunking()) -> tuple[Passage, ...]:
    """The document in chunks of at most `chunking.size` characters, in order, in time linear in its length.

    A document that fits is one passage under its own id; the chunks of a longer one are called `id#1`, `id#2`, ….
    Chunks end where a sentence, a row or a paragraph ends, and only a sentence longer than a chunk is cut inside.
    """
    spans = list(_spans(document.text, chunking))
    names = [document.id] if len(spans) == 1 else [f"{document.id}#{number}" for number in range(1, len(spans) + 1)]
    return tuple(
        Passage(
            id=name,
            text=document.text[start:end],
            source=document.source,
            start=document.offset + start,
            end=document.offset + end,
        )
        for name, (start, end) in zip(names, spans, strict=True)
    )


def _spans(text: str, chunking: Chunking) -> Iterator[tuple[int, int]]:
    """The stripped span of each chunk; spans of nothing but whitespace are left out."""
    if len(text) <= chunking.size:
        yield from _stripped(text, 0, len(text))
        return
    pieces: list[int] = []  # starts of the pieces of the chunk that is being filled
    end = 0
    for piece_start, piece_end in _pieces(text, chunking):
        if pieces and piece_end - pieces[0] > chunking.size:
            yield from _stripped(text, pieces[0], end)
            shared = [start for start in pieces[1:] if end - start <= chunking.overlap]
            pieces = [start for start in shared if piece_end - start <= chunking.size]
        pieces.append(piece_start)
        end = piece_end
    yield from _stripped(text, pieces[0], end)


def _pieces(text: str, chunking: Chunking) -> Iterator[tuple[int, int]]:
    """Sentences, rows and paragraphs, each with the gap behind it; one longer than a chunk comes in several parts."""
    start = 0
    for bound in [*_bounds(text), len(text)]:
        while bound - start > chunking.size:
            window = start + (chunking.overlap or chunking.size)
            space = text.rfind(" ", start, window) + 1
            cut = space or window
            yield start, cut
            start = cut
        if bound > start:
            yield start, bound
            start = bound


def _bounds(text: str) -> Iterator[int]:
    """Where a sentence, a row or a paragraph ends, the gap behind it included."""
    for gap in _GAP.finditer(text):
        if gap[0] in _STOPS or "\n" in gap[0] or _ends_sentence(text, gap.start()):
            yield gap.end()


def _ends_sentence(text: str, gap: int) -> bool:
    last = text[gap - 1 : gap]
    if last and last in _CLOSINGS:
        last = text[max(gap - 2, 0) : gap - 1]
    return bool(last) and last in _ENDINGS


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    chunk = text[start:end]
    start += len(chunk) - len(chunk.lstrip())
    end -= len(chunk) - len(chunk.rstrip())
    if start < end:
        yield start, end


def _from_file(path: Path) -> Iterator[Document | BadLine]:
    if path.suffix.lower() in _TEXT_SUFFIXES and path.exists():
        yield _from_text(path, path.name)
        return
    for row in read_models(path, _Row):
        yield row if isinstance(row, BadLine) else _from_row(row, path.name)


def _from_folder(folder: Path) -> Iterator[Document | BadLine]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix.lower() in _TEXT_SUFFIXES and path.is_file() and not hidden:
            yield _from_text(path, name.as_posix())


def _from_text(path: Path, name: str) -> Document | BadLine:
    try:
        content = path.read_bytes()
        return Document(name, repair_text(content.decode("utf-8-sig")), source=name)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = f"byte {error.object[error.start]:#04x} is not UTF-8, so the file was left out; save it as UTF-8"
        return BadLine(str(path), line, reason)
    except OSError as error:
        raise CorpusError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _from_iterable(items: Iterable[Passage | str | Mapping[str, Any]]) -> Iterator[Document]:
    for number, item in enumerate(items, start=1):
        if isinstance(item, Passage):
            yield _given(number, item.model_dump(), item.start)
        elif isinstance(item, str):
            yield _given(number, {"id": str(number), "text": item})
        else:
            yield _given(number, item)


def _given(number: int, item: Mapping[str, Any], offset: int = 0) -> Document:
    try:
        return _from_row(_Row.model_validate(item), "", offset)
    except ValidationError as error:
        fault = error.errors()[0]
        column = ".".join(str(step) for step in fault["loc"][:1])
        raise CorpusError(
            f"passage {number} of those given: {column!r}: {fault['msg']}; it needs `id` and `text`"
        ) from error


def _from_row(row: _Row, source: str, offset: int = 0) -> Document:
    return Document(repair_text(str(row.id)), repair_text(row.text), row.source or source, offset)


def _nothing(name: str, bad_lines: list[BadLine]) -> str:
    if bad_lines:
        return f"{name}: none of its {len(bad_lines):,} lines is a passage; the first: {bad_lines[0]}"
    expected = "a file of JSON lines with `id` and `text`, or a folder of .txt or .md files"
    return f"{name}: it holds no passages; give {expected}"
