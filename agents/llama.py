"""A lean forward pass of Llama-shaped language models over a checkpoint's own weights, with keys and values in slots.

Queries, keys and values are one matrix, gate and up another; rotary tables are computed once, by the checkpoint's own
rule; attention of a decode step is two batched products over the slots. Every row of a step is computed as if it were
alone, whatever the other rows hold, so that a text never depends on its neighbours.

Letters in shape comments: L layers, S slots, T positions, R rows (tokens, one per slot in a decode step), Q query
heads, K key-value heads, G = Q / K, D width of a head, H width of the model, V vocabulary.

This file knows nothing of requests, sampling, grammars or tokenizers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import LlamaForCausalLM

Attend: TypeAlias = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # (layer, q, k, v) -> (R, Q * D)

# With fewer rows than this, matrix products take another path, whose sums differ in the last bit.
LEAST_ROWS_FLOAT32 = 8
LEAST_ROWS = 2  # in half precision
# Softmax and products over keys are equal, bit for bit, when their lengths differ by whole blocks of masked positions.
KEY_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix (out, in) and, where the checkpoint has one, its bias (out)."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, rows: Tensor) -> Tensor:
        return functional.linear(rows, self.weight, self.bias)


def fused(*parts: torch.nn.Linear) -> Linear:
    """Several linear maps of the same input as one."""
    biases = [part.bias for part in parts if part.bias is not None]
    weight = torch.cat([part.weight.detach() for part in parts])
    return Linear(weight, torch.cat([bias.detach() for bias in biases]) if biases else None)


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one block."""

    attention_norm: Tensor  # (H)
    qkv: Linear  # H -> (Q + 2K) * D
    output: Linear  # Q * D -> H
    mlp_norm: Tensor  # (H)
    gate_up: Linear  # H -> 2 * F
    down: Linear  # F -> H


class SlotCache:
    """Keys and values of every layer, for a number of slots of equal length, zeroed when made."""

    def __init__(
        self, shape: "CacheShape", slots: int, positions: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.slots = slots
        self.positions = positions  # a multiple of KEY_BLOCK
        sizes = (shape.layers, 2, slots, shape.key_value_heads, positions, shape.head_width)
        self.values = torch.zeros(sizes, device=device, dtype=dtype)  # (L, 2, S, K, T, D)

    def copy_slot(self, source: "SlotCache", origin: int, slot: int, length: int) -> None:
        """Copies the first `length` positions of slot `origin` of `source` into `slot`."""
        self.values[:, :, slot, :, :length] = source.values[:, :, origin, :, :length]


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What one position of a cache holds."""

    layers: int
    key_value_heads: int
    head_width: int
    element_size: int  # bytes

    @property
    def bytes_per_position(self) -> int:
        return 2 * self.layers * self.key_value_heads * self.head_width * self.element_size


class Llama:
    """The forward pass. It takes the weights out of `model`, which must not be used afterwards."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        config: Any = model.config
        self.query_heads = int(config.num_attention_heads)
        self.key_value_heads = int(config.num_key_value_heads)
        self.head_width = int(getattr(config, "head_dim", None) or config.hidden_size // self.query_heads)
        self.context_length = int(config.max_position_embeddings)
        self.epsilon = float(config.rms_norm_eps)
        self.embedding: Tensor = model.model.embed_tokens.weight.detach()  # (V, H)
        self.layers = [self._layer(block) for block in model.model.layers]
        self.final_norm = model.model.norm.weight.detach()
        self.head = fused(model.lm_head)
        self.cosine, self.sine = self._rotary_tables(model)

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.dtype

    @property
    def device(self) -> torch.device:
        return self.embedding.device

    @property
    def cache_shape(self) -> CacheShape:
        return CacheShape(len(self.layers), self.key_value_heads, self.head_width, self.embedding.element_size())

    @property
    def least_rows(self) -> int:
        """Rows that a decode step needs for its results not to depend on their number."""
        return LEAST_ROWS_FLOAT32 if self.dtype == torch.float32 else LEAST_ROWS

    def prefill(self, tokens: list[int], cache: SlotCache, slot: int, start: int) -> Tensor:
        """Runs a chunk of one prompt, `start` positions into it; the logits after its last token: (V) float32."""
        stop = start + len(tokens)
        keys, values = cache.values[:, 0, slot, :, :stop], cache.values[:, 1, slot, :, :stop]  # (L, K, T, D)
        positions = torch.arange(start, stop, device=self.device)
        visible = positions[:, None] >= torch.arange(stop, device=self.device)  # (R, T)

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys[layer, :, start:] = key.transpose(0, 1)
            values[layer, :, start:] = value.transpose(0, 1)
            mixed = functional.scaled_dot_product_attention(
                query.transpose(0, 1)[None], keys[layer][None], values[layer][None], attn_mask=visible, enable_gqa=True
            )  # (1, Q, R, D)
            return mixed[0].transpose(0, 1).flatten(1)

        hidden = self._blocks(torch.tensor(tokens, device=self.device), positions, attend)
        return self._logits(hidden[-1:])[0]

    def step(self, tokens: list[int], positions: list[int], cache: SlotCache, first: int) -> Tensor:
        """One token for each of the slots from `first` on, and the logits after each: (R, V) float32.

        `positions` says where in its slot each token stands. Rows of padding (token 0) go through the matrix products
        where `least_rows` asks for them, but see no slot.
        """
        rows = len(tokens)
        padding = max(0, self.least_rows - rows)
        length = -(-(max(positions) + 1) // KEY_BLOCK) * KEY_BLOCK
        keys, values = (
            cache.values[:, 0, first : first + rows],
            cache.values[:, 1, first : first + rows],
        )  # (L, R, K, T, D)
        place = torch.tensor(positions + [0] * padding, device=self.device)
        row, here = torch.arange(rows, device=self.device), place[:rows]
        unseen = torch.arange(length, device=self.device) > here[:, None]  # (R, T)
        mask = torch.zeros(unseen.shape, device=self.device).masked_fill_(unseen, float("-inf"))[:, None, None]
        group = (rows, self.key_value_heads, self.query_heads // self.key_value_heads, self.head_width)

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys[layer][row, :, here] = key[:rows]
            values[layer][row, :, here] = value[:rows]
            scores = query[:rows].reshape(group) @ keys[layer][:, :, :length].transpose(2, 3)  # (R, K, G, T)
            weights = torch.softmax(scores.float() * self.head_width**-0.5 + mask, dim=-1).to(self.dtype)
            mixed = (weights @ values[layer][:, :, :length]).reshape(rows, -1)
            return functional.pad(mixed, (0, 0, 0, padding)) if padding else mixed

        return self._logits(self._blocks(torch.tensor(tokens + [0] * padding, device=self.device), place, attend))[
            :rows
        ]

    def _blocks(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden states after the last block: (R, H)."""
        cosine, sine = self.cosine[positions, None], self.sine[positions, None]  # (R, 1, D)
        turned = self.query_heads + self.key_value_heads
        hidden = functional.embedding(tokens, self.embedding)
        for index, layer in enumerate(self.layers):
            mixed = layer.qkv(self._norm(hidden, layer.attention_norm))
            heads = mixed.view(len(tokens), turned + self.key_value_heads, self.head_width)
            rotated = _rotate(heads[:, :turned], cosine, sine)
            query, key = rotated[:, : self.query_heads], rotated[:, self.query_heads :]
            hidden = hidden + layer.output(attend(index, query, key, heads[:, turned:]))
            gate, up = layer.gate_up(self._norm(hidden, layer.mlp_norm)).chunk(2, dim=-1)
            hidden = hidden + layer.down(functional.silu(gate) * up)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        return self.head(self._norm(hidden, self.final_norm)).float()

    def _norm(self, rows: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(rows, weight.shape, weight, self.epsilon)

    def _layer(self, block: Any) -> Layer:
        attention, mlp = block.self_attn, block.mlp
        return Layer(
            attention_norm=block.input_layernorm.weight.detach(),
            qkv=fused(attention.q_proj, attention.k_proj, attention.v_proj),
            output=fused(attention.o_proj),
            mlp_norm=block.post_attention_layernorm.weight.detach(),
            gate_up=fused(mlp.gate_proj, mlp.up_proj),
            down=fused(mlp.down_proj),
        )

    def _rotary_tables(self, model: LlamaForCausalLM) -> tuple[Tensor, Tensor]:
        """Cosines and sines of every position, by the checkpoint's own scaling rule: (T, D) each."""
        positions = torch.arange(self.context_length, device=self.device)[None]
        cosine, sine = model.model.rotary_emb(self.embedding[:1, None], positions)
        return cosine[0].contiguous(), sine[0].contiguous()


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., 2021, arXiv:2104.09864) of (R, heads, D)."""
    left, right = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((-right, left), dim=-1) * sine
