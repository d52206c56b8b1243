"""What runs are called."""

from hypothesis import given
from hypothesis import strategies as st

from coterie.orchestration.run_names import DIGITS, HALF, TICK, RunNames

AGAIN = TICK * len(DIGITS) ** HALF  # seconds until the time in names begins again


@given(st.floats(min_value=0, max_value=AGAIN / 2), st.floats(min_value=TICK, max_value=AGAIN / 3))
def test_a_later_run_comes_after_an_earlier_one(now: float, more: float) -> None:
    names = RunNames()
    assert names.new(now) < names.new(now + more)


def test_runs_of_the_same_moment_have_different_names() -> None:
    names = RunNames()
    assert len({names.new(1.7e9) for _ in range(1000)}) == 1000


@given(st.floats(min_value=0, max_value=1e10))
def test_names_are_of_one_length(now: float) -> None:
    assert len(RunNames().new(now)) == 2 * HALF
