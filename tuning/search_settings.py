"""Rung 0 of a retriever: fusion weights, BM25 settings and the linear map of queries, chosen together on train rows.

The map is judged by what it makes of questions whose threads it has not seen (query_map.py), so train rows can choose
everything; validation is left to judge the choice. Letters in shape comments: Q questions, C chunks, D width of an
embedding.

This file knows nothing of encoders or releases.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ..agents.fusion import Fusion
from .query_map import QueryMaps, blended, normalised
from .search_trials import SearchTrials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray

LEXICAL_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
FIRST_SHARES = (0.25, 0.5)  # with which BM25's settings are chosen
K1S = (0.1, 0.3, 0.6, 0.9, 1.5)
BS = (0.0, 0.2, 0.4, 0.75)
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)  # in mean eigenvalues of the questions' second moments
BLENDS = (0.25, 0.5, 0.75, 1.0)  # shares of the way from the base to the map


@dataclass(frozen=True, slots=True)
class ChosenMap:
    """A map of queries, and how it was made."""

    matrix: "FloatArray"  # (D, D) float32, the blend included
    ridge: float
    blend: float

    def place(self, questions: "FloatArray") -> "FloatArray":
        """Unit vectors (Q, D) of questions (Q, D), as they are served."""
        return normalised(questions @ self.matrix)


def choose_fusion(trials: SearchTrials, asked: "FloatArray", chunks: "FloatArray") -> Fusion:
    """The fusion under which `asked` (Q, D) find most among `chunks` (C, D); the usual one where none is better."""
    grid = [Fusion(), *(Fusion(share, k1, b) for k1, b, share in product(K1S, BS, FIRST_SHARES))]
    return choose_share(trials, asked, chunks, _best_fusion(trials, asked, chunks, grid))


def choose_share(trials: SearchTrials, asked: "FloatArray", chunks: "FloatArray", fusion: Fusion) -> Fusion:
    """`fusion` with the lexical share under which `asked` find most."""
    grid = [fusion, *(replace(fusion, lexical_share=share) for share in LEXICAL_SHARES)]
    return _best_fusion(trials, asked, chunks, grid)


def choose_map(
    trials: SearchTrials, asked: "FloatArray", chunks: "FloatArray", fusion: Fusion
) -> tuple[ChosenMap, Fusion]:
    """The map of queries with which train questions (Q, D) find most under `fusion`, and the fusion that goes with it.

    Each question is judged as the map made without its thread would place it.
    """
    weights = trials.questions.weights
    maps = QueryMaps(asked, _targets(trials, chunks), weights, trials.questions.threads)
    shares = [fusion, *(replace(fusion, lexical_share=share) for share in LEXICAL_SHARES)]
    best, chosen = -1.0, (RIDGES[0], BLENDS[0])
    for ridge in RIDGES:
        left_out = maps.left_out(ridge)
        for blend in BLENDS:
            found = trials.ndcgs(normalised(blended(asked, left_out, blend)), chunks, shares)  # (F, Q)
            mean = float(np.average(found, axis=1, weights=weights).max())
            if mean > best:
                best, chosen = mean, (ridge, blend)
    ridge, blend = chosen
    honest = normalised(blended(asked, maps.left_out(ridge), blend))
    fitted = maps.fit(ridge)
    matrix = blended(np.eye(len(fitted), dtype=np.float32), fitted, blend)
    return ChosenMap(matrix, ridge, blend), choose_fusion(trials, honest, chunks)


def _best_fusion(trials: SearchTrials, asked: "FloatArray", chunks: "FloatArray", grid: list[Fusion]) -> Fusion:
    means = np.average(trials.ndcgs(asked, chunks, grid), axis=1, weights=trials.questions.weights)  # (F)
    return grid[int(np.argmax(means))]


def _targets(trials: SearchTrials, chunks: "FloatArray") -> "FloatArray":
    """(Q, D) the mean vector of each question's relevant passages, a passage's being the mean of its chunks'."""
    corpus = trials.corpus
    sums = np.add.reduceat(chunks, corpus.starts, axis=0)  # (N, D)
    passages = sums / np.bincount(corpus.owners)[:, None]
    means: NDArray[np.float32] = np.stack([passages[own].mean(axis=0) for own in trials.questions.relevant])
    return means
