"""Packing: several sequences in one row of tokens, so that a batch of them holds next to no padding.

Sequences are put together by best fit, the longest first (Johnson 1973, "Near-optimal bin packing algorithms"). Each
keeps positions of its own, from 0, and a mask lets a token see the earlier tokens of its own sequence and no others, so
that a packed sequence is computed as if it were alone (Krell et al. 2021, "Efficient Sequence Packing without
Cross-contamination").

Letters in shape comments: P packs, T tokens of the longest pack.

This file knows nothing of models, or of what is learned of a sequence.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def best_fit(lengths: Sequence[int], capacity: int) -> list[tuple[int, ...]]:
    """Packs of item numbers, of at most `capacity` tokens each; the fullest pack that has room takes an item.

    An item that is longer than `capacity` has a pack of its own.

    Raises:
        ValueError: `capacity` or a length is not positive.
    """
    if capacity < 1 or min(lengths, default=1) < 1:
        raise ValueError(f"cannot pack lengths from {min(lengths, default=1)} into {capacity} tokens; both are above 0")
    packs: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (tokens left, pack), ascending
    for item in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        place = bisect_left(rooms, (lengths[item], -1))
        room, pack = rooms.pop(place) if place < len(rooms) else (max(capacity, lengths[item]), len(packs))
        if pack == len(packs):
            packs.append([])
        packs[pack].append(item)
        insort(rooms, (room - lengths[item], pack))
    return [tuple(pack) for pack in packs]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where packed sequences lie: sequence n of a pack has n in `blocks`; padding at its end has -1."""

    positions: Tensor  # (P, T), from 0 in each sequence
    blocks: Tensor  # (P, T)

    @property
    def mask(self) -> Tensor:
        """Which tokens each token may see: (P, 1, T, T) boolean, causal and within its sequence."""
        return block_mask(self.blocks)


def layout(packs: Sequence[Sequence[int]]) -> Layout:
    """How sequences of these lengths lie in their packs, each pack padded to the longest."""
    longest = max(map(sum, packs), default=0)
    positions = torch.zeros(len(packs), longest, dtype=torch.long)
    blocks = torch.full((len(packs), longest), -1)
    for row, lengths in enumerate(packs):
        begin = 0
        for number, length in enumerate(lengths):
            positions[row, begin : begin + length] = torch.arange(length)
            blocks[row, begin : begin + length] = number
            begin += length
    return Layout(positions, blocks)


def block_mask(blocks: Tensor) -> Tensor:
    """The block-diagonal causal mask of `blocks` (P, T): (P, 1, T, T) boolean, True where a row sees a column.

    Padding sees padding, for a softmax over nothing is not a number.
    """
    same = blocks[:, :, None] == blocks[:, None, :]  # (P, T, T)
    return same.tril()[:, None]
