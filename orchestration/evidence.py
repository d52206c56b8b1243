"""The passages that a proposal may rest on, and which of their words it says, too.

A pure function over the messages upstream of the proposal. A passage is whatever has an `id` and a `text`; words are
compared as they are written, in any case. This file knows no run and no database, and it measures no meaning.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from ..agents.shingles import WORD, words_of
from .review_items import EvidenceItem, LineageStep, ShownMessage

Marks: TypeAlias = Mapping[tuple[str, int], bool]
"""Whether a passage is right, by the digest of the message that carries it and its position there."""

STOP_WORDS = frozenset(
    words_of(
        "a about after all also an and any are as at be been before but by can could did do does for from had has have "
        "he her his how i if in into is it its may more most no not of on one or other our out over s she so some such "
        "t than that the their them then there these they this those to under up was we were what when which who will "
        "with would you your"
    )
)


BLOCK = 4096  # characters that are looked at together


@dataclass(frozen=True, slots=True)
class Said:
    """What a proposal says."""

    content: frozenset[str]  # its words, in lower case, but for stop-words
    pairs: frozenset[tuple[str, str]]  # words that follow each other


class Words:
    """The words of a text. It may be a megabyte, so where they stand is found out only in the blocks that are asked."""

    def __init__(self, text: str) -> None:
        self.all: list[str] = []  # in lower case
        self._firsts: list[int] = []  # number of the first word of each block
        self._blocks = list(_blocks(text))
        for _, block in self._blocks:
            self._firsts.append(len(self.all))
            self.all += [word.casefold() for word in WORD.findall(block)]

    def places(self, numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
        """From which to which character the words with these numbers go."""
        inside: dict[int, list[tuple[int, int]]] = {}
        found: dict[int, tuple[int, int]] = {}
        for number in numbers:
            at = bisect_right(self._firsts, number) - 1  # the last, for a block without words begins with the same
            start, block = self._blocks[at]
            if at not in inside:
                inside[at] = [match.span() for match in WORD.finditer(block)]
            begin, end = inside[at][number - self._firsts[at]]
            found[number] = start + begin, start + end
        return found


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """`text` cut at spaces, with the number of the first character of each part."""
    begin = 0
    while begin < len(text):
        end = text.find(" ", begin + BLOCK)
        end = len(text) if end < 0 else end
        yield begin, text[begin:end]
        begin = end


def evidence_of(steps: Sequence[LineageStep], proposal: ShownMessage, marks: Marks) -> tuple[EvidenceItem, ...]:
    """Every passage upstream of `proposal` once, what it cites first, then by overlap.

    A passage is that of the nearest message which a role made, so that a mark reaches the role that found it; where no
    role did, that of the nearest message.

    Args:
        steps: what is upstream, nearest first.
    """
    found: dict[str, tuple[LineageStep, int, Mapping[str, Any]]] = {}
    for step in sorted(steps, key=lambda step: step.role is None):
        for index, passage in enumerate(passages_in(step.message.fields)):
            found.setdefault(passage["id"], (step, index, passage))
    cited = _cited(proposal.fields)
    said = said_in(text for text in _own_texts(proposal.fields.values()) if text not in found)
    items = [_item(step, index, passage, said, cited, marks) for step, index, passage in found.values()]
    return tuple(sorted(items, key=lambda item: (not item.cited, -item.overlap)))


def passages_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """The passages in the lists of a message's fields, in order; a mark names one by its position here."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(value, list) and is_passage(one):
            yield one
        else:
            yield from passages_in(one)


def is_passage(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and isinstance(value.get("text"), str)


def said_in(texts: Iterable[str]) -> Said:
    """What `texts` say together."""
    words = [words_of(text) for text in texts]
    content = frozenset(word for some in words for word in some) - STOP_WORDS
    return Said(content, frozenset(pair for some in words for pair in pairwise(some)))


def spans_of(words: Words, said: Said) -> tuple[tuple[int, int], ...]:
    """From which to which character a text has two words or more as they are said; stop-words alone do not count."""
    runs = [run for run in _runs(words.all, said) if not STOP_WORDS.issuperset(words.all[slice(*run)])]
    if not runs:
        return ()
    places = words.places(number for begin, end in runs for number in (begin, end - 1))
    spans: list[tuple[int, int]] = []
    for first, end in runs:
        begin, stop = places[first][0], places[end - 1][1]
        touches = spans and spans[-1][1] == begin
        spans.append((spans.pop()[0] if touches else begin, stop))
    return tuple(spans)


def _runs(words: Sequence[str], said: Said) -> Iterator[tuple[int, int]]:
    """The longest stretches of `words` in which all neighbours are neighbours as they are said; some may be empty."""
    begin = end = 0
    for number, pair in enumerate(pairwise(words)):
        if pair in said.pairs:
            if end <= number:
                yield begin, end
                begin = number
            end = number + 2
    yield begin, end


def _item(
    step: LineageStep, index: int, passage: Mapping[str, Any], said: Said, cited: frozenset[str], marks: Marks
) -> EvidenceItem:
    words = Words(passage["text"])
    has = said.content.intersection(words.all)
    score, source = passage.get("score"), passage.get("source")
    return EvidenceItem(
        run=step.run,
        task=step.task,
        digest=step.message.digest,
        index=index,
        id=passage["id"],
        text=passage["text"],
        source=source if isinstance(source, str) else "",
        score=float(score) if isinstance(score, int | float) else 0.0,
        cited=passage["id"] in cited,
        spans=spans_of(words, said),
        overlap=len(has) / len(said.content) if said.content else 0.0,
        role=step.role,
        marked=marks.get((step.message.digest, index)),
    )


def _cited(fields: Mapping[str, Any]) -> frozenset[str]:
    """The strings of the fields that are lists of strings, such as `citations`."""
    lists = (value for value in fields.values() if isinstance(value, list))
    return frozenset(text for some in lists if all(isinstance(one, str) for one in some) for text in some)


def _own_texts(value: Any) -> Iterator[str]:
    """Every text in `value` but those of passages, which a proposal only carries along."""
    if isinstance(value, str):
        yield value
    elif not is_passage(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, Iterable) else ()
        for one in inner:
            yield from _own_texts(one)
