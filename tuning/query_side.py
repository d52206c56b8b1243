"""Rung 1 of a retriever: its query side, against every passage there is.

Passages keep the base's vectors, so each step tells a question apart from the whole corpus exactly, at the price of one
matrix product: no batch of negatives, no stale index, and nothing to embed anew when the release is promoted. What is
trained is the score that is served: the dense one on top of that by words, whose share stays as it was.

Letters in shape comments: B questions of a batch, N passages, C chunks of them, D width of an embedding.

This file knows nothing of ladders or releases.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..agents.fusion import Fusion
from .adapters import parameter_groups, prepare
from .batches import token_batches
from .interpolation import SHARES, can_interpolate, put_between, weights_of
from .negatives import pairs_of, ranking_loss
from .progress import Progress, unheard
from .query_encoder import QueryEncoder, Tokens, embed_all, exactly
from .recipes import Recipe
from .retriever_task import RetrieverTask, TunedSearch
from .search_settings import choose_share
from .training import Loss, train

GUARD = 0.95  # share of the relevant passage's score, before any training, above which another may answer as well
MOST_BY_WORDS = 0.9  # of the lexical share, beyond which hardly anything would be learned


class ServedScores:
    """The scores that are served, as a function of the vectors of questions."""

    def __init__(self, task: RetrieverTask, fusion: Fusion, asked: Tensor, device: torch.device) -> None:
        """`asked` (Q, D): train questions before any training, from which the scale of each is taken."""
        self._trials, self._fusion = task.train, fusion
        self._owners = torch.from_numpy(task.corpus.owners).to(device)  # (C)
        self._count = len(task.corpus.ids)
        share = min(fusion.lexical_share, MOST_BY_WORDS)
        self._ratio = share / (1 - share)
        self._chunks = torch.from_numpy(task.chunks).to(device)  # (C, D)
        self._asked = asked.to(device)

    def before(self, rows: Sequence[int]) -> Tensor:
        """(B, N) scores before any training, from the mean of all passages: cosines of some encoders are all high."""
        scores = self.of(rows, self._asked[list(rows)])
        return scores - scores.mean(dim=1, keepdim=True)

    def of(self, rows: Sequence[int], asked: Tensor) -> Tensor:
        """Cosines plus what words add to them: (B, N) from vectors (B, D) of the questions `rows`."""
        words = torch.from_numpy(self._trials.words(self._fusion, rows)).to(asked.device)  # (B, C)
        with torch.no_grad():
            nearest = (self._asked[list(rows)] @ self._chunks.T).amax(dim=1, keepdim=True) + 1  # (B, 1)
        return self._by_passage(asked @ self._chunks.T + self._ratio * nearest * words)

    def _by_passage(self, scores: Tensor) -> Tensor:
        """(B, N) the best of each passage's chunks from (B, C)."""
        empty = torch.full((len(scores), self._count), -torch.inf, device=scores.device, dtype=scores.dtype)
        return empty.scatter_reduce(1, self._owners.expand(len(scores), -1), scores, "amax")


def tune_queries(
    task: RetrieverTask,
    start: TunedSearch,
    recipe: Recipe,
    *,
    listen: Callable[[Progress], None] = unheard,
    folder: Path | None = None,
    device: str | None = None,
) -> TunedSearch:
    """Trains the query side from `start`, whose queries the base embeds; the best of the weights on the way. Blocks.

    Raises:
        TrainingFailed: as `train` does.
        OutOfMemory: there is no memory even for one question.
    """
    model = QueryEncoder.load(task.folder, start.map_or_identity(task.width))
    began = weights_of(model)
    prepared = prepare(model, recipe, recipe.seed)
    tokens = Tokens(task.folder)
    train_rows = tokens.of(task.train.questions.texts)
    validation_rows = tokens.of(task.validation.questions.texts)

    def found(encoder: nn.Module, fusion: Fusion) -> TunedSearch:
        asked = embed_all(_encoder(encoder), tokens, validation_rows, queries=True)
        chosen = choose_share(task.validation, asked, task.chunks, fusion)
        ndcgs = task.validation.ndcgs(asked, task.chunks, [chosen])[0]
        return TunedSearch(f"query side, {recipe.method}", chosen, ndcgs)

    train(
        prepared.model,
        token_batches([len(row) for row in train_rows], recipe.batch_tokens, recipe.seed),
        _loss(task, start, recipe, tokens, train_rows),
        recipe,
        groups=parameter_groups(prepared.model, recipe),
        validate=lambda encoder: 1 - found(encoder, start.fusion).ndcg,
        listen=listen,
        folder=folder,
        device=device,
        hook=prepared.hook,
    )
    prepared.finish()
    return best_between(model, began, recipe, lambda encoder: found(encoder, start.fusion))


def best_between(
    model: QueryEncoder, began: dict[str, Tensor], recipe: Recipe, found: Callable[[QueryEncoder], TunedSearch]
) -> TunedSearch:
    """What is found best on the way from the weights `began` to those of `model`, which has them afterwards."""
    ended = weights_of(model)
    shares = SHARES if recipe.interpolation and can_interpolate(began, ended) else (1.0,)
    trials: list[tuple[float, TunedSearch]] = []
    for share in shares:
        if share < 1 or len(shares) > 1:
            put_between(model, began, ended, share)
        trials.append((share, found(model)))
    share, best = max(trials, key=lambda trial: trial[1].ndcg)
    if len(shares) > 1:
        put_between(model, began, ended, share)
    matrix = model.query_map.detach().cpu().numpy().copy()
    rung = f"{best.rung}, {share:.0%} of the way"
    return TunedSearch(rung, best.fusion, best.ndcgs, matrix, model, best.documents)


def _loss(
    task: RetrieverTask, start: TunedSearch, recipe: Recipe, tokens: Tokens, rows: Sequence[Sequence[int]]
) -> Callable[[nn.Module, Sequence[int]], Loss]:
    questions = task.train.questions
    plain = torch.from_numpy(task.train_asked @ start.map_or_identity(task.width))
    asked = nn.functional.normalize(plain, dim=-1)
    scores: dict[torch.device, ServedScores] = {}

    def loss(model: nn.Module, batch: Sequence[int]) -> Loss:
        encoder = _encoder(model)
        device = encoder.query_map.device
        if device not in scores:
            scores[device] = ServedScores(task, start.fusion, asked, device)
        served = scores[device]
        ids, mask = tokens.batch([rows[row] for row in batch], device)
        with torch.no_grad(), exactly(device):
            pairs = pairs_of(
                [questions.relevant[row] for row in batch],
                [questions.rejected[row] for row in batch],
                questions.weights[list(batch)],
                served.before(batch).cpu(),
                GUARD,
            ).to(device)
        queries = encoder(ids, mask)
        with exactly(device):
            total = ranking_loss(served.of(batch, queries), pairs, recipe.temperature)
        return Loss(total, len(batch), int(mask.sum()))

    return loss


def _encoder(model: nn.Module) -> QueryEncoder:
    assert isinstance(model, QueryEncoder)  # noqa: S101 -- `train` gives back what it was given
    return model
