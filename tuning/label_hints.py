"""What labels mean, as inputs of a head: with few rows, a head that begins from descriptions beats one from nothing.

How near a text is to each label's description is what answers before any tuning. Given to the ridge as further inputs
that it may use almost for free, it is kept where rows confirm it and overruled where they do not; a linear head over
these inputs is a linear head over the embedding, into which it is folded.

Letters in shape comments: N rows, P inputs (the embedding first), D width of an embedding, K labels (1 of a
regression), H hints (K, or 1 of a regression).

This file knows nothing of texts, encoders or how heads are fitted.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..agents.heads import LinearHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray

STRENGTHS = (0.0, 2.0, 8.0)  # how large hints are beside the embedding: the larger, the less the ridge holds them back
PLENTY = 100  # rows a label; with as many, hints say nothing that rows do not


@dataclass(frozen=True, slots=True)
class LabelHints:
    """The directions in which labels lie, (H, D): from the middle of all of them to each; of a number, low to high."""

    directions: "NDArray[np.float64]"

    @classmethod
    def of(cls, kind: str, descriptions: "FloatArray") -> "LabelHints":
        """From the embeddings (K, D) of what labels mean; of a regression (2, D), its low and its high end."""
        known = descriptions.astype(np.float64)
        if kind == "regression":
            return cls(known[1:] - known[:1])
        return cls(known - known.mean(axis=0))

    def strengths(self, rows: int) -> tuple[float, ...]:
        """Those that are worth trying with so many rows."""
        return STRENGTHS[:1] if rows > PLENTY * len(self.directions) else STRENGTHS

    def beside(self, inputs: "NDArray[np.float64]", strength: float) -> "NDArray[np.float64]":
        """(N, P) inputs become (N, P + H)."""
        if not strength:
            return inputs
        width = self.directions.shape[1]
        return np.concatenate([inputs, strength * inputs[:, :width] @ self.directions.T], axis=1)

    def folded(self, head: LinearHead, strength: float) -> LinearHead:
        """A head over P + H inputs as one over P."""
        if not strength:
            return head
        count, width = self.directions.shape
        weight = head.weight[:, :-count].astype(np.float64)
        weight[:, :width] += strength * head.weight[:, -count:].astype(np.float64) @ self.directions
        return replace(head, weight=weight.astype(np.float32))
