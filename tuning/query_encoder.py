"""The module that a retriever trains: a checkpoint's encoder with mean pooling, and the linear map of queries.

    encoder = QueryEncoder.load(folder, query_map)
    encoder(ids, mask)                            # questions: (B, D), mapped, of unit length
    encoder.pooled(ids, mask)                     # passages, where both sides are tuned: (B, D) of unit length

Letters in shape comments: B texts of a batch, T padded tokens of each, D width of an embedding.

This file knows nothing of losses, of the corpus or of releases.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoModel, PreTrainedModel

from ..agents.tokens import context_length, load_tokenizer
from .batches import padded, token_batches

if TYPE_CHECKING:
    from ..agents.inference import FloatArray

_EMBEDDED_AT_ONCE = {"cpu": 4_096, "cuda": 131_072}  # tokens of a batch, padding included
_CHARACTERS_PER_TOKEN = 100  # a text is cut to this many times the longest input before it is tokenised


class QueryEncoder(nn.Module):
    """An encoder, mean pooling (Reimers and Gurevych 2019, arXiv:1908.10084), and a map of what it makes of queries."""

    def __init__(self, trunk: PreTrainedModel, query_map: Tensor) -> None:
        super().__init__()
        self.trunk = trunk
        self.query_map = nn.Parameter(query_map)  # (D, D)

    @classmethod
    def load(cls, folder: Path, query_map: "FloatArray") -> "QueryEncoder":
        """The checkpoint in `folder`, in float32, and a map (D, D)."""
        trunk = AutoModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        return cls(trunk, torch.from_numpy(query_map.copy()))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Questions as passages are compared with them: (B, D) from tokens (B, T) and which of them are real."""
        pooled = self.pooled(ids, mask)
        with exactly(pooled.device):
            return normalize(pooled @ self.query_map, dim=-1)

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The encoder's own embeddings: (B, D) of unit length."""
        hidden = self.trunk(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # (B, T, D)
        weights = mask[..., None].float()
        return normalize((hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1), dim=-1)


def exactly(device: torch.device) -> torch.autocast:
    """Within, products are float32, also in a training of mixed precision: scores differ in their third digit."""
    return torch.autocast(device.type, enabled=False)


class Tokens:
    """Texts as an encoder reads them."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = load_tokenizer(folder)
        self._longest = min(context_length(folder), self._tokenizer.model_max_length)
        pad = self._tokenizer.pad_token_id
        self._padding = pad if isinstance(pad, int) else 0

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text with its special ones, cut to the longest input of the model."""
        if not texts:
            return []
        cut = [text[: self._longest * _CHARACTERS_PER_TOKEN] for text in texts]
        tokens: list[list[int]] = self._tokenizer(cut, truncation=True, max_length=self._longest)["input_ids"]
        return tokens

    def batch(self, rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
        """Tokens (B, T) and which of them are real (B, T)."""
        ids, mask = padded(rows, self._padding)
        return ids.to(device), mask.to(device)


def embed_all(encoder: QueryEncoder, tokens: Tokens, rows: Sequence[Sequence[int]], *, queries: bool) -> "FloatArray":
    """Unit vectors (len(rows), D) float32 of all texts, as questions or as passages; without gradients."""
    device = encoder.query_map.device
    budget = _EMBEDDED_AT_ONCE.get(device.type, _EMBEDDED_AT_ONCE["cpu"])
    vectors = np.zeros((len(rows), encoder.query_map.shape[0]), np.float32)
    with torch.no_grad():
        for batch in token_batches([len(row) for row in rows], budget, seed=0)(0):
            ids, mask = tokens.batch([rows[number] for number in batch], device)
            found = encoder(ids, mask) if queries else encoder.pooled(ids, mask)
            vectors[list(batch)] = found.float().cpu().numpy()
    return vectors
