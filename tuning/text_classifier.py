"""An encoder with heads as one network to be trained: from tokens, or from cached states below its upper layers.

Letters in shape comments: B texts of a batch, T padded tokens of each, D width of an embedding, F numeric features, K
labels of a head.

This file knows nothing of recipes, losses or rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from ..agents.heads import LinearHead
from .errors import TrainingFailed
from .trunks import blocks_of


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Texts as the network takes them."""

    tokens: Tensor  # (B, T) int64, or (B, T, D) states below the upper layers
    mask: Tensor  # (B, T) int64, 1 where there is a token
    features: Tensor  # (B, F) standardised

    def to(self, device: torch.device) -> "TextBatch":
        """The same on `device`."""
        return TextBatch(self.tokens.to(device), self.mask.to(device), self.features.to(device))


class TextClassifier(nn.Module):
    """Mean-pooled unit embeddings as the engine serves them, and linear heads over these and the features.

    Numbers of a regression are in units of `scales`, about 0, so that its loss weighs as much as others.

    Args:
        encoder: the checkpoint's model, in float32.
        heads: what the heads begin with.
        scales: of each head, mean and standard deviation of its numbers; (0, 1) of labels.
        upper: how many upper layers are computed where states are given instead of tokens.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        heads: Sequence[LinearHead],
        scales: Sequence[tuple[float, float]],
        upper: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.scales = tuple(scales)
        self.heads = nn.ModuleList(map(_layer, heads, scales))
        self._upper: tuple[PreTrainedModel, ...] = (
            (upper_part(encoder, upper),) if upper else ()
        )  # in a tuple: its weights are the encoder's

    def forward(self, batch: TextBatch) -> list[Tensor]:
        """For each head (B, K) logits, or (B, 1) standardised numbers."""
        inputs = torch.cat([self.embed(batch), batch.features], dim=-1)  # (B, D + F)
        return [head(inputs) for head in self.heads]

    def embed(self, batch: TextBatch) -> Tensor:
        """(B, D) float32 of unit length."""
        hidden = self._hidden(batch).float()  # (B, T, D)
        weights = batch.mask[..., None].float()
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return nn.functional.normalize(mean, dim=-1)

    def linear_heads(self, like: Sequence[LinearHead]) -> tuple[LinearHead, ...]:
        """The heads as they are now, in the units of what they answer; of the kinds of `like`."""
        return tuple(
            LinearHead(
                old.kind,
                (head.weight * scale[1]).detach().float().cpu().numpy(),
                (head.bias * scale[1] + scale[0]).detach().float().cpu().numpy(),
            )
            for head, old, scale in zip(self._layers(), like, self.scales, strict=True)
        )

    def _layers(self) -> list[nn.Linear]:
        return [head for head in self.heads if isinstance(head, nn.Linear)]

    def _hidden(self, batch: TextBatch) -> Tensor:
        if batch.tokens.ndim == 2:
            hidden: Tensor = self.encoder(input_ids=batch.tokens, attention_mask=batch.mask).last_hidden_state
        else:
            hidden = self._upper[0](inputs_embeds=batch.tokens, attention_mask=batch.mask).last_hidden_state
        return hidden


def load_encoder(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model of the checkpoint in `folder`."""
    model: PreTrainedModel = AutoModel.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    return model


def upper_part(encoder: PreTrainedModel, layers: int) -> PreTrainedModel:
    """A model of the uppermost `layers` of `encoder`, which takes states below them as `inputs_embeds` (B, T, D).

    Its weights are those of `encoder`, so that training one trains the other.

    Raises:
        TrainingFailed: the architecture keeps its embeddings elsewhere than is known here, or has fewer layers.
    """
    blocks = blocks_of(encoder)
    place = next(name for name, module in encoder.named_modules() if module is blocks)
    if not isinstance(getattr(encoder, "embeddings", None), nn.Module) or layers > len(blocks):
        raise TrainingFailed(
            f"the upper {layers} layers of {type(encoder).__name__} cannot be computed by themselves: it has "
            f"{len(blocks)}, and must keep its embeddings in `embeddings`; use method 'full' or 'lora'"
        )
    with torch.device("meta"):
        upper: Any = type(encoder)(encoder.config)
    for name, module in encoder.named_children():  # what follows the layers, such as a last norm
        setattr(upper, name, module)
    upper.embeddings = _AsGiven()
    parent, _, leaf = place.rpartition(".")
    holder = _copy_of_parents(upper, parent)
    setattr(holder, leaf, nn.ModuleList(list(blocks)[len(blocks) - layers :]))
    made: PreTrainedModel = upper
    return made


class _AsGiven(nn.Module):
    """Embeddings that were computed already."""

    def forward(self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_: Any) -> Tensor:
        if inputs_embeds is None:
            raise TrainingFailed("upper layers take states, but were given tokens")
        return inputs_embeds


def _copy_of_parents(model: nn.Module, place: str) -> nn.Module:
    """The module at `place`, after it and those around it became copies that share all their children."""
    for name in [part for part in place.split(".") if part]:
        child = model.get_submodule(name)
        copied = child.__class__.__new__(child.__class__)
        copied.__dict__ = child.__dict__ | {"_modules": dict(child._modules)}
        setattr(model, name, copied)
        model = copied
    return model


def _layer(head: LinearHead, scale: tuple[float, float]) -> nn.Linear:
    outputs, inputs = head.weight.shape
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight / (head.temperature * scale[1])))
        layer.bias.copy_(torch.from_numpy((head.bias / head.temperature - scale[0]) / scale[1]))
    return layer
