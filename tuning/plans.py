"""Which steps a training has: how many in each epoch, and after which of them it is evaluated. Numbers only.

This file knows nothing of models or rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .recipes import Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps of a training, counted from 0."""

    epochs: tuple[int, ...]  # steps of each; the last may be a part of one
    evaluated: frozenset[int]  # numbers of steps made, after which the model is evaluated

    @property
    def total(self) -> int:
        """All steps."""
        return sum(self.epochs)

    def place(self, step: int) -> tuple[int, int]:
        """The epoch that `step` lies in, and how many steps of it come before.

        Raises:
            IndexError: there is no such step.
        """
        for epoch, steps in enumerate(self.epochs):
            if step < steps:
                return epoch, step
            step -= steps
        raise IndexError(f"there is no step {step} beyond the last of {self.total}")


def make_plan(batches: Sequence[int], recipe: Recipe) -> Plan:
    """The plan over epochs of so many `batches` each; there must be one number for each epoch, even a part of one."""
    epochs = [math.ceil(count / recipe.accumulation) for count in batches]
    part = recipe.epochs - (len(epochs) - 1)  # of the last epoch, above 0 and at most 1
    epochs[-1] = math.ceil(part * epochs[-1])
    return Plan(tuple(epochs), frozenset(_evaluated(epochs, recipe.evaluations)))


def _evaluated(epochs: Sequence[int], evaluations: int) -> set[int]:
    """Evenly within each epoch, and after the last step of all."""
    before = [sum(epochs[:epoch]) for epoch in range(len(epochs))]
    within = {
        start + math.ceil(steps * number / evaluations)
        for start, steps in zip(before, epochs, strict=True)
        for number in range(1, evaluations + 1)
    }
    return within - {0}
