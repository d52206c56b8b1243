"""Worlds from seeds: whatever crashes, waits, fails or jumps, nothing is lost, repeated or different.

The number of seeds is SIMULATION_SEEDS; `make nightly` takes 20,000.
"""

import os

import pytest

from tests.orchestration.simulation import simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "500"))
CHUNK = 50


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
@pytest.mark.timeout(600)
def test_no_world_loses_or_repeats_anything(first: int) -> None:
    """A failure names the command that shows the same world again."""
    for seed in range(first, first + CHUNK):
        world = simulate(seed)
        assert not world.wrong, f"{world.wrong}; see: python -m tests.orchestration.simulation {seed}"


def test_the_same_seed_gives_the_same_world() -> None:
    """To the byte of its log."""
    for seed in range(10):
        one, other = simulate(seed), simulate(seed)
        assert one.store.content() == other.store.content()
        assert one.told == other.told
