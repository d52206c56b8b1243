"""Harder losses: where they move embeddings to, what they add, and that a model still learns by them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from coterie.tuning.adversarial import (
    Judged,
    binary_divergence,
    categorical_divergence,
    fgm,
    freelb,
    hardened,
    moved_embeddings,
    r_drop,
    squared_difference,
)
from coterie.tuning.errors import TrainingFailed
from coterie.tuning.training import Loss
from tests.tuning.tasks import Task, recipe


@pytest.fixture
def task(tiny_encoder: Path) -> Task:
    return Task(tiny_encoder)


def value(loss: Loss) -> float:
    return float(loss.total.detach())


def judge_of(task: Task) -> Any:
    def judge(model: nn.Module, numbers: Any) -> Judged:
        logits, labels, tokens = task.logits(model, numbers)
        total = nn.functional.cross_entropy(logits, labels, reduction="sum")
        return Judged(Loss(total, len(numbers), tokens), logits)

    return judge


@pytest.mark.parametrize("harder", [fgm, freelb])
def test_moved_embeddings_make_the_loss_higher(task: Task, harder: Any) -> None:
    """For every row at a small radius; and the farther, the higher. Units stay as they are."""
    model = task.model().eval()
    torch.manual_seed(0)
    nn.init.normal_(model.head.weight)
    clean, near, far = task.loss(model, range(8)), *(harder(task.loss, by)(model, range(8)) for by in (0.01, 0.1))
    assert value(clean) < value(near) < value(far)
    assert near[1:] == clean[1:]


def test_a_move_is_as_long_as_the_radius_says(task: Task) -> None:
    """All tokens of a row together, in mean lengths of its embeddings; padding is not moved."""
    model = task.model().eval()
    with moved_embeddings(model) as moves:
        found = task.loss(model, range(8))
        steps = moves.ascent(found.total)[0]
        lengths = moves.lengths[0]
    assert torch.allclose(steps.flatten(1).norm(dim=1), lengths.flatten(), rtol=1e-4)
    shortest = min(len(task.rows[number]) for number in range(8))
    row = [len(task.rows[number]) for number in range(8)].index(shortest)
    assert float(steps[row, shortest:].abs().max()) == 0


def test_freelb_stays_within_its_radius(task: Task) -> None:
    """Also when it climbs in many steps, each as long as the radius."""
    model = task.model().eval()
    with moved_embeddings(model) as moves:
        for _ in range(4):
            moves.climb(task.loss(model, range(8)).total, step=1.0, radius=0.5)
        lengths = moves.places[0].flatten(1).norm(dim=1)
    assert bool((lengths <= 0.5 * moves.lengths[0].flatten() * 1.0001).all())


def test_embeddings_are_where_they_were_afterwards(task: Task) -> None:
    """Also when the loss failed."""
    model = task.model().eval()
    before = value(task.loss(model, range(8)))
    fgm(task.loss, 1.0)(model, range(8))

    def failing(model: nn.Module, numbers: Any) -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fgm(failing, 1.0)(model, range(8))
    assert value(task.loss(model, range(8))) == before


def test_r_drop_adds_how_far_two_passes_differ(task: Task) -> None:
    """Nothing without dropout; more with more weight where there is dropout."""
    judge = judge_of(task)
    still = task.model().eval()
    assert value(r_drop(judge, 5.0)(still, range(8))) == pytest.approx(value(task.loss(still, range(8))))
    lively = task.model().train()
    totals = []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        totals.append(value(r_drop(judge, weight)(lively, range(8))))
    assert totals[0] < totals[1]


def test_divergences_are_0_of_equals_and_symmetric() -> None:
    """And that of softmaxes is the mean of both Kullback-Leibler divergences."""
    one, other = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[0.0, 1.0, 3.0]])
    for divergence in (categorical_divergence, binary_divergence, squared_difference):
        assert float(divergence(one, one)) == 0
        assert float(divergence(one, other)) == pytest.approx(float(divergence(other, one)))
        assert divergence(one, other).shape == (1,)
    left, right = torch.log_softmax(one, -1), torch.log_softmax(other, -1)
    both = sum(
        float(nn.functional.kl_div(a, b, reduction="sum", log_target=True)) for a, b in ((left, right), (right, left))
    )
    assert float(categorical_divergence(one, other)) == pytest.approx(both / 2)
    assert squared_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])).tolist() == [0, 4]


@pytest.mark.parametrize("adversary", ["none", "fgm", "freelb", "r-drop"])
def test_a_model_learns_by_each(task: Task, adversary: str) -> None:
    """Validated by the plain loss."""
    settings = recipe(adversary=adversary, radius=0.1, dropout=0.1, epochs=3)
    _, training = task.train(settings, loss=hardened(judge_of(task), settings))
    assert training.best < training.first


def test_a_model_that_looks_nothing_up_cannot_be_moved(task: Task) -> None:
    """Such as one over cached states."""
    model = task.model()

    def headless(model: Any, numbers: Any) -> Any:
        return Loss(model.head(torch.ones(1, 32)).sum(), 1)

    with pytest.raises(TrainingFailed, match="looked no tokens up"):
        fgm(headless, 1.0)(model, range(2))
