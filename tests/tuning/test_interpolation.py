"""Weights between the start and the end of a training."""

import torch
from torch import nn

from coterie.tuning.interpolation import can_interpolate, put_between, weights_of


def test_a_share_of_the_way() -> None:
    """From the start to the end."""
    model = nn.Linear(2, 2)
    start = weights_of(model)
    with torch.no_grad():
        model.weight.add_(4)
    end = weights_of(model)
    put_between(model, start, end, 0.25)
    torch.testing.assert_close(model.weight, start["weight"] + 1)
    torch.testing.assert_close(model.bias, start["bias"])
    put_between(model, start, end, 1.0)
    torch.testing.assert_close(model.weight, end["weight"])


def test_weights_of_another_form_have_no_way_between() -> None:
    """Such as adapters that were added."""
    one, other = weights_of(nn.Linear(2, 2)), weights_of(nn.Linear(2, 2, bias=False))
    assert can_interpolate(one, weights_of(nn.Linear(2, 2)))
    assert not can_interpolate(one, other)
    assert not can_interpolate(one, weights_of(nn.Linear(2, 3)))
