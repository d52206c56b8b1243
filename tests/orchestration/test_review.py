"""A person as a node: what an answer makes of a proposal, and runs that wait for one."""

from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from pydantic import Field, ValidationError

from coterie.agents import Message, Rejection
from coterie.orchestration import (
    Approve,
    Edit,
    Flow,
    Log,
    MemoryLog,
    Reject,
    Review,
    ReviewAnswerError,
    ReviewRejected,
    RunError,
    RunFailed,
    Runtime,
    Workflow,
    node,
)
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import ReviewAnswered, ReviewRequested, TaskFinished


class Draft(Message):
    text: str
    mood: Literal["good", "bad"] = "good"


class Publish(Message):
    text: str


class Short(Message):
    text: str = Field(max_length=3)


class Scored(Message):
    text: str
    score: float


def desk(**settings: Any) -> Flow[Any, Any]:
    """A flow that asks a person first, and hands on what the person lets through."""
    review = Review[Draft, Publish]("desk")

    @node
    async def publish(text: Publish) -> Publish:
        return text

    flow: Workflow[Any, Any] = Workflow("flow", Draft, Publish)
    flow.start(review)
    flow.edge(review, publish)
    flow.end(publish)
    return flow.build()


PROPOSAL = Draft(text="news")


# What an answer makes.


def test_approving_makes_the_output_from_the_fields_of_the_same_names() -> None:
    """Fields that the output does not have are left out."""
    assert Review[Draft, Publish]("desk").decide(PROPOSAL, Approve()) == Publish(text="news")


def test_approving_hands_a_proposal_on_that_is_of_the_output_type_already() -> None:
    """Nothing is made anew; its origin stays."""
    assert Review[Draft, Draft]("desk").decide(PROPOSAL, Approve()) is PROPOSAL


def test_approving_takes_the_first_member_that_the_fields_can_make() -> None:
    """The order of the union counts, and a Rejection is never what approving makes."""
    assert Review[Draft, Rejection | Scored | Publish]("desk").decide(PROPOSAL, Approve()) == Publish(text="news")


def test_what_cannot_be_approved_has_to_be_edited() -> None:
    """The types are named, and what to do."""
    with pytest.raises(
        ReviewAnswerError, match=r"Draft cannot be approved at 'desk': none of its fields make a Scored; edit"
    ):
        Review[Draft, Scored]("desk").decide(PROPOSAL, Approve())


def test_a_proposal_that_breaks_a_rule_of_the_output_has_to_be_edited() -> None:
    """Names and types fit, but a value does not: that is told as an answer that cannot be taken."""
    with pytest.raises(ReviewAnswerError, match=r"approved at 'desk' \(text: .*at most 3 characters\)"):
        Review[Draft, Short]("desk").decide(PROPOSAL, Approve())


def test_editing_puts_a_message_in_the_place_of_the_proposal() -> None:
    """It has to be of the output type."""
    review = Review[Draft, Publish]("desk")
    assert review.decide(PROPOSAL, Edit(message=Publish(text="better"))) == Publish(text="better")
    with pytest.raises(ReviewAnswerError, match=r"^'desk' was answered with Draft, but takes Publish$"):
        review.decide(PROPOSAL, Edit(message=PROPOSAL))


def test_rejecting_answers_with_a_rejection_where_the_type_has_one() -> None:
    """It keeps who, why and what was turned down."""
    rejection = Review[Draft, Publish | Rejection]("desk").decide(PROPOSAL, Reject(reason="no", by="ann"))
    assert rejection == Rejection(by="ann", reason="no", proposal={"text": "news", "mood": "good"})


def test_rejecting_fails_where_the_type_has_no_rejection() -> None:
    """Who and why are in the error."""
    with pytest.raises(ReviewRejected, match=r"^ann rejected the proposal at 'desk': no$"):
        Review[Draft, Publish]("desk").decide(PROPOSAL, Reject(reason="no", by="ann"))


def test_a_rejection_needs_a_reason() -> None:
    """An empty one teaches nobody anything."""
    with pytest.raises(ValidationError, match="a rejection needs a reason or a code"):
        Reject(reason="")


# Runs that wait.


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    return MemoryLog() if request.param == "memory" else DatabaseLog(tmp_path / "desk.db")


@pytest.mark.anyio
async def test_a_run_waits_and_goes_on_when_it_is_answered(log: Log) -> None:
    """The request is pending with its proposal; after the answer the run ends, and both are in the log."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        await run.wait_settled()
        (request,) = run.pending
        assert (request.task, request.node, request.message) == ("desk", "desk", PROPOSAL)
        await run.answer("desk", Approve(by="ann"))
        assert await run.result() == Publish(text="news")
        assert run.pending == ()
    kinds = [type(event) for event in run.facts()]
    assert kinds[1:4] == [ReviewRequested, ReviewAnswered, TaskFinished]


@pytest.mark.anyio
async def test_a_reader_may_answer_as_soon_as_it_sees_the_request(log: Log) -> None:
    """The request can be answered from the moment that it is an event."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        async for event in run.events():
            if isinstance(event, ReviewRequested):
                await run.answer(event.task, Edit(message=Publish(text="edited")))
        assert await run.result() == Publish(text="edited")


@pytest.mark.anyio
async def test_an_answer_right_after_the_start_is_in_time(log: Log) -> None:
    """Even before the run's own task has had its first turn."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        await run.answer("desk", Approve())
        assert await run.result() == Publish(text="news")


@pytest.mark.anyio
async def test_a_rejected_proposal_fails_the_run(log: Log) -> None:
    """The reviewer's reason is the run's; nothing is tried again."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        await run.answer("desk", Reject(reason="too thin", by="ann"))
        with pytest.raises(RunFailed, match="ann rejected the proposal at 'desk': too thin") as failed:
            await run.result()
    assert isinstance(failed.value.__cause__, ReviewRejected)


@pytest.mark.anyio
async def test_an_answer_of_the_wrong_type_changes_nothing(log: Log) -> None:
    """The review stays pending and can be answered again."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        await run.wait_settled()
        before = list(run.facts())
        with pytest.raises(ReviewAnswerError, match="but takes Publish"):
            await run.answer("desk", Edit(message=PROPOSAL))
        assert list(run.facts()) == before
        await run.answer("desk", Approve())
        await run.result()


@pytest.mark.anyio
async def test_one_answer_wins(log: Log) -> None:
    """A second answer is refused, and so is one to a review that does not exist."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        await run.wait_settled()
        with pytest.raises(ReviewAnswerError, match=r"has no pending review 'desc'; pending: desk$"):
            await run.answer("desc", Approve())
        await run.answer("desk", Approve(by="ann"))
        with pytest.raises(ReviewAnswerError, match=r"has no pending review 'desk'; pending: none$"):
            await run.answer("desk", Reject(reason="late", by="bob"))
        assert await run.result() == Publish(text="news")


@pytest.mark.anyio
async def test_a_cancelled_run_has_no_pending_review(log: Log) -> None:
    """Nobody is asked in vain."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(desk(), PROPOSAL)
        await run.wait_settled()
        await run.cancel()
        assert run.pending == ()
        with pytest.raises(ReviewAnswerError, match="no pending review"):
            await run.answer("desk", Approve())


@pytest.mark.anyio
async def test_a_run_is_settled_when_only_people_can_go_on(log: Log) -> None:
    """As long as other tasks are at work, it is not; when it has ended, it is."""
    gate = anyio.Event()

    @node
    async def work(draft: Draft) -> Publish:
        await gate.wait()
        return Publish(text=draft.text)

    @node
    async def meet(one: Publish, other: Publish) -> Publish:
        return Publish(text=one.text + other.text)

    review = Review[Draft, Publish]("desk")
    flow: Workflow[Any, Any] = Workflow("flow", Draft, Publish)
    flow.start(review, work)
    flow.gather((review, work), meet)
    flow.end(meet)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        run = await runtime.start(built, PROPOSAL)
        with anyio.move_on_after(0.05) as scope:
            await run.wait_settled()
        assert scope.cancelled_caught
        gate.set()
        await run.wait_settled()
        assert [request.task for request in run.pending] == ["desk"]
        await run.answer("desk", Approve())
        await run.wait_settled()
        assert run.ended


@pytest.mark.anyio
async def test_a_join_with_a_time_limit_does_not_wait_for_people(log: Log) -> None:
    """A review that is late is withdrawn, and until then the run is not settled: time can make it go on."""

    @node
    async def two(draft: Draft) -> list[Draft]:
        return [draft, draft]

    @node
    async def count(published: list[Publish]) -> Publish:
        return Publish(text=str(len(published)))

    review = Review[Draft, Publish]("desk")
    flow: Workflow[Any, Any] = Workflow("flow", Draft, Publish)
    flow.start(two)
    flow.map(two, review)
    flow.join(review, count, within=0.1)
    flow.end(count)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        run = await runtime.start(built, PROPOSAL)
        async for event in run.events():
            if isinstance(event, ReviewRequested) and event.task == "two[0]/desk":
                await run.answer(event.task, Approve())
        assert await run.result() == Publish(text="1")


def test_run_sync_says_who_is_waited_for() -> None:
    """A script has nobody to ask."""
    with pytest.raises(RunError, match=r"flow 'flow' waits for a person at desk; use Runtime and `run.answer`"):
        desk().run_sync(PROPOSAL)
