"""Whether a role's work has changed since it was tuned: other labels, other texts, or reviewers who agree less.

Each gives a finding with its numbers, and where it drifted a proposal to tune; nothing here tunes or promotes. Letters
in shape comments: N rows before, M rows since, D width of an embedding, K labels.

This file knows nothing of logs, of runs or of how a role is tuned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import confusion_matrix, roc_auc_score  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

from .extras import extra
from .intervals import normal_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
LEAST_ROWS = 20  # on either side, below which nothing is said to have drifted
_SHUFFLES = 10_000
_STEADY = 30.0  # condition number of a confusion matrix beyond which its inverse says more of noise than of labels


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and whether it is more than chance."""

    kind: Literal["labels", "texts", "agreement"]
    drifted: bool
    found: str  # for a person
    rows: tuple[int, int]  # before, since
    statistic: float  # chi-square, AUC, or the change of agreement
    p: float | None = None  # None where the method bounds its false alarms in another way
    shares: tuple[tuple[str, float], ...] = ()  # of "labels": the share that each label seems to have now

    def proposal(self, role: str) -> str | None:
        """What to do about it, for a person; None where nothing drifted."""
        return f"tune {role}: {self.found}" if self.drifted else None


def label_shift(
    truth: Sequence[str],
    answers: Sequence[str],
    since: Sequence[str],
    labels: Sequence[str],
    *,
    alpha: float = 0.01,
    seed: int = 0,
) -> Finding:
    """Whether a classifier now answers other labels than on its validation rows, and what shares the labels then have.

    Answers are compared by chi-square, whose p-value comes from shuffling, so that rare labels do no harm. Shares are
    those that explain the new answers, given how labels are mistaken for each other: BBSE, Lipton, Wang and Smola 2018,
    "Detecting and Correcting for Label Shift with Black Box Predictors". They are left out where the answers say too
    little about the labels.

    Args:
        truth: the right label of each validation row, N.
        answers: what the classifier answered to it, N.
        since: what it answered to the new rows, M.
        labels: every label.
        alpha: probability of a false alarm.
        seed: of the shuffling.

    Raises:
        ValueError: there are no rows, not as many answers, or a label is not in `labels`.
    """
    if not since or not truth or len(truth) != len(answers):
        raise ValueError(f"found {len(truth)} labels, {len(answers)} answers to them and {len(since)} new ones")
    unknown = sorted({*truth, *answers, *since} - set(labels))
    if unknown:
        raise ValueError(f"label {unknown[0]!r} is none of {', '.join(map(repr, labels))}")
    before, after = _counts(answers, labels), _counts(since, labels)  # (K)
    statistic, p = _chi_square(before, after, seed)
    shares = _shares(truth, answers, after, labels)
    most = int(np.abs(after / after.sum() - before / before.sum()).argmax())
    return Finding(
        kind="labels",
        drifted=p < alpha and min(len(answers), len(since)) >= LEAST_ROWS,
        found=(
            f"{labels[most]!r} was {before[most] / before.sum():.1%} of {len(answers):,} answers, "
            f"and is {after[most] / after.sum():.1%} of {len(since):,} since (p = {p:.3g})"
        ),
        rows=(len(answers), len(since)),
        statistic=statistic,
        p=p,
        shares=shares,
    )


def text_drift(
    before: "NDArray[np.float32]",
    since: "NDArray[np.float32]",
    threads: Sequence[str],
    *,
    least: float = 0.6,
    alpha: float = 0.01,
    seed: int = 0,
) -> Finding:
    """Whether new texts can be told from old ones by their embeddings, better than by chance.

    A logistic regression tells them apart; its AUC on held-out threads is 0.5 where nothing changed and 1 where
    everything did. Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests". It is drift where the AUC is at
    least `least` and, by the Mann-Whitney test over threads, more than chance.

    Args:
        before: (N, D), of the texts that the role was tuned on.
        since: (M, D).
        threads: of all N + M texts, those before first: texts of one thread are held out together.
        least: AUC below which texts are as good as the same.
        alpha: probability of a false alarm.
        seed: of the division into folds.

    Raises:
        ValueError: shapes do not go together, or there are fewer than five threads on a side.
    """
    groups = _grouped(before, since, threads)
    inputs = np.concatenate([before, since]).astype(np.float64)  # (N + M, D)
    new = np.repeat([0, 1], [len(before), len(since)])  # (N + M)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    areas = []
    for learned, held in folds.split(inputs, new, threads):
        if len(set(new[held].tolist())) < 2 or len(set(new[learned].tolist())) < 2:
            continue  # a thread on both sides may leave a fold with one of them only
        model = LogisticRegression(max_iter=1_000, class_weight="balanced").fit(inputs[learned], new[learned])
        areas.append(float(roc_auc_score(new[held], model.decision_function(inputs[held]))))
    if not areas:
        raise ValueError("no fold has both old and new texts; give more threads")
    area = float(np.mean(areas))
    score = (area - 0.5) / ((sum(groups) + 1) / (12 * groups[0] * groups[1])) ** 0.5
    sure = score > normal_quantile(1 - alpha)
    return Finding(
        kind="texts",
        drifted=sure and area >= least and min(len(before), len(since)) >= LEAST_ROWS,
        found=f"{len(since):,} new texts can be told from {len(before):,} old ones with an AUC of {area:.3f}",
        rows=(len(before), len(since)),
        statistic=area,
        p=_tail(score),
    )


def falling_agreement(agreed: Sequence[bool], *, delta: float = 0.002) -> Finding:
    """Whether reviewers leave a role's messages as they are less often than they did.

    Args:
        agreed: of each review, oldest first, whether the message stood unchanged.
        delta: bound of false alarms, 0 to 1.

    Raises:
        ExtraMissing: river is not installed.
    """
    change = extra("tuning.agreement", "river", "drift").last_change(list(agreed), delta)
    share = sum(agreed) / len(agreed) if agreed else 0.0
    if change is None:
        said = f"reviewers left {share:.1%} of {len(agreed):,} messages as they were, without a change"
        return Finding("agreement", False, said, (len(agreed), 0), 0.0)
    said = (
        f"reviewers left {change.before:.1%} of {change.at:,} messages as they were, "
        f"and {change.since:.1%} of {len(agreed) - change.at:,} since"
    )
    fell = change.since < change.before
    return Finding("agreement", fell, said, (change.at, len(agreed) - change.at), change.since - change.before)


def _counts(answers: Sequence[str], labels: Sequence[str]) -> "NDArray[np.int64]":
    return np.array([sum(answer == label for answer in answers) for label in labels])


def _chi_square(before: "NDArray[np.int64]", after: "NDArray[np.int64]", seed: int) -> tuple[float, float]:
    """Pearson's statistic of two rows of counts (K), and the share of shuffled rows in which it is as large."""
    pooled = before + after
    known = pooled > 0
    expected = pooled[known] * (after.sum() / pooled.sum())  # of `after`
    weight = 1 / expected + 1 / (pooled[known] - expected)
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(pooled, int(after.sum()), size=_SHUFFLES)  # (R, K)
    shuffled = ((drawn[:, known] - expected) ** 2) @ weight
    found = float(((after[known] - expected) ** 2) @ weight)
    return found, float((np.count_nonzero(shuffled >= found * (1 - 1e-12)) + 1) / (_SHUFFLES + 1))


def _shares(
    truth: Sequence[str], answers: Sequence[str], after: "NDArray[np.int64]", labels: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    counts = confusion_matrix(truth, answers, labels=list(labels)).astype(np.float64)  # (K, K) true, answered
    if (counts.sum(axis=1) == 0).any():
        return ()
    given = counts / counts.sum(axis=1, keepdims=True)  # of each true label, what it is answered as
    if np.linalg.cond(given) > _STEADY:
        return ()
    shares = np.clip(np.linalg.solve(given.T, after / after.sum()), 0, None)
    return tuple((label, float(share)) for label, share in zip(labels, shares / shares.sum(), strict=True))


def _grouped(before: "NDArray[np.float32]", since: "NDArray[np.float32]", threads: Sequence[str]) -> tuple[int, int]:
    """How many threads there are on either side."""
    together = len(before) + len(since)
    if before.ndim != 2 or before.shape[1:] != since.shape[1:] or len(threads) != together:
        raise ValueError(
            f"embeddings of shapes {before.shape} and {since.shape} and {len(threads)} threads do not go together; "
            f"expected (N, D), (M, D) and N + M"
        )
    groups = len(set(threads[: len(before)])), len(set(threads[len(before) :]))
    if min(groups) < FOLDS:
        raise ValueError(f"found {groups[0]} threads before and {groups[1]} since; expected at least {FOLDS} of each")
    return groups


def _tail(score: float) -> float:
    return NormalDist().cdf(-score)
