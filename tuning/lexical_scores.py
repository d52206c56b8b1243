"""BM25 scores of many questions at once, for any k1 and b, as `agents.lexical.LexicalIndex` would give them.

Term frequencies are counted once; another k1 or b only weighs them anew. Letters in shape comments: Q questions, C
texts, W words of the vocabulary (pairs of neighbouring words included).

This file knows nothing of embeddings or of how scores are joined.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from ..agents.lexical import terms

if TYPE_CHECKING:
    from ..agents.inference import FloatArray


class LexicalScores:
    """Word counts of fixed texts and questions. Robertson and Zaragoza 2009, with Lucene's inverse frequencies."""

    def __init__(self, texts: Sequence[str], questions: Sequence[str]) -> None:
        vocabulary: dict[str, int] = {}
        found = [[vocabulary.setdefault(term, len(vocabulary)) for term in terms(text)] for text in texts]
        asked = [[vocabulary[term] for term in terms(question) if term in vocabulary] for question in questions]
        self._counts = _counts(found, len(vocabulary))  # (C, W)
        self._asked = _counts(asked, len(vocabulary))  # (Q, W)
        lengths = np.array([len(words) for words in found], np.float64)  # (C)
        self._relative = lengths / max(float(lengths.mean()), 1e-9) if len(lengths) else lengths
        holding = np.bincount(self._counts.indices, minlength=len(vocabulary))  # (W) texts that hold the word
        self._rarity = np.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))  # (W)
        self._rows = np.repeat(np.arange(len(texts)), np.diff(self._counts.indptr))  # the text of each count

        self._weighed: tuple[tuple[float, float], Any] | None = None  # the settings asked for last, and (W, C) for them

    def scores(self, k1: float, b: float, questions: "slice | Sequence[int]" = slice(None)) -> "FloatArray":
        """(Q, C) float32, of all questions or of some; 0 where question and text share no term."""
        if self._weighed is None or self._weighed[0] != (k1, b):
            self._weighed = (k1, b), self._weights(k1, b)
        rows = questions if isinstance(questions, slice) else list(questions)
        scores: FloatArray = (self._asked[rows] @ self._weighed[1]).toarray().astype(np.float32)
        return scores

    def _weights(self, k1: float, b: float) -> Any:
        weights = self._counts.copy()
        damping = k1 * (1 - b + b * self._relative)  # (C)
        weights.data = weights.data / (weights.data + damping[self._rows]) * self._rarity[weights.indices]
        return weights.T


def _counts(words: Sequence[Sequence[int]], width: int) -> Any:
    """How often each word stands in each text: (len(words), width), sparse."""
    rows = np.repeat(np.arange(len(words)), [len(row) for row in words])
    columns = np.array([word for row in words for word in row], np.int64)
    return csr_matrix((np.ones(len(columns)), (rows, columns)), shape=(len(words), width))
