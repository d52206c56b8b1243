"""Rungs above the first: an encoder and its heads trained together by steps, beginning with heads that fit already.

That the heads fit before the encoder moves keeps what it knows (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained
Features and Underperform Out-of-Distribution", arXiv:2202.10054).

Letters in shape comments: B rows of a batch, K labels of a head.

This file does not judge whether a rung was worth it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ..agents.heads import LinearHead, sigmoid, softmax
from .adapters import parameter_groups, prepare, write_checkpoint
from .adversarial import Judged, binary_divergence, categorical_divergence, hardened, squared_difference
from .batches import token_batches
from .calibration import fit_temperature, log_losses
from .classifier_rows import ClassifierRows, TargetTensors
from .ensembles import greedy_soup
from .logistic import label_losses
from .progress import Progress, Stopped, unheard
from .recipes import Recipe
from .text_classifier import TextClassifier, load_encoder
from .training import Loss, train
from .trunk import Trunk

EVALUATED_AT_ONCE = 8_192  # tokens


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """An encoder of its own, and heads over it whose logits have no temperature yet."""

    folder: Path  # a checkpoint folder
    heads: tuple[LinearHead, ...]
    trainable: int  # weights
    total: int
    seconds: float  # of steps and validations
    steps: int
    stopped: tuple[Stopped, ...]  # of each member
    before: float  # validation loss of what it began with, at the best temperature
    after: float
    note: str  # for a person


def train_classifier(
    trunk: Trunk,
    heads: Sequence[LinearHead],
    scales: Sequence[tuple[float, float]],
    rows: ClassifierRows,
    held_out: ClassifierRows,
    recipe: Recipe,
    folder: Path,
    listen: Callable[[Progress], None] = unheard,
) -> TrainedClassifier:
    """Trains as `recipe` says from `heads` on; `rows` hold states where the method is `top`, else tokens.

    Of several members, whose seeds differ, weights are averaged where that validates better than the best one alone.
    The checkpoint is written into `folder`/model; in `folder` a training that was killed is taken up again.

    Raises:
        TrainingFailed: nothing came of it.
        OutOfMemory: there is no memory even for batches of one row.
        StorageError: `folder` cannot be written.
    """
    members = [
        _train_member(trunk, heads, scales, rows, held_out, recipe, folder / f"member-{number}", number, listen)
        for number in range(recipe.members)
    ]
    model, first = members[0].model, members[0]
    validation, note = first.after, first.note
    if len(members) > 1:
        mixture = greedy_soup([one.weights for one in members], lambda weights: _of_weights(model, weights, held_out))
        model.load_state_dict(mixture.weights)
        validation = mixture.validation
        note = f"{note}; mean of {len(mixture.members)} of {len(members)} members"
    write_checkpoint(model, trunk.folder, folder / "model")
    return TrainedClassifier(
        folder=folder / "model",
        heads=model.linear_heads(heads),
        trainable=first.trainable,
        total=first.total,
        seconds=sum(one.seconds for one in members),
        steps=sum(one.steps for one in members),
        stopped=tuple(one.stopped for one in members),
        before=first.before,
        after=validation,
        note=note,
    )


@dataclass(frozen=True, slots=True)
class _Member:
    model: TextClassifier
    weights: Mapping[str, Tensor]
    trainable: int
    total: int
    seconds: float
    steps: int
    stopped: Stopped
    before: float
    after: float
    note: str


def _train_member(
    trunk: Trunk,
    heads: Sequence[LinearHead],
    scales: Sequence[tuple[float, float]],
    rows: ClassifierRows,
    held_out: ClassifierRows,
    recipe: Recipe,
    folder: Path,
    number: int,
    listen: Callable[[Progress], None],
) -> _Member:
    seeded = recipe.model_copy(update={"seed": recipe.seed + number})
    upper = seeded.layers if seeded.method == "top" else 0
    model = TextClassifier(load_encoder(trunk.folder), heads, scales, upper)
    prepared = prepare(model, seeded, seeded.seed)
    training = train(
        prepared.model,
        token_batches(rows.lengths, seeded.batch_tokens, seeded.seed),
        hardened(_judge(rows, seeded), seeded, _divergence(rows.targets)),
        seeded,
        groups=parameter_groups(prepared.model, seeded),
        validate=lambda trained: validation_loss(trained, held_out),
        listen=listen,
        folder=folder,
        device=str(trunk.platform.device),
        hook=prepared.hook,
    )
    ranks = prepared.ranks()
    prepared.finish()
    model.cpu()
    weights = (
        {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        if number or recipe.members > 1
        else {}
    )
    return _Member(
        model=model,
        weights=weights,
        trainable=prepared.trainable,
        total=prepared.total,
        seconds=training.seconds,
        steps=training.steps,
        stopped=training.stopped,
        before=training.first,
        after=training.best,
        note=str(prepared) if ranks is None else f"{prepared}; {ranks}",
    )


def validation_loss(model: nn.Module, rows: ClassifierRows) -> float:
    """The sum over heads of the mean log loss at the best temperature (nats), or of the squared standardised error.

    A temperature is fitted to the rows themselves: it is one number, and only so are models comparable of which one is
    too sure of itself.
    """
    found = outputs(model, rows)
    losses = [_mean_loss(*pair) for pair in zip(found, rows.told, rows.targets, strict=True)]
    return float(sum(losses))


def outputs(model: nn.Module, rows: ClassifierRows) -> "list[np.ndarray[Any, np.dtype[np.float64]]]":
    """For each head (N, K) logits, or (N, 1) standardised numbers."""
    device = next(model.parameters()).device
    order = sorted(range(len(rows.lengths)), key=rows.lengths.__getitem__)
    found: list[list[Tensor]] = [[] for _ in rows.targets]
    with torch.no_grad():
        for numbers in token_batches([rows.lengths[row] for row in order], EVALUATED_AT_ONCE, 0)(0):
            chosen = [order[number] for number in numbers]
            for head, logits in zip(found, model(rows.batch(chosen).to(device)), strict=True):
                head.extend(zip(chosen, logits.float().cpu(), strict=True))  # type: ignore[arg-type]
    return [
        torch.stack([logits for _, logits in sorted(head, key=lambda pair: int(pair[0]))]).double().numpy()
        for head in found
    ]


def _mean_loss(found: Any, told: Any, targets: TargetTensors) -> float:
    if not told.weights.any():
        return 0.0
    if targets.regression:
        errors = (found[:, 0] - targets.values[:, 0].double().numpy()) ** 2
        return float(np.average(errors, weights=told.weights))
    logits = found / fit_temperature(found, told)
    probabilities = softmax(logits) if told.exclusive else sigmoid(logits)
    return float(np.average(log_losses(probabilities, told), weights=told.weights))


def _of_weights(model: TextClassifier, weights: Mapping[str, Tensor], rows: ClassifierRows) -> float:
    model.load_state_dict(dict(weights))
    return validation_loss(model.eval(), rows)


def _judge(rows: ClassifierRows, recipe: Recipe) -> Callable[[nn.Module, Sequence[int]], Judged]:
    """The loss of some rows: each weighs as much as it says, summed over heads."""

    def judge(model: nn.Module, numbers: Sequence[int]) -> Judged:
        device = next(model.parameters()).device
        batch = rows.batch(numbers)
        found: list[Tensor] = model(batch.to(device))
        chosen = list(numbers)
        total = torch.zeros((), device=device)
        for logits, targets in zip(found, rows.targets, strict=True):
            losses = head_losses(logits.float(), targets, chosen, recipe.label_smoothing)
            total = total + (losses * targets.weights[chosen].to(device)).sum()
        return Judged(Loss(total, len(chosen), int(batch.mask.sum())), torch.cat(found, dim=-1))

    return judge


def head_losses(logits: Tensor, targets: TargetTensors, numbers: Sequence[int], smoothing: float) -> Tensor:
    """(B) loss of rows `numbers`, whose logits are (B, K): log loss in nats; of a regression Huber's in its own units.

    Huber 1964: squared where it is below one standard deviation, linear beyond.
    """
    values = targets.values[list(numbers)].to(logits.device)
    if targets.regression:
        return functional.huber_loss(logits[:, 0], values[:, 0], reduction="none")
    known = targets.known[list(numbers)].to(logits.device)
    return label_losses(logits, values, known, targets.exclusive, smoothing)


def _divergence(targets: Sequence[TargetTensors]) -> Callable[[Tensor, Tensor], Tensor]:
    """How far two outputs of all heads, (B, sum of K) each, differ: (B)."""
    widths = [one.values.shape[1] for one in targets]

    def divergence(left: Tensor, right: Tensor) -> Tensor:
        pairs = zip(targets, torch.split(left, widths, dim=-1), torch.split(right, widths, dim=-1), strict=True)
        return torch.stack([_apart(one)(mine, other) for one, mine, other in pairs]).sum(dim=0)

    return divergence


def _apart(targets: TargetTensors) -> Callable[[Tensor, Tensor], Tensor]:
    if targets.regression:
        return squared_difference
    return categorical_divergence if targets.exclusive else binary_divergence
