"""Heads in closed form: answers to rows left out are exact, and every kind of target is learned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.agents.heads import softmax
from coterie.agents.releases import StoredHead
from coterie.tuning.closed_form import RIDGES, _Spectrum, _wanted, fit_closed_form
from coterie.tuning.discriminant import Scatter
from coterie.tuning.errors import DatasetError, TrainingFailed
from coterie.tuning.head_targets import HeadTargets
from coterie.tuning.logistic import fit_logistic, logits_of, mean_loss, probabilities_of

MOOD = StoredHead(kind="classes", field="mood", labels=("bad", "so-so", "good"))
TOPICS = StoredHead(kind="multilabel", field="topics", labels=("tax", "debt", "sales"))
SCORE = StoredHead(kind="regression", field="score", labels=("low", "high"), low=-1, high=1)


def told(head: StoredHead, values: np.ndarray, weights: np.ndarray | None = None) -> HeadTargets:
    shares = np.ones(len(values)) if weights is None else weights
    return HeadTargets(head, values.astype(np.float32), np.ones(values.shape, bool), shares.astype(np.float32))


def moods(rows: int, width: int = 8, seed: int = 0, spread: float = 0.7) -> tuple[np.ndarray, HeadTargets]:
    """Rows about three centres."""
    chance = np.random.default_rng(seed)
    right = np.arange(rows) % 3
    return np.eye(3, width)[right] + spread * chance.normal(size=(rows, width)), told(MOOD, np.eye(3)[right])


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(4, 12), width=st.integers(1, 16), ridge=st.sampled_from(RIDGES), seed=st.integers(0, 99))
def test_answers_to_left_out_rows_are_those_of_a_head_fitted_without_them(
    rows: int, width: int, ridge: float, seed: int
) -> None:
    """With weights, more rows than inputs or fewer: the same as fitting once for each row."""
    chance = np.random.default_rng(seed)
    inputs, wanted = chance.normal(size=(rows, width)), chance.normal(size=(rows, 2))
    weights = chance.uniform(0.5, 2, size=rows)
    spectrum = _Spectrum.of(inputs, weights)
    strength = ridge * spectrum.eigenvalues.mean()
    found = spectrum.fit(ridge, wanted).left_out
    for row in range(rows):
        others = np.arange(rows) != row
        expected = ridge_regression(inputs[others], wanted[others], weights[others], strength)(inputs[row])
        assert found[row] == pytest.approx(expected, abs=1e-5)


def ridge_regression(inputs: np.ndarray, wanted: np.ndarray, weights: np.ndarray, strength: float):
    """Weighted ridge regression with an offset that is not shrunk, by the normal equations."""
    design = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    penalty = strength * np.eye(design.shape[1])
    penalty[-1, -1] = 0
    solved = np.linalg.solve((design * weights[:, None]).T @ design + penalty, (design * weights[:, None]).T @ wanted)
    return lambda row: np.append(row, 1) @ solved


def test_the_chosen_ridge_has_the_least_loss_on_rows_left_out() -> None:
    """And that loss foretells the loss on new rows, which that on its own rows does not."""
    inputs, targets = moods(40, width=30)
    fit = fit_closed_form(inputs, targets)
    fresh, right = moods(3_000, width=30, seed=1)
    assert fit.loss == pytest.approx(mean_loss(fit.head, fresh, right), rel=0.15)
    assert mean_loss(fit.head, inputs, targets) < 0.8 * fit.loss


def test_logits_give_probabilities_that_are_calibrated() -> None:
    """Sure answers are right more often: mean confidence is accuracy."""
    inputs, targets = moods(300)
    fit = fit_closed_form(inputs, targets)
    fresh, right = moods(3_000, seed=1)
    found = softmax(logits_of(fit.head, fresh))
    hits = found.argmax(axis=1) == right.values.argmax(axis=1)
    assert hits.mean() > 0.6
    assert found.max(axis=1).mean() == pytest.approx(hits.mean(), abs=0.05)


def test_a_row_of_weight_two_is_two_rows() -> None:
    """The weights of the ridge are those of rows that stand there twice."""
    inputs, targets = moods(30)
    twice = np.concatenate([np.arange(30), np.arange(10)])
    weights = np.where(np.arange(30) < 10, 2.0, 1.0)
    heavy, doubled = _Spectrum.of(inputs, weights), _Spectrum.of(inputs[twice], np.ones(40))
    values = targets.values.astype(np.float64)
    assert heavy.fit(0.1, values).weight == pytest.approx(doubled.fit(0.1, values[twice]).weight)


def test_rejections_teach_where_labels_are_few() -> None:
    """Three labelled rows and two hundred times "not this one" beat the three rows alone."""
    inputs, targets = moods(203, spread=0.5)
    values = np.array(targets.values)
    chance = np.random.default_rng(3)
    for row in range(3, 203):
        wrong = (values[row].argmax() + chance.integers(1, 3)) % 3
        values[row] = np.arange(3) != wrong
    rejected = told(MOOD, values)
    fresh, right = moods(2_000, seed=1, spread=0.5)
    alone, with_them = fit_closed_form(inputs[:3], targets.take(np.arange(3))), fit_closed_form(inputs, rejected)
    assert mean_loss(with_them.head, fresh, right) < 0.7 * mean_loss(alone.head, fresh, right)
    assert _wanted(rejected)[3:].max() < 1


def test_several_labels_are_learned_each_by_itself() -> None:
    """Each has its own logistic curve; a label that never holds is merely unlikely."""
    chance = np.random.default_rng(0)
    inputs = chance.normal(size=(400, 6))
    values = np.stack([inputs[:, 0] > 0, inputs[:, 1] > 1, np.zeros(400)], axis=1)
    fit = fit_closed_form(inputs, told(TOPICS, values))
    found = probabilities_of(fit.head, inputs)
    assert ((found[:, :2] > 0.5) == values[:, :2]).mean() > 0.93
    assert (found[:, 2] < 0.05).all()
    assert found.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.02)


def test_numbers_are_learned_as_they_are() -> None:
    """A linear number is found again, its offset too."""
    inputs = np.random.default_rng(0).normal(size=(100, 4))
    wanted = 0.1 * inputs[:, :1] - 0.2 * inputs[:, 1:2] + 0.3
    fit = fit_closed_form(inputs, told(SCORE, wanted))
    assert logits_of(fit.head, inputs) == pytest.approx(wanted, abs=1e-3)


def test_rows_that_say_nothing_are_left_out() -> None:
    """Whatever stands in their cells."""
    inputs, targets = moods(60)
    weights = np.array(targets.weights)
    weights[30:] = 0
    half = fit_closed_form(inputs, HeadTargets(MOOD, targets.values[::-1], targets.known, weights[::-1].copy()))
    same = fit_closed_form(inputs[30:], targets.take(np.arange(60)[::-1][30:]))
    assert half.head.weight == pytest.approx(same.head.weight)


def test_what_cannot_be_fitted_is_refused() -> None:
    """Rows that are all alike, and inputs that are no numbers."""
    inputs, targets = moods(9)
    with pytest.raises(DatasetError, match="all 3 rows say 'bad' to head 'mood'"):
        fit_closed_form(inputs[::3], targets.take(np.arange(0, 9, 3)))
    inputs[4, 2] = np.nan
    with pytest.raises(TrainingFailed, match="look for NaN among the embeddings"):
        fit_closed_form(inputs, targets)


def test_logistic_regression_is_never_worse_than_where_it_began() -> None:
    """On validation rows; and with rows far out, which pull at a ridge, it does better than the closed form."""
    inputs, targets = moods(600, spread=0.4)
    held_out, right = moods(300, seed=1, spread=0.4)
    inputs[::3], held_out[::3] = inputs[::3] * 8, held_out[::3] * 8
    start = fit_closed_form(inputs, targets).head
    head, loss = fit_logistic(inputs, targets, start, held_out, right)
    assert loss == mean_loss(head, held_out, right) < mean_loss(start, held_out, right)
    assert fit_logistic(inputs, targets, start, held_out, right, penalties=())[0] is start


def test_logistic_regression_finds_the_minimum() -> None:
    """The gradient of the penalised loss is nought there, rejections included."""
    inputs, targets = moods(120)
    values = np.array(targets.values)
    values[::4] = 1 - values[::4]
    mixed = told(MOOD, values)
    start = fit_closed_form(inputs, mixed).head
    head, _ = fit_logistic(inputs, mixed, start, inputs, told(MOOD, targets.values), penalties=(1.0,))
    found = probabilities_of(head, inputs)
    allowed = found * values / (found * values).sum(axis=1, keepdims=True)
    gradient = (found - allowed).T @ inputs + 2 * head.weight
    assert np.abs(gradient).max() < 0.05


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(8, 16), width=st.integers(1, 6), ridge=st.sampled_from(RIDGES[4:]), seed=st.integers(0, 99))
def test_a_discriminant_knows_what_it_would_say_without_a_row(rows: int, width: int, ridge: float, seed: int) -> None:
    """The same as centres, scatter and priors computed from the other rows, up to one constant for each row."""
    chance = np.random.default_rng(seed)
    inputs, labels, weights = chance.normal(size=(rows, width)), np.arange(rows) % 3, chance.uniform(0.5, 2, size=rows)
    scatter = Scatter.of(inputs, labels, 3, weights)
    strength, total = ridge * scatter.eigenvalues.mean(), weights.sum()
    fit = scatter.fit(ridge)
    for row in range(rows):
        others = np.arange(rows) != row
        expected = discriminant(inputs[others], labels[others], weights[others], strength, total, inputs[row])
        assert fit.left_out[row] - fit.left_out[row, 0] == pytest.approx(expected - expected[0], rel=1e-5, abs=1e-5)
    everything = discriminant(inputs, labels, weights, strength, total, inputs[0])
    found = fit.weight @ inputs[0] + fit.bias
    assert found - found[0] == pytest.approx(everything - everything[0], rel=1e-5, abs=1e-5)


def discriminant(
    inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray, strength: float, total: float, text: np.ndarray
) -> np.ndarray:
    """Logits (3) of one text by the definition of linear discriminant analysis."""
    of_label = [labels == label for label in range(3)]
    centres = [np.average(inputs[mine], axis=0, weights=weights[mine]) for mine in of_label]
    about = inputs - np.stack([centres[label] for label in labels])
    inverse = np.linalg.inv((about * weights[:, None]).T @ about + strength * np.eye(inputs.shape[1]))
    priors = [np.log(weights[mine].sum()) for mine in of_label]
    away = [text - centre for centre in centres]
    return np.array([prior - total / 2 * one @ inverse @ one for prior, one in zip(priors, away, strict=True)])


def test_a_label_with_one_row_is_still_a_label() -> None:
    """Without its row nothing is known of it, so that row counts as wrong, with a finite loss."""
    inputs, targets = moods(21)
    few = targets.take(np.flatnonzero((np.arange(21) % 3 != 2) | (np.arange(21) == 2)))
    fit = fit_closed_form(inputs[(np.arange(21) % 3 != 2) | (np.arange(21) == 2)], few)
    assert np.isfinite(fit.loss)
    assert np.isfinite(fit.left_out).all()
