"""A whole world from one seed: runs at work on a virtual clock, in processes that crash, over a store that is slow.

    python -m tests.orchestration.simulation 17        # the world of seed 17: what happened, and what was wrong

The runtime, the scheduler and the rows are the real ones. Simulated are time (trio's clock, which jumps to the next
thing that happens), wall clocks (which also jump, by hours, in both directions), the order in which trio runs tasks,
the disk (delays, commits that are lost with the process or kept without an answer) and what nodes do (wait, fail, run
out of memory, are cancelled). The same seed gives the same world, to the byte of its log.
"""

import random
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from unittest import mock

import anyio
import trio
import trio.testing

from coterie.agents import Context, Exchange, Failure, Message
from coterie.agents.errors import OutOfMemory
from coterie.agents.registry import Registry, StoredMessage
from coterie.orchestration import Approve, Flow, Run, Runtime, Workflow, node
from coterie.orchestration import run as run_module
from coterie.orchestration import runtime as runtime_module
from coterie.orchestration.errors import NoSuchRun, StaleLease
from coterie.orchestration.events import KINDS, TERMINAL, Event, RunFailed, RunStarted
from coterie.orchestration.fact_rows import BEGINNING, FactRow, check_chain, event_of, row_of
from coterie.orchestration.log import Decided, Lease, Right
from coterie.orchestration.review import Review

RUNS = 3
LIVES = 40  # processes after which a world that has not come to rest is stuck


class Number(Message):
    value: int


class Doubt(Message):
    value: int


class Store:
    """What survives a crash."""

    def __init__(self) -> None:
        self.rows: dict[str, list[FactRow]] = {}
        self.messages: dict[str, StoredMessage] = {}
        self.definitions: dict[str, Mapping[str, Any]] = {}
        self.fences: dict[str, int] = {}

    def content(self) -> bytes:
        return repr((sorted(self.rows.items()), sorted(self.messages.items()))).encode()


class SimulatedLog:
    """A log over a store, for one life of a process. Once the process is dead, nothing it says is heard."""

    durable = True

    def __init__(self, store: Store, chance: random.Random, crash: Callable[[], None]) -> None:
        self.store, self.chance, self.crash = store, chance, crash
        self.dead = False
        self.turn = anyio.Lock()
        self.registries: dict[str, Registry] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def check(self) -> None:
        for run, rows in self.store.rows.items():
            check_chain(run, rows)

    async def begin(self, events: Sequence[Event], registry: Registry, definition: Mapping[str, Any]) -> Lease:
        started = events[0]
        assert isinstance(started, RunStarted)
        self.registries[started.run] = registry
        self.store.definitions[started.definition] = definition
        lease = Lease(started.run, 1)
        await self._write(lease, events, new=True)
        return lease

    async def commit(self, lease: Lease, events: Sequence[Event], alone: bool = False) -> None:
        await self._write(lease, events)

    async def _write(self, lease: Lease, events: Sequence[Event], new: bool = False) -> None:
        with anyio.CancelScope(shield=True):  # what has been handed in is written, whoever still waits for it
            async with self.turn:
                await anyio.sleep(self.chance.expovariate(200))
                if self.chance.random() < 0.02:
                    self._die()
                if not self.dead:
                    if new:
                        self.store.rows[lease.run], self.store.fences[lease.run] = [], 1
                    if self.store.fences[lease.run] != lease.fence:
                        raise StaleLease(lease.run)
                    self._append(lease.run, events)
                if self.chance.random() < 0.02:
                    self._die()  # kept, but nobody is told
        if self.dead:
            await anyio.sleep_forever()

    def _die(self) -> None:
        if not self.dead:
            self.dead = True
            self.crash()

    def _append(self, run: str, events: Sequence[Event]) -> None:
        rows = self.store.rows[run]
        assert events[0].seq == len(rows) + 1, "a gap"
        for event in events:
            rows.append(row_of(event, rows[-1].hash if rows else BEGINNING, lambda one: self._refer(run, one)))

    def _refer(self, run: str, message: Message) -> str:
        stored = self.registries[run].encode(message)
        self.store.messages[stored.digest()] = stored
        return stored.digest()

    async def transact(self, *_: object) -> None:
        raise NotImplementedError

    async def claim(self, run: str, registry: Registry) -> Lease:
        self.registries[run] = registry
        self.store.fences[run] += 1
        return Lease(run, self.store.fences[run])

    async def release(self, lease: Lease) -> None:
        return

    async def read(self, run: str, registry: Registry) -> Sequence[Event]:
        if run not in self.store.rows:
            raise NoSuchRun(run)
        check_chain(run, self.store.rows[run])
        return [event_of(row, lambda one: registry.decode(self.store.messages[one])) for row in self.store.rows[run]]

    async def definition(self, digest: str) -> Mapping[str, Any]:
        return self.store.definitions[digest]

    async def find(self, flow: str, key: str) -> str | None:
        return None

    async def unfinished(self, flow: str) -> Sequence[str]:
        return [run for run, rows in self.store.rows.items() if not issubclass(KINDS[rows[-1].kind], TERMINAL)]

    async def exchanges(self, *_: object) -> Sequence[Exchange]:
        return ()

    async def allow(self, by: str, right: Right) -> None:
        return

    async def decided(self, runs: Sequence[str]) -> Sequence[Decided]:
        return ()  # in these worlds people answer through the program, which may die before the answer is kept

    async def answer(self, *_: object) -> int:
        return 0

    def taking(self, decided: Decided) -> None:
        return

    def expiring(self, run: str, task: str) -> None:
        return


class World:
    """Everything that happens, decided by one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store = Store()
        self.told: list[str] = []
        self.wrong: list[str] = []
        self.effects: dict[str, int] = {}  # key -> how often it was done
        self.seen: dict[str, int] = {}  # run -> the last fact that somebody was shown
        self.results: dict[str, int] = {}
        self.offset = 0.0  # seconds that the wall clock is wrong by
        self.flow = self.make_flow()

    # What nodes do.

    async def trouble(self, ctx: Context) -> None:
        """Waits, fails or runs out of memory, as it comes."""
        await anyio.sleep(self.chance.expovariate(20))
        dice = self.chance.random()
        if ctx.attempt < 3 and dice < 0.05:
            raise OutOfMemory("simulated")
        if ctx.attempt < 3 and dice < 0.15:
            raise ConnectionError("simulated")

    def make_flow(self) -> Flow[Number, Number]:
        world = self

        @node(retries=9, backoff=0.5)
        async def split(told: Number, *, ctx: Context) -> list[Number]:
            await world.trouble(ctx)
            return [Number(value=told.value + index) for index in range(4)]

        @node(retries=9, limit=2)
        async def work(told: Number, *, ctx: Context) -> Number | Doubt:
            await world.trouble(ctx)
            return Doubt(value=told.value) if told.value % 3 == 0 else Number(value=told.value)

        @node(timeout=0.2)
        async def fragile(told: Doubt, *, ctx: Context) -> Number:
            if told.value % 2:
                await anyio.sleep(3600)
            return Number(value=told.value)

        @node
        async def rescue(failure: Failure) -> Number:
            return Number(value=0)

        @node
        async def count(told: Number) -> Number:
            return told

        @node
        async def total(told: list[Number]) -> Number:
            return Number(value=sum(one.value for one in told))

        @node
        async def again(told: Number) -> Number | Doubt:
            return Number(value=told.value + 10) if told.value < 40 else Doubt(value=told.value)

        @node(effect="ask")
        async def publish(told: Number, *, ctx: Context) -> Number:
            await anyio.sleep(world.chance.expovariate(50))
            world.effects[ctx.key] = world.effects.get(ctx.key, 0) + 1
            await anyio.sleep(world.chance.expovariate(50))
            return told

        desk = Review[Doubt, Number]("desk")
        flow = Workflow("simulated", Number, Number)
        flow.start(split)
        flow.map(split, work, limit=3)
        flow.edge(work, fragile, on=Doubt)
        flow.on_error(fragile, rescue)
        flow.edge(work, count, on=Number)
        flow.edge(fragile, count)
        flow.join(count, total)
        return self.joined(flow, total, again, desk, publish)

    def joined(self, flow: Any, total: Any, again: Any, desk: Any, publish: Any) -> Flow[Number, Number]:
        flow.edge(total, again)
        flow.edge(again, again, on=Number, max_visits=9)
        flow.edge(again, desk, on=Doubt)
        flow.edge(desk, publish)
        flow.end(publish)
        return flow.build()

    # Lives of processes.

    async def live(self) -> None:
        for life in range(LIVES):
            self.tell(f"process {life}")
            with trio.CancelScope() as process:
                log = SimulatedLog(self.store, self.chance, process.cancel)
                try:
                    await self.one_life(log, process)
                finally:
                    log.dead = True
            self.check()
            if not process.cancelled_caught and len(self.results) == RUNS:
                return
        self.wrong.append("it never came to rest")

    async def one_life(self, log: SimulatedLog, process: trio.CancelScope) -> None:
        limit = self.chance.choice([None, 1, 3])
        async with Runtime(log=log, flows=[self.flow], limit=limit) as runtime, trio.open_nursery() as nursery:
            nursery.start_soon(self.disturb, process)
            taken = await runtime.resume()
            self.wrong += [f"refused: {error}" for error in taken.refused.values()]
            runs = [*taken.runs]
            ended = [run for run in self.store.rows if run not in {one.id for one in runs}]
            runs += [await runtime.resume_run(self.flow, run) for run in ended if run not in self.results]
            while len(self.store.rows) < RUNS:
                runs.append(await runtime.start(self.flow, Number(value=len(self.store.rows) * 7)))
            async with trio.open_nursery() as watched:
                for run in runs:
                    watched.start_soon(self.watch, run)
                    watched.start_soon(self.see_through, runtime, run)
            nursery.cancel_scope.cancel()

    async def disturb(self, process: trio.CancelScope) -> None:
        """Crashes, closes and clock jumps, now and then."""
        while True:
            await anyio.sleep(self.chance.expovariate(1.0))
            dice = self.chance.random()
            if dice < 0.3:
                self.offset += self.chance.uniform(-7200, 7200)
                self.tell(f"the clock jumps to {self.offset:+.0f} s")
            elif dice < 0.5:
                self.tell("the process is ended")
                process.cancel()

    async def watch(self, run: Run[Any]) -> None:
        """Somebody sees each fact; what was seen must never be lost."""
        async for event in run.events():
            if event.seq < self.seen.get(run.id, 0):
                continue
            if event.seq > len(self.store.rows[run.id]):
                self.wrong.append(f"{run.id}: fact {event.seq} was shown before it was kept")
            self.seen[run.id] = max(self.seen.get(run.id, 0), event.seq)

    async def see_through(self, runtime: Runtime, run: Run[Any]) -> None:
        """A person answers what the run asks, and retries what was given up."""
        while True:
            await run.wait_settled()
            if run.ended and isinstance(run.facts()[-1], RunFailed):
                self.tell(f"{run.id}: retried")
                run = await runtime.retry(self.flow, run.id)
                continue
            if run.ended:
                break
            await anyio.sleep(self.chance.expovariate(2))
            for request in run.pending:
                await run.answer(request.task, Approve())
            for question in run.unknown:
                done = self.effects.get(question.key, 0) > 0
                self.tell(f"{question.key}: {'it happened' if done else 'it did not happen'}")
                told = next(fact for fact in reversed(run.facts()) if getattr(fact, "inputs", None))
                await run.settle(question.task, happened=done, output=told.inputs[0] if done else None)
        self.results[run.id] = (await run.result()).value
        self.tell(f"{run.id}: {self.results[run.id]}")

    # What must hold.

    def check(self) -> None:
        for run, rows in self.store.rows.items():
            check_chain(run, rows)
            if len(rows) < self.seen.get(run, 0):
                self.wrong.append(f"{run}: fact {self.seen[run]} was shown and is lost")
            finished = [row.task for row in rows if row.kind == "task-finished"]
            self.wrong += [f"{run}: {task} finished twice" for task in set(finished) if finished.count(task) > 1]
        self.wrong += [f"{key} was done {times} times" for key, times in self.effects.items() if times > 1]

    def tell(self, what: str) -> None:
        self.told.append(f"{trio.current_time():8.3f} {what}")


def expected(value: int) -> int:
    """What the flow gives, written by hand."""
    total = sum(0 if one % 3 == 0 and one % 2 else one for one in range(value, value + 4))
    while total < 40:
        total += 10
    return total


@contextmanager
def determinism(world: World, seed: int) -> Iterator[None]:
    """trio's order of tasks, wall clocks and names of runs come from the seed."""
    names = random.Random(seed)
    runner: Any = trio._core._run
    clock = mock.Mock(time=lambda: 1.7e9 + trio.current_time() + world.offset, monotonic=trio.current_time)
    runner._r.seed(seed)
    with (
        mock.patch.object(runner, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
        mock.patch.object(run_module, "time", clock),
        mock.patch.object(runtime_module, "time", clock),
        mock.patch.object(uuid, "uuid4", side_effect=lambda: uuid.UUID(int=names.getrandbits(128), version=4)),
    ):
        yield


def simulate(seed: int) -> World:
    """The world of `seed`, from its beginning to its end."""
    world = World(seed)
    with determinism(world, seed):
        trio.run(world.live, clock=trio.testing.MockClock(autojump_threshold=0))
    for position, (run, value) in enumerate(
        sorted(world.results.items(), key=lambda one: list(world.store.rows).index(one[0]))
    ):
        if value != expected(position * 7):
            world.wrong.append(f"{run} gave {value}, not {expected(position * 7)}")
    return world


if __name__ == "__main__":
    for number in sys.argv[1:]:
        seen = simulate(int(number))
        print("\n".join(seen.told))  # noqa: T201
        print("\n".join(seen.wrong) or "nothing was wrong")  # noqa: T201
