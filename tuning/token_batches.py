"""Batches of packed conversations, and what is predicted in them: one list of places for all packs of a batch.

An example is what must share a batch: one conversation, or two that are compared. Examples are packed, packs of like
length make a batch, and batches are shuffled by seed and epoch. A batch is a tuple of numbers of examples, so that any
share of it can be computed by itself.

Letters in shape comments: P packs, T tokens of the longest pack, S supervised tokens, N sequences, H width.

This file knows nothing of language models or of losses.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from .batches import NumberedBatches
from .packing import best_fit, layout
from .supervision import SupervisedTokens

PACK_TOKENS = 1_024  # of a pack, at most: the mask grows with its square


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Sequences that must share a batch, and what was computed of them once."""

    sequences: tuple[SupervisedTokens, ...]
    states: tuple[Tensor, ...] = ()  # of each, (T, H) hidden states above the lowest `depth` blocks; (): none
    depth: int = 0
    references: tuple[float, ...] = ()  # of each, the log-probability that a reference model gave it; (): none

    def __len__(self) -> int:
        return sum(map(len, self.sequences))

    @property
    def supervised(self) -> int:
        """Tokens that are learned."""
        return sum(int(one.supervised.sum()) for one in self.sequences)


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """P packs of N sequences in all, of which S tokens are predicted, each from the hidden state before it."""

    tokens: Tensor  # (P, T) int64
    positions: Tensor  # (P, T) int64, within each sequence
    blocks: Tensor  # (P, T) int64, the number of a sequence in its pack; -1: padding
    places: Tensor  # (S) int64, in the flattened (P * T), of the token before each predicted one
    targets: Tensor  # (S) int64, the predicted tokens
    weights: Tensor  # (S) float32
    sequences: Tensor  # (S) int64, which sequence each is of: 0 to N - 1, example by example
    references: Tensor  # (N) float32, or (0)
    states: Tensor | None = None  # (P, T, H) above the lowest `depth` blocks; None: begin with the tokens
    depth: int = 0

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        moved: dict[str, Any] = {name: one.to(device) for name, one in parts.items() if isinstance(one, Tensor)}
        return replace(self, **moved)


def packed_batches(examples: Sequence[Example], tokens: int, seed: int | None) -> NumberedBatches:
    """Epoch -> its batches of numbers of `examples`, every one once; the same seed and epoch give the same batches.

    Args:
        examples: what is packed, an example never across packs.
        tokens: of a batch, padding included; an example that is longer makes a batch of its own.
        seed: None: the longest first, in every epoch.

    Raises:
        ValueError: `tokens` is not positive.
    """
    lengths = [len(example) for example in examples]

    def batches(epoch: int) -> Sequence[tuple[int, ...]]:
        chance = random.Random(f"{seed}/{epoch}")  # noqa: S311 -- an order, not a secret
        order = list(range(len(lengths)))
        if seed is not None:
            chance.shuffle(order)
        packs = best_fit([lengths[number] for number in order], min(tokens, PACK_TOKENS))
        made = _batched([tuple(order[place] for place in pack) for pack in packs], lengths, tokens)
        if seed is not None:
            chance.shuffle(made)
        return made

    return batches


def token_batch(examples: Sequence[Example]) -> TokenBatch:
    """`examples` packed into one batch; their sequences are numbered in their order."""
    packs = best_fit([len(example) for example in examples], PACK_TOKENS)
    laid = layout([[len(one) for number in pack for one in examples[number].sequences] for pack in packs])
    firsts = _first_numbers(examples)
    tokens = torch.zeros_like(laid.positions)
    states = _room_for_states(examples, tokens)
    places, targets, weights, sequences = [], [], [], []
    for row, pack in enumerate(packs):
        begin = 0
        for number in pack:
            for index, one in enumerate(examples[number].sequences):
                ids = torch.from_numpy(one.tokens)  # (T of this sequence)
                tokens[row, begin : begin + len(one)] = ids
                if states is not None:
                    states[row, begin : begin + len(one)] = examples[number].states[index]
                learned = torch.from_numpy(one.supervised).nonzero()[:, 0]  # (S of this sequence)
                places.append(learned + (row * tokens.shape[1] + begin - 1))
                targets.append(ids[learned])
                weights.append(torch.full((len(learned),), one.weight))
                sequences.append(torch.full((len(learned),), firsts[number] + index))
                begin += len(one)
    return TokenBatch(
        tokens=tokens,
        positions=laid.positions,
        blocks=laid.blocks,
        places=torch.cat(places),
        targets=torch.cat(targets),
        weights=torch.cat(weights),
        sequences=torch.cat(sequences),
        references=torch.tensor([known for example in examples for known in example.references]),
        states=states,
        depth=examples[0].depth,
    )


def _batched(packs: list[tuple[int, ...]], lengths: Sequence[int], tokens: int) -> list[tuple[int, ...]]:
    """Packs of like length put together, padded to the longest at most `tokens`."""
    totals = {pack: sum(lengths[number] for number in pack) for pack in packs}
    batches: list[list[tuple[int, ...]]] = []
    for pack in sorted(packs, key=lambda one: -totals[one]):
        if not batches or (len(batches[-1]) + 1) * totals[batches[-1][0]] > tokens:
            batches.append([])
        batches[-1].append(pack)
    return [tuple(number for pack in batch for number in pack) for batch in batches]


def _first_numbers(examples: Sequence[Example]) -> list[int]:
    """The number of the first sequence of each example."""
    firsts = [0]
    for example in examples:
        firsts.append(firsts[-1] + len(example.sequences))
    return firsts


def _room_for_states(examples: Sequence[Example], tokens: Tensor) -> Tensor | None:
    if not examples[0].states:
        return None
    like = examples[0].states[0]
    return torch.zeros(*tokens.shape, like.shape[-1], dtype=like.dtype)
