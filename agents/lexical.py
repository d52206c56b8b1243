"""Search by words: BM25 over words and pairs of neighbouring words.

A passage with "net sales" outranks one where "net" and "sales" stand far apart (term dependence, Metzler and Croft,
SIGIR 2005). Numbers such as 1,452.4 are one word; the commonest English words are left out; nothing is stemmed, since
the search by meaning finds other forms of a word. This file knows nothing of embeddings.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from bm25s import BM25  # type: ignore[import-untyped]

from .fusion import Fusion

if TYPE_CHECKING:
    from .inference import FloatArray

_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")
_COMMONEST = (
    "a about after all also an and any are as at be because been before being between both but by can could "
    "did do does doing during each few for from further had has have having he her here hers him his how i if "
    "in into is it its just me more most my no nor not now of off on once only or other our out over own same "
    "she should so some such than that the their them then there these they this those through to too under "
    "until up very was we were what when where which while who whom whose why will with would you your"
)
_TOO_COMMON = frozenset(_COMMONEST.split())


def words(line: str) -> list[str]:
    """The words and numbers of a line in lower case, without the commonest words of English."""
    return [word for word in _WORD.findall(line.lower()) if word not in _TOO_COMMON]


def terms(text: str) -> Iterator[str]:
    """The words of a text, and each two neighbouring words of a line (a row, a paragraph) as one term."""
    for line in text.splitlines():
        found = words(line)
        yield from found
        yield from (f"{first} {second}" for first, second in pairwise(found))


class LexicalIndex:
    """BM25 scores over fixed texts. Building takes time linear in their length; it is never changed afterwards."""

    def __init__(self, texts: Sequence[str], fusion: Fusion) -> None:
        self._size = len(texts)
        vocabulary: dict[str, int] = {}
        ids = [[vocabulary.setdefault(term, len(vocabulary)) for term in terms(text)] for text in texts]
        self._ranking: BM25 | None = None  # None: no text has a single word, only emoji, say
        if vocabulary:
            ranking = BM25(method="lucene", k1=fusion.k1, b=fusion.b)
            ranking.index((ids, vocabulary), create_empty_token=False, show_progress=False)
            self._ranking = ranking

    def scores(self, query: str) -> "FloatArray":
        """(N,) float32; 0 for texts that share no term with the query."""
        ranking = self._ranking
        ids = [] if ranking is None else ranking.get_tokens_ids(list(terms(query)))
        if ranking is None or not ids:
            return np.zeros(self._size, np.float32)
        scores: FloatArray = ranking.get_scores_from_ids(ids)
        return scores
