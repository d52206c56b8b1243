"""Search by words."""

import pytest

from coterie.agents.fusion import Fusion
from coterie.agents.lexical import LexicalIndex, terms, words


def test_numbers_are_one_word_and_the_commonest_words_are_left_out() -> None:
    """In lower case."""
    assert words("The sales of 2019 were $1,452.4 million") == ["sales", "2019", "1,452.4", "million"]


def test_neighbouring_words_of_a_line_are_a_term() -> None:
    """But not the last word of one row and the first of the next."""
    assert list(terms("net sales\nrose")) == ["net", "sales", "net sales", "rose"]


def test_a_passage_with_the_phrase_wins() -> None:
    """Words that stand together say more than words that stand apart."""
    index = LexicalIndex(["sales of the net business", "net sales of the business", "costs"], Fusion())
    apart, together, neither = index.scores("What were net sales?")
    assert together > apart > neither == 0


@pytest.mark.parametrize("query", ["", "😀", "of the", "unheard words"])
def test_a_query_without_known_words_scores_0_everywhere(query: str) -> None:
    """No words, only common ones, or only unknown ones."""
    assert LexicalIndex(["net sales", "costs"], Fusion()).scores(query).tolist() == [0, 0]


def test_texts_without_words_can_be_indexed() -> None:
    """Emoji among others, only emoji, or nothing at all."""
    assert LexicalIndex(["😀", "sales"], Fusion()).scores("sales")[0] == 0
    assert LexicalIndex(["😀", "🚀"], Fusion()).scores("sales").tolist() == [0, 0]
    assert LexicalIndex([], Fusion()).scores("sales").tolist() == []
