"""What rows say to heads, as numbers; what they cannot say is refused with its place."""

import math

import numpy as np
import pytest

from coterie.agents.releases import StoredHead
from coterie.tuning.errors import DatasetError
from coterie.tuning.head_targets import check_varied, head_targets
from coterie.tuning.rows import ClassifierRow, Source, Target

MOOD = StoredHead(kind="classes", field="mood", labels=("bad", "so-so", "good"))
TOPICS = StoredHead(kind="multilabel", field="topics", labels=("tax", "debt"))
SCORE = StoredHead(kind="regression", field="score", labels=("low", "high"), low=-1, high=1)


def row(*targets: Target, excluded: tuple[frozenset[str], ...] = (), weight: float = 1.0) -> ClassifierRow:
    return ClassifierRow("1", "text", targets, "train", Source("news.jsonl, line 3", "t"), excluded, weight=weight)


def test_each_head_has_its_cells() -> None:
    """A label, a set of labels and a number; what is not known weighs nothing."""
    rows = [row("good", frozenset({"debt"}), 0.5, weight=2), row(None, frozenset(), None)]
    mood, topics, score = head_targets(rows, [MOOD, TOPICS, SCORE])
    assert mood.values.tolist() == [[0, 0, 1], [0, 0, 0]] or mood.values[0].tolist() == [0, 0, 1]
    assert mood.weights.tolist() == [2, 0]
    assert topics.values.tolist() == [[0, 1], [0, 0]]
    assert topics.weights.tolist() == [2, 1]
    assert score.values[0].tolist() == [0.5]
    assert score.weights.tolist() == [2, 0]
    assert [one.decided.tolist() for one in (mood, topics, score)] == [[True, False], [True, True], [True, False]]


def test_a_rejection_allows_the_other_labels() -> None:
    """Of classes every other may be right; of several labels only the rejected one is known, not to hold."""
    excluded = (frozenset({"bad"}), frozenset({"tax"}))
    mood, topics = head_targets([row(None, None, excluded=excluded)], [MOOD, TOPICS])
    assert mood.values.tolist() == [[0, 1, 1]]
    assert mood.weights.tolist() == [1]
    assert topics.values.tolist() == [[0, 0]]
    assert topics.known.tolist() == [[True, False]]
    assert not mood.decided.any()
    assert not topics.decided.any()


def test_a_known_label_counts_more_than_a_rejection() -> None:
    """Where both are there, the label is the answer."""
    (mood,) = head_targets([row("good", excluded=(frozenset({"bad"}),))], [MOOD])
    assert mood.values.tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("head", "target", "said"),
    [
        (MOOD, "odd", r"news\.jsonl, line 3 says 'odd' to head 'mood'; expected one of bad, so-so, good"),
        (MOOD, frozenset({"bad"}), "expected one label"),
        (TOPICS, "tax", "expected a set of labels"),
        (TOPICS, frozenset({"sun"}), "says 'sun' to head 'topics'; expected one of tax, debt"),
        (SCORE, 1.5, "says 1.5 to head 'score'; expected a number from -1 to 1"),
        (SCORE, math.nan, "says nan to head 'score'"),
        (SCORE, "high", "says 'high' to head 'score'"),
    ],
)
def test_a_target_that_its_head_cannot_give_is_refused(head: StoredHead, target: Target, said: str) -> None:
    """With the place of the row, what it says, and what it might say."""
    with pytest.raises(DatasetError, match=said):
        head_targets([row(target)], [head])


def test_rows_must_fit_the_heads() -> None:
    """One target for each head, and at least one label that may be right."""
    with pytest.raises(DatasetError, match="has 1 targets and 0 sets of excluded labels; expected one for"):
        head_targets([row("good")], [MOOD, SCORE])
    with pytest.raises(DatasetError, match="line 3 rules out every label of head 'mood'"):
        head_targets([row(None, excluded=(frozenset(MOOD.labels),))], [MOOD])


@pytest.mark.parametrize(
    ("head", "targets", "said"),
    [
        (MOOD, ["good", "good"], "all 2 rows say 'good' to head 'mood'; there is nothing to learn"),
        (MOOD, [None], "no row says what head 'mood' should answer"),
        (TOPICS, [frozenset()], "all 1 rows say no label to head 'topics'"),
        (SCORE, [0.5, 0.5, 0.5], "all 3 rows say 0.5 to head 'score'"),
    ],
)
def test_targets_that_are_all_alike_teach_nothing(head: StoredHead, targets: list[Target], said: str) -> None:
    """One sentence says so before anything is fitted."""
    (told,) = head_targets([row(target) for target in targets], [head])
    with pytest.raises(DatasetError, match=said):
        check_varied(told)


def test_some_rows_can_be_taken() -> None:
    """By number or by mask."""
    (mood,) = head_targets([row("good"), row("bad"), row("so-so")], [MOOD])
    assert mood.take(np.array([2, 0])).values.argmax(axis=1).tolist() == [1, 2]
    assert mood.take(np.array([False, True, False])).values.argmax(axis=1).tolist() == [0]
