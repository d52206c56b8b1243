"""Logs become datasets, datasets become candidates, candidates that win become releases. Imports agents."""

from .intervals import Difference, paired_bootstrap
from .rankings import RankingReport, evaluate_rankings, ndcg, recall, reciprocal_rank

__all__ = [
    "Difference",
    "RankingReport",
    "evaluate_rankings",
    "ndcg",
    "paired_bootstrap",
    "recall",
    "reciprocal_rank",
]
