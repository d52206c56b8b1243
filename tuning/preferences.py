"""Learning from what a person changed: that the edited reply is better than the one before it.

Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290) with a supervised term on the edited reply, so
that its own likelihood does not fall (Pang et al. 2024, arXiv:2404.19733). What the model thought of both replies
before is computed once, so that a step needs one model.

Letters in shape comments: B pairs, N = 2 B sequences, the edited reply before the original.

This file knows nothing of epochs, optimizers or files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ..agents.inference import ChatTurn
from .errors import DatasetError
from .rows import DialogueRow
from .supervision import RoleMask, SupervisedTokens
from .token_batches import Example, TokenBatch, packed_batches, token_batch
from .token_scores import device_of, sequence_scores, token_losses


@dataclass(frozen=True, slots=True)
class PreferenceLosses:
    """Of B pairs, each (B) float32."""

    preference: Tensor  # nats; log 2 where the model is the reference
    supervised: Tensor  # nats a token, of the edited reply
    margins: Tensor  # log-odds that the edited reply is the better one, above the reference's, times beta


def preference_pairs(mask: RoleMask, rows: Sequence[DialogueRow], limit: int) -> list[Example]:
    """A pair for each row that a person changed: the conversation with the edited reply, and with the original.

    Only the last turn is learned. Both lose the same oldest turns where the longer of them does not fit `limit` tokens;
    a pair that cannot fit, or of equal texts, is left out.

    Raises:
        DatasetError: the last turn of such a row is not the assistant's, or the chat template cannot be learned from.
    """
    pairs = [_pair(mask, row, limit) for row in rows if row.rejected is not None]
    return [Example(pair) for pair in pairs if pair is not None]


def direct_preference(scores: Tensor, references: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """The loss of each pair, and its margin: (B) each, of the log-probabilities (N) of model and reference.

    -log sigmoid(beta * ((edited - original) - (edited by the reference - original by the reference)))
    """
    gains = (scores - references).view(-1, 2)  # (B, 2)
    margins = beta * (gains[:, 0] - gains[:, 1])
    return -functional.logsigmoid(margins), margins


def preference_losses(model: nn.Module, batch: TokenBatch, beta: float) -> PreferenceLosses:
    """What `model` makes of the pairs in `batch`, whose references `with_references` has computed."""
    scores, lengths = sequence_scores(token_losses(model, batch), batch)  # (N) each
    preference, margins = direct_preference(scores, batch.references, beta)
    return PreferenceLosses(preference, (-scores / lengths).view(-1, 2)[:, 0], margins)


def mean_preference(model: nn.Module, pairs: Sequence[Example], tokens: int, beta: float) -> tuple[float, float]:
    """The mean preference loss of `pairs`, in nats, and the share of them, 0 to 1, whose edited reply gained more.

    The caller chooses mode and number type.
    """
    losses, won = 0.0, 0
    with torch.no_grad():
        for numbers in packed_batches(pairs, tokens, None)(0):
            found = preference_losses(model, token_batch([pairs[one] for one in numbers]).to(device_of(model)), beta)
            losses += float(found.preference.double().sum())
            won += int((found.margins > 0).sum())
    return losses / max(len(pairs), 1), won / max(len(pairs), 1)


def _pair(mask: RoleMask, row: DialogueRow, limit: int) -> tuple[SupervisedTokens, SupervisedTokens] | None:
    original = row.rejected
    if original is None or original == row.turns[-1].text:
        return None
    if row.turns[-1].speaker != "assistant":
        raise DatasetError(
            f"conversation {row.id!r} ({row.source.where}) was changed at its last turn, which is the "
            f"{row.turns[-1].speaker}'s; only a turn of the assistant can be preferred"
        )
    last = [False] * (len(row.turns) - 1) + [True]
    before = replace(row, turns=(*row.turns[:-1], ChatTurn("assistant", original)))
    edited, replaced = mask.fitting(row, last, limit), mask.fitting(before, last, limit)
    if edited is None or replaced is None:
        return None
    cut = max(edited.turns_cut, replaced.turns_cut)
    return mask.without(row, last, cut), mask.without(before, last, cut)
