"""Joining the search by words and the search by meaning."""

import numpy as np
import pytest

from coterie.agents.fusion import Fusion


def test_scores_are_scaled_by_their_least_and_their_best_value() -> None:
    """BM25 from 0, cosine from -1, each up to its best for this query."""
    fused = Fusion(lexical_share=0.25).combine(np.array([4.0, 0.0, 2.0]), np.array([0.0, 1.0, -1.0]))
    assert fused.tolist() == [0.25 + 0.75 * 0.5, 0.75, 0.125]


def test_without_a_shared_word_meaning_alone_decides() -> None:
    """So a query of emoji only is still answered, with scores up to 1."""
    assert Fusion().combine(np.zeros(2), np.array([0.0, 1.0])).tolist() == [0.5, 1.0]


def test_opposite_passages_do_not_divide_by_0() -> None:
    """Cosines of -1 give scores of 0."""
    assert Fusion().combine(np.zeros(1), np.array([-1.0])).tolist() == [0]


@pytest.mark.parametrize("settings", [{"lexical_share": 1.1}, {"k1": -1}, {"b": 2}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    """With the ranges."""
    with pytest.raises(ValueError, match="expected 0 <= lexical_share <= 1, k1 >= 0, 0 <= b <= 1"):
        Fusion(**settings)
