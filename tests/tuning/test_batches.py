"""Batches: every row once an epoch, within the budget, of like length, and the same for the same seed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.batches import padded, padding, token_batches

lengths_of_rows = st.lists(st.integers(0, 40), max_size=60)


@given(lengths_of_rows, st.integers(1, 100), st.integers(0, 3), st.integers(0, 3))
def test_each_row_comes_once_an_epoch(lengths: list[int], budget: int, seed: int, epoch: int) -> None:
    """Empty and over-long rows too."""
    batches = token_batches(lengths, budget, seed)(epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths_of_rows, st.integers(1, 100), st.integers(0, 3))
def test_no_batch_is_above_the_budget_unless_it_is_one_row(lengths: list[int], budget: int, epoch: int) -> None:
    """Padding counts."""
    for batch in token_batches(lengths, budget, 0)(epoch):
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@given(lengths_of_rows, st.integers(1, 100))
def test_the_same_seed_and_epoch_give_the_same_batches(lengths: list[int], budget: int) -> None:
    """Asked again, and by another process."""
    assert token_batches(lengths, budget, 5)(2) == token_batches(lengths, budget, 5)(2)


@given(lengths_of_rows, st.integers(1, 100))
def test_batches_hold_neighbours_in_length(lengths: list[int], budget: int) -> None:
    """No row of another batch is longer than one's shortest and shorter than its longest."""
    batches = token_batches(lengths, budget, 0)(0)
    spans = sorted((min(map(lengths.__getitem__, batch)), max(map(lengths.__getitem__, batch))) for batch in batches)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


def test_epochs_and_seeds_differ() -> None:
    """In the order of batches, and in which rows of one length are together."""
    batches = token_batches([4] * 40, 20, 0)
    assert len({batches(0), batches(1), token_batches([4] * 40, 20, 1)(0)}) == 3
    assert {frozenset(batch) for batch in batches(0)} != {frozenset(batch) for batch in batches(1)}


def test_sorting_by_length_saves_most_of_the_padding() -> None:
    """Of rows from 1 to 40 tokens, in batches of at most 160."""
    lengths = [1 + (7 * number) % 40 for number in range(400)]
    sorted_ones = padding(token_batches(lengths, 160, 0)(0), lengths)
    mixed = padding([range(start, start + 4) for start in range(0, 400, 4)], lengths)
    assert sorted_ones.tokens == mixed.tokens == sum(lengths)
    assert sorted_ones.share < 0.05 < 0.3 < mixed.share
    assert str(sorted_ones).endswith("% of them padding")


def test_rows_are_padded_on_the_right() -> None:
    """And the mask says where."""
    ids, mask = padded([[5, 6, 7], [], [8]], padding=9)
    assert ids.tolist() == [[5, 6, 7], [9, 9, 9], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert padded([], padding=0)[0].shape == (0, 0)


def test_a_budget_of_nothing_is_refused() -> None:
    """It could hold no row."""
    with pytest.raises(ValueError, match="cannot hold 0 tokens"):
        token_batches([1], 0, 0)
