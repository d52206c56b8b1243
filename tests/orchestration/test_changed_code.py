"""Runs that are taken up, replayed and forked by a program that has changed since they began."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from coterie.agents import Confidence, DecisionClassifier, Failure, Message, migrate
from coterie.agents.engine import Engine
from coterie.agents.errors import MessageError
from coterie.agents.promotion import promote
from coterie.orchestration import Flow, ResumeRefused, Runtime, Workflow, node, replay
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import InputSwapped, RunStarted, TaskFinished, TaskStarted
from tests.agents.test_classifier import tuned

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


Step = Callable[[Text], Any]


def line(*steps: tuple[str, Step]) -> Flow[Text, Text]:
    """A flow of nodes in a row."""
    flow = Workflow("line", Text, Text)
    nodes = [node(name=name)(made(step)) for name, step in steps]
    flow.start(nodes[0])
    for source, target in pairwise(nodes):
        flow.edge(source, target)
    flow.end(nodes[-1])
    return flow.build()


def made(step: Step) -> Any:
    async def work(told: Text) -> Text:
        found: Text = await step(told)
        return found

    return work


def adds(letter: str) -> Step:
    async def step(told: Text) -> Text:
        return Text(text=told.text + letter)

    return step


async def waits(told: Text) -> Text:
    await anyio.sleep_forever()
    return told


async def left_in(place: Path, flow: Flow[Any, Any], task: str, message: Message | None = None) -> str:
    """A run of `flow` that was left while `task` was at work."""
    async with Runtime(log=place) as runtime:
        run = await runtime.start(flow, message or Text(text=""))
        while not any(isinstance(fact, TaskStarted) and fact.task == task for fact in run.facts()):
            await anyio.sleep(0.001)
    return run.id


async def test_a_new_branch_is_no_obstacle(place: Path) -> None:
    """It begins where the run is taken up."""
    seen: list[str] = []
    identity = await left_in(place, line(("a", adds("a")), ("b", waits)), "b")
    grown = Workflow("line", Text, Text)
    a, b = (node(name=name)(made(adds(name))) for name in "ab")

    @node
    async def watch(told: Text) -> None:
        seen.append(told.text)

    grown.start(a)
    grown.edge(a, b)
    grown.edge(b, watch)
    grown.end(b)
    async with Runtime(log=place) as runtime:
        run = await runtime.resume_run(grown.build(), identity)
        assert (await run.result()).text == "ab"
    assert seen == ["ab"]


async def test_what_is_gone_or_changed_is_listed(place: Path) -> None:
    """Every change in one error; the run stays as it is, and the old program can still go on with it."""
    old = line(("a", adds("a")), ("b", waits), ("c", adds("c")))
    identity = await left_in(place, old, "b")
    async with Runtime(log=place) as runtime:
        with pytest.raises(ResumeRefused) as refused:
            await runtime.resume_run(line(("a", adds("a")), ("x", adds("x"))), identity)
        assert {change for change in refused.value.changes if change.startswith("node ")} == {
            "node 'b' is gone",
            "node 'c' is gone",
        }
        assert any("edge a -> b" in change for change in refused.value.changes)
        taken = await runtime.resume(line(("a", adds("a")), ("x", adds("x"))))
        assert list(taken.refused) == [identity]
        run = await runtime.resume_run(line(("a", adds("a")), ("b", adds("b")), ("c", adds("c"))), identity)
        assert (await run.result()).text == "abc"


async def test_a_condition_that_decides_otherwise_is_noticed(place: Path) -> None:
    """Code cannot be compared, but its decisions can."""

    def routed(limit: int) -> Flow[Text, Text]:
        flow = Workflow("routed", Text, Text)
        a, left, right = node(name="a")(made(adds("a"))), node(name="l")(made(waits)), node(name="r")(made(waits))
        flow.start(a)
        flow.edge(a, left, when=lambda told: len(told.text) < limit)
        flow.edge(a, right, when=lambda told: len(told.text) >= limit)
        flow.end(left, right)
        return flow.build()

    identity = await left_in(place, routed(5), "l")
    async with Runtime(log=place) as runtime:
        with pytest.raises(ResumeRefused, match=r"the log goes on with task-started 'l', the program now with .* 'r'"):
            await runtime.resume_run(routed(0), identity)
        assert not (await runtime.resume_run(routed(5), identity)).ended


def note_type(version: int, **fields: Any) -> type[Message]:
    """The message type Note, as a program of that version has it."""
    names: dict[str, Any] = {name: default for name, (_, default) in fields.items() if default is not ...}
    annotations = {name: kind for name, (kind, _) in fields.items()}
    return type(
        "Note", (Message,), {"__annotations__": annotations, "__module__": __name__, "schema_version": version} | names
    )


def noting(kind: type[Message], second: Any) -> Flow[Any, Any]:
    async def first(told: Any) -> Any:
        return told

    first.__annotations__ = {"told": kind, "return": kind}
    second.__annotations__ = {"told": kind, "return": kind}
    flow: Workflow[Any, Any] = Workflow("noting", kind, kind)
    a, b = node(first), node(name="second")(second)
    flow.start(a)
    flow.edge(a, b)
    flow.end(b)
    return flow.build()


async def test_a_field_with_a_default_may_come(place: Path) -> None:
    """Old rows are read with the default."""
    old, new = note_type(1, text=(str, ...)), note_type(1, text=(str, ...), length=(int, 0))

    async def forever(told: Any) -> Any:
        await anyio.sleep_forever()

    async def answer(told: Any) -> Any:
        return told

    identity = await left_in(place, noting(old, forever), "second", old(text="x"))
    async with Runtime(log=place) as runtime:
        run = await runtime.resume_run(noting(new, answer), identity)
        assert (await run.result()).model_dump() == {"text": "x", "length": 0}


class Told(Message):
    """`Text` under another name."""

    schema_name = "Text"
    text: str


async def test_a_class_may_be_renamed(place: Path) -> None:
    """With `schema_name` it is the type that rows, nodes and edges were written with, alone, in lists and in unions."""

    def desk(kind: Any, answers: bool) -> Flow[Any, Any]:
        async def split(told: Any) -> Any:
            return [told]

        async def pick(told: Any) -> Any:
            return told[0]

        async def last(told: Any) -> Any:
            if not answers:
                await anyio.sleep_forever()
            return told

        async def other(told: Any) -> Any:
            return told

        forms = {split: (kind, list[kind]), pick: (list[kind], kind | Failure), last: (kind, kind)}
        for function, (takes, gives) in (forms | {other: (Failure, kind)}).items():
            function.__annotations__ = {"told": takes, "return": gives}
        first, second, third, fourth = map(node, (split, pick, last, other))
        flow: Workflow[Any, Any] = Workflow("desk", kind, kind)
        flow.start(first)
        flow.edge(first, second)
        flow.edge(second, third, on=kind)
        flow.edge(second, fourth, on=Failure)
        flow.end(third, fourth)
        return flow.build()

    async with Runtime(log=place) as runtime:
        left = await runtime.start(desk(Text, answers=False), Text(text="x"))
        while not any(fact.node == "last" for fact in left.facts() if isinstance(fact, TaskStarted)):
            await anyio.sleep(0.001)
    async with Runtime(log=place) as runtime:
        run = await runtime.resume_run(desk(Told, answers=True), left.id)
        assert await run.result() == Told(text="x")


async def test_another_version_needs_a_migration(place: Path) -> None:
    """Without one the error says what to write; with one the run goes on."""
    old, new = note_type(1, text=(str, ...)), note_type(2, words=(list[str], ...))

    async def forever(told: Any) -> Any:
        await anyio.sleep_forever()

    async def answer(told: Any) -> Any:
        return told

    identity = await left_in(place, noting(old, forever), "second", old(text="x y"))
    async with Runtime(log=place) as runtime:
        with pytest.raises(MessageError, match=r"write @migrate\(Note, 1, 2\)"):
            await runtime.resume_run(noting(new, answer), identity)

        @migrate(new, 1, 2)
        def split(fields: dict[str, Any]) -> dict[str, Any]:
            return {"words": fields["text"].split()}

        run = await runtime.resume_run(noting(new, answer), identity)
        assert (await run.result()).model_dump() == {"words": ["x", "y"]}


# Weights: a real, tiny classifier whose release changes while its run waits.


class Mood(Message):
    label: Literal["good", "bad"]
    confidence: Confidence


def moody(base: Path, second: Step) -> Flow[Text, Text]:
    mood = DecisionClassifier[Text, Mood]("desk/mood", base=str(base))

    @node
    async def say(felt: Mood) -> Text:
        return await second(Text(text=felt.label))

    flow = Workflow("moody", Text, Text)
    flow.start(mood)
    flow.edge(mood, say)
    flow.end(say)
    return flow.build()


async def test_other_weights_are_refused_unless_they_are_pinned(
    place: Path, tiny_encoder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion while a run waits is listed; `pin=True` lets the former weights answer to its end."""
    monkeypatch.setenv("COTERIE_HOME", str(place.parent / "home"))
    identity = await left_in_with(engine, place, moody(tiny_encoder, waits), "say")
    release = await tuned(engine, str(tiny_encoder), role="desk/mood")
    promote("desk/mood", release.digest)
    async with Runtime(log=place, engine=engine) as runtime:
        with pytest.raises(ResumeRefused, match=r"'desk/mood' answered with its zero-shot form .* pin=True"):
            await runtime.resume_run(moody(tiny_encoder, adds("!")), identity)
        run = await runtime.resume_run(moody(tiny_encoder, adds("!")), identity, pin=True)
        assert (await run.result()).text in ("good!", "bad!")
        before = weights_of(run.facts())
        forked = await runtime.fork(
            moody(tiny_encoder, adds("?")), identity, before="mood", releases={"desk/mood": release.digest}
        )
        await forked.result()
        again = await runtime.fork(moody(tiny_encoder, adds("?")), identity, before="mood", releases={"desk/mood": ""})
        await again.result()
    assert weights_of(forked.facts()) == {release.digest}
    assert weights_of(again.facts()) == before


async def left_in_with(engine: Engine, place: Path, flow: Flow[Any, Any], task: str) -> str:
    async with Runtime(log=place, engine=engine) as runtime:
        run = await runtime.start(flow, Text(text="profit rose"))
        while not any(isinstance(fact, TaskStarted) and fact.task == task for fact in run.facts()):
            await anyio.sleep(0.001)
    return run.id


def weights_of(facts: Any) -> set[str]:
    outputs = [fact.output for fact in facts if isinstance(fact, TaskFinished)]
    return {output.origin.weights for output in outputs if output.origin is not None}


# Replays and forks.


async def finished(place: Path, flow: Flow[Any, Any]) -> str:
    async with Runtime(log=place) as runtime:
        run = await runtime.start(flow, Text(text=""))
        await run.result()
    return run.id


async def test_a_replay_calls_nothing_and_gives_the_same_result(place: Path) -> None:
    """Every stored decision is made again from the rows alone."""

    async def never(told: Text) -> Text:
        raise AssertionError("a replay ran a node")

    identity = await finished(place, line(("a", adds("a")), ("b", adds("b"))))
    async with DatabaseLog(place) as log:
        replayed = await replay(log, line(("a", never), ("b", never)), identity)
    assert replayed.result == Text(text="ab")
    assert replayed.divergences == ()
    assert replayed.ended


async def test_a_fork_runs_only_what_lies_downstream(place: Path) -> None:
    """With another message, and with another node; the old run stays as it is."""
    ran: list[str] = []

    def told(letter: str) -> Step:
        async def step(text: Text) -> Text:
            ran.append(letter)
            return Text(text=text.text + letter)

        return step

    flow = line(("a", told("a")), ("b", told("b")), ("c", told("c")))
    identity = await finished(place, flow)
    ran.clear()
    async with Runtime(log=place) as runtime:
        run = await runtime.fork(flow, identity, before="b", message=Text(text="x"))
        assert (await run.result()).text == "xbc"
        assert ran == ["b", "c"]
        started = run.facts()[0]
        assert isinstance(started, RunStarted)
        assert (started.forked_from, started.forked_before) == (identity, "b")
        assert any(isinstance(fact, InputSwapped) for fact in run.facts())
        ran.clear()
        swapped = line(("a", told("a")), ("b", told("B")), ("c", told("c")))
        other = await runtime.fork(swapped, identity, before="b")
        assert (await other.result()).text == "aBc"
        assert ran == ["B", "c"]
        old = await runtime.resume_run(flow, identity)
        assert (await old.result()).text == "abc"
        assert (await replay(runtime.log, flow, run.id)).divergences == ()


async def test_a_fork_before_nothing_is_refused(place: Path) -> None:
    """The error lists the tasks that there are."""
    flow = line(("a", adds("a")), ("b", adds("b")))
    identity = await finished(place, flow)
    async with Runtime(log=place) as runtime:
        with pytest.raises(ResumeRefused, match="it has no task 'z' to fork before; it has a, b"):
            await runtime.fork(flow, identity, before="z")
