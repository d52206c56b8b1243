"""What a question must be told apart from."""

import math

import numpy as np
import pytest
import torch

from coterie.tuning.negatives import REJECTED_COUNTS, pairs_of, ranking_loss

BEFORE = torch.tensor([[0.5, 0.49, 0.2, 0.1]])
NONE = (np.array([], np.int64),)


def loss_of(scores: list[float], relevant: list[int], rejected: list[int], guard: float = math.inf) -> float:
    """The loss of one question at temperature 1."""
    pairs = pairs_of([np.array(relevant)], [np.array(rejected, np.int64)], np.array([1.0]), BEFORE, guard)
    return float(ranking_loss(torch.tensor([scores]), pairs, 1.0))


def test_a_relevant_passage_competes_with_all_that_are_not() -> None:
    """Cross-entropy over the whole corpus."""
    scores = [1.0, 0.5, 0.2, 0.0]
    expected = math.log(sum(map(math.exp, scores))) - 1.0
    assert loss_of(scores, [0], []) == pytest.approx(expected)


def test_relevant_passages_do_not_compete_with_each_other() -> None:
    """The mean over them, however one of them scores."""
    expected = [math.log(sum(map(math.exp, (own, 0.2, 0.0)))) - own for own in (1.0, 9.0)]
    assert loss_of([1.0, 9.0, 0.2, 0.0], [0, 1], []) == pytest.approx(sum(expected) / 2)


def test_a_passage_that_came_as_close_before_is_no_negative() -> None:
    """Above the share of the relevant one's score that the guard says."""
    assert loss_of([1.0, 9.0, 0.2, 0.0], [0], [], guard=0.95) == pytest.approx(
        math.log(sum(map(math.exp, (1.0, 0.2, 0.0)))) - 1.0
    )


def test_a_rejected_passage_is_a_negative_that_counts_several_times() -> None:
    """Also where it came close."""
    near = REJECTED_COUNTS * math.exp(0.5)
    expected = math.log(math.exp(1.0) + near + math.exp(0.2) + math.exp(0.0)) - 1.0
    assert loss_of([1.0, 0.5, 0.2, 0.0], [0], [1], guard=0.95) == pytest.approx(expected)


def test_a_row_counts_by_its_weight() -> None:
    """However many passages answer it."""
    relevant = [np.array([0, 1]), np.array([2])]
    scores = torch.tensor([[0.3, 0.1, 0.2], [0.1, 0.6, 0.3]])
    both = pairs_of(relevant, [*NONE, *NONE], np.array([2.0, 1.0]), scores, math.inf)
    alone = [
        pairs_of([own], NONE, np.array([1.0]), row[None], math.inf) for own, row in zip(relevant, scores, strict=True)
    ]
    losses = [float(ranking_loss(row[None], pairs, 0.5)) for row, pairs in zip(scores, alone, strict=True)]
    assert float(ranking_loss(scores, both, 0.5)) == pytest.approx(2 * losses[0] + losses[1])
