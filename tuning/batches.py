"""Batches of rows of like length, none above a budget of tokens, shuffled by seed and epoch.

    batches = token_batches([len(tokens) for tokens in rows], budget=1_024, seed=0)
    batches(0)                                    # epoch 0: tuples of row numbers
    ids, mask = padded([rows[number] for number in batches(0)[0]], padding=0)

A batch is padded to its longest row, so on a CPU most of the time of randomly mixed batches goes into padding. Rows
are shuffled, sorted by length with the shuffled order breaking ties, cut into batches, and the batches are shuffled.

This file knows nothing of models, texts or processes.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

NumberedBatches: TypeAlias = Callable[[int], Sequence[tuple[int, ...]]]
"""Epoch number -> that epoch's batches of row numbers."""


def token_batches(lengths: Sequence[int], budget: int, seed: int) -> NumberedBatches:
    """Batches over rows of `lengths` tokens: every row once an epoch, rows x longest row at most `budget`.

    A row that is longer than the budget makes a batch of its own. The same seed and epoch give the same batches.

    Raises:
        ValueError: the budget is not positive.
    """
    if budget < 1:
        raise ValueError(f"a batch cannot hold {budget} tokens; expected at least 1")

    def batches(epoch: int) -> tuple[tuple[int, ...], ...]:
        chance = random.Random(f"{seed}/{epoch}")  # noqa: S311 -- an order, not a secret
        order = list(range(len(lengths)))
        chance.shuffle(order)
        order.sort(key=lambda row: lengths[row])
        made = _cut(order, lengths, budget)
        chance.shuffle(made)
        return tuple(made)

    return batches


@dataclass(frozen=True, slots=True)
class Padding:
    """What batches cost."""

    tokens: int  # of rows
    padded: int  # of batches, padding included

    @property
    def share(self) -> float:
        """The share of padding, 0 to 1."""
        return 1 - self.tokens / self.padded if self.padded else 0.0

    def __str__(self) -> str:
        return f"{self.padded:,} tokens, {self.share:.1%} of them padding"


def padding(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> Padding:
    """How much of `batches` of row numbers is padding."""
    return Padding(
        tokens=sum(lengths[row] for batch in batches for row in batch),
        padded=sum(len(batch) * max(lengths[row] for row in batch) for batch in batches),
    )


def padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Ragged tokens as a rectangle, and which of it is not padding: (B, T) int64 each, the second of 1 and 0."""
    longest = max((len(row) for row in rows), default=0)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)  # (B, T)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = 1
    return ids, mask


def _cut(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[tuple[int, ...]]:
    """Cuts rows that are sorted by length into as few runs as the budget allows."""
    made: list[tuple[int, ...]] = []
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) + 1) * lengths[row] > budget:  # the row is the longest so far
            made.append(tuple(batch))
            batch = []
        batch.append(row)
    return [*made, tuple(batch)] if batch else made
