"""Reviews that wait for long: deadlines, runs that are left and taken up again, and joins whose time is over."""

import time
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from coterie.agents import Failure, Message
from coterie.orchestration import (
    Approve,
    Choose,
    Flow,
    Reject,
    Review,
    ReviewOverdue,
    RunFailed,
    Runtime,
    Workflow,
    node,
    replay,
    run_reviews,
)
from coterie.orchestration import run as run_shell
from coterie.orchestration.errors import LogError, ReviewTaken
from coterie.orchestration.events import ReviewWithdrawn
from coterie.orchestration.queries import RunFilter, list_runs, verify
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import EditFields
from tests.orchestration.desks import (
    Clock,
    Headline,
    Mood,
    Published,
    acts,
    moods,
    opened,
    publish,
    stored_decisions,
    stored_rows,
    waiting,
)
from tests.orchestration.test_desk_races import answering, at_once

DAY = 86_400.0


class SlowClock:
    """The clock of runs, which a test sets on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> SlowClock:
    clock = SlowClock()
    for module in (run_shell, run_reviews):
        monkeypatch.setattr(module, "time", clock)
    return clock


@node
async def give_up(failure: Failure) -> Mood:
    return Mood(label="neutral", confidence=0.0)


def timed(deadline: float, **settings: Any) -> Flow[Any, Any]:
    """A flow that goes another way where nobody answers in time."""
    desk = Review[Mood, Mood]("desk", **{"deadline": deadline, "grace": 0.0, "blind": 0.0, **settings})

    @node
    async def mood(headline: Headline) -> Mood:
        return Mood(label=headline.says, confidence=headline.sure)

    flow: Workflow[Any, Any] = Workflow("timed", Headline, Published)
    flow.start(mood)
    flow.edge(mood, desk)
    flow.edge(desk, publish)
    flow.on_error(desk, give_up, catch=ReviewOverdue)
    flow.end(publish)
    return flow.build()


def questions(database: str) -> list[int]:
    with opened(database) as log:
        return [run.asked for run in log.read(lambda connection: list_runs(connection, RunFilter()))]


@pytest.mark.anyio
async def test_what_nobody_answers_in_time_goes_the_declared_way(database: str) -> None:
    """The handler is told, nothing waits any more, and the replay decides the same."""
    flow = timed(0.05)
    async with Runtime(log=database) as runtime:
        run = await runtime.start(flow, Headline(text="one"))
        assert await run.result() == Published(label="neutral", confidence=0.0)
        assert (await replay(runtime.log, flow, run.id)).divergences == ()
        assert sum(isinstance(fact, ReviewWithdrawn) for fact in run.facts()) == 1
    assert questions(database) == [0]
    assert [row.state for row in stored_rows(database)] == ["closed"]
    with ReviewDesk(database, "anna") as desk:
        assert desk.items() == []


@pytest.mark.anyio
async def test_a_deadline_passes_also_while_no_process_is_there(database: str, later: SlowClock) -> None:
    """An answer that comes later is refused, and nobody is shown the question; the run goes the declared way."""
    flow = timed(DAY)
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow, Headline(text="one"))
    with ReviewDesk(database, "anna", clock=Clock(time.time() + 2 * DAY)) as desk:
        assert desk.next() is None
        assert desk.budget().left == 0
        with pytest.raises(ReviewTaken, match="waits no more: its time is over"):
            desk.answer(desk.item(run.id, "desk"), Approve())
    later.ahead = 2 * DAY
    async with Runtime(log=database) as runtime:
        again = await runtime.resume_run(flow, run.id)
        assert await again.result() == Published(label="neutral", confidence=0.0)
    assert acts(database) == []


@pytest.mark.anyio
async def test_an_answer_in_time_counts_although_its_grace_ends_after_the_deadline(
    database: str, later: SlowClock
) -> None:
    """Also where no process was there."""
    flow = timed(DAY, grace=0.5)
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow, Headline(text="one"))
    with ReviewDesk(database, "anna") as desk:
        desk.answer(desk.item(run.id, "desk"), Choose(label="negative"))
    later.ahead = 2 * DAY
    async with Runtime(log=database) as runtime:
        again = await runtime.resume_run(flow, run.id)
        assert (await again.result()).label == "negative"


@pytest.mark.anyio
async def test_an_answer_that_is_taken_back_after_the_deadline_ends_the_wait(database: str, later: SlowClock) -> None:
    """The time is over then, and the run does not wait for ever."""
    flow = timed(DAY, grace=3600.0)
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow, Headline(text="one"))
    with ReviewDesk(database, "anna") as desk:
        desk.answer(desk.item(run.id, "desk"), Choose(label="negative"))
        later.ahead = 2 * DAY
        async with Runtime(log=database) as runtime:
            again = await runtime.resume_run(flow, run.id)
            await anyio.sleep(0.05)
            desk.undo()
            assert await again.result() == Published(label="neutral", confidence=0.0)


@pytest.mark.anyio
async def test_a_join_whose_time_is_over_withdraws_its_questions(database: str) -> None:
    """The queue shows them no more, and the run does not count as one that waits for people."""

    @node
    async def two(headline: Headline) -> list[Headline]:
        return [headline, headline]

    @node
    async def feel(headline: Headline) -> Mood:
        return Mood(label=headline.says, confidence=headline.sure)

    @node
    async def count(found: list[Mood]) -> Headline:
        return Headline(text=f"{len(found)}")

    last = Review[Headline, Headline]("last", blind=0.0, grace=0.0)
    desk = Review[Mood, Mood]("desk", blind=0.0, grace=0.0)
    flow: Workflow[Any, Any] = Workflow("joined", Headline, Headline)
    flow.start(two)
    flow.map(two, feel)
    flow.edge(feel, desk)
    flow.join(desk, count, within=1.5, at_least=0)
    flow.edge(count, last)
    flow.end(last)
    built = flow.build()
    async with Runtime(log=database) as runtime:
        run = await runtime.start(built, Headline(text="a"))
        async with aclosing(run.events()) as events:
            async for event in events:
                if getattr(event, "node", None) == "last":
                    break
        await run.wait_settled()
        assert [request.task for request in run.pending] == ["last"]
        assert questions(database) == [1]
        with ReviewDesk(database, "anna") as anna:
            assert [item.task for item in anna.items()] == ["last"]
            anna.answer(anna.item(run.id, "last"), Approve())
        assert (await run.result()).text == "0"
        assert (await replay(runtime.log, built, run.id)).divergences == ()


class Short(Message):
    """A type with a rule that its JSON Schema does not tell."""

    text: str

    def model_post_init(self, context: Any) -> None:
        if self.text.isupper():
            raise ValueError("do not shout")


@pytest.mark.anyio
async def test_an_edit_that_its_type_refuses_after_all_comes_back_with_a_note(database: str) -> None:
    """The desk cannot know what only code knows; the run's process refuses it, and the question waits again."""

    @node
    async def draft(headline: Headline) -> Short:
        return Short(text=headline.text)

    desk = Review[Short, Short]("desk", grace=0.0, blind=0.0)
    flow: Workflow[Any, Any] = Workflow("short", Headline, Short)
    flow.start(draft)
    flow.edge(draft, desk)
    flow.end(desk)
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow.build(), Headline(text="a"))
        with ReviewDesk(database, "anna") as anna:
            anna.answer(anna.item(run.id, "desk"), EditFields("Short", {"text": "LOUD"}, by="anna"))
            while [act for _, act in acts(database)] != ["edit", "refused"]:
                await anyio.sleep(0.01)
            (note,) = anna.item(run.id, "desk").notes
            assert note.startswith("edited by anna, but the flow could not take it: ")
            assert "do not shout" in note
            anna.answer(anna.item(run.id, "desk"), EditFields("Short", {"text": "soft"}, by="anna"))
        assert (await run.result()).text == "soft"


@pytest.mark.anyio
async def test_a_run_waits_thirty_days_and_fifty_restarts_for_one_answer(database: str, later: SlowClock) -> None:
    """Two people answer at the same moment: one decision, what came before never runs again, nothing is lost."""
    calls: list[str] = []
    flow = moods(calls, deadline=None)
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow, Headline(text="one"))
    for day in range(50):
        later.ahead = day * 0.6 * DAY
        async with Runtime(log=database) as runtime:
            again = await runtime.resume_run(flow, run.id)
            await again.wait_settled()
            assert [request.task for request in again.pending] == ["desk"]
    later.ahead = 30 * DAY
    place = run.id, "desk"
    async with Runtime(log=database) as runtime:
        again = await runtime.resume_run(flow, run.id)
        found = await anyio.to_thread.run_sync(
            at_once,
            answering(database, "anna", place, Choose(label="negative")),
            answering(database, "bob", place, Choose(label="neutral")),
        )
        result = await again.result()
        assert (await replay(runtime.log, flow, run.id)).divergences == ()
    assert sum(isinstance(one, LogError) for one in found) == 1
    (decision,) = stored_decisions(database)
    assert f'"label":"{result.label}"' in decision.body
    assert calls == ["one"]
    assert questions(database) == [0]


@pytest.mark.anyio
async def test_a_review_that_is_retried_has_its_whole_time_again(database: str, later: SlowClock) -> None:
    """However long ago it was asked first, and as often as it is retried."""
    flow = timed(DAY)
    async with Runtime(log=database) as runtime:
        (run,) = await waiting(runtime, flow, Headline(text="one"))
        for _ in range(2):
            await run.answer("desk", Reject(code="facts", by="anna"))
            with pytest.raises(RunFailed, match="anna rejected"):
                await run.result()
            later.ahead += 2 * DAY
            run = await runtime.retry(flow, run.id)
            await run.wait_settled()
            assert [request.task for request in run.pending] == ["desk"]
        (row,) = stored_rows(database)
        assert row.deadline is not None
        assert later.time() < row.deadline < later.time() + DAY
        await run.answer("desk", Approve(by="bob"))
        assert (await run.result()).label == "positive"
    with opened(database) as log:
        assert log.read(verify).faults == []
