"""The linear map of a retriever's queries in closed form: ridge regression from questions to what answers them.

A map I + A takes the embedding of a question towards the mean of its relevant passages', so passages keep theirs and
need no new index. A is a ridge regression of what lies between the two, drawn to 0, so a stronger ridge is nearer to
the base; a blend takes only a share of the step. What the map would make of a question without having seen its thread
is exact and costs no second fit (leave-one-out: Allen 1974, "PRESS"; by blocks here, since rows of a thread share their
passages).

Letters in shape comments: Q questions, D width of an embedding, S rows of one thread.

This file knows nothing of passages' texts, of words or of how good a ranking is.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from ..agents.served_search import MAP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..agents.inference import FloatArray

    Doubles = NDArray[np.float64]


class QueryMaps:
    """Every map that some questions give, one for each ridge."""

    def __init__(
        self,
        questions: "FloatArray",
        targets: "FloatArray",
        weights: "FloatArray | Doubles",
        threads: Sequence[Hashable],
    ) -> None:
        """Of unit vectors (Q, D) of questions, mean vectors (Q, D) of what answers them, and a weight for each (Q)."""
        scale = np.sqrt(weights.astype(np.float64))[:, None]  # (Q, 1)
        self._plain = questions.astype(np.float64)
        self._rows = self._plain * scale
        self._steps = (targets.astype(np.float64) - self._plain) * scale
        self._scale = scale
        self._values, self._axes = np.linalg.eigh(self._rows.T @ self._rows)  # (D), (D, D)
        self._turned = self._rows @ self._axes  # (Q, D)
        self._product = self._axes.T @ (self._rows.T @ self._steps)  # (D, D)
        self._threads = [np.flatnonzero(numbers) for numbers in _members(threads)]

    def fit(self, ridge: float) -> "FloatArray":
        """The map (D, D); `ridge` is in mean eigenvalues of the questions' second moments, so it suits any number."""
        change = self._axes @ (self._product / self._damped(ridge)[:, None])
        return np.asarray(np.eye(len(change)) + change, np.float32)

    def left_out(self, ridge: float) -> "FloatArray":
        """Each question (Q, D) as the map made without its thread would place it."""
        damped = self._damped(ridge)
        residual = self._steps - self._turned @ (self._product / damped[:, None])  # (Q, D)
        change = np.empty_like(residual)
        for rows in self._threads:
            turned = self._turned[rows]  # (S, D)
            change[rows] = self._steps[rows] - _without(turned, residual[rows], damped)
        return np.asarray(self._plain + change / self._scale, np.float32)

    def _damped(self, ridge: float) -> "Doubles":
        return self._values + max(ridge * float(self._values.mean()), 1e-9)


def blended(plain: "FloatArray", mapped: "FloatArray", share: float) -> "FloatArray":
    """`share` of the way from `plain` to `mapped`, each of them questions (Q, D) or maps (D, D)."""
    return np.asarray((1 - share) * plain + share * mapped, np.float32)


def normalised(vectors: "FloatArray") -> "FloatArray":
    """Of unit length each: (Q, D)."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def written(query_map: "FloatArray") -> bytes:
    """What `agents.served_search` reads."""
    return save({MAP: np.ascontiguousarray(query_map, np.float32)})


def _without(turned: "Doubles", residual: "Doubles", damped: "Doubles") -> "Doubles":
    """The residuals (S, D) of rows that the fit had not seen: (I - H)^-1 r, by the smaller of two equal systems."""
    size, width = turned.shape
    if size <= width:
        leverage = (turned / damped) @ turned.T  # (S, S)
        return np.asarray(np.linalg.solve(np.eye(size) - leverage, residual), np.float64)
    rest = np.diag(damped) - turned.T @ turned  # (D, D) second moments of all other rows
    return np.asarray(residual + turned @ np.linalg.solve(rest, turned.T @ residual), np.float64)


def _members(threads: Sequence[Hashable]) -> "list[NDArray[np.bool_]]":
    numbers = {thread: number for number, thread in enumerate(dict.fromkeys(threads))}
    of = np.array([numbers[thread] for thread in threads])
    return [of == number for number in range(len(numbers))]
