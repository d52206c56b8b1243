"""Lines of a retriever's labelled files as rows, and the passages that they name.

    {"anchor": "…", "positive": "…", "negatives": ["…"]}            passages are texts; their ids are made from these
    {"query": "…", "relevant": ["p1"], "passages": [{"id": "p1", "text": "…"}, …]}
    {"query": "…", "relevant": [0], "passages": ["…", "…"]}         positions from 0
    {"id": "q1", "text": "…", "relevant": ["p1"]}                   ids of a file of its own: `id`, `text` on each line

Passages of a row that are not relevant are others to search among, not wrong ones; `negatives` are wrong ones. This
file knows nothing of splits or of duplicates, and cuts no passage.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .lines import Line, Refused, shown, text_from, texts_from
from .rows import RetrieverRow
from .splits import thread_of_text


@dataclass(slots=True)
class PassageShelf:
    """The passages that lines have brought so far, by id."""

    texts: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # id -> where it was read

    def put(self, name: str, text: str, where: str) -> str:
        """Keeps a passage, and says its id.

        Raises:
            Refused: the id has another text already.
        """
        if self.texts.setdefault(name, text) != text:
            raise Refused(
                f"passage {name!r} has another text in {self.places[name]}; give each passage an id of its own"
            )
        self.places.setdefault(name, where)
        return name

    def put_text(self, text: str, where: str) -> str:
        """Keeps a passage without an id; the same text is the same passage."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self.put(digest, text, where)


def passage_of(line: Line, shelf: PassageShelf) -> str:
    """Keeps the passage that a line of a passages file holds.

    Raises:
        Refused: it lacks `id` or `text`, or its id was used by another line.
    """
    name = identity_from(line.content.get("id"), "'id'")
    if name in shelf.texts:
        raise Refused(f"id {name!r} was used in {shelf.places[name]} already; give each passage an id of its own")
    return shelf.put(name, line.text("text"), line.where)


def pair_row(line: Line, shelf: PassageShelf) -> RetrieverRow:
    """The row of a line with `anchor`, `positive` and perhaps `negatives`.

    Raises:
        Refused: a column is missing or holds something else.
    """
    content = line.content
    query = line.text("anchor")
    relevant = _texts(content, ("positive", "positives"))
    rejected = _texts(content, ("negative", "negatives"))
    both = [text for text in rejected if text in relevant]
    if not relevant or both:
        raise Refused(f"{shown(both[0])} is both positive and negative" if both else "it has no positive passage")
    thread = thread_of_text(query)
    return RetrieverRow(
        id=thread,
        query=query,
        relevant=tuple(dict.fromkeys(shelf.put_text(text, line.where) for text in relevant)),
        split=line.part or "train",
        source=line.source(thread),
        rejected=tuple(dict.fromkeys(shelf.put_text(text, line.where) for text in rejected)),
    )


def query_row(line: Line, shelf: PassageShelf) -> RetrieverRow:
    """The row of a line with `query` or `text`, `relevant`, and perhaps its own `passages`.

    Raises:
        Refused: a column is missing or holds something else, nothing is relevant, or a passage is not known.
    """
    query = line.text("query", "text")
    own = _own_passages(line, shelf)
    items = line.content.get("relevant")
    if not isinstance(items, list):
        raise Refused(f"'relevant' is {shown(items)}, expected a list of passages")
    relevant = dict.fromkeys(_relevant(item, own, shelf) for item in items)
    if not relevant:
        raise Refused("'relevant' is empty, expected at least one passage; leave out queries that nothing answers")
    thread = thread_of_text(query)
    return RetrieverRow(thread, query, tuple(relevant), line.part or "train", line.source(thread))


def identity_from(value: Any, place: str) -> str:
    """An id: a text or a whole number.

    Raises:
        Refused: it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_from(value, place)


def _texts(content: Mapping[str, Any], columns: tuple[str, ...]) -> list[str]:
    return [text for name in columns if content.get(name) is not None for text in texts_from(content[name], repr(name))]


def _own_passages(line: Line, shelf: PassageShelf) -> list[str]:
    """The ids of the passages in the line itself, in order."""
    items = line.content.get("passages") or []
    if not isinstance(items, list):
        raise Refused(f"'passages' is {shown(items)}, expected a list of texts or of objects with `id` and `text`")
    found = []
    for number, item in enumerate(items):
        place = f"passages[{number}]"
        if isinstance(item, dict):
            name = identity_from(item.get("id"), f"{place}.id")
            found.append(shelf.put(name, text_from(item.get("text"), f"{place}.text"), line.where))
        else:
            found.append(shelf.put_text(text_from(item, place), line.where))
    return found


def _relevant(item: Any, own: list[str], shelf: PassageShelf) -> str:
    """The id that an entry of `relevant` means: an id, else a position among the line's own passages."""
    name = identity_from(item, "an entry of 'relevant'")
    if isinstance(item, int) and own and name not in own:
        if 0 <= item < len(own):
            return own[item]
    elif name in shelf.texts:
        return name
    known = f"the {len(own) or len(shelf.texts):,} passages{' of the row' if own else ''}"
    such = ", ".join(repr(name) for name in (own or list(shelf.texts))[:2])
    raise Refused(f"'relevant' names passage {item!r}, which is not among {known}, such as {such or 'none'}, …")
