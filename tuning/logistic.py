"""The convex alternative to the closed form: logistic regression on all rows at once, with weaker and weaker ridges.

Letters in shape comments: N rows, P inputs, K labels.

This file knows nothing of texts or encoders.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..agents.heads import LinearHead, sigmoid, softmax
from .calibration import log_losses
from .head_targets import HeadTargets

if TYPE_CHECKING:
    from numpy.typing import NDArray

PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.003)  # of squared weights, beside the sum of losses: half of 1 / C elsewhere
CPU = torch.device("cpu")
STEPS = 60  # of L-BFGS for each penalty, each starting where the last one ended


def fit_logistic(
    inputs: "NDArray[np.float64]",
    targets: HeadTargets,
    start: LinearHead,
    held_out: "NDArray[np.float64]",
    held_out_targets: HeadTargets,
    penalties: Sequence[float] = PENALTIES,
    device: torch.device = CPU,
) -> tuple[LinearHead, float]:
    """The head with the least validation loss of several penalties, and that loss (nats, weighted mean).

    L-BFGS (Liu and Nocedal 1989) over all rows, from the strongest penalty to the weakest, beginning with `start`. A
    rejection counts as the chance that another label is right, its exact likelihood. The penalty of 1e-1 is that of
    C = 5 in scikit-learn. `inputs` is (N, P), `held_out` the same of validation rows.
    """
    rows = targets.weights > 0
    told = targets.take(rows)
    fitted = torch.from_numpy(inputs[rows].astype(np.float32)).to(device)
    weight, bias = (  # (K, P) and (K)
        torch.tensor(part / start.temperature, dtype=torch.float32, device=device, requires_grad=True)
        for part in (start.weight, start.bias)
    )
    best, least = start, mean_loss(start, held_out, held_out_targets)
    for penalty in penalties:
        _descend(weight, bias, fitted, told, penalty)
        found = [one.detach().cpu().numpy().copy() for one in (weight, bias)]
        head = LinearHead(targets.head.kind, found[0], found[1])
        loss = mean_loss(head, held_out, held_out_targets)
        best, least = (head, loss) if loss < least else (best, least)
    return best, least


def logits_of(head: LinearHead, inputs: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """(N, K) logits that are divided by the head's temperature, or numbers (N, 1) of a regression."""
    scores = inputs @ head.weight.T.astype(np.float64) + head.bias
    scaled: NDArray[np.float64] = scores if head.kind == "regression" else scores / head.temperature
    return scaled


def probabilities_of(head: LinearHead, inputs: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """(N, K) what `LinearHead.predict` says of each row of `inputs` (N, P)."""
    logits = logits_of(head, inputs)
    if head.kind == "regression":
        return logits
    return sigmoid(logits) if head.kind == "multilabel" else softmax(logits)


def mean_loss(head: LinearHead, inputs: "NDArray[np.float64]", targets: HeadTargets) -> float:
    """Weighted mean log loss (nats) over rows that say something to the head, or squared error of a regression."""
    if not targets.weights.any():
        return 0.0
    return float(np.average(losses_of(head, inputs, targets), weights=targets.weights))


def losses_of(head: LinearHead, inputs: "NDArray[np.float64]", targets: HeadTargets) -> "NDArray[np.float64]":
    """(N) log loss of each row in nats, or its squared error; 0 where a row says nothing."""
    found = probabilities_of(head, inputs)
    if head.kind == "regression":
        squares: NDArray[np.float64] = np.where(targets.weights > 0, (found[:, 0] - targets.values[:, 0]) ** 2, 0.0)
        return squares
    return log_losses(found, targets)


def _descend(
    weight: torch.Tensor, bias: torch.Tensor, inputs: torch.Tensor, targets: HeadTargets, penalty: float
) -> None:
    """Moves `weight` and `bias` to the minimum under `penalty`, or as near as the steps reach."""
    values, known, weights = (
        torch.from_numpy(part).to(inputs.device) for part in (targets.values, targets.known, targets.weights)
    )
    search = torch.optim.LBFGS([weight, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        losses = label_losses(torch.nn.functional.linear(inputs, weight, bias), values, known, targets.exclusive)
        loss = ((losses * weights).sum() + penalty * weight.square().sum()) / weights.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]


def label_losses(
    logits: torch.Tensor, values: torch.Tensor, known: torch.Tensor, exclusive: bool, smoothing: float = 0.0
) -> torch.Tensor:
    """(N) log loss in nats of logits (N, K) against targets as `HeadTargets` has them; 0 where nothing is known.

    Of classes: -log of the chance of any allowed label; `smoothing` of the weight goes to all labels alike (Szegedy et
    al. 2016, arXiv:1512.00567). Of several labels: the mean over known cells, 0 and 1 moved to the middle by smoothing.
    """
    if exclusive:
        logs = torch.log_softmax(logits, dim=-1)
        allowed = torch.logsumexp(logs.masked_fill(values == 0, -torch.inf), dim=-1)
        told = known.any(dim=-1)
        losses = -(1 - smoothing) * allowed.masked_fill(~told, 0.0) - smoothing * logs.mean(dim=-1)
        return losses.masked_fill(~told, 0.0)
    wanted = values * (1 - smoothing) + smoothing / 2
    cells = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * known
    return cells.sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
