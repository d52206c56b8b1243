"""Several models as one: probabilities of an ensemble averaged, or weights of several trainings in one set of weights.

Letters in shape comments: M members, N rows, K labels.

This file knows nothing of how members were trained or of what they answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = tuple(number / 10 for number in range(11))  # of the tuned weights, from none to all


def mean_probabilities(members: Sequence["NDArray[np.float64]"]) -> "NDArray[np.float64]":
    """The mean of members' probabilities, (N, K) each: a deep ensemble.

    Lakshminarayanan et al., 2017, arXiv:1612.01474.

    Raises:
        ValueError: there are no members, or they answer for other rows or labels.
    """
    shapes = {member.shape for member in members}
    if len(shapes) != 1:
        raise ValueError(f"an ensemble needs members of one shape, found {sorted(shapes) or 'none'}")
    mean: NDArray[np.float64] = np.stack(members).mean(axis=0)  # (M, N, K) -> (N, K)
    return mean


@dataclass(frozen=True, slots=True)
class Mixture:
    """Weights made of several, and how they validate."""

    weights: dict[str, Tensor]
    validation: float  # lower is better
    members: tuple[int, ...]  # which were mixed, by their place, best first
    alone: tuple[float, ...]  # validation of each by itself, in the order given


def greedy_soup(
    candidates: Sequence[Mapping[str, Tensor]], validate: Callable[[Mapping[str, Tensor]], float]
) -> Mixture:
    """The mean of those weights whose company does not make it worse (Wortsman et al., 2022, arXiv:2203.05482).

    Candidates are trainings that began at the same weights. The best comes first, then each in turn stays if the mean
    with it validates at least as well; so a soup is never worse on the validation rows than the best candidate.

    Raises:
        ValueError: there are no candidates, or their names or shapes differ.
    """
    _check_alike(candidates)
    alone = [validate(candidate) for candidate in candidates]
    order = sorted(range(len(candidates)), key=lambda place: alone[place])
    kept, best = order[:1], alone[order[0]]
    weights = dict(candidates[order[0]])
    for place in order[1:]:
        tried = _mean([candidates[one] for one in (*kept, place)])
        validation = validate(tried)
        if validation <= best:
            kept, best, weights = [*kept, place], validation, tried
    return Mixture(weights, best, tuple(kept), tuple(alone))


@dataclass(frozen=True, slots=True)
class Interpolation:
    """Weights between a base and what it was tuned to."""

    weights: dict[str, Tensor]
    validation: float  # lower is better
    share: float  # of the tuned weights, 0 to 1
    tried: tuple[tuple[float, float], ...]  # (share, validation)


def best_interpolation(
    base: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    validate: Callable[[Mapping[str, Tensor]], float],
    shares: Sequence[float] = SHARES,
) -> Interpolation:
    """The best of the weights on the line from `base` to `tuned` (WiSE-FT: Wortsman et al., 2022, arXiv:2109.01903).

    Of equally good ones, that with the larger share of the tuned weights.

    Raises:
        ValueError: there are no shares, or names or shapes differ.
    """
    _check_alike([base, tuned])
    if not shares:
        raise ValueError("an interpolation needs shares to try, found none")
    tried = [(share, validate(interpolated(base, tuned, share))) for share in shares]
    share, validation = min(tried, key=lambda one: (one[1], -one[0]))
    return Interpolation(interpolated(base, tuned, share), validation, share, tuple(tried))


def interpolated(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the way from `base` to `tuned`; at 0 and 1 exactly these. Whole numbers are those of `tuned`."""
    return {name: _between(base[name], weight, share) for name, weight in tuned.items()}


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    if not end.is_floating_point() or share == 1:
        return end.clone()
    return torch.lerp(start, end, share)


def _mean(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        name: torch.stack([member[name] for member in members]).mean(dim=0)
        if first.is_floating_point()
        else first.clone()
        for name, first in members[0].items()
    }


def _check_alike(candidates: Sequence[Mapping[str, Tensor]]) -> None:
    shapes = [{name: tuple(weight.shape) for name, weight in candidate.items()} for candidate in candidates]
    if not shapes:
        raise ValueError("there are no weights to mix; expected those of at least one training")
    for place, other in enumerate(shapes[1:], start=2):
        if other != shapes[0]:
            name = sorted(set(other.items()) ^ set(shapes[0].items()))[0][0]
            raise ValueError(f"weights 1 and {place} cannot be mixed: {name!r} is not of one shape in both")
