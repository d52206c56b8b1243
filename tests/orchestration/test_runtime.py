"""Runs at work on both event loops: results, events, errors, limits, cancellation."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from coterie.agents import Context, Failure, Message, ScriptedAgent
from coterie.agents.errors import OutOfMemory
from coterie.orchestration import (
    Flow,
    Log,
    MemoryLog,
    NodeTimeout,
    Run,
    RunCancelled,
    RunError,
    RunFailed,
    Runtime,
    UndeliverableMessage,
    Workflow,
    node,
)
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import (
    Event,
    RunFinished,
    RunStarted,
    RunSuspended,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    TimerFired,
    TokenDelta,
)
from coterie.orchestration.events import RunCancelled as RunCancelledFact
from coterie.orchestration.log import Lease
from coterie.orchestration.run import DELTAS_KEPT

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


class Number(Message):
    value: int


class SlowLog(MemoryLog):
    """A log whose commits take a while, one after the other, as those of a database do."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = anyio.Lock()

    async def commit(self, lease: Lease, events: Sequence[Event], alone: bool = False) -> None:
        async with self._turn:
            await anyio.lowlevel.checkpoint()
            await super().commit(lease, events)
        await anyio.lowlevel.checkpoint()


class BrokenLog(MemoryLog):
    """A log whose disk is full from the second commit on."""

    async def commit(self, lease: Lease, events: Sequence[Event], alone: bool = False) -> None:
        if events[0].seq > 1:
            raise OSError(28, "No space left on device")
        await super().commit(lease, events)


@pytest.fixture(params=["memory", "slow", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    """Everything here holds for a log that commits at once, for one that takes its time, and for one on a disk."""
    return {"memory": MemoryLog, "slow": SlowLog, "sqlite": lambda: DatabaseLog(tmp_path / "desk.db")}[request.param]()


@node
async def echo(text: Text) -> Text:
    return text


@node
async def shout(text: Text) -> Text:
    return Text(text=text.text.upper())


@node
async def forever(text: Text) -> Text:
    await anyio.sleep_forever()
    raise AssertionError


@node
async def characters(text: Text) -> list[Text]:
    return [Text(text=one) for one in text.text]


@node
async def together(texts: list[Text]) -> Text:
    return Text(text="".join(text.text for text in texts))


def chain(*nodes: Any, name: str = "chain") -> Flow[Text, Text]:
    """A flow of these nodes, one after the other."""
    flow: Workflow[Any, Any] = Workflow(name, Text, Text)
    flow.start(nodes[0])
    for source, target in pairwise(nodes):
        flow.edge(source, target)
    flow.end(nodes[-1])
    return flow.build()


def each(work: Any, name: str = "each") -> Flow[Text, Text]:
    """A flow that does `work` with each character."""
    flow: Workflow[Any, Any] = Workflow(name, Text, Text)
    flow.start(characters)
    flow.map(characters, work)
    flow.join(work, together)
    flow.end(together)
    return flow.build()


def text(value: str = "x") -> Text:
    return Text(text=value)


async def error_of(run: Run[Any]) -> RunError:
    with pytest.raises(RunError) as failed:
        await run.result()
    return failed.value


# Results and events.


async def test_a_run_has_a_result(log: Log) -> None:
    """The answer of the end node is awaited with `result`, by anyone, any number of times."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(echo, shout), text("hello"))
        assert await run.result() == text("HELLO")
        assert await run.result() == text("HELLO")
        assert run.ended


async def test_a_run_is_in_the_log_when_it_has_started(log: Log) -> None:
    """`start` returns after the first commit."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(forever), text())
        assert [type(event) for event in run.facts()] == [RunStarted, TaskStarted]
        assert list(run.facts()) == list(await log.read(run.id, run.flow.registry))


async def test_events_are_numbered_without_gaps_and_end_with_the_outcome(log: Log) -> None:
    """A reader gets each fact once, in order, and its loop ends with the run."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(echo, shout), text("a"))
        seen = [event async for event in run.events()]
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    kinds = [RunStarted, TaskStarted, TaskFinished, TaskStarted, TaskFinished, RunFinished]
    assert [type(event) for event in seen] == kinds
    assert seen == list(run.facts())


async def test_a_late_reader_reads_again_from_a_number(log: Log) -> None:
    """Facts can be read after the run has ended, from any number on."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(each(echo), text("abc"))
        await run.result()
        everything = [event async for event in run.events()]
        assert [event async for event in run.events(after=4)] == everything[4:]


async def test_a_slow_reader_misses_no_fact(log: Log) -> None:
    """However far it is behind, and however much text came in between."""

    @node
    async def talk(told: Text, *, ctx: Context) -> Text:
        for _ in range(DELTAS_KEPT):
            ctx.listen("word")
        return told

    async with Runtime(log=log) as runtime:
        run = await runtime.start(each(talk), text("abc"))
        seen = []
        async for event in run.events():
            seen.append(event)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
    facts = [event for event in seen if not isinstance(event, TokenDelta)]
    assert facts == list(run.facts())
    assert 0 < len(seen) - len(facts) <= 3 * DELTAS_KEPT


async def test_text_is_heard_as_it_is_written(log: Log) -> None:
    """Pieces of text come between the start and the end of their task; what no database could hold is repaired."""

    @node
    async def talk(told: Text, *, ctx: Context) -> Text:
        for piece in ("one", "\ud800", "two\0"):
            ctx.listen(piece)
            await anyio.lowlevel.checkpoint()
        return told

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(talk), text())
        seen = [event async for event in run.events()]
    assert [event.text for event in seen if isinstance(event, TokenDelta)] == ["one", "\ufffd", "two\ufffd"]
    assert [type(event) for event in seen[-2:]] == [TaskFinished, RunFinished]


async def test_several_readers_each_see_everything(log: Log) -> None:
    """Readers do not take events from each other."""
    seen: dict[int, list[int]] = {}

    async def read(run: Run[Any], reader: int) -> None:
        seen[reader] = [event.seq async for event in run.events()]

    async with Runtime(log=log) as runtime:
        run = await runtime.start(each(shout), text("abc"))
        async with anyio.create_task_group() as group:
            for reader in range(3):
                group.start_soon(read, run, reader)
    assert seen[0] == seen[1] == seen[2] == list(range(1, len(run.facts()) + 1))


async def test_what_a_node_was_told_is_in_the_log(log: Log) -> None:
    """Inputs by position, lists as lists, and what the node is given by name."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(each(shout), text("ab"))
        await run.result()
    told = {event.task: event.inputs for event in run.facts() if isinstance(event, TaskStarted)}
    assert told["characters[1]/shout"] == [text("b")]
    assert told["together"] == [[text("A"), text("B")]]


# Ends that are no result.


async def test_a_cancelled_run_says_so(log: Log) -> None:
    """Its tasks are stopped, its log ends with the fact, and its result is an error."""
    stopped: list[str] = []

    @node
    async def patient(told: Text) -> Text:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(told.text)
        raise AssertionError

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(patient), text("a"))
        await anyio.wait_all_tasks_blocked()
        await run.cancel()
        error = await error_of(run)
        await run.cancel()  # once more changes nothing
        await anyio.wait_all_tasks_blocked()
        assert stopped == ["a"]
    assert isinstance(error, RunCancelled)
    assert str(error) == f"run {run.id!r} was cancelled before it had a result"
    assert isinstance(run.facts()[-1], RunCancelledFact)


async def test_a_run_may_be_cancelled_before_it_has_begun(log: Log) -> None:
    """A cancel right after the start is in time."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(forever), text())
        await run.cancel()
        assert isinstance(await error_of(run), RunCancelled)


async def test_cancelling_a_finished_run_changes_nothing(log: Log) -> None:
    """The result stays."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(echo), text())
        await run.result()
        await run.cancel()
        assert await run.result() == text()


async def test_leaving_the_block_stops_every_run(log: Log) -> None:
    """Nothing outlives its runtime, and whoever still waits is told."""
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(forever), text())
    assert isinstance(await error_of(run), RunCancelled)
    facts = [type(event) async for event in run.events()]
    assert facts == [RunStarted, TaskStarted] + [RunSuspended] * log.durable


async def test_an_error_in_the_block_comes_out_as_it_is(log: Log) -> None:
    """It is not wrapped in an ExceptionGroup, and the runs are stopped."""
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012
        async with Runtime(log=log) as runtime:
            run = await runtime.start(chain(forever), text())
            raise KeyError("mine")
    assert run.ended


async def test_a_cancel_from_outside_passes_through(log: Log) -> None:
    """A scope around the runtime ends the block and its runs."""
    with anyio.CancelScope() as scope:
        async with Runtime(log=log) as runtime:
            run = await runtime.start(chain(forever), text())
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await run.result()
    assert scope.cancelled_caught
    assert run.ended


async def test_a_run_fails_with_the_error_of_its_node(log: Log) -> None:
    """The error names run, node and reason; the exception itself is its cause."""

    @node
    async def fail(told: Text) -> Text:
        raise LookupError("no such company")

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(echo, fail), text())
        error = await error_of(run)
    assert isinstance(error, RunFailed)
    assert str(error) == f"run {run.id!r} failed at node 'fail': LookupError: no such company"
    assert isinstance(error.__cause__, LookupError)


async def test_an_error_text_that_no_log_could_hold_is_repaired(log: Log) -> None:
    """Lone surrogates in an exception do not break the run's own log."""

    @node
    async def fail(told: Text) -> Text:
        raise ValueError("\ud800")

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(fail), text())
        await error_of(run)
    (failed,) = [event for event in run.facts() if isinstance(event, TaskFailed)]
    assert failed.reason == "\ufffd"
    assert failed.reason.encode()


async def test_an_answer_of_the_wrong_type_fails_the_run(log: Log) -> None:
    """Node, type and candidates are named, and nothing is delivered."""

    @node
    async def liar(told: Text) -> Text:
        return Number(value=1)  # type: ignore[return-value]

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(liar, shout), text())
        error = await error_of(run)
    assert str(error).endswith("node 'liar' answered with Number, but only Text can go on from there")
    assert isinstance(error.__cause__, UndeliverableMessage)
    assert not [event for event in run.facts() if getattr(event, "task", "") == "shout"]


async def test_a_list_with_one_wrong_item_fails_the_run(log: Log) -> None:
    """Every item is looked at."""

    @node
    async def liar(told: Text) -> list[Text]:
        return [told, Number(value=1)]  # type: ignore[list-item]

    flow: Workflow[Any, Any] = Workflow("lists", Text, Text)
    flow.start(liar)
    flow.map(liar, echo)
    flow.join(echo, together)
    flow.end(together)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        run = await runtime.start(built, text())
        error = await error_of(run)
    assert "node 'liar' answered with list[Number | Text], but only list[Text] can go on from there" in str(error)


async def test_a_flow_refuses_an_input_of_another_type(log: Log) -> None:
    """Nothing is started."""
    async with Runtime(log=log) as runtime:
        with pytest.raises(UndeliverableMessage, match=r"answered with Number, but only Text can go on"):
            await runtime.start(chain(echo), Number(value=1))  # type: ignore[arg-type]


async def test_a_closed_runtime_starts_nothing(log: Log) -> None:
    """The block has to be open."""
    runtime = Runtime(log=log)
    with pytest.raises(RunError, match=r"the runtime is not open; use `async with Runtime\(\) as runtime`"):
        await runtime.start(chain(echo), text())


async def test_a_failed_commit_stops_the_run_with_its_cause() -> None:
    """What could not be stored is not published, and the disk's own error is the cause."""
    log = BrokenLog()
    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(echo, shout), text())
        error = await error_of(run)
    assert isinstance(error.__cause__, OSError)
    assert "No space left on device" in str(error)
    assert [type(event) for event in run.facts()] == [RunStarted, TaskStarted]


async def test_a_failed_commit_of_a_cancel_stops_the_run_all_the_same() -> None:
    """Whoever cancelled is told, and nobody waits for ever."""
    async with Runtime(log=BrokenLog()) as runtime:
        run = await runtime.start(chain(forever), text())
        with pytest.raises(OSError, match="No space left"):
            await run.cancel()
        assert isinstance((await error_of(run)).__cause__, OSError)


async def test_one_broken_run_leaves_the_others_alone(log: Log) -> None:
    """Runs of one runtime share no fate."""

    @node
    async def fail(told: Text) -> Text:
        raise ValueError(told.text)

    async with Runtime(log=log) as runtime:
        good = await runtime.start(chain(echo, shout), text("good"))
        bad = await runtime.start(chain(fail), text("bad"))
        await error_of(bad)
        assert await good.result() == text("GOOD")


async def test_a_node_that_raises_a_cancellation_of_its_own_ends_its_run(log: Log, anyio_backend_name: str) -> None:
    """It is no answer and no error to handle: the run ends as cancelled, and does not hang."""
    if anyio_backend_name == "trio":
        pytest.skip("trio lets nobody make its Cancelled")

    @node
    async def strange(told: Text) -> Text:
        raise anyio.get_cancelled_exc_class()

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(strange), text())
        assert isinstance(await error_of(run), RunCancelled)


# Policies.


async def test_an_attempt_that_takes_too_long_is_a_timeout(log: Log) -> None:
    """The node is cancelled, and the error says how long it had."""

    @node(timeout=0.01)
    async def slow(told: Text) -> Text:
        await anyio.sleep_forever()
        raise AssertionError

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(slow), text())
        error = await error_of(run)
    assert str(error).endswith("NodeTimeout: node 'slow' did not answer within 0.01 s")
    assert isinstance(error.__cause__, NodeTimeout)
    assert isinstance(error.__cause__, TimeoutError)


async def test_an_error_is_tried_again_as_often_as_the_policy_says(log: Log) -> None:
    """Each attempt is in the log with the wait before the next one; its number is in the context."""
    attempts: list[int] = []

    @node(retries=2, backoff=0.001)
    async def flaky(told: Text, *, ctx: Context) -> Text:
        attempts.append(ctx.attempt)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        assert ctx.key == f"{ctx.run}/flaky"
        assert ctx.batch_share == 1.0
        return told

    async with Runtime(log=log) as runtime:
        run = await runtime.start(chain(flaky), text())
        assert await run.result() == text()
    assert attempts == [1, 2, 3]
    failed = [event for event in run.facts() if isinstance(event, TaskFailed)]
    assert [(event.attempt, event.error) for event in failed] == [(1, "ConnectionError"), (2, "ConnectionError")]
    assert [0 <= event.retry_in <= 0.002 for event in failed if event.retry_in is not None] == [True, True]


async def test_an_error_is_final_when_no_attempt_is_left(log: Log) -> None:
    """One try and the retries, and no more."""
    agent = ScriptedAgent[Text, Text]("flaky", [ConnectionError("1"), ConnectionError("2"), text()])
    flow: Workflow[Text, Text] = Workflow("flow", Text, Text)
    flow.start(agent)
    flow.end(agent)
    flow.policy(agent, retries=1, backoff=0.0)
    async with Runtime(log=log) as runtime:
        error = await error_of(await runtime.start(flow.build(), text()))
    assert str(error).endswith("ConnectionError: 2")


async def test_a_message_that_cannot_be_made_is_never_tried_again(log: Log) -> None:
    """The same input would fail in the same way."""
    attempts: list[int] = []

    @node(retries=5, backoff=0.0)
    async def wrong(told: Text) -> Text:
        attempts.append(1)
        return Text(text=1)  # type: ignore[arg-type]

    async with Runtime(log=log) as runtime:
        error = await error_of(await runtime.start(chain(wrong), text()))
    assert len(attempts) == 1
    assert "ValidationError" in str(error)


@pytest.mark.parametrize("kind", [MemoryError, OutOfMemory])
async def test_out_of_memory_is_tried_with_half_the_batch(log: Log, kind: type[Exception]) -> None:
    """Without any policy: half, a quarter, an eighth; then it is an error."""
    shares: list[float] = []

    @node(backoff=0.0)
    async def hungry(told: Text, *, ctx: Context) -> Text:
        shares.append(ctx.batch_share)
        raise kind("out of memory")

    async with Runtime(log=log) as runtime:
        error = await error_of(await runtime.start(chain(hungry), text()))
    assert shares == [1.0, 0.5, 0.25, 0.125]
    assert isinstance(error.__cause__, kind)


async def test_running_out_of_memory_uses_up_no_retry(log: Log) -> None:
    """Halving and retrying are counted apart."""
    shares: list[float] = []
    errors = [ConnectionError(), MemoryError(), ConnectionError()]

    @node(retries=2, backoff=0.0)
    async def unlucky(told: Text, *, ctx: Context) -> Text:
        shares.append(ctx.batch_share)
        if errors:
            raise errors.pop(0)
        return told

    async with Runtime(log=log) as runtime:
        assert await (await runtime.start(chain(unlucky), text())).result() == text()
    assert shares == [1.0, 1.0, 0.5, 0.5]


class Gauge:
    """Counts how many are inside at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def pass_through(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        self.now -= 1


async def test_the_limit_of_a_node_holds_across_runs(log: Log) -> None:
    """All runs of a runtime share it."""
    gauge = Gauge()

    @node(limit=2)
    async def narrow(told: Text) -> Text:
        await gauge.pass_through()
        return told

    flow = each(narrow)
    async with Runtime(log=log) as runtime:
        runs = [await runtime.start(flow, text("abcd")) for _ in range(4)]
        for run in runs:
            assert await run.result() == text("abcd")
    assert gauge.most == 2


async def test_the_limit_of_a_run_holds_over_its_nodes(log: Log) -> None:
    """Each run has its own."""
    gauge = Gauge()

    @node
    async def busy(told: Text) -> Text:
        await gauge.pass_through()
        return told

    async with Runtime(log=log, limit=3) as runtime:
        run = await runtime.start(each(busy), text("abcdefgh"))
        assert await run.result() == text("abcdefgh")
    assert gauge.most == 3


async def test_the_limit_of_a_map_holds(log: Log) -> None:
    """Items beyond it wait."""
    gauge = Gauge()

    @node
    async def busy(told: Text) -> Text:
        await gauge.pass_through()
        return told

    flow: Workflow[Any, Any] = Workflow("flow", Text, Text)
    flow.start(characters)
    flow.map(characters, busy, limit=2)
    flow.join(busy, together)
    flow.end(together)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        assert await (await runtime.start(built, text("abcdef"))).result() == text("abcdef")
    assert gauge.most == 2


async def test_a_join_goes_on_without_what_is_late(log: Log) -> None:
    """What is late is cancelled; the timer is a fact only where it changed something."""
    stopped: list[str] = []

    @node
    async def some_are_late(told: Text) -> Text:
        try:
            if told.text == "b":
                await anyio.sleep_forever()
        finally:
            stopped.append(told.text)
        return told

    flow: Workflow[Any, Any] = Workflow("flow", Text, Text)
    flow.start(characters)
    flow.map(characters, some_are_late)
    flow.join(some_are_late, together, within=0.05)
    flow.end(together)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        late = await runtime.start(built, text("abc"))
        assert await late.result() == text("ac")
        early = await runtime.start(built, text("ac"))
        assert await early.result() == text("ac")
    assert sorted(stopped) == ["a", "a", "b", "c", "c"]
    assert [event for event in late.facts() if isinstance(event, TimerFired)]
    assert not [event for event in early.facts() if isinstance(event, TimerFired)]


async def test_a_handler_is_told_about_the_failure(log: Log) -> None:
    """The failed node, the error's class, its text and the attempts."""

    @node(retries=1, backoff=0.0)
    async def fail(told: Text) -> Text:
        raise KeyError("k")

    @node
    async def spare(failure: Failure) -> Text:
        return Text(text=f"{failure.node} {failure.error} {failure.reason} {failure.attempts}")

    flow: Workflow[Any, Any] = Workflow("flow", Text, Text)
    flow.start(fail)
    flow.edge(fail, shout)
    flow.on_error(fail, spare, catch=LookupError)
    flow.end(shout)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        assert await (await runtime.start(built, text())).result() == text("FAIL KEYERROR 'K' 2")


# Keys, threads, seeds.


async def test_the_same_key_gives_the_same_run(log: Log) -> None:
    """For the same flow; another flow may use the key for itself."""
    one, other = chain(echo, name="one"), chain(shout, name="other")
    async with Runtime(log=log) as runtime:
        first = await runtime.start(one, text("a"), key="mail-1")
        assert await runtime.start(one, text("b"), key="mail-1") is first
        assert await first.result() == text("a")
        assert await runtime.start(one, text("c"), key="mail-1") is first
        assert await runtime.start(one, text("a"), key="mail-2") is not first
        assert await runtime.start(other, text("a"), key="mail-1") is not first


async def test_starts_with_one_key_at_the_same_time_give_one_run(log: Log) -> None:
    """However long the first commit takes."""
    flow = chain(echo)
    runs: list[Run[Any]] = []

    async def start(runtime: Runtime) -> None:
        runs.append(await runtime.start(flow, text(), key="mail-1"))

    async with Runtime(log=log) as runtime:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(start, runtime)
        assert len({run.id for run in runs}) == 1
        assert await runs[-1].result() == text()


async def test_a_node_sees_the_earlier_turns_of_its_thread(log: Log) -> None:
    """What it was told and what it answered, oldest first; nothing of other threads, nodes and this run."""
    seen: list[list[tuple[str, str]]] = []

    @node
    async def talk(told: Text, *, ctx: Context) -> Text:
        seen.append([(turn.told.text, turn.answered.text) for turn in await ctx.history("talk")])  # type: ignore[attr-defined]
        return Text(text=told.text.upper())

    flow = chain(echo, talk)
    async with Runtime(log=log) as runtime:
        for words, thread in (("a", "one"), ("b", "two"), ("c", "one"), ("d", None)):
            run = await runtime.start(flow, text(words), thread=thread)
            await run.result()
    assert seen == [[], [], [("a", "A")], []]


async def test_seeds_are_the_same_for_the_same_task(log: Log) -> None:
    """Two runs with one seed give each task the same; another seed, or another task, another."""
    seen: list[dict[str, int]] = []

    @node
    async def dice(told: Text, *, ctx: Context) -> Text:
        seen[-1][ctx.task] = ctx.seed
        return told

    for seed in (1, 1, 2):
        seen.append({})
        async with Runtime(log=log, seed=seed) as runtime:
            await (await runtime.start(each(dice), text("ab"))).result()
    assert seen[0] == seen[1]
    assert len({*seen[0].values(), *seen[2].values()}) == 4


# Many at once.


async def test_two_hundred_runs_at_once(log: Log) -> None:
    """One flow serves any number of runs, and none gets another's messages."""
    chance = random.Random(0)

    @node
    async def wait(told: Text) -> Text:
        for _ in range(chance.randrange(4)):
            await anyio.lowlevel.checkpoint()
        return told

    flow = each(wait)
    async with Runtime(log=log) as runtime:
        runs = [await runtime.start(flow, text(f"run {number}")) for number in range(200)]
        for number, run in enumerate(runs):
            assert await run.result() == text(f"run {number}")


async def test_a_node_that_never_waits_keeps_nobody_from_running(log: Log) -> None:
    """After a millisecond at most, others have their turn."""
    order: list[str] = []

    @node
    async def count(told: Text) -> Text:
        order.append(told.text)
        return told

    flow: Workflow[Any, Any] = Workflow("flow", Text, Text)
    flow.start(count)
    flow.edge(count, count, max_visits=2_000, exhausted=echo)
    flow.end(echo)
    built = flow.build()
    async with Runtime(log=log) as runtime:
        runs = [await runtime.start(built, text(name)) for name in ("a", "b")]
        for run in runs:
            await run.result()
    assert order.index("b") < len(order) - 1 - order[::-1].index("a")


async def test_the_log_in_memory_forgets_all_but_the_latest_runs() -> None:
    """Memory stays bounded; runs of a thread and runs with a key are kept."""
    log = MemoryLog(keep=2)
    async with Runtime(log=log) as runtime:
        kept = await runtime.start(chain(echo), text(), thread="t")
        await kept.result()
        runs = []
        for _ in range(5):
            runs.append(await runtime.start(chain(echo), text()))
            await runs[-1].result()
    assert [run.id in log._events for run in (kept, *runs)] == [True, False, False, False, True, True]


def mapped(work: Any) -> Flow[Number, Number]:
    """As many items as the input says, each through `work`, and their sum."""

    @node
    async def split(told: Number) -> list[Number]:
        return [Number(value=index) for index in range(told.value)]

    @node
    async def add(told: list[Number]) -> Number:
        return Number(value=sum(number.value for number in told))

    workflow = Workflow("mapped", Number, Number)
    workflow.start(split)
    workflow.map(split, work)
    workflow.join(work, add)
    workflow.end(add)
    return workflow.build()


async def test_nodes_that_do_not_wait_share_a_task() -> None:
    """A hundred of them do not cost a hundred tasks of the event loop."""
    tasks: set[int] = set()

    @node
    async def work(told: Number) -> Number:
        tasks.add(anyio.get_current_task().id)
        return told

    async with Runtime() as runtime:
        run = await runtime.start(mapped(work), Number(value=100))
        assert (await run.result()).value == 4950
    assert len(tasks) < 50  # a busy machine may make a worker yield now and then


async def test_nodes_that_wait_do_so_at_the_same_time() -> None:
    """Each of a hundred waits for all the others."""
    arrived, all_here = 0, anyio.Event()

    @node
    async def work(told: Number) -> Number:
        nonlocal arrived
        arrived += 1
        if arrived == 100:
            all_here.set()
        await all_here.wait()
        return told

    async with Runtime() as runtime:
        run = await runtime.start(mapped(work), Number(value=100))
        assert (await run.result()).value == 4950
