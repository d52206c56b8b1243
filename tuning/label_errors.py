"""Labels that are probably wrong, found by a model that had not seen them: for a person to look at, never to drop.

Confident learning: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels". A
row counts as another label than its own where the probability of that one is at least what rows of that label have on
average. Probabilities are those of a logistic regression over embeddings, cross-validated. This file knows arrays only.

Letters in shape comments: N rows, D width of an embedding, K labels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold, cross_val_predict  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

INVERSE_PENALTY = 10.0  # scikit-learn's C; embeddings of unit length need less of a penalty than its usual 1
STEPS = 2_000  # of L-BFGS, at most


@dataclass(frozen=True, slots=True)
class SuspectedError:
    """A row whose label is probably another; probabilities are 0 to 1, of a model that had not seen the row."""

    index: int  # of the row
    given: str
    likelier: str
    given_probability: float
    likelier_probability: float


def suspected_label_errors(
    embeddings: "NDArray[np.float32]", labels: Sequence[str], *, folds: int = 5, seed: int = 0
) -> tuple[SuspectedError, ...]:
    """The rows whose label is probably another, the likeliest errors first.

    Labels with fewer than `folds` rows cannot be judged and are left out; of fewer than two others, nothing is said.

    Args:
        embeddings: (N, D), of unit length.
        labels: of each row.

    Raises:
        ValueError: there is not one label for each embedding.
    """
    if len(embeddings) != len(labels):
        raise ValueError(f"cannot judge {len(labels)} labels by {len(embeddings)} embeddings; expected one for each")
    counts = Counter(labels)
    known = sorted(label for label, count in counts.items() if count >= folds)
    if len(known) < 2:
        return ()
    judged = np.array([index for index, label in enumerate(labels) if label in known])
    given = np.array([known.index(str(labels[index])) for index in judged])  # (N)
    chances = _unseen_probabilities(embeddings[judged], given, folds, seed)  # (N, K)
    likelier = _confident_labels(chances, given)  # (N)
    suspects = [
        SuspectedError(
            index=int(judged[row]),
            given=known[given[row]],
            likelier=known[likelier[row]],
            given_probability=float(chances[row, given[row]]),
            likelier_probability=float(chances[row, likelier[row]]),
        )
        for row in np.flatnonzero(likelier != given)
    ]
    return tuple(sorted(suspects, key=lambda one: one.given_probability - one.likelier_probability))


def _unseen_probabilities(
    embeddings: "NDArray[np.float32]", given: "NDArray[np.int64]", folds: int, seed: int
) -> "NDArray[np.float64]":
    """The probability of each label, (N, K), for each row by a model that was fitted to other folds."""
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=STEPS)
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    found: Any = cross_val_predict(model, embeddings, given, cv=parts, method="predict_proba")
    chances: NDArray[np.float64] = found
    return chances


def _confident_labels(chances: "NDArray[np.float64]", given: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """For each row, (N), the likeliest of the labels that reach their own average; its own where none does."""
    averages = np.array([chances[given == label, label].mean() for label in range(chances.shape[1])])  # (K)
    confident = np.where(chances >= averages, chances, -1.0)  # (N, K)
    found: NDArray[np.int64] = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), given)
    return found
