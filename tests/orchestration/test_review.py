"""A person as a node: what an answer makes of a proposal, and runs that wait for one."""

from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from pydantic import Field, ValidationError

from coterie.agents import Confidence, Message, Rejection
from coterie.orchestration import (
    Approve,
    Choose,
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
    WorkflowError,
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
    flow.join(review, count, within=0.5)
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


# What a build refuses.


def faults_of(**settings: Any) -> str:
    """What is wrong with a flow whose review has these settings."""
    review = Review[Draft, Draft]("desk", **settings)
    flow: Workflow[Any, Any] = Workflow("flow", Draft, Draft)
    flow.start(review)
    flow.end(review)
    with pytest.raises(WorkflowError) as refused:
        flow.build()
    return str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ask_below": 1.5}, "review 'desk': its `ask_below` is 1.5, but must be from 0 to 1"),
        ({"audit": -0.1}, "review 'desk': its `audit` is -0.1, but must be from 0 to 1"),
        ({"blind": 2}, "review 'desk': its `blind` is 2, but must be from 0 to 1"),
        ({"checks": 2}, "review 'desk': its `checks` is 2, but must be from 0 to 1"),
        ({"grace": -1}, "review 'desk': its `grace` is -1 s, but must not be negative"),
        ({"approvals": 0}, "review 'desk': its `approvals` is 0, but at least one person must answer"),
        ({"label": "colour"}, "review 'desk': Draft has no field 'colour' with labels to choose from"),
        (
            {"deadline": 5.0},
            "'desk' has a deadline, but nothing says what follows when it is over; "
            "add on_error(desk, …, catch=ReviewOverdue)",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused_when_the_flow_is_built(settings: dict[str, Any], said: str) -> None:
    """Each in a sentence."""
    assert said in faults_of(**settings)


def test_what_may_pass_unseen_must_fit_what_follows() -> None:
    """A review that does not always ask needs a proposal that approving can make the output from."""
    review = Review[Draft, Scored]("desk", ask_below=0.5)
    flow: Workflow[Any, Any] = Workflow("flow", Draft, Scored)
    flow.start(review)
    flow.end(review)
    said = r"review 'desk' lets proposals pass unseen, but Draft makes no Scored; set `always=True`, or give both the"
    with pytest.raises(WorkflowError, match=said):
        flow.build()


# Labels.


class Sure(Message):
    mood: Literal["good", "bad"]
    confidence: Confidence


class Pay(Message):
    text: str


class Refuse(Message):
    text: str


def test_choosing_puts_a_label_and_full_confidence_in() -> None:
    """A person is sure; what else the proposal says stays."""
    review = Review[Sure, Sure]("desk")
    assert review.chosen(Sure(mood="good", confidence=0.4), "bad") == Sure(mood="bad", confidence=1.0)


def test_choosing_takes_a_member_of_a_union() -> None:
    """The labels of a route are its members."""
    review = Review[Draft, Pay | Refuse]("desk")
    assert review.decide(PROPOSAL, Choose(label="Refuse")) == Refuse(text="news")


def test_choosing_a_label_for_what_a_classifier_abstained_from() -> None:
    """The proposal that it was not sure of is completed."""
    review = Review[Rejection, Sure]("desk")
    unsure = Rejection(by="risk", reason="unsure", proposal={"mood": "good", "confidence": 0.3})
    assert review.decide(unsure, Choose(label="bad")) == Sure(mood="bad", confidence=1.0)
    assert review.decide(unsure, Approve()) == Sure(mood="good", confidence=0.3)


def test_there_are_only_the_labels_that_the_type_has() -> None:
    """They are listed."""
    with pytest.raises(ReviewAnswerError, match=r"'desk' has no label 'grim' to choose; its labels are: good, bad"):
        Review[Draft, Draft]("desk").decide(PROPOSAL, Choose(label="grim"))
    with pytest.raises(ReviewAnswerError, match=r"'desk' has no label 'grim' to choose; its labels are: none"):
        Review[Draft, Publish]("desk").decide(PROPOSAL, Choose(label="grim"))


def test_a_reject_code_stands_for_its_sentence() -> None:
    """And a reason in own words goes before it."""
    review = Review[Draft, Publish]("desk", codes={"late": "it comes too late"})
    with pytest.raises(ReviewRejected, match=r"^ann rejected the proposal at 'desk': it comes too late$"):
        review.decide(PROPOSAL, Reject(code="late", by="ann"))
    with pytest.raises(ReviewRejected, match=r"^ann rejected the proposal at 'desk': by a day$"):
        review.decide(PROPOSAL, Reject(code="late", reason="by a day", by="ann"))
