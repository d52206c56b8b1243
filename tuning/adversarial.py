"""Losses made harder, so that small changes of the input or of dropout change little: FGM, FreeLB and R-Drop.

    loss = hardened(judge, recipe)                # judge: (model, rows) -> Judged(loss, logits)
    train(model, batches, loss, recipe, ...)

FGM and FreeLB move the embeddings of tokens to where the loss is higher. How far is measured per row, in lengths of an
embedding: with a radius of 1, all tokens of a row together move by the mean length of their embeddings.

Letters in shape comments: B rows, T tokens, H width of an embedding, N units of a loss, K labels.

This file knows nothing of roles, nor of what a loss means. It wants a model that looks its tokens up in a table: cached
states of lower layers leave nothing to move.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .errors import TrainingFailed
from .recipes import Recipe
from .training import Batch, Loss
from .trunks import trunk_of

LossFunction: TypeAlias = Callable[[nn.Module, Batch[Any]], Loss]
Divergence: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # logits (N, K) twice -> (N)
ASCENTS = 3  # steps of FreeLB, as in most of the paper's tasks
LEAST = 1e-12  # a gradient of no length moves nothing


class Judged(NamedTuple):
    """A loss and the logits that it was computed from."""

    loss: Loss
    logits: Tensor  # (N, K), or (N,) of a regression


Judge: TypeAlias = Callable[[nn.Module, Batch[Any]], Judged]


def categorical_divergence(left: Tensor, right: Tensor) -> Tensor:
    """Half the sum of both Kullback-Leibler divergences between softmaxes: (N, K) twice to (N)."""
    one, other = functional.log_softmax(left.float(), dim=-1), functional.log_softmax(right.float(), dim=-1)
    return 0.5 * ((one.exp() - other.exp()) * (one - other)).sum(dim=-1)


def binary_divergence(left: Tensor, right: Tensor) -> Tensor:
    """The same of K independent labels, summed over them: (N, K) twice to (N)."""
    difference = torch.sigmoid(left.float()) - torch.sigmoid(right.float())
    return 0.5 * (difference * (left.float() - right.float())).sum(dim=-1)


def squared_difference(left: Tensor, right: Tensor) -> Tensor:
    """Of values: (N,) or (N, K) twice to (N)."""
    return (left.float() - right.float()).square().flatten(1).sum(dim=-1) if left.ndim > 1 else (left - right).square()


def hardened(judge: Judge, recipe: Recipe, divergence: Divergence = categorical_divergence) -> LossFunction:
    """The loss of `judge`, made harder as `recipe.adversary` says; "none" leaves it as it is."""

    def loss(model: nn.Module, rows: Batch[Any]) -> Loss:
        return judge(model, rows).loss

    match recipe.adversary:
        case "fgm":
            return fgm(loss, recipe.radius)
        case "freelb":
            return freelb(loss, recipe.radius)
        case "r-drop":
            return r_drop(judge, recipe.consistency, divergence)
        case _:
            return loss


def fgm(loss: LossFunction, radius: float) -> LossFunction:
    """The mean of the loss and of the loss one step of its gradient away (Miyato et al., 2017, arXiv:1605.07725).

    Raises, when it is called:
        TrainingFailed: the model looked no tokens up.
    """

    def hardened(model: nn.Module, rows: Batch[Any]) -> Loss:
        with moved_embeddings(model) as moves:
            clean = loss(model, rows)
            directions = moves.ascent(clean.total)
            moves.go_to([radius * step for step in directions])
            moved = loss(model, rows)
        return clean._replace(total=0.5 * (clean.total + moved.total))

    return hardened


def freelb(loss: LossFunction, radius: float, ascents: int = ASCENTS) -> LossFunction:
    """The mean of the loss at each of `ascents` points that climb within `radius` (Zhu et al., 2020, arXiv:1909.11764).

    All their graphs are held at once, so it needs that many times the memory of a plain step.

    Raises, when it is called:
        TrainingFailed: the model looked no tokens up.
    """

    def hardened(model: nn.Module, rows: Batch[Any]) -> Loss:
        found: list[Loss] = []
        with moved_embeddings(model) as moves:
            for number in range(ascents):
                found.append(loss(model, rows))
                if number + 1 < ascents:
                    moves.climb(found[-1].total, radius / ascents, radius)
        return found[0]._replace(total=torch.stack([one.total for one in found]).mean())

    return hardened


def r_drop(judge: Judge, weight: float, divergence: Divergence = categorical_divergence) -> LossFunction:
    """The mean loss of two passes with other dropout, and half of `weight` times how far they differ.

    Liang et al., 2021, arXiv:2106.14448, with everything halved, so that a unit weighs as much as in a plain loss.
    """

    def hardened(model: nn.Module, rows: Batch[Any]) -> Loss:
        one, other = judge(model, rows), judge(model, rows)
        apart = divergence(one.logits, other.logits).sum()
        return one.loss._replace(total=0.5 * (one.loss.total + other.loss.total + weight * apart))

    return hardened


class Moves:
    """Where the embeddings of each look-up have been moved to, in the order of look-ups."""

    def __init__(self) -> None:
        self.places: list[Tensor] = []  # (B, T, H) each: what is added
        self.lengths: list[Tensor] = []  # (B, 1, 1): mean length of a row's embeddings
        self._lookups = 0

    def move(self, module: nn.Module, inputs: Any, embeddings: Tensor) -> Tensor:
        """A forward hook of the table."""
        if self._lookups == len(self.places):
            self.places.append(torch.zeros_like(embeddings, requires_grad=True))
            self.lengths.append(embeddings.detach().norm(dim=-1, keepdim=True).mean(dim=-2, keepdim=True))
        self._lookups += 1
        return embeddings + self.places[self._lookups - 1]

    def ascent(self, total: Tensor) -> list[Tensor]:
        """Directions in which `total` rises fastest, each row's as long as one embedding: (B, T, H) each."""
        if not self.places:
            raise TrainingFailed(
                "the model looked no tokens up, so there are no embeddings to move; a model over cached states "
                "cannot be trained with adversary 'fgm' or 'freelb', use 'r-drop' or 'none'"
            )
        gradients = torch.autograd.grad(total, self.places, retain_graph=True)
        return [
            length * gradient / _length(gradient).clamp(min=LEAST)
            for length, gradient in zip(self.lengths, gradients, strict=True)
        ]

    def climb(self, total: Tensor, step: float, radius: float) -> None:
        """Goes one step up from where it is, and no farther than `radius` from where it began."""
        parts = zip(self.places, self.ascent(total), self.lengths, strict=True)
        self.go_to([_within(at + step * up, radius * length) for at, up, length in parts])

    def go_to(self, places: Sequence[Tensor]) -> None:
        """Looks tokens up at these places from now on."""
        self.places = [place.detach().requires_grad_() for place in places]
        self._lookups = 0


@contextmanager
def moved_embeddings(model: nn.Module) -> Iterator[Moves]:
    """Within, what `model` looks up in its table of token embeddings is moved."""
    moves = Moves()
    handle = trunk_of(model).get_input_embeddings().register_forward_hook(moves.move)
    try:
        yield moves
    finally:
        handle.remove()


def _length(rows: Tensor) -> Tensor:
    """(B, T, H) to (B, 1, 1)."""
    lengths: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return lengths[:, None, None]


def _within(rows: Tensor, radius: Tensor) -> Tensor:
    """Rows that are longer than `radius` (B, 1, 1), shortened to it."""
    return rows * (radius / _length(rows).clamp(min=LEAST)).clamp(max=1)
