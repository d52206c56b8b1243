"""The benchmark's own candidates do the work that they are timed for; each checks its answer itself."""

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "rivals"))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["bare_anyio", "coterie_flow"])
@pytest.mark.parametrize("workload", ["chain", "fan_out", "concurrent"])
async def test_a_candidate_gives_the_right_answer(name: str, workload: str) -> None:
    """On both event loops."""
    await getattr(importlib.import_module(name), workload)(2)


def test_a_wrong_answer_is_caught() -> None:
    """Nobody is timed for doing less."""
    with pytest.raises(AssertionError, match="found 9, expected 10"):
        importlib.import_module("work").check(9, 10)
