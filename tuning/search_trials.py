"""What each way of searching would find: nDCG@10 of questions over one corpus, for many settings at once.

Scores are those of the served search (agents/index.py): passages are cut as they are there, a passage counts with its
best chunk, ties go to the lower id. Letters in shape comments: Q questions, N passages, C chunks of them, D width of an
embedding, F settings.

This file knows nothing of how vectors are made or of which settings are tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from ..agents.fusion import Fusion
from ..agents.passages import Document, split
from .lexical_scores import LexicalScores
from .near_duplicates import Groups
from .rows import RetrieverRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray

DEPTH = 10  # passages of a ranking that count
_AT_ONCE = 2_000_000  # scores, 4 bytes each


@dataclass(frozen=True, slots=True)
class SearchedCorpus:
    """Passages as the index holds them."""

    ids: tuple[str, ...]  # (N), sorted
    chunks: tuple[str, ...]  # (C) texts, those of a passage one after another
    owners: "NDArray[np.int64]"  # (C) the place of each chunk's passage in `ids`

    @classmethod
    def of(cls, passages: Mapping[str, str]) -> "SearchedCorpus":
        """The corpus of `passages`, id -> text."""
        ids = tuple(sorted(passages))
        cut = [[chunk.text for chunk in split(Document(name, passages[name]))] or [passages[name]] for name in ids]
        owners = np.repeat(np.arange(len(ids)), [len(chunks) for chunks in cut])
        return cls(ids, tuple(chunk for chunks in cut for chunk in chunks), owners)

    @property
    def starts(self) -> "NDArray[np.int64]":
        """(N) the first chunk of each passage."""
        return np.searchsorted(self.owners, np.arange(len(self.ids)))


@dataclass(frozen=True, slots=True)
class Questions:
    """Rows whose passages are known, with the places of these in the corpus."""

    rows: tuple[RetrieverRow, ...]  # (Q)
    relevant: "tuple[NDArray[np.int64], ...]"  # of each row, without repetition
    rejected: "tuple[NDArray[np.int64], ...]"
    threads: tuple[int, ...]  # rows of one number share a thread or a relevant passage

    @classmethod
    def of(cls, rows: Sequence[RetrieverRow], corpus: SearchedCorpus) -> "Questions":
        """Those of `rows` that at least one passage of `corpus` answers."""
        places = {name: place for place, name in enumerate(corpus.ids)}
        kept = [row for row in rows if any(name in places for name in row.relevant)]
        relevant = tuple(_places(row.relevant, places) for row in kept)
        rejected = tuple(
            np.setdiff1d(_places(row.rejected, places), own) for row, own in zip(kept, relevant, strict=True)
        )
        return cls(tuple(kept), relevant, rejected, _threads(kept, relevant))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def texts(self) -> list[str]:
        """What is asked."""
        return [row.query for row in self.rows]

    @property
    def weights(self) -> "NDArray[np.float64]":
        """(Q) how much each row counts."""
        return np.array([row.weight for row in self.rows])


class SearchTrials:
    """Ranks a corpus for some questions under any fusion and any vectors."""

    def __init__(self, corpus: SearchedCorpus, questions: Questions) -> None:
        self.corpus = corpus
        self.questions = questions
        self._starts = corpus.starts
        self._words = LexicalScores(corpus.chunks, questions.texts)

    def ndcgs(self, asked: "FloatArray", chunks: "FloatArray", fusions: Sequence[Fusion]) -> "NDArray[np.float64]":
        """(F, Q) nDCG@10 under each fusion; `asked` (Q, D) and `chunks` (C, D) are unit vectors."""
        measured = np.zeros((len(fusions), len(self.questions)))
        order = sorted(range(len(fusions)), key=lambda place: (fusions[place].k1, fusions[place].b))
        for block in self._blocks():
            meaning = by_meaning(asked[block] @ chunks.T)
            for (k1, b), places in groupby(order, key=lambda place: (fusions[place].k1, fusions[place].b)):
                words = by_words(self._words.scores(k1, b, block))
                for place in places:
                    scores = joined(fusions[place].lexical_share, words, meaning)
                    measured[place, block] = self._gains(scores, block)
        return measured

    def words(self, fusion: Fusion, questions: "slice | Sequence[int]" = slice(None)) -> "FloatArray":
        """BM25 scores (Q, C) of all questions or of some, the best of each question 1."""
        return by_words(self._words.scores(fusion.k1, fusion.b, questions))

    def _blocks(self) -> Iterator[slice]:
        size = max(1, _AT_ONCE // max(1, len(self.corpus.chunks)))
        yield from (slice(start, start + size) for start in range(0, len(self.questions), size))

    def _gains(self, scores: "FloatArray", block: slice) -> "NDArray[np.float64]":
        passages = np.maximum.reduceat(scores, self._starts, axis=1)  # (Q, N)
        return ndcgs_of(passages, self.questions.relevant[block])


def by_words(lexical: "FloatArray") -> "FloatArray":
    """BM25 scores (Q, C), the best of each question 1; 0 where nothing shares a word with it."""
    best = lexical.max(axis=1, keepdims=True)
    return np.asarray(lexical / np.where(best > 0, best, 1), np.float32)


def by_meaning(cosines: "FloatArray") -> "FloatArray":
    """Cosines (Q, C) counted from -1, the best of each question 1."""
    return np.asarray((cosines + 1) / np.maximum(cosines.max(axis=1, keepdims=True) + 1, 1e-6), np.float32)


def joined(lexical_share: float, words: "FloatArray", meaning: "FloatArray") -> "FloatArray":
    """`Fusion.combine` of many questions: (Q, C) from what `by_words` and `by_meaning` give."""
    share = np.where(words.max(axis=1, keepdims=True) > 0, np.float32(lexical_share), np.float32(0))  # (Q, 1)
    return np.asarray(share * words + (1 - share) * meaning, np.float32)


def ndcgs_of(
    scores: "FloatArray", relevant: "Sequence[NDArray[np.int64]]", depth: int = DEPTH
) -> "NDArray[np.float64]":
    """nDCG at `depth` of each question (Q) from scores (Q, N) and places of what is relevant; lower places win ties."""
    discounts = 1 / np.log2(np.arange(2, depth + 2))  # (depth)
    gained = np.zeros(len(scores))
    before = np.arange(scores.shape[1])
    for number in range(max(map(len, relevant), default=0)):
        rows = np.array([row for row, own in enumerate(relevant) if len(own) > number])
        own = np.array([relevant[row][number] for row in rows])
        all_scores = scores[rows]
        least = all_scores[np.arange(len(rows)), own][:, None]
        ranks = ((all_scores > least) | ((all_scores == least) & (before < own[:, None]))).sum(axis=1)  # from 0
        gained[rows] += np.where(ranks < depth, discounts[np.minimum(ranks, depth - 1)], 0)
    possible = np.array([discounts[: len(own)].sum() for own in relevant])
    return np.asarray(gained / possible)


def _places(names: Sequence[str], places: Mapping[str, int]) -> "NDArray[np.int64]":
    return np.array(sorted({places[name] for name in names if name in places}), np.int64)


def _threads(rows: Sequence[RetrieverRow], relevant: "Sequence[NDArray[np.int64]]") -> tuple[int, ...]:
    groups = Groups(len(rows))
    first: dict[str | int, int] = {}
    for index, (row, places) in enumerate(zip(rows, relevant, strict=True)):
        for key in (row.source.thread, *places.tolist()):
            groups.join(first.setdefault(key, index), index)
    return tuple(groups.of(index) for index in range(len(rows)))
