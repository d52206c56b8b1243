"""Features are standardised as they lie in training, and heads are calibrated on rows of their own."""

import numpy as np
import pytest

from coterie.agents.heads import LinearHead, LinearHeads
from coterie.agents.releases import StoredHead
from coterie.tuning.head_fitting import FeatureScale, calibrated, fit_heads
from coterie.tuning.head_targets import head_targets
from coterie.tuning.logistic import mean_loss
from coterie.tuning.rows import ClassifierRow, Source

SIGN = StoredHead(kind="classes", field="sign", labels=("minus", "plus"))
SCORE = StoredHead(kind="regression", field="score", labels=("low", "high"), low=-9, high=9)


def row(number: int, label: str | None, value: float | None, *features: float) -> ClassifierRow:
    return ClassifierRow(str(number), "text", (label, value), "train", Source("made", str(number)), features=features)


def made(count: int, seed: int) -> tuple[np.ndarray, list[ClassifierRow]]:
    """Embeddings whose first number has the sign, four times in five, and is the score."""
    chance = np.random.default_rng(seed)
    inputs = chance.normal(size=(count, 3))
    flipped = chance.random(count) < 0.2
    labels = np.where((inputs[:, 0] > 0) ^ flipped, "plus", "minus")
    pairs = zip(labels.tolist(), inputs[:, 0].tolist(), strict=True)
    return inputs, [row(number, label, value) for number, (label, value) in enumerate(pairs)]


def test_features_are_standardised_without_those_that_are_missing() -> None:
    """Mean and deviation of what is there; a missing number counts as average, one that never varies as it is."""
    rows = [
        row(0, "plus", 0.0, 1.0, 5.0, np.nan),
        row(1, "plus", 0.0, 3.0, 5.0, np.nan),
        row(2, "plus", 0.0, np.nan, 5.0, np.nan),
    ]
    scale = FeatureScale.of(rows)
    assert scale.mean.tolist() == [2, 5, 0]
    assert scale.deviation.tolist() == [1, 0, 0]
    inputs = scale.inputs(np.ones((3, 2), np.float32), rows)
    assert inputs.tolist() == [[1, 1, -1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]
    assert scale.inputs(np.ones((0, 2), np.float32), []).shape == (0, 5)


def test_every_head_is_fitted_to_what_rows_say_to_it() -> None:
    """Rows without a label teach the score only, and the other way round."""
    inputs, rows = made(200, 0)
    halves = [
        row(place, one.targets[0] if place % 2 else None, None if place % 2 else one.targets[1])  # type: ignore[arg-type]
        for place, one in enumerate(rows)
    ]
    fresh, right = made(100, 1)
    told, wanted = head_targets(halves, [SIGN, SCORE]), head_targets(right, [SIGN, SCORE])
    heads = fit_heads(inputs, told, fresh, wanted, FeatureScale.of(rows))
    assert mean_loss(heads.heads[0], fresh, wanted[0]) < 0.6 < np.log(2)
    assert mean_loss(heads.heads[1], fresh, wanted[1]) < 0.01


def test_calibration_changes_nothing_but_temperatures() -> None:
    """A head that is ten times too sure gets a temperature; a number has none."""
    inputs, rows = made(400, 2)
    told = head_targets(rows, [SIGN, SCORE])
    sure = np.array([[-20, 0, 0], [20, 0, 0]], np.float32)
    heads = LinearHeads(
        (
            LinearHead("classes", sure, np.zeros(2, np.float32), 0.5),
            LinearHead("regression", sure[:1], np.zeros(1, np.float32)),
        ),
        np.zeros(0, np.float32),
        np.zeros(0, np.float32),
    )
    cooled = calibrated(heads, inputs, told)
    assert cooled.heads[0].temperature > 5
    assert cooled.heads[1].temperature == 1
    assert cooled.heads[0].weight is sure
    assert mean_loss(cooled.heads[0], inputs, told[0]) == pytest.approx(0.6, abs=0.1)
