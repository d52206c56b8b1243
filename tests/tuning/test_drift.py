"""What changed is found, what did not is left alone, and no more is said than the numbers hold."""

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from coterie.tuning.drift import Finding, falling_agreement, label_shift, text_drift
from coterie.tuning.errors import ExtraMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = ["up", "down", "flat"]


def answered(chance: np.random.Generator, shares: list[float], rows: int) -> tuple[list[str], list[str]]:
    """True labels of these shares, and the answers of a classifier that is right four times in five."""
    truth = [str(one) for one in chance.choice(LABELS, rows, p=shares)]
    return truth, [one if chance.random() < 0.8 else str(chance.choice(LABELS)) for one in truth]


def test_a_shift_of_labels_is_found_and_undone() -> None:
    """The answers hide a part of the shift; the shares that explain them do not."""
    chance = np.random.default_rng(0)
    truth, answers = answered(chance, [0.4, 0.4, 0.2], 600)
    _, since = answered(chance, [0.1, 0.6, 0.3], 600)
    found = label_shift(truth, answers, since, LABELS)
    assert found.drifted
    assert dict(found.shares) == pytest.approx({"up": 0.1, "down": 0.6, "flat": 0.3}, abs=0.06)
    assert str(found.proposal("finance/mood")).startswith("tune finance/mood: 'up' was ")


def test_equal_labels_raise_few_false_alarms() -> None:
    """No more often than alpha, with labels so rare that a table of chi-square would be wrong; few rows never do."""
    chance = np.random.default_rng(1)
    shares, names = [0.9, *[0.1 / 30] * 30], [str(number) for number in range(31)]

    def drawn() -> list[str]:
        return [str(one) for one in chance.choice(names, 60, p=shares)]

    alarms = sum(label_shift(one, one, drawn(), names, alpha=0.1).drifted for one in (drawn() for _ in range(100)))
    assert alarms <= 16  # 10 expected, and two standard errors
    assert not label_shift(["up"] * 10, ["up"] * 10, ["down"] * 10, LABELS).drifted


def test_shares_are_left_out_where_answers_do_not_tell_labels_apart() -> None:
    """A classifier that always answers the same says nothing about labels."""
    truth = ["up", "down", "flat"] * 20
    assert label_shift(truth, ["up"] * 60, ["up"] * 60, LABELS).shares == ()


def embeddings(chance: np.random.Generator, rows: int, shift: float = 0.0) -> "NDArray[np.float32]":
    """Unit vectors around a common centre, moved a little in one direction."""
    drawn = chance.normal(size=(rows, 16)) + np.array([2.0] + [shift] + [0.0] * 14)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_texts_that_moved_are_told_from_old_ones() -> None:
    """And texts that did not are not."""
    chance = np.random.default_rng(2)
    threads = [str(number) for number in range(300)]
    moved = text_drift(embeddings(chance, 150), embeddings(chance, 150, 2.0), threads)
    assert moved.drifted
    assert moved.statistic > 0.85
    still = text_drift(embeddings(chance, 150), embeddings(chance, 150), threads)
    assert not still.drifted
    assert still.statistic == pytest.approx(0.5, abs=0.1)
    assert still.proposal("finance/mood") is None


def test_repeated_texts_of_a_few_threads_are_no_proof() -> None:
    """Each thread has texts of its own, which would be known again if its rows were not held out together."""
    chance = np.random.default_rng(3)
    before, since = np.repeat(embeddings(chance, 6), 20, axis=0), np.repeat(embeddings(chance, 6), 20, axis=0)
    threads = [str(number // 20) for number in range(240)]
    assert not text_drift(before, since, threads).drifted
    assert text_drift(before, since, [str(number) for number in range(240)]).drifted


def test_falling_agreement_is_found_and_rising_is_not() -> None:
    """With how often it was, and how often it has been since."""
    pytest.importorskip("river")
    chance = np.random.default_rng(4)
    good, bad = (chance.random(300) < 0.95).tolist(), (chance.random(200) < 0.6).tolist()
    fell = falling_agreement(good + bad)
    assert fell.drifted
    assert fell.statistic < -0.2
    assert sum(fell.rows) == 500
    assert not falling_agreement(bad + good).drifted
    steady = falling_agreement(good)
    assert not steady.drifted
    assert steady.found == f"reviewers left {sum(good) / 300:.1%} of 300 messages as they were, without a change"


def test_without_river_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than that agreement is fine."""
    for name in ("river", "river.drift"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "coterie.tuning.agreement", raising=False)
    with pytest.raises(ExtraMissing, match=r"this needs river, which is not installed: pip install 'coterie\[drift\]'"):
        falling_agreement([True])


def test_what_cannot_be_looked_at_is_refused() -> None:
    """With what was found."""
    with pytest.raises(ValueError, match="found 1 labels, 2 answers to them and 1 new ones"):
        label_shift(["up"], ["up", "up"], ["up"], LABELS)
    with pytest.raises(ValueError, match="label 'sideways' is none of"):
        label_shift(["up"], ["up"], ["sideways"], LABELS)
    some = embeddings(np.random.default_rng(0), 8)
    with pytest.raises(ValueError, match="found 8 threads before and 1 since; expected at least 5 of each"):
        text_drift(some, some, [*map(str, range(8)), *["x"] * 8])
    with pytest.raises(ValueError, match="and 3 threads do not go together"):
        text_drift(some, some, ["a", "b", "c"])


def test_a_finding_without_drift_proposes_nothing() -> None:
    """And never a promotion."""
    assert Finding("texts", False, "as it was", (30, 30), 0.5).proposal("a") is None
    assert Finding("texts", True, "other", (30, 30), 0.9).proposal("a") == "tune a: other"
