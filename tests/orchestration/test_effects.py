"""What a node does outside, when its process dies meanwhile; and what it does in the log's own database.

A crash is a copy of the log's files, taken while a node is at work: it is what a kill would have left.
"""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from coterie.agents import Context, Failure, Message
from coterie.agents.errors import NotDurable
from coterie.orchestration import (
    Flow,
    ReviewAnswerError,
    Run,
    RunCancelled,
    RunFailed,
    Runtime,
    Workflow,
    WorkflowError,
    node,
)
from coterie.orchestration.events import (
    EffectIntended,
    EffectSettled,
    EffectUnknown,
    Event,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


class Other(Message):
    text: str


class Outside:
    """A flow whose middle node does something outside, and what it has done so far."""

    def __init__(self, effect: Any) -> None:
        self.keys: list[str] = []  # with which it was done
        self.attempts: list[int] = []
        self.done = anyio.Event()
        self.stays = True  # inside its effect, until this is false
        self.flow = self._built(effect)

    def _built(self, effect: Any) -> Flow[Text, Text]:
        @node
        async def before(message: Text) -> Text:
            return message

        @node(effect=effect)
        async def act(message: Text, *, ctx: Context) -> Text:
            self.keys.append(ctx.key)
            self.attempts.append(ctx.attempt)
            self.done.set()
            if self.stays:
                await anyio.sleep_forever()
            return Text(text=message.text + " done")

        @node
        async def after(message: Text) -> Text:
            return message

        workflow: Workflow[Text, Text] = Workflow("outside", Text, Text)
        workflow.start(before)
        workflow.edge(before, act)
        workflow.edge(act, after)
        workflow.end(after)
        return workflow.build()

    async def crashed(self, place: Path) -> Path:
        """A log as a process left it that was killed inside the effect. From now on the effect does not stay."""
        async with Runtime(log=place) as runtime:
            await runtime.start(self.flow, Text(text="a"), key="k")
            await self.done.wait()
            left = copy_of(place)
        self.stays = False
        return left

    @asynccontextmanager
    async def resumed(self, place: Path) -> AsyncIterator[Run[Text]]:
        async with Runtime(log=place) as runtime:
            (run,) = (await runtime.resume(self.flow)).runs
            await run.wait_settled()
            yield run


def copy_of(place: Path) -> Path:
    """The files of a log, as they are now."""
    left = place.with_name(f"{place.stem}-left.db")
    for end in ("", "-wal"):
        shutil.copy(f"{place}{end}", f"{left}{end}")
    return left


def facts_of(run: Run[Any], kind: type[Any], task: str = "act") -> list[Any]:
    return [fact for fact in run.facts() if isinstance(fact, kind) and getattr(fact, "task", None) == task]


# What follows from the declared policy.


@pytest.mark.parametrize("effect", [None, "pure"])
async def test_a_pure_node_is_done_again(effect: str | None, tmp_path: Path) -> None:
    """Without a word, and without a fact about its intent."""
    outside = Outside(effect)
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        assert await run.result() == Text(text="a done")
        assert facts_of(run, EffectIntended) == []
    assert outside.attempts == [1, 2]


async def test_an_idempotent_effect_is_done_again_with_the_same_key(tmp_path: Path) -> None:
    """So that what is outside can tell that it is the same one; each attempt is intended in the log."""
    outside = Outside("idempotent")
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        assert await run.result() == Text(text="a done")
        assert [fact.key for fact in facts_of(run, EffectIntended)] == outside.keys
        assert outside.keys == [f"{run.id}/act"] * 2
    assert outside.attempts == [1, 2]


async def test_an_effect_that_must_not_be_repeated_is_asked_about(tmp_path: Path) -> None:
    """It stays open, as do the nodes after it, and is not done again."""
    outside = Outside("ask")
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        assert not run.ended
        assert [(asked.task, asked.key) for asked in run.unknown] == [("act", f"{run.id}/act")]
        assert facts_of(run, TaskStarted, "after") == []
    assert outside.attempts == [1]


async def test_an_effect_that_happened_is_not_done_again(tmp_path: Path) -> None:
    """The answer is the task's outcome, and the log says who gave it."""
    outside = Outside("ask")
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        await run.settle("act", happened=True, output=Text(text="seen"), by="ann")
        assert await run.result() == Text(text="seen")
        (settled,) = facts_of(run, EffectSettled)
        assert (settled.happened, settled.by) == (True, "ann")
        assert run.unknown == ()
    assert outside.attempts == [1]


async def test_an_effect_that_did_not_happen_is_done_again(tmp_path: Path) -> None:
    """With the same key; nobody has to be asked a second time."""
    outside = Outside("ask")
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        await run.settle("act", happened=False)
        assert await run.result() == Text(text="a done")
        assert outside.keys == [f"{run.id}/act"] * 2


async def test_a_question_is_asked_anew_after_another_crash(tmp_path: Path) -> None:
    """An effect that was allowed again and left open again is in doubt again."""
    outside = Outside("ask")
    left = await outside.crashed(tmp_path / "desk.db")
    outside.stays, outside.done = True, anyio.Event()
    async with outside.resumed(left) as run:
        await run.settle("act", happened=False)
        await outside.done.wait()
        left = copy_of(left)
    async with outside.resumed(left) as run:
        assert [asked.task for asked in run.unknown] == ["act"]
        assert len(facts_of(run, EffectUnknown)) == 2
        await run.settle("act", happened=True, output=Text(text="seen"))
        assert await run.result() == Text(text="seen")


async def test_a_question_outlives_any_number_of_restarts(tmp_path: Path) -> None:
    """Until somebody answers, and the answer outlives them, too."""
    outside = Outside("ask")
    left = await outside.crashed(tmp_path / "desk.db")
    for _ in range(4):
        async with outside.resumed(left) as run:
            assert [asked.task for asked in run.unknown] == ["act"]
    async with outside.resumed(left) as run:
        await run.settle("act", happened=True, output=Text(text="seen"))
        assert await run.result() == Text(text="seen")
    async with Runtime(log=left) as runtime:
        assert await (await runtime.resume_run(outside.flow, run.id)).result() == Text(text="seen")
    assert outside.attempts == [1]


# Intent before, outcome after.


@pytest.mark.parametrize("effect", ["idempotent", "ask"])
async def test_the_intent_is_kept_before_and_the_outcome_after(effect: str, tmp_path: Path) -> None:
    """When the node is called, the log says already that it may have happened."""
    outside = Outside(effect)
    left = await outside.crashed(tmp_path / "desk.db")
    async with Runtime(log=left) as runtime:
        (identity,) = await runtime.log.unfinished("outside")
        kept: list[Event] = list(await runtime.log.read(identity, outside.flow.registry))
    assert [type(fact) for fact in kept[-2:]] == [TaskStarted, EffectIntended]
    assert kept[-1].at >= kept[-2].at


async def test_an_effect_that_has_failed_is_not_in_doubt(tmp_path: Path) -> None:
    """A node that raises says so; the failure is kept, and handled like any other."""

    @node(effect="ask")
    async def act(message: Text) -> Text:
        raise ConnectionError("refused")

    @node
    async def rescue(failure: Failure) -> Text:
        return Text(text=failure.reason)

    workflow: Workflow[Text, Text] = Workflow("failing", Text, Text)
    workflow.start(act)
    workflow.on_error(act, rescue, catch=ConnectionError)
    workflow.end(act)
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(workflow.build(), Text(text="a"))
        assert await run.result() == Text(text="refused")
        assert [type(fact) for fact in run.facts() if getattr(fact, "task", "") == "act"] == [
            TaskStarted,
            EffectIntended,
            TaskFailed,
        ]


async def test_want_of_memory_does_not_repeat_an_effect(tmp_path: Path) -> None:
    """A node that may not be repeated is not tried again with less, as others are."""
    calls: list[int] = []

    @node(effect="ask")
    async def act(message: Text, *, ctx: Context) -> Text:
        calls.append(ctx.attempt)
        raise MemoryError

    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(single(act), Text(text="a"))
        with pytest.raises(RunFailed, match="MemoryError"):
            await run.result()
    assert calls == [1]


async def test_a_closed_runtime_leaves_an_effect_in_doubt(tmp_path: Path) -> None:
    """Leaving the block stops the node inside its effect, of which nobody knows how far it had come."""
    outside = Outside("ask")
    await outside.crashed(tmp_path / "desk.db")
    async with outside.resumed(tmp_path / "desk.db") as run:
        assert [asked.task for asked in run.unknown] == ["act"]
    assert outside.attempts == [1]


async def test_a_cancelled_run_asks_nothing(tmp_path: Path) -> None:
    """It has ended; that its effect may have happened is in its facts."""
    outside = Outside("ask")
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(outside.flow, Text(text="a"))
        await outside.done.wait()
        await run.cancel()
        with pytest.raises(RunCancelled):
            await run.result()
        assert len(facts_of(run, EffectIntended)) == 1
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        assert (await runtime.resume(outside.flow)).runs == ()


async def test_a_key_stays_the_same_over_retries(tmp_path: Path) -> None:
    """It names the run and the task, not the attempt."""
    keys: list[str] = []

    @node(effect="idempotent", retries=2, backoff=0.0)
    async def act(message: Text, *, ctx: Context) -> Text:
        keys.append(ctx.key)
        if len(keys) < 3:
            raise ConnectionError("refused")
        return message

    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(single(act), Text(text="a"))
        await run.result()
        assert keys == [f"{run.id}/act"] * 3
        assert [fact.attempt for fact in facts_of(run, EffectIntended)] == [1, 2, 3]


def test_an_effect_that_is_asked_about_cannot_have_retries() -> None:
    """Each would be a repeat that nobody has allowed."""

    @node(effect="ask", retries=1)
    async def act(message: Text) -> Text:
        return message

    with pytest.raises(WorkflowError, match="'act' has an effect that must not be repeated unasked; leave `retries`"):
        single(act)


# Settling.


@pytest.mark.parametrize(
    ("task", "settled", "said"),
    [
        ("act", {"happened": True}, "'act' answers with Text, but is settled with NoneType"),
        ("act", {"happened": True, "output": Other(text="a")}, "'act' answers with Text, but is settled with Other"),
        ("act", {"happened": True, "output": [Text(text="a")]}, "'act' answers with Text, but is settled with list"),
        ("after", {"happened": False}, "no pending question about an effect 'after'; pending: act"),
    ],
)
async def test_a_wrong_settlement_is_refused(task: str, settled: dict[str, Any], said: str, tmp_path: Path) -> None:
    """It changes nothing, and a right one can follow."""
    outside = Outside("ask")
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        with pytest.raises(ReviewAnswerError, match=said):
            await run.settle(task, **settled)
        assert [asked.task for asked in run.unknown] == ["act"]
        await run.settle("act", happened=True, output=Text(text="seen"))
        assert await run.result() == Text(text="seen")
        assert len(facts_of(run, EffectSettled)) == 1


async def test_an_effect_is_settled_once(tmp_path: Path) -> None:
    """The second answer is told that nothing is asked any more."""
    outside = Outside("ask")
    async with outside.resumed(await outside.crashed(tmp_path / "desk.db")) as run:
        await run.settle("act", happened=False)
        with pytest.raises(ReviewAnswerError, match="no pending question about an effect 'act'; pending: none"):
            await run.settle("act", happened=True, output=Text(text="seen"))
        assert await run.result() == Text(text="a done")


# In the log's own database.


def single(act: Any, rescue: Any = None, catch: type[Exception] = Exception) -> Flow[Text, Text]:
    """A flow of one node, with a handler that stands in for it."""
    workflow: Workflow[Text, Text] = Workflow("single", Text, Text)
    workflow.start(act)
    if rescue is not None:
        workflow.on_error(act, rescue, catch=catch)
    workflow.end(act)
    return workflow.build()


def booking(*actions: Callable[[Connection], object], fails: bool = False, effect: Any = None) -> Any:
    @node(effect=effect)
    async def act(message: Text, *, ctx: Context) -> Text:
        for action in actions:
            ctx.transaction(action)
        if fails:
            raise ConnectionError("refused")
        return message

    return act


def make(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE IF NOT EXISTS booked (amount INTEGER PRIMARY KEY)"))


def book(amount: int = 7) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(text("INSERT INTO booked VALUES (:amount)"), {"amount": amount})


async def booked(runtime: Runtime) -> list[int]:
    def read(connection: Connection) -> list[int]:
        make(connection)
        return list(connection.execute(text("SELECT amount FROM booked ORDER BY amount")).scalars())

    log: Any = runtime.log
    found: list[int] = await log.call(lambda database: database.read(read))
    return found


@node
async def rescue(failure: Failure) -> Text:
    return Text(text=f"{failure.error}: {failure.reason}")


@pytest.mark.parametrize("effect", [None, "idempotent", "ask"])
async def test_a_transaction_is_kept_with_the_outcome(effect: str | None, database: str) -> None:
    """What the node did in the database and what it answered are there together, once, in the order of the calls."""
    flow = single(booking(make, book(1), book(2), effect=effect))
    async with Runtime(log=database) as runtime:
        run = await runtime.start(flow, Text(text="a"))
        assert await run.result() == Text(text="a")
        assert await booked(runtime) == [1, 2]
    async with Runtime(log=database) as runtime:
        await runtime.resume_run(flow, run.id)
        assert await booked(runtime) == [1, 2]


async def test_many_transactions_at_the_same_time_are_all_kept(database: str) -> None:
    """Of tasks of one run and of several runs."""

    @node
    async def split(message: Text) -> list[Other]:
        return [Other(text=f"{message.text}{number}") for number in range(8)]

    @node
    async def each(one: Other, *, ctx: Context) -> Other:
        ctx.transaction(make)
        ctx.transaction(book(int(one.text)))
        return one

    @node
    async def count(all_of_them: list[Other]) -> Text:
        return Text(text=str(len(all_of_them)))

    workflow: Workflow[Text, Text] = Workflow("many", Text, Text)
    workflow.start(split)
    workflow.map(split, each)
    workflow.join(each, count)
    workflow.end(count)
    flow = workflow.build()
    async with Runtime(log=database) as runtime:
        runs = [await runtime.start(flow, Text(text=str(number))) for number in range(1, 4)]
        assert [await run.result() for run in runs] == [Text(text="8")] * 3
        assert await booked(runtime) == [10 * tens + ones for tens in range(1, 4) for ones in range(8)]


async def test_a_transaction_is_undone_when_the_node_fails(database: str) -> None:
    """It is not even begun."""
    async with Runtime(log=database) as runtime:
        run = await runtime.start(single(booking(make, book(), fails=True), rescue), Text(text="a"))
        assert await run.result() == Text(text="ConnectionError: refused")
        assert await booked(runtime) == []


async def test_a_transaction_of_a_failed_attempt_is_forgotten(database: str) -> None:
    """Only what the attempt that answered asked for is done."""
    calls: list[int] = []

    @node(retries=1, backoff=0.0)
    async def act(message: Text, *, ctx: Context) -> Text:
        calls.append(ctx.attempt)
        ctx.transaction(make)
        ctx.transaction(book(ctx.attempt))
        if ctx.attempt == 1:
            raise ConnectionError("refused")
        return message

    async with Runtime(log=database) as runtime:
        await (await runtime.start(single(act), Text(text="a"))).result()
        assert await booked(runtime) == [2]


def broken(connection: Connection) -> None:
    raise LookupError("no such account")


def twice(connection: Connection) -> None:
    book(7)(connection)
    book(7)(connection)


def nowhere(connection: Connection) -> None:
    connection.execute(text("INSERT INTO nowhere VALUES (1)"))


@pytest.mark.parametrize(
    ("action", "error"), [(broken, LookupError), (twice, IntegrityError)], ids=["its own error", "a constraint"]
)
async def test_an_action_that_fails_fails_its_task(action: Any, error: type[Exception], database: str) -> None:
    """Nothing of the transaction is kept, a handler can catch the error, and the log goes on as before."""
    async with Runtime(log=database) as runtime:
        flow = single(booking(make, book(1), action), rescue, catch=error)
        run = await runtime.start(flow, Text(text="a"))
        assert (await run.result()).text.startswith(error.__name__)
        assert [fact.error for fact in facts_of(run, TaskFailed)] == [error.__name__]
        assert facts_of(run, TaskFinished) == []
        assert await booked(runtime) == []
        assert await (await runtime.start(single(booking(make, book(1))), Text(text="b"))).result() == Text(text="b")
        assert await booked(runtime) == [1]


async def test_an_action_that_the_database_refuses_fails_its_run(tmp_path: Path) -> None:
    """As any other error does that nothing catches; the cause is the database's own."""
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(single(booking(nowhere)), Text(text="a"))
        with pytest.raises(RunFailed, match="no such table: nowhere") as failed:
            await run.result()
        assert isinstance(failed.value.__cause__, OperationalError)


async def test_an_action_that_fails_is_tried_again(database: str) -> None:
    """Under the node's own policy."""
    calls: list[int] = []

    @node(retries=1, backoff=0.0)
    async def act(message: Text, *, ctx: Context) -> Text:
        calls.append(ctx.attempt)
        ctx.transaction(make)
        ctx.transaction(twice if ctx.attempt == 1 else book(3))
        return message

    async with Runtime(log=database) as runtime:
        assert await (await runtime.start(single(act), Text(text="a"))).result() == Text(text="a")
        assert await booked(runtime) == [3]
    assert calls == [1, 2]


async def test_an_action_that_fails_holds_up_nobody_else(tmp_path: Path) -> None:
    """What came to the log while it was at work is written all the same."""
    flow = single(booking(broken), rescue)
    other = single(booking(make, book()))
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        runs = [await runtime.start(one, Text(text="a")) for one in (flow, flow, other, flow)]
        with anyio.fail_after(30):
            texts = [(await run.result()).text for run in runs]
        failed = "LookupError: no such account"
        assert texts == [failed, failed, "a", failed]
        assert await booked(runtime) == [7]


async def test_a_log_in_memory_refuses_a_transaction() -> None:
    """It has no database; the run fails and says what to use."""
    async with Runtime() as runtime:
        run = await runtime.start(single(booking(book())), Text(text="a"))
        with pytest.raises(RunFailed, match="the log in memory has no database") as failed:
            await run.result()
        assert isinstance(failed.value.__cause__, NotDurable)


async def test_a_cancelled_run_keeps_no_transaction(tmp_path: Path) -> None:
    """Whatever was asked for before the node answered."""
    done = anyio.Event()

    @node
    async def act(message: Text, *, ctx: Context) -> Text:
        ctx.transaction(make)
        ctx.transaction(book())
        done.set()
        await anyio.sleep_forever()
        return message

    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(single(act), Text(text="a"))
        await done.wait()
        await run.cancel()
        assert await booked(runtime) == []
