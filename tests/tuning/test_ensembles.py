"""Ensembles, soups and interpolations: never worse on what they were chosen by."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coterie.tuning.ensembles import best_interpolation, greedy_soup, interpolated, mean_probabilities

numbers = st.floats(-4, 4, width=32)
points = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6)


def distance(weights: "dict[str, torch.Tensor]") -> float:
    """A validation that is best at (1, 1)."""
    return float((weights["w"] - 1).square().sum())


def of(point: tuple[float, float]) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(point), "count": torch.tensor(3)}


@given(points)
def test_a_soup_is_never_worse_than_its_best_ingredient(some: list[tuple[float, float]]) -> None:
    """And is the mean of the members that it names, the best first."""
    soup = greedy_soup([of(point) for point in some], distance)
    assert soup.validation <= min(soup.alone)
    assert soup.alone[soup.members[0]] == min(soup.alone)
    assert soup.validation == distance(soup.weights)
    mean = torch.tensor([some[member] for member in soup.members]).mean(dim=0)
    assert torch.allclose(soup.weights["w"], mean, atol=1e-6)
    assert soup.weights["count"] == 3


def test_a_soup_takes_what_helps_and_leaves_what_does_not() -> None:
    """Two on opposite sides of the best place, and one far away."""
    soup = greedy_soup([of((9.0, 9.0)), of((0.0, 1.0)), of((2.0, 1.0))], distance)
    assert (soup.members, soup.validation) == ((1, 2), 0)


@given(points)
def test_an_interpolation_is_never_worse_than_either_end(some: list[tuple[float, float]]) -> None:
    """Both ends are tried, and are exactly what was given."""
    base, tuned = of((0.0, 0.0)), of(some[0])
    found = best_interpolation(base, tuned, distance)
    assert found.validation == distance(found.weights) <= min(distance(base), distance(tuned))
    assert torch.equal(interpolated(base, tuned, 0)["w"], base["w"])
    assert torch.equal(interpolated(base, tuned, 1)["w"], tuned["w"])
    assert found.validation == min(validation for _, validation in found.tried)


def test_of_equally_good_interpolations_the_tuned_end_wins() -> None:
    """Nothing speaks against what was learned."""
    assert best_interpolation(of((0.0, 0.0)), of((4.0, 4.0)), lambda weights: 1.0).share == 1


def test_probabilities_are_averaged_over_members() -> None:
    """Row by row and label by label."""
    one, other = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
    assert mean_probabilities([one, other]) == pytest.approx(np.array([[0.4, 0.6]]))


def test_what_cannot_be_mixed_is_refused() -> None:
    """Nothing, other shapes, other names."""
    with pytest.raises(ValueError, match="no weights to mix"):
        greedy_soup([], distance)
    with pytest.raises(ValueError, match="weights 1 and 2 cannot be mixed: 'w' is not of one shape in both"):
        greedy_soup([of((0.0, 0.0)), {"w": torch.zeros(3), "count": torch.tensor(3)}], distance)
    with pytest.raises(ValueError, match="needs members of one shape, found none"):
        mean_probabilities([])
    with pytest.raises(ValueError, match="needs members of one shape"):
        mean_probabilities([np.zeros((1, 2)), np.zeros((2, 2))])
    with pytest.raises(ValueError, match="needs shares to try"):
        best_interpolation(of((0.0, 0.0)), of((1.0, 1.0)), distance, shares=())
