"""Laws that hold for any graph: it is refused in sentences or every run of it ends, whatever happens in which order."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from coterie.orchestration import Runtime, Workflow, WorkflowError
from coterie.orchestration.scheduler import advance
from coterie.orchestration.state import Fail, Finish, State
from tests.orchestration.generated import (
    SOME,
    Blue,
    Plan,
    Red,
    Shuffled,
    by_script,
    by_type,
    flow_of,
    grown,
    plans,
    said,
)


@settings(deadline=None)
@given(plans(), st.randoms(use_true_random=False), st.sampled_from([None, 1, 2, 3]))
def test_every_run_of_a_right_graph_ends_with_one_result(plan: Plan, chance: random.Random, limit: int | None) -> None:
    """Whatever ends first: the result is that of one task after the other, within the limit, and nothing is left."""
    flow = flow_of(plan)
    serial = Shuffled(flow, random.Random(0), limit=1, answer=by_script)
    shuffled = Shuffled(flow, chance, limit=limit, answer=by_script)
    expected, result = serial.play(SOME), shuffled.play(SOME)
    assert isinstance(expected, Finish)
    assert isinstance(result, Finish)
    assert result.message == expected.message
    assert limit is None or shuffled.most <= limit
    assert (shuffled.state.tasks, shuffled.state.forks, shuffled.state.running) == ({}, {}, 0)


@settings(deadline=None)
@given(plans(), st.randoms(use_true_random=False), st.sampled_from([None, 2]))
def test_every_run_with_failures_ends(plan: Plan, chance: random.Random, limit: int | None) -> None:
    """Failed tasks are tried again, handled or end the run; none of it hangs."""
    handled = {f"n{index}" for index, kind in enumerate(plan.kinds) if kind == "handled"}
    fatal = chance.random() < 0.3
    shuffled = Shuffled(
        flow_of(plan),
        chance,
        limit=limit,
        answer=by_script,
        fails=lambda node: node in handled or (fatal and node == "last"),
    )
    outcome = shuffled.play(SOME)
    assert isinstance(outcome, Fail if fatal else Finish)


@settings(deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_the_same_events_give_the_same_commands(plan: Plan, chance: random.Random) -> None:
    """A run that is told again word for word decides again word for word."""
    flow = flow_of(plan)
    first = Shuffled(flow, chance, limit=2, answer=by_script)
    first.play(SOME)
    state = State(flow)
    assert [[said(command) for command in advance(state, happened)] for happened in first.told] == first.heard


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grown(), st.randoms(use_true_random=False))
def test_any_graph_is_refused_in_sentences_or_every_run_of_it_ends(
    workflow: Workflow[Any, Any], chance: random.Random
) -> None:
    """What building lets pass comes to an end, with a result or with an error of ours, and never hangs."""
    try:
        flow = workflow.build()
    except WorkflowError:
        event("refused")
        return
    failing = chance.random() < 0.3
    shuffled = Shuffled(flow, chance, answer=by_type, fails=lambda node: failing and chance.random() < 0.2)
    outcome = shuffled.play(Red(value=0))
    assert outcome is not None
    assert shuffled.state.ended
    if isinstance(outcome, Finish):
        assert isinstance(outcome.message, Blue)
    event(type(outcome.error).__name__ if isinstance(outcome, Fail) else "finished")


@pytest.mark.anyio
@settings(max_examples=15, deadline=None)
@given(plan=plans(), limit=st.sampled_from([None, 1, 3]))
async def test_the_runtime_agrees_with_the_scheduler_alone(plan: Plan, limit: int | None) -> None:
    """The same result comes out of a real event loop."""
    flow = flow_of(plan)
    alone = Shuffled(flow, random.Random(0), answer=by_script).play(SOME)
    assert isinstance(alone, Finish)
    async with Runtime(limit=limit) as runtime:
        run = await runtime.start(flow, SOME)
        assert await run.result() == alone.message
