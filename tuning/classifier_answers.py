"""What a candidate or a base with heads answers to rows, many at a time, with the numbers that serving would give.

Letters in shape comments: N rows, D width of an embedding, F features, K labels.

This file does not know what the right answers are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..agents.checkpoints import locate
from ..agents.heads import LinearHeads, read_heads
from ..agents.releases import HEAD, MODEL
from .candidates import Candidate
from .head_fitting import FeatureScale
from .logistic import probabilities_of
from .rows import ClassifierRow
from .trunk import Listen, Platform, Trunk, unheard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def candidate_answers(
    candidate: Candidate, rows: Sequence[ClassifierRow], platform: Platform, listen: Listen = unheard
) -> "tuple[NDArray[np.float64], ...]":
    """For each head the probabilities (N, K), or the numbers (N, 1), that `candidate` gives to `rows`.

    Raises:
        CheckpointError: the base cannot be had.
        ValueError: its heads cannot be read.
    """
    content = candidate.files[HEAD]
    heads = read_heads(
        content if isinstance(content, bytes) else content.read_bytes(), [head.kind for head in candidate.heads]
    )
    return answers(Trunk(candidate_folder(candidate), platform), heads, rows, listen)


def candidate_folder(candidate: Candidate) -> Path:
    """The checkpoint under its heads: of its own, or the base's."""
    own = candidate.files.get(f"{MODEL}/config.json")
    return own.parent if isinstance(own, Path) else locate(candidate.base)


def answers(
    trunk: Trunk, heads: LinearHeads, rows: Sequence[ClassifierRow], listen: Listen = unheard
) -> "tuple[NDArray[np.float64], ...]":
    """For each head (N, K) what `heads.predict` says, over embeddings of `trunk`."""
    embeddings = trunk.embed([row.text for row in rows], listen)
    inputs = FeatureScale(heads.mean, heads.deviation).inputs(embeddings, rows)  # (N, D + F)
    return tuple(probabilities_of(head, inputs) for head in heads.heads)
