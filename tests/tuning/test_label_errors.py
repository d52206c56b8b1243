"""Labels that are probably wrong are found, and right ones are left alone."""

import numpy as np
import pytest

from coterie.tuning.label_errors import suspected_label_errors


def clusters(rows: int, labels: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Rows around one point a label, of unit length."""
    chance = np.random.default_rng(seed)
    given = np.arange(rows) % labels
    found = chance.normal(size=(labels, 16))[given] + 0.3 * chance.normal(size=(rows, 16))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), [f"label {one}" for one in given]


def test_changed_labels_are_found() -> None:
    """All of them, with the label that they had before, and few others."""
    embeddings, labels = clusters(150, 3)
    changed = {4: "label 0", 31: "label 2", 90: "label 1"}
    wrong = [changed.get(index, label) for index, label in enumerate(labels)]
    found = suspected_label_errors(embeddings, wrong)
    assert {one.index for one in found[:3]} == set(changed)
    assert all(one.likelier == labels[one.index] and one.given == wrong[one.index] for one in found[:3])
    assert len(found) <= 5
    assert all(one.given_probability < one.likelier_probability for one in found[:3])


def test_right_labels_are_left_alone() -> None:
    """A clean set has no suspects."""
    assert suspected_label_errors(*clusters(150, 3)) == ()


def test_too_few_rows_say_nothing() -> None:
    """A label that could not be in every fold is not judged, nor is one alone."""
    embeddings, labels = clusters(40, 2)
    rare = ["rare", *labels[1:]]
    assert all(one.index != 0 for one in suspected_label_errors(embeddings, rare))
    assert suspected_label_errors(embeddings, ["only"] * 40) == ()


def test_a_label_for_each_embedding() -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="3 labels by 40 embeddings"):
        suspected_label_errors(clusters(40, 2)[0], ["a", "b", "c"])
