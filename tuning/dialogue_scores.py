"""How likely a language model finds what should have been said in each conversation.

In the number type in which the engine serves it. This file knows nothing of roles or releases.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..agents.checkpoints import home
from ..agents.devices import device_profile
from ..agents.tokens import context_length
from .dialogue import load_for_training
from .rows import DialogueRow
from .supervision import RoleMask
from .token_batches import Example, packed_batches, token_batch
from .token_scores import sequence_scores, token_losses

BATCH_TOKENS = 2_048


def row_losses(
    folder: Path, rows: Sequence[DialogueRow], listen: Callable[[int, int], None]
) -> list[tuple[float, int]]:
    """For each row the nats of its supervised tokens together, and how many they are; (0, 0) where none fits. Blocks.

    Raises:
        DatasetError: a row has no supervised token.
        CheckpointError: the folder holds no language model.
    """
    supervision = RoleMask(folder).supervise(rows, context_length(folder))
    examples = [Example((one,)) for one in supervision.sequences]
    profile = device_profile(home())
    model = load_for_training(folder).to(device=profile.device, dtype=getattr(torch, profile.decoder_dtype)).eval()
    found: dict[str, tuple[float, int]] = {}
    with torch.inference_mode():
        for numbers in packed_batches(examples, BATCH_TOKENS, None)(0):
            listen(len(found), len(examples))
            batch = token_batch([examples[number] for number in numbers]).to(profile.device)
            scores, counts = sequence_scores(token_losses(model, batch), batch)
            for number, score, count in zip(numbers, scores.tolist(), counts.tolist(), strict=True):
                found[supervision.sequences[number].row] = (-score, int(count))
    return [found.get(row.id, (0.0, 0)) for row in rows]
