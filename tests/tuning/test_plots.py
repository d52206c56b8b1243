"""Pictures of confusion and reliability, drawn for real and measured by their pixels."""

import io

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.image import imread

from coterie.tuning.classification import reliability as bins_of
from coterie.tuning.plots import confusion, reliability


def test_a_confusion_is_darkest_where_the_answers_are() -> None:
    """All answers on the diagonal make another picture than all beside it, of the same size."""
    right = imread(io.BytesIO(confusion(np.eye(3, dtype=np.int64) * 9, ["up", "down", "flat"])))
    wrong = imread(io.BytesIO(confusion(np.roll(np.eye(3, dtype=np.int64) * 9, 1, axis=1), ["up", "down", "flat"])))
    assert right.shape == wrong.shape
    assert min(right.shape[:2]) >= 400
    assert np.abs(right - wrong).mean() > 0.02


def test_labels_of_any_sort_and_number_are_drawn() -> None:
    """Dollar signs are no formulas, unknown letters no warning, and 77 labels no wall of text."""
    assert confusion(np.ones((2, 2), np.int64), ["$x_{", "情绪\n" * 40]).startswith(b"\x89PNG")
    assert confusion(np.eye(77, dtype=np.int64), [str(number) for number in range(77)]).startswith(b"\x89PNG")
    assert confusion(np.zeros((1, 1), np.int64), ["never seen"]).startswith(b"\x89PNG")


def test_reliability_shows_every_system() -> None:
    """Live and a candidate; the same content gives the same bytes."""
    bins = bins_of(np.array([0.9, 0.9, 0.5]), np.array([True, False, True]))
    both = reliability({"live": bins, "candidate": bins[:1]}, "finance/mood")
    assert both.startswith(b"\x89PNG")
    assert both == reliability({"live": bins, "candidate": bins[:1]}, "finance/mood")
    assert both != reliability({"live": bins}, "finance/mood")


def test_what_cannot_be_drawn_is_refused() -> None:
    """With what was found."""
    with pytest.raises(ValueError, match=r"a confusion of shape \(2, 2\) has no place for 3 labels"):
        confusion(np.eye(2, dtype=np.int64), ["a", "b", "c"])
    with pytest.raises(ValueError, match="cannot draw 0 systems"):
        reliability({})
