"""When a review asks, and that what it asks is the same after a resume, in a replay and in a fork."""

from typing import Any, Literal

import pytest

from coterie.agents import Confidence, Message, Rejection, ScriptedAgent
from coterie.agents.messages import Origin
from coterie.orchestration import Approve, Flow, Review, Rule, Runtime, Workflow, node, replay
from coterie.orchestration.errors import RunFailed
from coterie.orchestration.events import ReviewRequested, TaskFinished, TaskStarted
from coterie.orchestration.queries import RunFilter, list_runs, verify
from coterie.orchestration.review_desk import ReviewDesk
from tests.orchestration.desks import Headline, Label, Mood, Published, asked, moods, opened, waiting

SURE, UNSURE = Headline(text="sure", sure=0.9), Headline(text="unsure", sure=0.4)


async def kinds(flow: Flow[Any, Any], message: Message) -> tuple[list[type], tuple[ReviewRequested, ...]]:
    """The kinds of facts of a run in memory, and what it asks."""
    async with Runtime() as runtime:
        (run,) = await waiting(runtime, flow, message)
        return [type(fact) for fact in run.facts()], run.pending


@pytest.mark.anyio
async def test_a_review_without_conditions_asks_about_everything_that_is_routed_to_it() -> None:
    """However sure the model is."""
    _, (request,) = await kinds(moods(), SURE)
    assert request.asking is not None
    assert request.asking.why == ("the flow wants a person to see it",)
    assert request.asking.doubt == pytest.approx(0.1)


@pytest.mark.anyio
async def test_what_the_model_is_sure_of_goes_on_as_if_it_were_approved() -> None:
    """With the facts of any other task, and no question."""
    flow = moods(ask_below=0.7)
    async with Runtime() as runtime:
        run = await runtime.start(flow, SURE)
        assert await run.result() == Published(label="positive", confidence=0.9)
        facts = [(type(fact), fact.task) for fact in run.facts() if isinstance(fact, TaskStarted | TaskFinished)]
        assert (TaskStarted, "desk") in facts
        assert (TaskFinished, "desk") in facts
        assert not any(isinstance(fact, ReviewRequested) for fact in run.facts())


@pytest.mark.anyio
async def test_a_person_is_asked_where_the_model_is_less_sure_than_wanted() -> None:
    """And told how sure it is."""
    _, (request,) = await kinds(moods(ask_below=0.7), UNSURE)
    assert request.asking is not None
    assert request.asking.why == ("the model is 40% sure, which is less than 70%",)


@pytest.mark.anyio
async def test_a_person_is_asked_where_a_rule_objects() -> None:
    """A rule that agrees is shown, one that says nothing is not, and what the rules let pass goes on."""
    rules = (
        Rule("gloom", "nothing is good news", lambda mood: mood.label != "positive"),
        Rule("sure", "it is sure", lambda mood: True),
        Rule("mute", "it says nothing", lambda mood: None),
    )
    _, (request,) = await kinds(moods(rules=rules), SURE)
    assert request.asking is not None
    assert request.asking.why == ("the rule 'gloom' objects: nothing is good news",)
    assert [(one.name, one.agrees) for one in request.asking.rules] == [("gloom", False), ("sure", True)]
    assert request.asking.disagrees
    _, pending = await kinds(moods(rules=rules), Headline(text="bad", says="negative"))
    assert pending == ()


@pytest.mark.anyio
async def test_a_rule_that_raises_fails_the_run() -> None:
    """The review is named, and the error."""
    flow = moods(rules=(Rule("broken", "it breaks", lambda mood: mood.missing),))
    async with Runtime() as runtime:
        run = await runtime.start(flow, SURE)
        with pytest.raises(RunFailed, match="a rule or the risk of 'desk' raised AttributeError"):
            await run.result()


class SecondMood(Message):
    label: Label
    confidence: Confidence


class Both(Message):
    label: Label
    confidence: Confidence


def two_roles(second: str) -> Flow[Any, Any]:
    """Two roles look at a headline, and a person where they differ."""
    one = ScriptedAgent[Headline, Mood]("one", lambda told: by("one", Mood(label="positive", confidence=0.9)))
    other = ScriptedAgent[Mood, SecondMood]("other", lambda told: by("other", SecondMood(label=second, confidence=0.9)))

    @node
    async def meet(mood: SecondMood) -> Both:
        return Both(label="positive", confidence=mood.confidence)

    desk = Review[Both, Both]("desk", second=SecondMood)
    flow: Workflow[Any, Any] = Workflow("two", Headline, Both)
    flow.start(one)
    flow.edge(one, other)
    flow.edge(other, meet)
    flow.edge(meet, desk)
    flow.end(desk)
    return flow.build()


def by(role: str, message: Any) -> Any:
    return message.made_by(Origin(role=role, weights="ab" * 32))


@pytest.mark.anyio
async def test_a_person_is_asked_where_two_roles_say_different_things() -> None:
    """Both are quoted; where they agree, nobody is asked."""
    _, (request,) = await kinds(two_roles("negative"), SURE)
    assert request.asking is not None
    assert request.asking.why == ("a node says positive, but other says negative",)
    assert request.asking.disagrees
    _, pending = await kinds(two_roles("positive"), SURE)
    assert pending == ()


@pytest.mark.anyio
async def test_an_audit_draws_the_same_after_a_resume_in_a_replay_and_in_a_fork(database: str) -> None:
    """A share of all that goes by is asked about, and a run that was asked once is asked in every life."""
    flow = moods(audit=0.5)
    runs: dict[str, bool] = {}
    async with Runtime(log=database) as runtime:
        for number in range(12):
            (run,) = await waiting(runtime, flow, Headline(text=f"{number}", sure=0.9))
            runs[run.id] = bool(run.pending)
            fork = await runtime.fork(flow, run.id, before="desk")
            await fork.wait_settled()
            assert bool(fork.pending) == bool(run.pending)
            assert (await replay(runtime.log, flow, run.id)).divergences == ()
    assert 0 < sum(runs.values()) < 12
    async with Runtime(log=database) as runtime:
        resumed = await runtime.resume(flow)
        assert resumed.refused == {}
        for run in resumed.runs:
            assert run.pending or run.id not in runs


@pytest.mark.anyio
async def test_a_fork_after_a_review_takes_its_answer_over(database: str) -> None:
    """Nobody is asked again, whatever lot the new run would draw, and nothing waits in the queue."""
    flow = moods(audit=0.5)
    async with Runtime(log=database) as runtime:
        for number in range(8):
            (run,) = await waiting(runtime, flow, Headline(text=f"{number}", sure=0.9))
            if run.pending:
                await run.answer("desk", Approve(by="anna"))
            await run.result()
            first = await runtime.fork(flow, run.id, before="publish")
            await first.result()
            second = await runtime.fork(flow, first.id, before="publish")
            await second.result()
            assert (await replay(runtime.log, flow, second.id)).divergences == ()
    with opened(database) as log:
        assert [run.asked for run in log.read(lambda connection: list_runs(connection, RunFilter()))] == [0] * 24
        assert log.read(verify).faults == []
    with ReviewDesk(database, "anna") as desk:
        assert desk.items() == []


@pytest.mark.anyio
async def test_a_fork_with_another_proposal_asks_about_that_alone(database: str) -> None:
    """The question that the swapped input answers is withdrawn: one waits, and none where the new one is let pass."""
    flow = moods(ask_below=0.7)
    async with asked(database, flow, UNSURE) as (run,), Runtime(log=database) as other:
        again = await other.fork(flow, run.id, before="desk", message=Mood(label="neutral", confidence=0.5))
        unseen = await other.fork(flow, run.id, before="desk", message=Mood(label="neutral", confidence=0.8))
        await again.wait_settled()
        assert await unseen.result() == Published(label="neutral", confidence=0.8)
        with opened(database) as log:
            found = {one.id: one.asked for one in log.read(lambda connection: list_runs(connection, RunFilter()))}
        assert found == {run.id: 1, again.id: 1, unseen.id: 0}
        with ReviewDesk(database, "anna") as desk:
            assert {item.run: item.proposal.fields["label"] for item in desk.items()} == {
                run.id: "positive",
                again.id: "neutral",
            }


class Verdict(Message):
    label: Literal["pay", "refuse"]
    confidence: Confidence


@pytest.mark.anyio
async def test_a_proposal_that_an_agent_abstained_from_can_be_chosen() -> None:
    """The person's label and full confidence take the place of what the model was not sure of."""
    unsure = Rejection(by="risk", reason="unsure", proposal={"label": "pay", "confidence": 0.4})
    decide = ScriptedAgent[Headline, Verdict | Rejection]("risk", lambda told: unsure)
    desk = Review[Rejection, Verdict]("desk")
    flow: Workflow[Any, Any] = Workflow("abstaining", Headline, Verdict)
    flow.start(decide)
    flow.edge(decide, desk, on=Rejection)
    flow.end(desk, decide)
    async with Runtime() as runtime:
        (run,) = await waiting(runtime, flow.build(), SURE)
        (request,) = run.pending
        assert request.asking is not None
        assert request.asking.label == "pay"
        await run.answer("desk", Approve(by="anna"))
        assert await run.result() == Verdict(label="pay", confidence=0.4)
