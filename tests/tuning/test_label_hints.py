"""Hints of what labels mean: a head over them is a head over the embedding, and few rows do more with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.agents.heads import LinearHead
from coterie.agents.releases import StoredHead
from coterie.tuning.closed_form import fit_closed_form
from coterie.tuning.head_fitting import FeatureScale, fit_heads
from coterie.tuning.head_targets import head_targets
from coterie.tuning.label_hints import PLENTY, STRENGTHS, LabelHints
from coterie.tuning.rows import ClassifierRow, Source

HEAD = StoredHead(kind="classes", field="label", labels=("a", "b", "c"))


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@given(st.integers(0, 2**31), st.sampled_from(STRENGTHS), st.integers(0, 3))
@settings(deadline=None, max_examples=50)
def test_a_folded_head_says_what_it_said_over_hints(seed: int, strength: float, features: int) -> None:
    """Whatever weights it has, and whether there are numbers beside the text."""
    chance = np.random.default_rng(seed)
    hints = LabelHints.of("classes", unit(chance.normal(size=(3, 8))).astype(np.float32))
    inputs = chance.normal(size=(5, 8 + features))
    beside = hints.beside(inputs, strength)
    head = LinearHead("classes", chance.normal(size=(3, beside.shape[1])), chance.normal(size=3))
    folded = hints.folded(head, strength)
    assert folded.weight.shape == (3, 8 + features)
    np.testing.assert_allclose(inputs @ folded.weight.T, beside @ head.weight.T, atol=1e-4, rtol=1e-4)


def test_a_number_has_one_direction_from_low_to_high() -> None:
    """So that a text near the description of the high end has a high value."""
    ends = unit(np.array([[1.0, 0.0], [0.0, 1.0]])).astype(np.float32)
    hints = LabelHints.of("regression", ends)
    np.testing.assert_allclose(hints.directions, [[-1.0, 1.0]])
    assert hints.beside(np.array([[0.0, 1.0]]), 2.0)[0, 2] == pytest.approx(2.0)


def test_few_rows_learn_more_with_descriptions() -> None:
    """Labels lie about their descriptions: two rows a label find them better with hints; with many, none are tried."""
    chance = np.random.default_rng(0)
    meant = unit(chance.normal(size=(3, 64)))
    labels = chance.integers(3, size=900)
    embeddings = unit(0.25 * meant[labels] + unit(chance.normal(size=(900, 64)))).astype(np.float32)
    rows = [
        ClassifierRow(str(number), "", (HEAD.labels[label],), "train", Source("made", str(number)))
        for number, label in enumerate(labels)
    ]
    hints = LabelHints.of("classes", meant.astype(np.float32))
    few = [number for label in range(3) for number in np.flatnonzero(labels == label)[:2]]
    told = head_targets([rows[number] for number in few], (HEAD,))
    nothing = head_targets([], (HEAD,))
    inputs = embeddings[few].astype(np.float64)
    unseen = np.zeros((0, 64))
    scale = FeatureScale.of([rows[number] for number in few])

    def accuracy(heads: tuple[LinearHead, ...]) -> float:
        found = embeddings @ heads[0].weight.T + heads[0].bias
        return float((found.argmax(axis=1) == labels).mean())

    plain = accuracy((fit_closed_form(inputs, told[0]).head,))
    hinted = accuracy(fit_heads(inputs, told, unseen, nothing, scale, hints=[hints]).heads)
    assert hinted > plain + 0.1
    assert hints.strengths(PLENTY * 3 + 1) == (0.0,)
