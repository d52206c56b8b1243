"""Copies of trained weights beside the model's own: the best so far, and a running mean.

This file knows nothing of losses, steps or files.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def trained_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of `model` that are trained, by name; one that is shared has its first name only."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def copied(parameters: Mapping[str, nn.Parameter]) -> Weights:
    """Copies of their values."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def put_back(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    """Gives the parameters these values, in place."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


class RunningMean:
    """The exponential mean of weights over steps (Polyak and Juditsky, 1992), which usually generalises better.

    Early on it follows faster than `decay`: after n steps by (1 + n) / (10 + n), so that it forgets where it began.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters = parameters
        self._decay = decay
        self.restart()

    def restart(self) -> None:
        """Begins again at the weights as they are."""
        self.steps = 0
        self.weights: Weights = copied(self._parameters)

    def resume(self, weights: Mapping[str, Tensor], steps: int) -> None:
        """Goes on from a mean that was kept."""
        self.steps = steps
        for name, mean in self.weights.items():
            mean.copy_(weights[name])

    def update(self) -> None:
        """Takes in the weights as they are after a step."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                self.weights[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the mean as its weights within, and its own again afterwards."""
        own = copied(self._parameters)
        put_back(self._parameters, self.weights)
        try:
            yield
        finally:
            put_back(self._parameters, own)
