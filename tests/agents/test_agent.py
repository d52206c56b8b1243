"""The seam between an agent and what runs it, and the scripted double."""

from dataclasses import FrozenInstanceError, dataclass
from typing import Any, Generic, TypeVar

import pytest

from coterie.agents import Agent, Context, LocalHost, Message, ScriptedAgent, Signature
from coterie.agents.agent import Described
from coterie.agents.errors import OutputTypeError

T = TypeVar("T")


class Question(Message):
    text: str


class Mood(Message):
    label: str


class Hold(Message):
    text: str


def context(**settings: Any) -> Context:
    return Context(LocalHost(None), **settings)  # type: ignore[arg-type]


def test_an_agent_says_its_types_in_its_brackets() -> None:
    """They can be read at run time."""
    agent = ScriptedAgent[Question, Mood | Hold]("mood", [])
    assert agent.signature == Signature(Question, Mood | Hold)


def test_a_subclass_may_fix_the_types() -> None:
    """So that its instances need no brackets."""

    class Fixed(ScriptedAgent[Question, Mood]):
        pass

    class Further(Fixed):
        pass

    assert Fixed("mood", []).signature == Signature(Question, Mood)
    assert Further("mood", []).signature == Signature(Question, Mood)


def test_a_subclass_may_leave_types_open() -> None:
    """What its brackets say counts, not the variables of its base."""

    class Retold(ScriptedAgent[Question, T], Generic[T]):
        @property
        def signature(self) -> Signature[Question, T]:
            return Signature(Question, Mood)

    assert Retold[Mood]("mood", []).signature == Signature(Question, Mood)


def test_an_agent_without_types_says_how_to_write_them() -> None:
    """Reading its signature is an error with the class's own name."""

    @dataclass
    class Own(Described[Any, Any]):
        name: str

    class Bare(ScriptedAgent):  # type: ignore[type-arg]
        pass

    with pytest.raises(
        OutputTypeError, match=r"^ScriptedAgent was made without its types; write ScriptedAgent\[Input, "
    ):
        ScriptedAgent("mood", []).signature  # noqa: B018
    with pytest.raises(OutputTypeError, match=r"^Bare was made without its types; write Bare\[Input, Output\]"):
        Bare("mood", []).signature  # noqa: B018
    assert Own("any").signature == Signature(Any, Any)


@pytest.mark.anyio
async def test_a_script_may_be_a_function() -> None:
    """Each message is answered by it, and kept."""
    agent = ScriptedAgent[Question, Mood]("mood", lambda question: Mood(label=question.text))
    assert await agent.handle(Question(text="a"), context()) == Mood(label="a")
    assert agent.calls == [Question(text="a")]


@pytest.mark.anyio
async def test_a_script_may_be_a_list() -> None:
    """Answers are given in turn, exceptions are raised, and running out says how many there were."""
    agent = ScriptedAgent[Question, Mood]("mood", [Mood(label="first"), TimeoutError("slow")])
    assert await agent.handle(Question(text="a"), context()) == Mood(label="first")
    with pytest.raises(TimeoutError, match="slow"):
        await agent.handle(Question(text="b"), context())
    with pytest.raises(IndexError, match=r"^'mood' was asked 3 times, but has 2 answers$"):
        await agent.handle(Question(text="c"), context())
    assert [question.text for question in agent.calls] == ["a", "b", "c"]


def test_two_agents_share_no_calls() -> None:
    """Each keeps its own."""
    first, second = ScriptedAgent[Question, Mood]("a", []), ScriptedAgent[Question, Mood]("b", [])
    assert first.calls is not second.calls


def test_a_scripted_agent_is_an_agent() -> None:
    """The double fits the seam, as type checkers see it."""
    agent: Agent[Question, Mood] = ScriptedAgent[Question, Mood]("mood", [])
    assert agent.name == "mood"


@pytest.mark.anyio
async def test_a_context_outside_any_run_hears_nothing_and_has_no_history() -> None:
    """A host is all that calling an agent by hand needs."""
    alone = context()
    alone.listen("text")
    assert list(await alone.history("mood")) == []
    assert alone.key == "adhoc/adhoc"


def test_the_key_of_a_context_is_the_same_for_every_attempt() -> None:
    """It names run and task, and nothing that changes between attempts."""
    assert context(run="r", task="t", attempt=1).key == context(run="r", task="t", attempt=2).key == "r/t"


def test_a_context_never_changes() -> None:
    """It is frozen."""
    with pytest.raises(FrozenInstanceError):
        context().attempt = 2  # type: ignore[misc]
