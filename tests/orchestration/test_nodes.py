"""What a function node takes, answers and is given, read from its annotations."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.agents import Context, Message
from coterie.agents.hosting import LocalHost
from coterie.orchestration import Given, NodeDefinitionError, Policy, node
from coterie.orchestration.nodes import FunctionNode


class Question(Message):
    text: str


class Found(Message):
    text: str


class Note(Message):
    text: str


def context() -> Context:
    """A context of no run; no node here asks it for a model."""
    return Context(LocalHost(None))  # type: ignore[arg-type]


def test_one_input_is_the_signature() -> None:
    """A single positional parameter is what a node takes, its return annotation what it answers."""

    @node
    async def ask(question: Question) -> Found | None:
        return None

    assert (ask.signature.consumes, ask.signature.produces) == (Question, Found | None)


def test_several_inputs_are_a_tuple() -> None:
    """Positional parameters become a tuple, in order; keyword-only ones are no input."""

    @node
    async def ask(question: Question, found: list[Found], *, note: Given[Note], ctx: Context) -> Note:
        return note

    assert ask.signature.consumes == tuple[Question, list[Found]]
    assert dict(ask.given) == {"note": Note}
    assert ask.context_parameter == "ctx"
    assert ask.faults() == []


def test_a_node_is_named_after_its_function_or_as_told() -> None:
    """`name=` wins over the function's own name, and the settings become its policy."""

    @node
    async def ask(question: Question) -> Note: ...  # type: ignore[empty-body]

    @node(name="asks", timeout=2, retries=3, limit=4)
    async def other(question: Question) -> Note: ...  # type: ignore[empty-body]

    assert (ask.name, ask.policy) == ("ask", Policy())
    assert (other.name, other.policy) == ("asks", Policy(timeout=2, retries=3, limit=4))


def test_annotations_may_be_strings_that_name_local_classes() -> None:
    """What a closure sees is found, too."""

    class Local(Message):
        text: str

    @node
    async def ask(question: "Question") -> "Local":
        return Local(text=question.text)

    assert ask.signature.produces is Local


def test_a_node_may_name_what_is_bound_later() -> None:
    """Its annotations are read before it is called, as is usual of functions."""

    @node
    async def ask(question: Question) -> Question:
        return Question(text=later)

    assert ask.signature.produces is Question
    later = "later"


@pytest.mark.anyio
async def test_a_node_is_called_with_what_it_asks_for() -> None:
    """Inputs by position; given messages and the context by keyword."""

    @node
    async def ask(question: Question, found: Found, *, note: Given[Note], ctx: Context) -> Note:
        return Note(text=f"{question.text} {found.text} {note.text} {ctx.run}")

    told = (Question(text="q"), Found(text="f"))
    assert await ask.call(told, {"note": Note(text="n")}, context()) == Note(text="q f n adhoc")


@pytest.mark.anyio
async def test_the_function_itself_can_be_called_in_a_test() -> None:
    """`function` is what was decorated."""

    @node
    async def ask(question: Question) -> Note:
        return Note(text=question.text)

    assert await ask.function(Question(text="q")) == Note(text="q")


def test_a_plain_function_cannot_be_a_node() -> None:
    """What may wait is written with `async def`."""
    with pytest.raises(NodeDefinitionError, match=r"ask at 0x.* cannot be a node: write it with `async def`"):

        @node  # type: ignore[arg-type]
        def ask(question: Question) -> Note:
            return Note(text=question.text)


@pytest.mark.parametrize(
    "what", ["nothing", "unannotated", "unreturned", "unknown", "missing", "keyword", "rest", "named"]
)
def test_a_wrong_definition_is_told_in_one_sentence(what: str) -> None:
    """Each fault names the node, the parameter and what to do."""

    @node
    async def nothing() -> Note: ...

    @node
    async def unannotated(question) -> Note: ...

    @node
    async def unreturned(question: Question): ...

    @node
    async def unknown(question: "Nowhere") -> Note: ...  # noqa: F821

    @node
    async def missing(question: "random.Nowhere") -> Note: ...

    @node
    async def keyword(question: Question, *, note: Note) -> Note: ...

    @node
    async def rest(question: Question, *more: Found) -> Note: ...

    @node
    async def named(question: Question, **more: Given[Found]) -> Note: ...

    nodes: dict[str, FunctionNode[object, object]] = {
        one.name: one for one in (nothing, unannotated, unreturned, unknown, missing, keyword, rest, named)
    }
    sentences = {
        "nothing": "node 'nothing' takes no message; give it one positional parameter",
        "unannotated": "node 'unannotated' needs an annotation for parameter 'question'",
        "unreturned": "node 'unreturned' needs a return annotation",
        "unknown": "node 'unknown' has an annotation that does not resolve: name 'Nowhere' is not defined",
        "missing": (
            "node 'missing' has an annotation that does not resolve: module 'random' has no attribute 'Nowhere'"
        ),
        "keyword": "node 'keyword' has the keyword-only parameter 'note', which is neither Given[…] nor Context",
        "rest": "node 'rest' takes *more; name each parameter, because each is matched by itself",
        "named": "node 'named' takes **more; name each parameter, because each is matched by itself",
    }
    assert nodes[what].faults() == [sentences[what]]


@settings(deadline=None)
@given(st.integers(1, 2_000), st.randoms(use_true_random=False))
def test_a_retry_waits_between_nothing_and_its_limit(attempt: int, chance: random.Random) -> None:
    """Full jitter: from nothing to the backoff, doubled by each attempt, never above its limit, for any attempt."""
    policy = Policy(retries=3, backoff=0.1, backoff_limit=30.0)
    assert 0 <= policy.delay(attempt, chance) <= min(30.0, 0.1 * 2.0 ** min(attempt - 1, 100))
