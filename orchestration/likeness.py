"""A name that near-duplicates share, so that people meet them together.

The name is the least hash among a text's words and pairs of words: two texts share it with a probability that is the
share of words and pairs which they have in common (Broder, "On the resemblance and containment of documents", 1997).
This file knows nothing of reviews.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ..agents.shingles import shingles_of

Similarity: TypeAlias = Callable[[str, str, float], float]
"""How much of two texts is the same, 0 to 1, and 0 below a bound; similarity.py has one."""


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
    return min(map(_hash, shingles_of(text)), default=_hash(""))


def _hash(shingle: str) -> str:
    return hashlib.blake2b(shingle.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
