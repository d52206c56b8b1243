"""A log through its life, beside a plain model of it: starts, steps, crashes, answers, forks, prunes, migrations, in
any order.

MACHINE_EXAMPLES sets how many lives are drawn.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coterie.agents import Message, migrate
from coterie.orchestration import Approve, Flow, Review, Run, Runtime, Workflow, node, scheduler
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import TaskFinished
from coterie.orchestration.queries import RunFilter, list_runs, verify
from coterie.orchestration.retention import prune

STEPS = ("first", "second", "third")


class Text(Message):
    text: str


class Words(Message):
    """The second version of the same stored type; what the first one said is in other fields."""

    schema_name = "Text"
    schema_version = 2
    words: tuple[str, ...]


class Length(Message):
    """The third."""

    schema_name = "Text"
    schema_version = 3
    words: tuple[str, ...]
    length: int


@migrate(Words, 1, 2)
@migrate(Length, 1, 2)
def split(fields: dict[str, Any]) -> dict[str, Any]:
    return {"words": list(fields["text"])}


@migrate(Length, 2, 3)
def count(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "length": len(fields["words"])}


VERSIONS: tuple[type[Any], ...] = (Text, Words, Length)


def written(kind: type[Any], text: str) -> Any:
    """`text` as a message of that version."""
    if kind is Text:
        return Text(text=text)
    return Words(words=tuple(text)) if kind is Words else Length(words=tuple(text), length=len(text))


def spoken(message: Any) -> str:
    """What a message of any version says."""
    return message.text if isinstance(message, Text) else "".join(message.words)


def flow_of(kind: type[Any], reviewed: bool, allowed: int) -> Flow[Any, Any]:
    """Three nodes in a row, perhaps with a person before the last; only the first `allowed` of them ever answer."""

    def step(position: int) -> Any:
        async def work(told: Any) -> Any:
            if position >= allowed:
                await anyio.sleep_forever()
            return written(kind, spoken(told) + STEPS[position][0])

        work.__annotations__ = {"told": kind, "return": kind}
        return node(name=STEPS[position])(work)

    first, second, third = (step(position) for position in range(3))
    desk: Any = Review[kind, kind]("desk")  # type: ignore[valid-type]
    flow = Workflow("reviewed" if reviewed else "plain", kind, kind)
    flow.start(first)
    flow.edge(first, second)
    flow.edge(second, desk if reviewed else third)
    if reviewed:
        flow.edge(desk, third)
    flow.end(third)
    return flow.build()


@dataclass
class Model:
    """What a run must be."""

    reviewed: bool
    text: str
    done: int = 0  # steps that have answered
    answered: bool = False
    forked_from: str | None = None

    @property
    def asks(self) -> bool:
        return self.reviewed and self.done == 2 and not self.answered

    @property
    def state(self) -> str:
        return "finished" if self.done == 3 else "waiting" if self.asks else "running"

    @property
    def tasks(self) -> list[str]:
        return [*STEPS[: min(self.done, 2)], *(["desk"] if self.answered else []), *STEPS[2 : self.done]]

    @property
    def said(self) -> list[str]:
        """What each of the tasks answered; a person approves, which adds nothing."""
        letters = ["" if task == "desk" else task[0] for task in self.tasks]
        return [self.text + "".join(letters[: number + 1]) for number in range(len(letters))]


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.place = self.folder / "desk.db"
        self.runs: dict[str, Model] = {}
        self.kind: type[Any] = Text
        self.life(lambda runtime: anyio.lowlevel.checkpoint(), crash=False)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def life(self, work: Callable[[Runtime], Awaitable[Any]], crash: bool) -> Any:
        """What `work` does in a process of its own, which then closes its log, or ends without a word."""

        async def live() -> Any:
            async with Runtime(log=self.place) as runtime:
                return await work(runtime)

        async def nothing(run: Run[Any]) -> None:
            return

        with mock.patch.object(scheduler, "CRASHES", 1_000_000):  # giving up is another test's
            if not crash:
                return anyio.run(live)
            with mock.patch.object(Run, "_suspend", nothing):
                return anyio.run(live)

    def flow(self, reviewed: bool, allowed: int) -> Flow[Any, Any]:
        """The flow as the program of today has it."""
        return flow_of(self.kind, reviewed, allowed)

    async def reached(self, run: Run[Any], model: Model) -> None:
        """Wait until the run has done what its model says, and said what its steps make of its text."""
        with anyio.fail_after(10):
            while [fact.task for fact in self.finished(run)] != model.tasks:
                await anyio.sleep(0.0005)
            if model.state != "running":
                await run.wait_settled()
        assert [spoken(fact.output) for fact in self.finished(run)] == model.said

    def finished(self, run: Run[Any]) -> list[TaskFinished]:
        return [fact for fact in run.facts() if isinstance(fact, TaskFinished)]

    def chosen(self, data: st.DataObject, fits: Callable[[Model], bool]) -> str:
        return data.draw(st.sampled_from([run for run, model in self.runs.items() if fits(model)]))

    @rule(text=st.text(max_size=3), reviewed=st.booleans(), steps=st.integers(0, 2), crash=st.booleans())
    def start(self, text: str, reviewed: bool, steps: int, crash: bool) -> None:
        model = Model(reviewed, text.encode("utf-8", "replace").decode().replace("\0", ""), steps)

        async def work(runtime: Runtime) -> str:
            run = await runtime.start(self.flow(reviewed, steps), written(self.kind, model.text))
            await self.reached(run, model)
            return run.id

        self.runs[self.life(work, crash)] = model

    @precondition(lambda self: any(not model.asks and model.done < 3 for model in self.runs.values()))
    @rule(data=st.data(), crash=st.booleans())
    def step(self, data: st.DataObject, crash: bool) -> None:
        """A run is taken up, does one more step, and is left."""
        identity = self.chosen(data, lambda model: not model.asks and model.done < 3)
        model = self.runs[identity]
        model.done += 1

        async def work(runtime: Runtime) -> None:
            run = await runtime.resume_run(self.flow(model.reviewed, model.done), identity)
            await self.reached(run, model)

        self.life(work, crash)

    @precondition(lambda self: any(model.asks for model in self.runs.values()))
    @rule(data=st.data(), crash=st.booleans())
    def answer(self, data: st.DataObject, crash: bool) -> None:
        """A person answers, in another process than the one that asked."""
        identity = self.chosen(data, lambda model: model.asks)
        model = self.runs[identity]

        async def work(runtime: Runtime) -> None:
            run = await runtime.resume_run(self.flow(True, 2), identity)
            await run.answer("desk", Approve())
            model.answered = True
            await self.reached(run, model)

        self.life(work, crash)

    @precondition(lambda self: any(model.done >= 1 for model in self.runs.values()))
    @rule(data=st.data(), crash=st.booleans())
    def fork(self, data: st.DataObject, crash: bool) -> None:
        """Before the second step: only the first is taken over."""
        identity = self.chosen(data, lambda model: model.done >= 1)
        old = self.runs[identity]
        model = Model(old.reviewed, old.text, 1, forked_from=identity)

        async def work(runtime: Runtime) -> str:
            run = await runtime.fork(self.flow(old.reviewed, 1), identity, before="second")
            await self.reached(run, model)
            return run.id

        self.runs[self.life(work, crash)] = model

    @precondition(lambda self: self.kind is not VERSIONS[-1])
    @rule()
    def migrate(self) -> None:
        """The program has the next version of its message; what older ones wrote goes on, is forked and answered."""
        self.kind = VERSIONS[VERSIONS.index(self.kind) + 1]

    @rule()
    def forget(self) -> None:
        """Ended runs in which nobody decided go, unless a fork of them is still at work."""

        async def work(runtime: Runtime) -> Any:
            log: Any = runtime.log

            def forgotten(database: Any) -> Any:
                with database.write() as connection:
                    return prune(connection, time.time() + 1)

            return await log.call(forgotten)

        at_work = {model.forked_from for model in self.runs.values() if model.state != "finished"}
        ended = {run for run, model in self.runs.items() if model.state == "finished" and not model.answered}
        gone = ended - at_work
        assert self.life(work, crash=False).runs == len(gone)
        for run in gone:
            del self.runs[run]

    @rule()
    def resume_all(self) -> None:
        """Everything that has not ended is taken up at once, and nothing is refused."""

        async def work(runtime: Runtime) -> Any:
            return await runtime.resume(self.flow(True, 0), self.flow(False, 0))

        taken = self.life(work, crash=False)
        open_runs = {run for run, model in self.runs.items() if model.state != "finished"}
        assert {run.id for run in taken.runs} == open_runs
        assert not taken.refused

    @invariant()
    def the_log_is_what_the_model_says(self) -> None:
        async def look() -> Any:
            async with DatabaseLog(self.place) as log:
                return await log.call(
                    lambda one: one.read(lambda found: (verify(found).faults, list_runs(found, RunFilter())))
                )

        faults, listed = anyio.run(look)
        assert faults == []
        assert {run.id: run.state for run in listed} == {run: model.state for run, model in self.runs.items()}


LogMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "25")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLogMachine = pytest.mark.timeout(1200)(LogMachine.TestCase)
