"""A name that near-duplicates share, so that people meet them together.

The name is the least hash among a text's words and pairs of words: two texts share it with a probability that is the
share of words and pairs which they have in common (Broder, "On the resemblance and containment of documents", 1997).
Figures count as one word, so that texts which differ only in them are alike. This file knows nothing of reviews.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, TypeAlias

Similarity: TypeAlias = Callable[[str, str, float], float]
"""How much of two texts is the same, 0 to 1, and 0 below a bound; similarity.py has one."""

WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value as JSON has them, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts_in(one)


def group_of(text: str) -> str:
    """The name that `text` shares with its near-duplicates, 16 hex digits."""
    words = ["0" if word[0].isdigit() else word for word in words_of(text)]
    shingles: Iterable[str] = {*words, *(f"{one} {other}" for one, other in pairwise(words))}
    return min(map(_hash, shingles), default=_hash(""))


def words_of(text: str) -> list[str]:
    """The words and figures of `text`, in lower case."""
    return [found.group().casefold() for found in WORD.finditer(text)]


def _hash(shingle: str) -> str:
    return hashlib.blake2b(shingle.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
