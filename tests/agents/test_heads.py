"""Heads: similarity to descriptions, linear heads, and their files."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from coterie.agents.heads import (
    DescribedHead,
    LinearHead,
    LinearHeads,
    ZeroShotHeads,
    linear_inputs,
    read_heads,
    reordered,
    write_heads,
)

AXES = np.eye(3, 4, dtype=np.float32)  # three descriptions of width 4
NOTHING = np.zeros(0, np.float32)


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


def linear(kind: str = "classes", features: int = 2, temperature: float = 1.0) -> LinearHeads:
    """A head of three labels over width 4 and some features."""
    random = np.random.default_rng(7)
    weight = random.normal(size=(3, 4 + features)).astype(np.float32)
    head = LinearHead(kind, weight, np.array([0.1, 0.2, 0.3], np.float32), temperature)  # type: ignore[arg-type]
    return LinearHeads((head,), np.full(features, 2, np.float32), np.full(features, 4, np.float32))


def test_the_most_similar_description_wins() -> None:
    """A softmax over cosines: probabilities sum to one and follow the similarity."""
    (prediction,) = ZeroShotHeads((DescribedHead("classes", AXES),)).predict(unit(1, 3, 2, 0), ())
    assert sum(prediction) == pytest.approx(1)
    assert prediction[1] > prediction[2] > prediction[0]


def test_a_label_of_many_holds_where_the_text_is_closer_to_it_than_to_all_together() -> None:
    """Two labels may hold at once; one that only shares the common part does not."""
    first, second, third = DescribedHead("multilabel", AXES).predict(unit(1, 1, -1, 0))
    assert first == second > 0.5 > third


@pytest.mark.parametrize(("text", "value"), [((1, 0, 0, 0), -2.0), ((0, 1, 0, 0), 6.0), ((1, 1, 0, 0), 2.0)])
def test_a_zero_shot_number_lies_between_its_ends(text: tuple[float, ...], value: float) -> None:
    """At the description of an end it is that end; half way it is the middle."""
    (found,) = DescribedHead("regression", AXES[:2], -2.0, 6.0).predict(unit(*text))
    assert found == pytest.approx(value, abs=1e-4)


@given(st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=2), st.sampled_from(["classes", "multilabel"]))
def test_probabilities_are_probabilities_whatever_the_features_say(features: list[float], kind: str) -> None:
    """Absurd numbers give no NaN and nothing outside 0 to 1."""
    (prediction,) = linear(kind).predict(unit(1, 2, 3, 4), features)
    assert all(0 <= probability <= 1 for probability in prediction)
    if kind == "classes":
        assert math.isclose(sum(prediction), 1)


def test_a_missing_feature_counts_as_average() -> None:
    """NaN and the mean itself are the same."""
    heads = linear()
    assert heads.predict(unit(1, 2, 3, 4), (math.nan, 6.0)) == heads.predict(unit(1, 2, 3, 4), (2.0, 6.0))


def test_features_are_standardised_beside_the_embedding() -> None:
    """Mean 2 and deviation 4: 6 is one deviation; far out is 10; a feature that never varied counts as it is."""
    mean, deviation = np.array([2, 2, 1], np.float32), np.array([4, 4, 0], np.float32)
    rows = linear_inputs(AXES[:1], np.array([[6.0, 1e300, 4.0]]), mean, deviation)
    assert rows.tolist() == [[1, 0, 0, 0, 1, 10, 3]]


def test_temperature_makes_less_sure_and_changes_no_order() -> None:
    """Above 1 the likeliest label has a smaller share and stays the likeliest."""
    sharp, soft = (linear(temperature=heat).predict(unit(1, 2, 3, 4), (0, 0))[0] for heat in (1.0, 3.0))
    assert max(soft) < max(sharp)
    assert np.argsort(soft).tolist() == np.argsort(sharp).tolist()


@pytest.mark.parametrize("features", [0, 2])
def test_heads_come_back_from_their_file(features: int) -> None:
    """Weights, temperature and standardisation: predictions are equal to the last bit."""
    heads = linear(features=features, temperature=1.5)
    text, numbers = unit(4, 3, 2, 1), (1.0, 5.0)[:features]
    assert read_heads(write_heads(heads), ["classes"]).predict(text, numbers) == heads.predict(text, numbers)


def test_labels_may_be_asked_for_in_another_order() -> None:
    """The predictions move with their labels."""
    heads = linear()
    first = heads.predict(unit(4, 3, 2, 1), (0, 0))[0]
    moved = reordered(heads, [[2, 0, 1]]).predict(unit(4, 3, 2, 1), (0, 0))[0]
    assert moved == pytest.approx((first[2], first[0], first[1]))


@pytest.mark.parametrize(
    ("content", "kinds", "said"),
    [
        (b"no such file", ["classes"], "is no safetensors file"),
        (save({"features.mean": NOTHING}), ["classes"], r"has no tensor '0\.weight'"),
        (write_heads(linear()), ["classes", "classes"], r"has no tensor '1\.weight'"),
        (
            write_heads(LinearHeads((LinearHead("classes", AXES, NOTHING),), NOTHING, NOTHING)),
            ["classes"],
            "shapes do not go together",
        ),
    ],
)
def test_a_file_that_holds_no_heads_is_refused(content: bytes, kinds: Sequence[str], said: str) -> None:
    """The sentence says what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        read_heads(content, kinds)  # type: ignore[arg-type]
