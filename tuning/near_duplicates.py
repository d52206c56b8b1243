"""Which texts are near-duplicates of each other: found exactly, without comparing each with each.

Two texts are alike where at least `ALIKE` of their shingles (words and pairs of words, figures as one) are common to
both. Only texts that share one of their rarest shingles can be, so only those are compared: the prefix filter of
Chaudhuri et al. 2006, "A Primitive Operator for Similarity Joins in Data Cleaning", and Bayardo et al. 2007, "Scaling
Up All Pairs Similarity Search". This file does not know what the texts are for.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from ..agents.shingles import shingles_of

ALIKE = 0.7  # Jaccard similarity of two texts' shingles from which on they are near-duplicates, 0 to 1


def likeness(one: str, other: str) -> float:
    """The share of the shingles of both texts that is common to them, 0 to 1 (Jaccard)."""
    return _jaccard(_shingles(one), _shingles(other))


def near_duplicate_groups(texts: Sequence[str]) -> list[int]:
    """For each text, the index of the first text of its group: texts joined by a chain of near-duplicates."""
    groups = Groups(len(texts))
    first: dict[frozenset[str], int] = {}
    for index, text in enumerate(texts):
        groups.join(first.setdefault(_shingles(text), index), index)
    _join_alike(first, groups)
    return [groups.of(index) for index in range(len(texts))]


class Groups:
    """Disjoint groups of 0 … count - 1, each called by its least member (Tarjan 1975, path halving)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def of(self, index: int) -> int:
        """The least member of the group of `index`."""
        while self._above[index] != index:
            self._above[index] = self._above[self._above[index]]
            index = self._above[index]
        return index

    def join(self, one: int, other: int) -> None:
        """Makes one group of the groups of both."""
        low, high = sorted((self.of(one), self.of(other)))
        self._above[high] = low


def _join_alike(first: dict[frozenset[str], int], groups: Groups) -> None:
    """Joins those of the different sets (with the index of each) that are alike."""
    frequency = Counter(shingle for shingles in first for shingle in shingles)
    known: defaultdict[str, list[frozenset[str]]] = defaultdict(list)  # shingle -> sets that have it in their prefix
    for shingles in sorted(first, key=len):  # stable, so the shorter of two is always known before the longer
        rarest = sorted(shingles, key=lambda shingle: (frequency[shingle], shingle))
        prefix = rarest[: len(rarest) - math.ceil(ALIKE * len(rarest)) + 1]
        compared: set[int] = set()
        for shingle in prefix:
            for other in known[shingle]:
                if len(other) >= ALIKE * len(shingles) and first[other] not in compared:
                    compared.add(first[other])
                    _join_if_alike(shingles, other, first, groups)
            known[shingle].append(shingles)


def _join_if_alike(
    one: frozenset[str], other: frozenset[str], first: dict[frozenset[str], int], groups: Groups
) -> None:
    if groups.of(first[one]) != groups.of(first[other]) and _jaccard(one, other) >= ALIKE:
        groups.join(first[one], first[other])


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _shingles(text: str) -> frozenset[str]:
    """What is compared; of a text without words, the text itself."""
    return shingles_of(text) or frozenset({text.strip()})
