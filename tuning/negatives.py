"""Which passages a question must be told apart from, and the loss that does it.

Softmax over one relevant passage and its negatives (InfoNCE, van den Oord et al. 2018), for each relevant passage by
itself: the others are no negatives, nor is a passage that came so close to the relevant one before any training that it
may answer too. A passage that a person rejected always is one, and counts several times.

Letters in shape comments: B questions, N passages, P pairs of a question and one relevant passage.

This file knows nothing of encoders or texts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

REJECTED_COUNTS = 4.0  # times that a rejected passage counts beside others


@dataclass(frozen=True, slots=True)
class Pairs:
    """Relevant passages of some questions, and what each of them competes with."""

    questions: Tensor  # (P) rows among the B questions
    passages: Tensor  # (P) columns among the N passages
    shares: Tensor  # (P) weight of the row over its number of relevant passages
    hidden: Tensor  # (P, N) bool, what is no negative of the pair
    bonus: Tensor  # (P, N) added to logits: log of how often a negative counts

    def to(self, device: torch.device) -> "Pairs":
        """The same on another device."""
        return Pairs(*(getattr(self, name).to(device) for name in self.__slots__))


def pairs_of(
    relevant: "Sequence[NDArray[np.int64]]",
    rejected: "Sequence[NDArray[np.int64]]",
    weights: "NDArray[np.float64]",
    before: Tensor,
    guard: float,
) -> Pairs:
    """The pairs of some questions.

    Args:
        relevant: columns of what answers each question.
        rejected: columns of what a person marked as wrong.
        weights: (B) how much each question counts.
        before: (B, N) scores before any training.
        guard: passages above this share of the relevant one's score in `before` are no negatives; inf: all are.
    """
    questions = torch.tensor([row for row, places in enumerate(relevant) for _ in places])
    passages = torch.tensor([place for places in relevant for place in places.tolist()])
    shares = [weight / len(places) for weight, places in zip(weights, relevant, strict=True) for _ in places]
    answers = _marked(relevant, before.shape)  # (B, N)
    wrong = _marked(rejected, before.shape)
    close = before[questions] > guard * before[questions, passages][:, None]  # (P, N)
    hidden = answers[questions] | (close & ~wrong[questions])
    hidden[torch.arange(len(questions)), passages] = False
    bonus = wrong[questions].float() * math.log(REJECTED_COUNTS)
    return Pairs(questions, passages, torch.tensor(shares, dtype=torch.float32), hidden, bonus)


def ranking_loss(scores: Tensor, pairs: Pairs, temperature: float) -> Tensor:
    """The sum over pairs, each by its share: a scalar from scores (B, N) that are higher the better a passage fits."""
    logits = scores[pairs.questions] / temperature + pairs.bonus  # (P, N)
    places = torch.arange(len(pairs.questions), device=scores.device)
    rivals = torch.logsumexp(logits.masked_fill(pairs.hidden, -torch.inf), dim=1)
    losses = rivals - logits[places, pairs.passages]
    return (losses * pairs.shares).sum()


def _marked(places: "Sequence[NDArray[np.int64]]", shape: torch.Size) -> Tensor:
    marked = torch.zeros(shape, dtype=torch.bool)
    for row, columns in enumerate(places):
        marked[row, torch.from_numpy(columns)] = True
    return marked
