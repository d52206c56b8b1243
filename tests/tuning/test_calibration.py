"""Temperature scaling, calibration error and the Brier score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.agents.heads import softmax
from coterie.agents.releases import StoredHead
from coterie.tuning.calibration import brier_score, expected_calibration_error, fit_temperature, log_losses
from coterie.tuning.head_targets import HeadTargets

MOODS = StoredHead(kind="classes", field="mood", labels=("bad", "so-so", "good"))
TOPICS = StoredHead(kind="multilabel", field="topics", labels=("tax", "debt", "sales"))


def told(head: StoredHead, values: np.ndarray) -> HeadTargets:
    return HeadTargets(head, values.astype(np.float32), np.ones(values.shape, bool), np.ones(len(values), np.float32))


def drawn(seed: int, rows: int = 400) -> tuple[np.ndarray, HeadTargets]:
    """Logits that are right about their own confidence, and labels drawn from them."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(rows, 3)) * 2
    right = np.array([chance.choice(3, p=row) for row in softmax(logits)])
    return logits, told(MOODS, np.eye(3)[right])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 50), st.floats(0.2, 5))
def test_the_temperature_gives_the_least_loss(seed: int, heat: float) -> None:
    """No other temperature does better, and logits that were made sharper by a factor are made flatter by it."""
    logits, targets = drawn(seed, 100)
    best = fit_temperature(logits, targets)
    assert fit_temperature(logits * heat, targets) == pytest.approx(best * heat, rel=1e-6)
    losses = [log_losses(softmax(logits / (best * factor)), targets).mean() for factor in (0.9, 1.0, 1.1)]
    assert losses[1] == min(losses)


def test_an_overconfident_classifier_becomes_calibrated() -> None:
    """Its calibration error falls from tenths to hundredths, and the temperature is the factor that was wrong."""
    logits, targets = drawn(3, 4_000)
    temperature = fit_temperature(logits * 4, targets)
    assert temperature == pytest.approx(4, rel=0.1)
    right = targets.values.argmax(axis=1)
    before, after = (softmax(logits * 4 / heat) for heat in (1.0, temperature))
    errors = [expected_calibration_error(one.max(axis=1), one.argmax(axis=1) == right) for one in (before, after)]
    assert errors[0] > 0.1
    assert errors[1] < 0.03


def test_several_labels_have_one_temperature_too() -> None:
    """Of labels that hold three times in four, logits of 4 are too sure: log 3 is right."""
    targets = told(TOPICS, np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0]]))
    assert fit_temperature(np.full((4, 3), 4.0), targets) == pytest.approx(4 / np.log(3), rel=1e-6)


def test_rows_that_say_nothing_do_not_count() -> None:
    """Neither for the temperature nor for the loss."""
    logits, targets = drawn(5, 50)
    weights = np.ones(50, np.float32)
    weights[25:] = 0
    half = HeadTargets(MOODS, targets.values, targets.known, weights)
    assert fit_temperature(logits, half) == fit_temperature(logits[:25], targets.take(np.arange(25)))
    assert (log_losses(softmax(logits), half)[25:] == 0).all()
    assert fit_temperature(logits[:0], targets.take(np.arange(0))) == 1


def test_a_rejection_costs_what_the_rejected_label_got() -> None:
    """ "Not bad" has the chance of all other labels."""
    targets = told(MOODS, np.array([[0, 1, 1]]))
    assert log_losses(np.array([[0.2, 0.5, 0.3]]), targets) == pytest.approx(-np.log(0.8))


def test_the_calibration_error_is_the_gap_in_each_bin() -> None:
    """Two rows at 0.9 of which one is right, and two at 0.3 of which none is: (0.4 + 0.3) / 2."""
    confidences, correct = np.array([0.9, 0.9, 0.3, 0.3]), np.array([True, False, False, False])
    assert expected_calibration_error(confidences, correct) == pytest.approx(0.35)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_the_brier_score_is_a_squared_distance() -> None:
    """0 for certainty that is right, 2 for certainty that is wrong; of several labels the mean over them."""
    assert brier_score(np.eye(3), told(MOODS, np.eye(3))) == 0
    assert brier_score(np.eye(3)[[1, 2, 0]], told(MOODS, np.eye(3))) == 2
    assert brier_score(np.full((2, 3), 0.5), told(TOPICS, np.eye(3)[:2])) == 0.25
