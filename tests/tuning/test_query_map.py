"""The linear map of a retriever's queries."""

import numpy as np
import pytest
from safetensors.numpy import load

from coterie.tuning.query_map import QueryMaps, blended, normalised, written

QUESTIONS, WIDTH = 40, 6


def example(threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """Questions whose answers are a rotation of them, and noise."""
    chance = np.random.default_rng(0)
    asked = normalised(chance.normal(size=(QUESTIONS, WIDTH)).astype(np.float32))
    rotation, _ = np.linalg.qr(chance.normal(size=(WIDTH, WIDTH)))
    targets = (asked @ rotation + 0.1 * chance.normal(size=asked.shape)).astype(np.float32)
    weights = chance.uniform(0.5, 2, QUESTIONS)
    return asked, targets, weights, (np.arange(QUESTIONS) % threads).tolist()


@pytest.mark.parametrize("threads", [QUESTIONS, 10, 3])
def test_leaving_out_is_exact(threads: int) -> None:
    """As if the map had been fitted anew without the thread, also where a thread has more rows than dimensions."""
    asked, targets, weights, of = example(threads)
    left_out = QueryMaps(asked, targets, weights, of).left_out(0.3)
    scale = np.sqrt(weights)[:, None]
    moment = (asked * scale).T @ (asked * scale)
    ridge = 0.3 * np.linalg.eigvalsh(moment).mean()
    for thread in range(threads):
        rest, gone = np.array(of) != thread, np.array(of) == thread
        rows, steps = (asked * scale)[rest], ((targets - asked) * scale)[rest]
        change = np.linalg.solve(rows.T @ rows + ridge * np.eye(WIDTH), rows.T @ steps)
        np.testing.assert_allclose(left_out[gone], asked[gone] + asked[gone] @ change, atol=1e-4)


def test_a_weak_ridge_finds_what_maps_questions_to_answers() -> None:
    """And a strong one leaves questions where they are."""
    asked, targets, weights, of = example(QUESTIONS)
    maps = QueryMaps(asked, targets, weights, of)
    assert np.abs(asked @ maps.fit(1e-3) - targets).mean() < 0.1 < np.abs(asked - targets).mean()
    np.testing.assert_allclose(maps.fit(1e6), np.eye(WIDTH), atol=1e-4)


def test_a_blend_of_maps_is_the_blend_of_what_they_map() -> None:
    """So a blend costs no fit of its own."""
    asked, targets, weights, of = example(QUESTIONS)
    fitted = QueryMaps(asked, targets, weights, of).fit(1.0)
    matrix = blended(np.eye(WIDTH, dtype=np.float32), fitted, 0.25)
    np.testing.assert_allclose(asked @ matrix, blended(asked, asked @ fitted, 0.25), atol=1e-6)
    np.testing.assert_allclose(load(written(matrix))["map"], matrix)
