"""Laws of crashes and replays, over graphs that Hypothesis draws: with maps, nested flows, handlers, routes and loops.

`make nightly` draws 50,000 of each; the number is HYPOTHESIS_EXAMPLES.
"""

import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from coterie.orchestration import Workflow, WorkflowError, scheduler
from coterie.orchestration.events import Event, RunResumed, TaskStarted
from coterie.orchestration.rebuild import rebuild
from coterie.orchestration.state import Fail, Finish
from tests.orchestration.generated import SOME, Plan, Red, Shuffled, by_script, by_type, flow_of, grown, plans

pytestmark = pytest.mark.timeout(600)
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000"))
thorough = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a process may end at one task as often as it likes."""
    monkeypatch.setattr(scheduler, "CRASHES", 1_000_000)


def finished_again(facts: list[Event], finished: list[str]) -> list[str]:
    """Tasks that were finished twice, or begun after they had finished."""
    twice = [task for task in finished if finished.count(task) > 1]
    ended: set[str] = set()
    for fact in facts:
        if isinstance(fact, TaskStarted) and fact.task in ended:
            twice.append(fact.task)
        if type(fact).__name__ == "TaskFinished":
            ended.add(fact.task)  # type: ignore[union-attr]
    return twice


@thorough
@given(plans(), st.randoms(use_true_random=False), st.sampled_from([None, 1, 2]), st.sampled_from([0.02, 0.1, 0.3]))
def test_crashing_and_resuming_anywhere_changes_no_result(
    plan: Plan, chance: random.Random, limit: int | None, crashes: float
) -> None:
    """However often the process ends, the result is that of an uninterrupted run, and no finished task runs again."""
    flow = flow_of(plan)
    expected = Shuffled(flow, random.Random(0), limit=1, answer=by_script).play(SOME)
    crashed = Shuffled(flow, chance, limit=limit, answer=by_script, crashes=crashes)
    result = crashed.play(SOME)
    assert isinstance(expected, Finish)
    assert isinstance(result, Finish)
    assert result.message == expected.message
    assert finished_again(crashed.facts, crashed.finished) == []
    assert limit is None or crashed.most <= limit
    event(f"{min(9, sum(isinstance(fact, RunResumed) for fact in crashed.facts))} crashes")


@thorough
@given(grown(), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.2]))
def test_a_replay_decides_as_the_live_run_did(
    workflow: Workflow[Any, Any], chance: random.Random, crashes: float
) -> None:
    """Over any graph, with loops, routes, timers and errors, crashed or not: every stored decision is made again."""
    try:
        flow = workflow.build()
    except WorkflowError:
        event("refused")
        return
    failing = chance.random() < 0.3
    live = Shuffled(flow, chance, answer=by_type, fails=lambda node: failing and chance.random() < 0.2, crashes=crashes)
    outcome = live.play(Red(value=0))
    assert outcome is not None
    assert finished_again(live.facts, live.finished) == []
    for end in (live.commits[chance.randrange(len(live.commits))], len(live.facts)):
        assert rebuild(flow, live.facts[:end]).divergences == []
    assert rebuild(flow, live.facts).state.ended
    event(type(outcome.error).__name__ if isinstance(outcome, Fail) else "finished")


@thorough
@given(plans(), st.randoms(use_true_random=False))
def test_a_run_in_parallel_answers_as_one_task_after_the_other(plan: Plan, chance: random.Random) -> None:
    """Where merging commutes, no order of ends can be told from the result."""
    flow = flow_of(plan)
    serial = Shuffled(flow, random.Random(0), limit=1, answer=by_script).play(SOME)
    parallel = Shuffled(flow, chance, answer=by_script).play(SOME)
    assert isinstance(serial, Finish)
    assert isinstance(parallel, Finish)
    assert parallel.message == serial.message


@thorough
@given(plans(), st.randoms(use_true_random=False))
def test_a_changed_fact_is_noticed_by_a_replay(plan: Plan, chance: random.Random) -> None:
    """Hashes apart: a log whose task was given something else does not pass for the run."""
    flow = flow_of(plan)
    live = Shuffled(flow, chance, answer=by_script)
    live.play(SOME)
    positions = [index for index, fact in enumerate(live.facts) if isinstance(fact, TaskStarted)]
    position = positions[chance.randrange(len(positions))]
    changed: Any = live.facts[position]
    live.facts[position] = changed._replace(inputs=[Red(value=1)])
    assert len(rebuild(flow, live.facts).divergences) == 1
