"""Rates over a training, and its steps: laws of numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from coterie.tuning.optimizers import ParameterGroup, make_optimizer, schedule_share
from coterie.tuning.plans import make_plan
from coterie.tuning.recipes import Recipe

schedules = st.sampled_from(["constant", "linear", "cosine"])


@given(schedules, st.floats(0, 0.99), st.integers(1, 200))
def test_a_rate_rises_to_its_peak_and_never_rises_again(schedule: str, warmup: float, total: int) -> None:
    """Within (0, 1], and exactly 1 once the warm-up is over."""
    recipe = Recipe(schedule=schedule, warmup=warmup)  # type: ignore[arg-type]
    shares = [schedule_share(recipe, step, total) for step in range(total)]
    peak = shares.index(max(shares))
    assert all(0 < share <= 1 for share in shares)
    assert max(shares) == 1
    assert shares[: peak + 1] == sorted(set(shares[: peak + 1]))
    assert shares[peak:] == sorted(shares[peak:], reverse=True)


def test_the_three_schedules() -> None:
    """After a warm-up of 2 of 10 steps."""
    made = {
        name: [round(schedule_share(Recipe(schedule=name, warmup=0.2), step, 10), 3) for step in range(10)]
        for name in ("constant", "linear", "cosine")
    }
    assert made["constant"] == [0.333, 0.667, *[1.0] * 8]
    assert made["linear"] == [0.333, 0.667, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert made["cosine"][2::4] == [1.0, 0.5]


@pytest.mark.parametrize(("optimizer", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_groups_keep_their_own_rates_and_decay(optimizer: str, kind: type) -> None:
    """One group of the optimizer for each."""
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    groups = [ParameterGroup("layer 1", (weight,), 0.1, 0.01), ParameterGroup("head", (bias,), 0.2, 0.0)]
    made = make_optimizer(groups, Recipe(optimizer=optimizer, momentum=0.8))  # type: ignore[arg-type]
    assert isinstance(made, kind)
    assert [(one["lr"], one["weight_decay"]) for one in made.param_groups] == [(0.1, 0.01), (0.2, 0.0)]
    assert made.param_groups[0].get("momentum", 0.8) == 0.8


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0.05, 1), st.integers(1, 4), st.integers(1, 4))
def test_every_step_has_a_place_and_the_last_is_evaluated(
    batches: list[int], part: float, accumulation: int, evaluations: int
) -> None:
    """Batches of an epoch, in steps of so many; a part of the last epoch has part of its steps."""
    epochs = len(batches) - 1 + part
    plan = make_plan(batches, Recipe(epochs=epochs, accumulation=accumulation, evaluations=evaluations))
    places = [plan.place(step) for step in range(plan.total)]
    assert places == [(epoch, step) for epoch, steps in enumerate(plan.epochs) for step in range(steps)]
    assert plan.epochs[:-1] == tuple(math.ceil(count / accumulation) for count in batches[:-1])
    assert 1 <= plan.epochs[-1] <= math.ceil(batches[-1] / accumulation)
    assert plan.total in plan.evaluated
    assert len(plan.evaluated) <= evaluations * len(batches)
    with pytest.raises(IndexError):
        plan.place(plan.total)
