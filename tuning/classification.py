"""How good answers and probabilities of a classifier are, label by label, and how well texts out of scope are told.

scikit-learn counts; this file gives names and refuses what cannot be counted. Letters in shape comments: N rows,
K labels.

This file knows nothing of models or of where labels are from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import (  # type: ignore[import-untyped]
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from .outcomes import BINS, confidence_bin

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelReport:
    """How one label was recognised."""

    label: str
    precision: float  # 0 where it was never answered
    recall: float
    f1: float
    rows: int  # that truly have it


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """How a classifier did on N rows."""

    labels: tuple[LabelReport, ...]
    accuracy: float
    macro_f1: float  # the mean over labels that some row has or was given
    confusion: "NDArray[np.int64]"  # (K, K): of rows with the label of that row, how many were answered that column
    expected_calibration_error: float | None  # None where no probabilities were given
    brier: float | None  # 0 to 2


def report(
    truth: Sequence[str],
    answers: Sequence[str],
    labels: Sequence[str],
    probabilities: "NDArray[np.float64] | None" = None,
) -> ClassificationReport:
    """How good `answers` are, each one of `labels`.

    Args:
        truth: the right label of each row.
        answers: what was answered.
        labels: every label, in the order of the columns of `probabilities` and of the confusion.
        probabilities: (N, K), that each label is right; None: not known.

    Raises:
        ValueError: there are no rows, or not as many answers, or a label that is not in `labels`.
    """
    _check_labels(truth, answers, labels)
    where_undefined: Any = 0  # which scikit-learn's own annotations do not know
    columns = precision_recall_fscore_support(truth, answers, labels=list(labels), zero_division=where_undefined)
    rows = [
        LabelReport(label, float(precision), float(recall), float(f1), int(count))
        for label, precision, recall, f1, count in zip(labels, *map(np.asarray, columns), strict=True)
    ]
    known = set(truth) | set(answers)
    return ClassificationReport(
        labels=tuple(rows),
        accuracy=float(np.mean([one == two for one, two in zip(truth, answers, strict=True)])),
        macro_f1=float(np.mean([row.f1 for row in rows if row.label in known])),
        confusion=confusion_matrix(truth, answers, labels=list(labels)),
        expected_calibration_error=None if probabilities is None else _calibration_error(truth, labels, probabilities),
        brier=None if probabilities is None else brier(truth, labels, probabilities),
    )


def brier(truth: Sequence[str], labels: Sequence[str], probabilities: "NDArray[np.float64]") -> float:
    """The mean squared distance between probabilities (N, K) and the truth, 0 to 2: Brier 1950.

    Raises:
        ValueError: the probabilities are not (N, K) numbers that sum to 1, or a label is not in `labels`.
    """
    right = _places(truth, labels, probabilities)
    ideal = np.zeros_like(probabilities)  # (N, K)
    ideal[np.arange(len(truth)), right] = 1
    return float(((probabilities - ideal) ** 2).sum(axis=1).mean())


def expected_calibration_error(confidences: "NDArray[np.float64]", correct: "NDArray[np.bool_]") -> float:
    """The mean distance between confidence and accuracy, both (N,), over 15 equally wide bins of confidence.

    Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning".

    Raises:
        ValueError: there are no rows, the two are not as long, or a confidence is not from 0 to 1.
    """
    bins = reliability(confidences, correct)
    return sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / len(confidences)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of about the same confidence."""

    confidence: float  # the mean
    accuracy: float
    rows: int


def reliability(confidences: "NDArray[np.float64]", correct: "NDArray[np.bool_]") -> tuple[ReliabilityBin, ...]:
    """How often answers of each of 15 equally wide bins of confidence are right; bins without rows are left out.

    Raises:
        ValueError: there are no rows, the two are not as long, or a confidence is not from 0 to 1.
    """
    if confidences.shape != correct.shape or confidences.ndim != 1 or not len(confidences):
        raise ValueError(f"cannot calibrate {confidences.shape} confidences of {correct.shape} answers; expected (N,)")
    wrong = confidences[~((confidences >= 0) & (confidences <= 1))]
    if len(wrong):
        raise ValueError(f"found a confidence of {float(wrong[0])!r}; expected 0 to 1")
    bins = np.array([confidence_bin(float(one)) for one in confidences])  # (N,)
    groups = [bins == number for number in range(BINS)]
    return tuple(
        ReliabilityBin(float(confidences[rows].mean()), float(correct[rows].mean()), int(rows.sum()))
        for rows in groups
        if rows.any()
    )


def auroc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The probability that a text out of scope scores above one in scope, ties counting half; 0.5 is chance.

    Args:
        inside: how strange texts in scope are, such as their distance or minus their confidence.
        outside: the same of texts out of scope.

    Raises:
        ValueError: one of both is empty, or a number is not finite.
    """
    if not inside or not outside:
        raise ValueError(
            f"cannot tell {len(inside)} texts in scope from {len(outside)} out of it; expected some of each"
        )
    truth = [0] * len(inside) + [1] * len(outside)
    return float(roc_auc_score(truth, [*inside, *outside]))


def _calibration_error(truth: Sequence[str], labels: Sequence[str], probabilities: "NDArray[np.float64]") -> float:
    right = _places(truth, labels, probabilities)
    return expected_calibration_error(np.minimum(probabilities.max(axis=1), 1.0), probabilities.argmax(axis=1) == right)


def _places(truth: Sequence[str], labels: Sequence[str], probabilities: "NDArray[np.float64]") -> "NDArray[np.int64]":
    """The column of each row's true label, (N,)."""
    if probabilities.shape != (len(truth), len(labels)) or not len(truth):
        raise ValueError(
            f"probabilities have shape {probabilities.shape}; expected ({len(truth)}, {len(labels)}): rows, labels"
        )
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3) or (probabilities < 0).any():
        raise ValueError("the probabilities of a row do not sum to 1, or one is below 0")
    places = {label: place for place, label in enumerate(labels)}
    _check_labels(truth, truth, labels)
    return np.array([places[label] for label in truth])


def _check_labels(truth: Sequence[str], answers: Sequence[str], labels: Sequence[str]) -> None:
    if not truth or len(truth) != len(answers):
        raise ValueError(f"cannot compare {len(answers)} answers with {len(truth)} labels; expected one for each row")
    unknown = sorted((set(truth) | set(answers)) - set(labels))
    if unknown:
        raise ValueError(f"label {unknown[0]!r} is none of {', '.join(map(repr, labels))}")
