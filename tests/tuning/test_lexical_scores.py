"""Word scores of many questions at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.fusion import Fusion
from coterie.agents.lexical import LexicalIndex
from coterie.tuning.lexical_scores import LexicalScores

WORDS = st.lists(st.sampled_from(["net", "sales", "rose", "12.5", "the", "board", "\n"]), max_size=8).map(" ".join)


@given(
    st.lists(WORDS, min_size=1, max_size=5), st.lists(WORDS, min_size=1, max_size=3), st.floats(0, 3), st.floats(0, 1)
)
def test_they_are_those_of_the_served_index(texts: list[str], questions: list[str], k1: float, b: float) -> None:
    """For any texts, questions, k1 and b: what is tuned is what answers."""
    found = LexicalScores(texts, questions).scores(k1, b)
    served = LexicalIndex(texts, Fusion(k1=k1, b=b))
    expected = np.stack([served.scores(question) for question in questions])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_some_questions_can_be_asked_for() -> None:
    """A block at a time, for a large corpus."""
    scores = LexicalScores(["net sales", "board"], ["sales", "board", "sales board"])
    every = scores.scores(0.9, 0.4)
    np.testing.assert_allclose(scores.scores(0.9, 0.4, slice(1, 3)), every[1:])
    np.testing.assert_allclose(scores.scores(0.9, 0.4, [2, 0]), every[[2, 0]])
