"""How good answered numbers are: mean absolute error, R² and cosine. Letters in shape comments: N rows.

This file knows nothing of models or of what the numbers mean.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RegressionReport:
    """How good N answered numbers are."""

    mean_absolute_error: float
    r2: float | None  # share of the variance that is explained, at most 1; None where all true numbers are equal
    cosine: float | None  # of the two as vectors; None where one of them is all zeros


def evaluate_numbers(truth: "NDArray[np.float64]", answers: "NDArray[np.float64]") -> RegressionReport:
    """How good `answers` are beside the `truth`, both (N,).

    Cosine as in SemEval-2017 task 5 (Cortis et al. 2017), without its weight for rows that have no answer.

    Raises:
        ValueError: there are no rows, the two are not as long, or a number is not finite.
    """
    if truth.shape != answers.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"cannot compare numbers of shapes {answers.shape} and {truth.shape}; expected (N,) of each")
    if not (np.isfinite(truth).all() and np.isfinite(answers).all()):
        raise ValueError("a number is not finite; leave out rows whose truth is not known")
    errors, around = answers - truth, truth - truth.mean()
    spread, lengths = float(around @ around), float(np.linalg.norm(truth) * np.linalg.norm(answers))
    return RegressionReport(
        mean_absolute_error=float(np.abs(errors).mean()),
        r2=1 - float(errors @ errors) / spread if spread > 0 else None,
        cosine=float(truth @ answers) / lengths if lengths > 0 else None,
    )
