"""Rung 2 of a retriever: one encoder for questions and passages, with negatives from within large batches.

Multiple-negatives ranking (Henderson et al. 2017, arXiv:1705.00652) over a batch's questions against all its passages,
with hard negatives beside them. Memory is that of one micro-batch, whatever the batch: embeddings are computed without
their graph, and once more, micro-batch by micro-batch, when their gradients are known (GradCache, Gao et al. 2021,
arXiv:2101.06983; checkpointing each micro-batch is the same computation). Gradient accumulation would not do: it adds
no negatives.

Letters in shape comments: B questions of a batch, P passages of a batch, D width of an embedding.

This file knows nothing of ladders or releases.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..agents.fusion import Fusion
from .adapters import parameter_groups, prepare
from .batches import NumberedBatches, token_batches
from .interpolation import weights_of
from .negatives import pairs_of, ranking_loss
from .progress import Progress, unheard
from .query_encoder import QueryEncoder, Tokens, embed_all, exactly
from .query_side import best_between
from .recipes import Recipe
from .retriever_task import RetrieverTask, TunedSearch
from .search_settings import choose_share
from .search_trials import Questions, by_meaning, joined
from .training import Loss, train

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTIONS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Columns:
    """The chunks of one batch: what is relevant to its questions, was rejected, or is a hard negative."""

    chunks: tuple[int, ...]  # (P) rows of the corpus's chunks, without repetition
    relevant: "tuple[NDArray[np.int64], ...]"  # of each question, places in `chunks`
    rejected: "tuple[NDArray[np.int64], ...]"


def batches_apart(questions: Questions, size: int, seed: int) -> NumberedBatches:
    """Batches of question numbers, no two of which share a relevant passage; every question once an epoch."""

    def batches(epoch: int) -> tuple[tuple[int, ...], ...]:
        order = list(range(len(questions)))
        random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 -- an order, not a secret
        return tuple(_cut_apart(order, questions, size))

    return batches


class BatchColumns:
    """Chooses the chunks of a batch by what the start of the training finds."""

    def __init__(self, task: RetrieverTask, start: TunedSearch, negatives: int) -> None:
        self._task = task
        asked = task.train_asked @ start.map_or_identity(task.width)
        self._asked = asked / np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-12)
        self._fusion = start.fusion
        self._negatives = negatives

    def of(self, batch: Sequence[int]) -> Columns:
        """The chunks of `batch`: the best chunk of each passage that a question brings."""
        questions, owners = self._task.train.questions, self._task.corpus.owners
        cosines = self._asked[list(batch)] @ self._task.chunks.T
        words = self._task.train.words(self._fusion, batch)
        scores = joined(self._fusion.lexical_share, words, by_meaning(cosines))  # (B, C)
        places: dict[int, int] = {}
        relevant, rejected = [], []
        for row, own in zip(batch, scores, strict=True):
            good, bad = questions.relevant[row], questions.rejected[row]
            relevant.append(_placed(self._best(own, good), places))
            rejected.append(_placed(self._best(own, bad), places))
            ranked = np.argsort(-own)[: self._negatives + 4 * (len(good) + 1)]
            hard = [int(chunk) for chunk in ranked if owners[chunk] not in good][: self._negatives]
            _placed(hard, places)
        chunks = tuple(places)
        answers = [
            _owned(owners, chunks, questions.relevant[row], own) for row, own in zip(batch, relevant, strict=True)
        ]
        return Columns(chunks, tuple(answers), tuple(rejected))

    def _best(self, scores: "NDArray[np.float32]", passages: "NDArray[np.int64]") -> list[int]:
        owners = self._task.corpus.owners
        of = [np.flatnonzero(owners == passage) for passage in passages.tolist()]
        return [int(chunks[np.argmax(scores[chunks])]) for chunks in of]


def tune_both_sides(
    task: RetrieverTask,
    start: TunedSearch,
    recipe: Recipe,
    *,
    listen: Callable[[Progress], None] = unheard,
    folder: Path | None = None,
    device: str | None = None,
) -> TunedSearch:
    """Trains one encoder for both sides from `start`, in which the base embeds both. Blocks.

    Raises:
        TrainingFailed: as `train` does.
        OutOfMemory: there is no memory even for one micro-batch.
    """
    model = QueryEncoder.load(task.folder, start.map_or_identity(task.width))
    began = weights_of(model)
    prepared = prepare(model, recipe, recipe.seed)
    tokens = Tokens(task.folder)
    asked = tokens.of(task.train.questions.texts)
    validated = tokens.of(task.validation.questions.texts)
    chunks = tokens.of(task.corpus.chunks)

    def found(encoder: nn.Module, fusion: Fusion) -> TunedSearch:
        assert isinstance(encoder, QueryEncoder)  # noqa: S101 -- `train` gives back what it was given
        queries = embed_all(encoder, tokens, validated, queries=True)
        passages = embed_all(encoder, tokens, chunks, queries=False)
        chosen = choose_share(task.validation, queries, passages, fusion)
        ndcgs = task.validation.ndcgs(queries, passages, [chosen])[0]
        return TunedSearch(f"both sides, {recipe.method}", chosen, ndcgs, documents="model")

    train(
        prepared.model,
        batches_apart(task.train.questions, QUESTIONS_AT_ONCE, recipe.seed),
        _loss(task, start, recipe, tokens, asked, chunks),
        recipe,
        groups=parameter_groups(prepared.model, recipe),
        validate=lambda encoder: 1 - found(encoder, start.fusion).ndcg,
        listen=listen,
        folder=folder,
        device=device,
        hook=prepared.hook,
        divisible=False,
    )
    prepared.finish()
    return best_between(model, began, recipe, lambda encoder: found(encoder, start.fusion))


def cached_vectors(
    encoder: QueryEncoder, tokens: Tokens, rows: Sequence[Sequence[int]], budget: int, *, queries: bool
) -> Tensor:
    """Vectors (len(rows), D) of a batch, with a graph that holds one micro-batch of `budget` tokens at a time."""
    device = encoder.query_map.device
    embed = encoder.forward if queries else encoder.pooled
    order: list[int] = []
    parts: list[Tensor] = []
    for micro in token_batches([len(row) for row in rows], budget, seed=0)(0):
        ids, mask = tokens.batch([rows[number] for number in micro], device)
        part: Tensor = checkpoint(embed, ids, mask, use_reentrant=False)
        parts.append(part)
        order.extend(micro)
    return torch.cat(parts)[torch.argsort(torch.tensor(order, device=device))]


def _loss(
    task: RetrieverTask,
    start: TunedSearch,
    recipe: Recipe,
    tokens: Tokens,
    asked: Sequence[Sequence[int]],
    chunks: Sequence[Sequence[int]],
) -> Callable[[nn.Module, Sequence[int]], Loss]:
    weights = task.train.questions.weights
    columns = BatchColumns(task, start, recipe.negatives)

    def loss(model: nn.Module, batch: Sequence[int]) -> Loss:
        assert isinstance(model, QueryEncoder)  # noqa: S101 -- `train` gives back what it was given
        chosen = columns.of(batch)
        questions, passages = [asked[row] for row in batch], [chunks[chunk] for chunk in chosen.chunks]
        queries = cached_vectors(model, tokens, questions, recipe.batch_tokens, queries=True)
        vectors = cached_vectors(model, tokens, passages, recipe.batch_tokens, queries=False)
        with exactly(queries.device):
            scores = queries @ vectors.T  # (B, P)
            before = torch.ones(scores.shape)
            pairs = pairs_of(chosen.relevant, chosen.rejected, weights[list(batch)], before, guard=float("inf"))
            total = ranking_loss(scores, pairs.to(scores.device), recipe.temperature)
        return Loss(total, len(batch), sum(map(len, questions)) + sum(map(len, passages)))

    return loss


def _cut_apart(order: Sequence[int], questions: Questions, size: int) -> Iterator[tuple[int, ...]]:
    """Each question goes into the first batch with room in which none shares a passage with it."""
    batches: list[list[int]] = []
    taken: list[set[int]] = []
    for row in order:
        own = set(questions.relevant[row].tolist())
        for batch, passages in zip(batches, taken, strict=True):
            if len(batch) < size and not passages & own:
                batch.append(row)
                passages |= own
                break
        else:
            batches.append([row])
            taken.append(own)
    yield from map(tuple, batches)


def _placed(chunks: Sequence[int], places: dict[int, int]) -> "NDArray[np.int64]":
    return np.array([places.setdefault(chunk, len(places)) for chunk in chunks], np.int64)


def _owned(
    owners: "NDArray[np.int64]", chunks: Sequence[int], passages: "NDArray[np.int64]", first: "NDArray[np.int64]"
) -> "NDArray[np.int64]":
    """All columns of the relevant passages, those that were chosen for this question first."""
    every = np.flatnonzero(np.isin(owners[list(chunks)], passages))
    return np.concatenate([first, np.setdiff1d(every, first)])
