"""Measures of rankings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.rankings import evaluate_rankings, ndcg, recall, reciprocal_rank


def test_ndcg_discounts_by_rank() -> None:
    """A hit at rank 2 of one relevant id is worth 1 / log2(3)."""
    assert ndcg(["a", "b", "c"], {"b"}, 10) == pytest.approx(1 / np.log2(3))
    assert ndcg(["a", "b", "c"], {"a", "c"}, 3) == pytest.approx(1.5 / (1 + 1 / np.log2(3)))
    assert ndcg(["a", "b"], {"z"}, 10) == 0


def test_ranks_behind_k_do_not_count() -> None:
    """Each measure stops at k."""
    ranked, relevant = ["a", "b", "c"], ["c"]
    assert ndcg(ranked, relevant, 2) == reciprocal_rank(ranked, relevant, 2) == recall(ranked, relevant, 2) == 0
    assert reciprocal_rank(ranked, relevant, 3) == pytest.approx(1 / 3)
    assert recall(ranked, ["a", "z"], 3) == 0.5


@given(st.permutations("abcdefgh"), st.sets(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 10))
def test_measures_lie_between_0_and_1(ranked: list[str], relevant: set[str], k: int) -> None:
    """The best ranking scores 1, and no other scores more."""
    best = sorted(ranked, key=lambda name: name not in relevant)
    for measure in (ndcg, reciprocal_rank):
        assert 0 <= measure(ranked, relevant, k) <= measure(best, relevant, k) == pytest.approx(1)
    assert 0 <= recall(ranked, relevant, k) <= recall(best, relevant, k) <= 1


def test_a_report_holds_each_query_and_the_means() -> None:
    """In the order of the queries."""
    report = evaluate_rankings({"q": ["a", "b"], "r": ["b"]}, {"q": ["a"], "r": ["a"]}, k=1)
    assert report.ndcgs.tolist() == [1, 0]
    assert (report.ndcg, report.mean_reciprocal_rank, report.recall) == (0.5, 0.5, 0.5)


def test_queries_that_cannot_be_scored_are_refused() -> None:
    """Leaving them out silently would change the mean."""
    with pytest.raises(ValueError, match="query 'r' has no ranking; expected one ranking for each query"):
        evaluate_rankings({"q": ["a"]}, {"q": ["a"], "r": ["a"]})
    with pytest.raises(ValueError, match="there are no queries"):
        evaluate_rankings({}, {})
    with pytest.raises(ValueError, match="a query without relevant ids cannot be scored"):
        ndcg(["a"], [], 10)
    with pytest.raises(ValueError, match="a ranking names an id twice"):
        recall(["a", "a"], ["a"], 10)
