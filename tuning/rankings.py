"""How good a ranking is: nDCG, reciprocal rank and recall of its first ids.

Works on ids and numbers only; this file does not know which retriever made a ranking.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k` ids, 0 to 1; each relevant id gains 1.

    Järvelin and Kekäläinen 2002, "Cumulated Gain-Based Evaluation of IR Techniques".

    Raises:
        ValueError: nothing is relevant, or an id is ranked twice.
    """
    hits = _hits(ranked, relevant, k)
    discounts = 1 / np.log2(np.arange(2, k + 2))  # (k)
    gained = float(discounts[: len(hits)] @ hits)
    return gained / float(discounts[: len(set(relevant))].sum())


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """1 / the rank of the first relevant id, 0 where none is among the first `k`.

    Raises:
        ValueError: nothing is relevant, or an id is ranked twice.
    """
    places = np.flatnonzero(_hits(ranked, relevant, k))
    return 1 / (int(places[0]) + 1) if len(places) else 0.0


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant ids that are among the first `k`, 0 to 1.

    Raises:
        ValueError: nothing is relevant, or an id is ranked twice.
    """
    return float(_hits(ranked, relevant, k).sum()) / len(set(relevant))


@dataclass(frozen=True, slots=True)
class RankingReport:
    """Measures of a retriever over Q queries, each array (Q,) float64 in the order of the queries."""

    k: int  # how many ids of each ranking count
    ndcgs: "NDArray[np.float64]"
    reciprocal_ranks: "NDArray[np.float64]"
    recalls: "NDArray[np.float64]"

    @property
    def ndcg(self) -> float:
        """Mean nDCG@k."""
        return float(self.ndcgs.mean())

    @property
    def mean_reciprocal_rank(self) -> float:
        """MRR@k."""
        return float(self.reciprocal_ranks.mean())

    @property
    def recall(self) -> float:
        """Mean recall@k."""
        return float(self.recalls.mean())


def evaluate_rankings(
    rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]], k: int = 10
) -> RankingReport:
    """Measures of `rankings` (query id -> ids, best first) against `relevant` (query id -> ids), for all of these.

    Raises:
        ValueError: a query has no ranking or nothing relevant, or an id is ranked twice.
    """
    missing = [query for query in relevant if query not in rankings]
    if missing or not relevant:
        found = f"query {missing[0]!r} has no ranking" if missing else "there are no queries"
        raise ValueError(f"cannot evaluate: {found}; expected one ranking for each query")
    pairs = [(rankings[query], ids) for query, ids in relevant.items()]
    return RankingReport(
        k=k,
        ndcgs=np.array([ndcg(ranked, ids, k) for ranked, ids in pairs]),
        reciprocal_ranks=np.array([reciprocal_rank(ranked, ids, k) for ranked, ids in pairs]),
        recalls=np.array([recall(ranked, ids, k) for ranked, ids in pairs]),
    )


def _hits(ranked: Sequence[str], relevant: Collection[str], k: int) -> "NDArray[np.float64]":
    """1 for each of the first `k` ids that is relevant, else 0."""
    if not relevant:
        raise ValueError("a query without relevant ids cannot be scored; leave it out")
    first = list(ranked[:k])
    if len(set(first)) < len(first):
        raise ValueError(f"a ranking names an id twice: {first!r}; each may stand in it once")
    wanted = set(relevant)
    return np.array([identity in wanted for identity in first], np.float64)
