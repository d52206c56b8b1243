"""Sets of labels that hold the right one as often as was asked for, whatever the classifier is like.

    sets = fit_conformal("aps", probabilities, right, miss=0.1)     # on calibration rows
    sets.of(probabilities_of_others)                                # (N, K) which labels are in the set

The law needs calibration rows and later rows to be exchangeable, and nothing else: the right label is then outside its
set with a chance of at most `miss`.

Letters in shape comments: N rows, K labels.

This file knows nothing of how probabilities came about.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Score: TypeAlias = Literal["lac", "aps"]


@dataclass(frozen=True, slots=True)
class ConformalSets:
    """How unusual a label may be and still be in the set."""

    score: Score
    miss: float  # the share of rows whose right label may be outside, 0 to 1
    threshold: float  # of scores; infinite where there were too few rows, so that every label is in every set

    def of(self, probabilities: "NDArray[np.float64]", seed: int = 0) -> "NDArray[np.bool_]":
        """(N, K) which labels are in the set of each row; `seed` is of the chance that APS needs to be exact."""
        scores = _scores(self.score, probabilities, seed)
        inside: NDArray[np.bool_] = scores <= self.threshold
        return inside


def fit_conformal(
    score: Score, probabilities: "NDArray[np.float64]", right: "NDArray[np.int64]", miss: float, seed: int = 0
) -> ConformalSets:
    """Split-conformal sets from calibration rows: `probabilities` (N, K), and `right` (N), indices of the right labels.

    lac   a label's score is 1 - its probability: the smallest sets on average (Sadinle et al. 2019, arXiv:1609.00451)
    aps   the probability of all likelier labels, and a random share of its own: sets are larger where the text is hard
          (Romano et al. 2020, arXiv:2006.02544)

    Raises:
        ValueError: `miss` is not between 0 and 1.
    """
    if not 0 < miss < 1:
        raise ValueError(f"sets that miss {miss} of the right labels cannot be made; expected more than 0, less than 1")
    scores = _scores(score, probabilities, seed)[np.arange(len(right)), right]  # (N)
    rank = math.ceil((len(scores) + 1) * (1 - miss))
    threshold = float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf
    return ConformalSets(score, miss, threshold)


def _scores(score: Score, probabilities: "NDArray[np.float64]", seed: int) -> "NDArray[np.float64]":
    """(N, K) how unusual each label would be."""
    if score == "lac":
        return 1 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)  # (N, K) likeliest first
    share = np.random.default_rng(seed).random((len(probabilities), 1))
    above = np.cumsum(ranked, axis=1) - ranked
    scores = np.empty_like(ranked)
    np.put_along_axis(scores, order, above + share * ranked, axis=1)
    return scores
