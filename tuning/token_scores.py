"""What a causal language model makes of the supervised tokens of packed conversations, and of nothing else.

The output table is the largest product of a small model, so hidden states are gathered at supervised places before it.
Where the lower blocks are frozen, their hidden states are computed once for each sequence, and every later pass begins
with them (AutoFreeze: Liu et al. 2021, arXiv:2102.01386).

Letters in shape comments: P packs, T tokens of the longest pack, S supervised tokens, H width, V vocabulary.

This file knows nothing of recipes, of epochs, or of what is done with a score.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedModel

from .packing import block_mask
from .token_batches import Example, TokenBatch, packed_batches, token_batch
from .trunks import blocks_of, output_table_of, trunk_of

CHUNK = 4_096  # supervised tokens whose logits are held at the same time


def token_losses(model: nn.Module, batch: TokenBatch, smoothing: float = 0.0) -> Tensor:
    """The negative log-likelihood of each supervised token, in nats: (S) float32.

    Args:
        model: a causal language model of a checkpoint, or a module that holds it.
        batch: on the model's device; with `states`, those that `with_states` computed for this model.
        smoothing: share of a target that is spread over all tokens (label smoothing), 0 to 1.
    """
    hidden, table = _supervised_hidden(model, batch)  # (S, H)
    pieces = zip(torch.split(hidden, CHUNK), torch.split(batch.targets, CHUNK), strict=True)
    losses = [
        functional.cross_entropy(table(rows).float(), targets, reduction="none", label_smoothing=smoothing)
        for rows, targets in pieces
    ]
    return torch.cat(losses)


def token_logits(model: nn.Module, batch: TokenBatch) -> Tensor:
    """What the model would write at each supervised place, all at once in memory: (S, V) float32 logits."""
    hidden, table = _supervised_hidden(model, batch)
    logits: Tensor = table(hidden).float()
    return logits


def sequence_scores(losses: Tensor, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """The log-probability of each sequence's supervised tokens together, and how many they are: (N) float32 each."""
    count = int(batch.sequences.max()) + 1
    zeros = torch.zeros(count, device=losses.device)
    return zeros.index_add(0, batch.sequences, -losses), zeros.index_add(0, batch.sequences, torch.ones_like(losses))


def mean_loss(model: nn.Module, examples: Sequence[Example], tokens: int) -> float:
    """The mean negative log-likelihood of a supervised token, in nats, in batches of at most `tokens` tokens.

    Every token counts the same, whatever its row's weight. The caller chooses mode and number type.
    """
    total = units = 0.0
    with torch.no_grad():
        for numbers in packed_batches(examples, tokens, None)(0):
            batch = token_batch([examples[number] for number in numbers]).to(device_of(model))
            losses = token_losses(model, batch)
            total += float(losses.double().sum())
            units += len(losses)
    return total / max(units, 1)


def with_references(model: nn.Module, examples: Sequence[Example], tokens: int) -> list[Example]:
    """`examples` with the log-probability that `model` as it is now gives each of their sequences."""
    found = list(examples)
    with torch.no_grad():
        for numbers in packed_batches(examples, tokens, None)(0):
            batch = token_batch([examples[number] for number in numbers]).to(device_of(model))
            known = sequence_scores(token_losses(model, batch), batch)[0].tolist()
            for number in numbers:
                size = len(examples[number].sequences)
                found[number] = replace(examples[number], references=tuple(known[:size]))
                known = known[size:]
    return found


def frozen_blocks(model: nn.Module) -> int:
    """How many of the lowest blocks no training of `model` can change; 0 where states cannot be kept.

    Known are language models like Llama, whose blocks see nothing but hidden states and positions.
    """
    trunk = trunk_of(model)
    inputs = trunk.get_input_embeddings().parameters()
    if type(trunk) is not LlamaForCausalLM or any(parameter.requires_grad for parameter in inputs):
        return 0
    blocks = blocks_of(trunk)
    trained = (
        place for place, block in enumerate(blocks) if any(parameter.requires_grad for parameter in block.parameters())
    )
    return next(trained, len(blocks))


def with_states(model: nn.Module, examples: Sequence[Example], budget: int) -> list[Example]:
    """`examples` with the hidden states that the frozen blocks of `model` make of them; as they are where these take
    more than `budget` bytes, or no block is frozen. The caller chooses the number type; dropout is off.
    """
    trunk: Any = trunk_of(model)
    depth = frozen_blocks(model)
    number = torch.float32
    needed = sum(map(len, examples)) * int(trunk.config.hidden_size) * number.itemsize
    if depth == 0 or needed > budget:
        return list(examples)
    training = trunk.training
    trunk.eval()
    with torch.no_grad():
        found = [
            replace(one, states=tuple(_lower(trunk, sequence.tokens, depth) for sequence in one.sequences), depth=depth)
            for one in examples
        ]
    trunk.train(training)
    return found


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def _lower(trunk: Any, tokens: Any, depth: int) -> Tensor:
    """The hidden states of one sequence above its lowest `depth` blocks, on the CPU: (T, H) float32."""
    ids = torch.from_numpy(tokens)[None].to(trunk.device)
    batch = torch.arange(ids.shape[1], device=trunk.device)[None]
    states = trunk.get_input_embeddings()(ids)
    return _through(trunk, states, batch, None, slice(depth))[0].float().cpu()


def _supervised_hidden(model: nn.Module, batch: TokenBatch) -> tuple[Tensor, Any]:
    """The hidden states that predict the supervised tokens, (S, H), and the output table."""
    trunk = trunk_of(model)
    return _last_hidden(trunk, batch).flatten(0, 1)[batch.places], output_table_of(trunk)


def _last_hidden(trunk: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Hidden states after the last norm: (P, T, H)."""
    mask = block_mask(batch.blocks)  # (P, 1, T, T)
    model: Any = trunk
    if batch.states is not None:
        upper = slice(batch.depth, None)
        states: Tensor = model.model.norm(_through(model, batch.states, batch.positions, mask, upper))
        return states
    found = model.get_decoder()(
        input_ids=batch.tokens, attention_mask=mask, position_ids=batch.positions, use_cache=False
    )
    hidden: Tensor = found.last_hidden_state
    return hidden


def _through(trunk: Any, states: Tensor, positions: Tensor, mask: Tensor | None, blocks: slice) -> Tensor:
    """`states` (P, T, H) through some blocks of a model like Llama; None masks what follows only."""
    rotary = trunk.model.rotary_emb(states, position_ids=positions)
    for block in trunk.model.layers[blocks]:
        states = block(states, attention_mask=mask, position_ids=positions, position_embeddings=rotary)
    return states
