"""What all rungs of a retriever's ladder work on: corpus, questions and their vectors by the base; and what they make.

Letters in shape comments: Q questions, N passages, C chunks of them, D width of an embedding.

This file knows nothing of how anything is trained.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..agents.fusion import Fusion
from .datasets import Dataset
from .errors import DatasetError
from .query_encoder import QueryEncoder
from .rows import RetrieverRow
from .search_trials import Questions, SearchedCorpus, SearchTrials
from .trunk import Trunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray


@dataclass(frozen=True, slots=True)
class RetrieverTask:
    """A data set as the rungs see it."""

    folder: Path  # of the base checkpoint
    corpus: SearchedCorpus
    chunks: "FloatArray"  # (C, D) by the base
    train: SearchTrials
    validation: SearchTrials
    train_asked: "FloatArray"  # (Q, D) by the base
    validation_asked: "FloatArray"

    @classmethod
    def of(cls, dataset: Dataset[RetrieverRow], trunk: Trunk) -> "RetrieverTask":
        """Embeds with the base's `trunk` what `dataset` holds. Blocks.

        Raises:
            DatasetError: nothing is known to answer a question, to train on or to validate with.
        """
        corpus = SearchedCorpus.of(dataset.passages)
        train, validation = (Questions.of(dataset.part(split), corpus) for split in ("train", "validation"))
        for questions, name in ((train, "train"), (validation, "validation")):
            if not questions:
                raise DatasetError(
                    f"role {dataset.role!r} has no {name} row with a relevant passage among the {len(corpus.ids):,} "
                    f"that are known; add rows, and the texts of their passages"
                )
        return cls(
            trunk.folder,
            corpus,
            trunk.embed(corpus.chunks),
            SearchTrials(corpus, train),
            SearchTrials(corpus, validation),
            trunk.embed(train.texts),
            trunk.embed(validation.texts),
        )

    @property
    def width(self) -> int:
        """D."""
        return int(self.chunks.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class TunedSearch:
    """A way of searching that a rung made, and what it finds."""

    rung: str  # for a person: how it was made
    fusion: Fusion
    ndcgs: "NDArray[np.float64]"  # (Q) nDCG@10 of the validation questions
    query_map: "FloatArray | None" = None  # (D, D)
    encoder: QueryEncoder | None = None  # with weights of its own; its map is `query_map`
    documents: Literal["base", "model"] = "base"  # what embeds passages

    @property
    def ndcg(self) -> float:
        """Mean nDCG@10 on validation."""
        return float(self.ndcgs.mean())

    def map_or_identity(self, width: int) -> "FloatArray":
        """(D, D) what its queries go through."""
        return np.eye(width, dtype=np.float32) if self.query_map is None else self.query_map
