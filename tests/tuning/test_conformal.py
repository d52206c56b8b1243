"""Conformal sets hold the right label as often as asked for."""

import math

import numpy as np
import pytest

from coterie.tuning.conformal import fit_conformal


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a classifier that is wrong about its own confidence, and the labels that were right."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(rows, 5))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = np.array([chance.choice(5, p=row) for row in true])
    sure = np.exp(3 * logits)
    return sure / sure.sum(axis=1, keepdims=True), right


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("miss", [0.1, 0.3])
def test_coverage_is_what_was_asked_for(score: str, miss: float) -> None:
    """Over many calibrations it is from 1 - miss to 1 - miss + 1 / (n + 1), however overconfident it is."""
    covered = []
    for seed in range(150):
        probabilities, right = drawn(99 + 100, seed)
        sets = fit_conformal(score, probabilities[:99], right[:99], miss, seed=2 * seed)  # type: ignore[arg-type]
        inside = sets.of(probabilities[99:], seed=2 * seed + 1)
        covered.append(inside[np.arange(100), right[99:]].mean())
    error = 4 * np.std(covered) / math.sqrt(len(covered))
    assert 1 - miss - error < np.mean(covered) < 1 - miss + 1 / 100 + error


def test_sets_of_hard_rows_are_larger() -> None:
    """APS names one label where the classifier is sure, and several where it is not."""
    probabilities, right = drawn(400, 7)
    sets = fit_conformal("aps", probabilities, right, 0.1)
    sure, torn = np.array([[0.996, 0.001, 0.001, 0.001, 0.001]]), np.full((1, 5), 0.2)
    assert sets.of(sure).sum() < sets.of(torn).sum()


def test_too_few_rows_promise_nothing() -> None:
    """With 5 rows no set smaller than all labels misses at most a tenth."""
    probabilities, right = drawn(5, 1)
    sets = fit_conformal("lac", probabilities, right, 0.1)
    assert math.isinf(sets.threshold)
    assert sets.of(probabilities).all()


def test_a_share_that_is_none_is_refused() -> None:
    """The sentence says which was given."""
    with pytest.raises(ValueError, match=r"sets that miss 1\.0 of the right labels cannot be made"):
        fit_conformal("lac", np.ones((1, 1)), np.zeros(1, np.int64), 1.0)
