"""Programs that break a promise each, some of them by breaking Coterie itself, in their own process."""

from collections.abc import Sequence
from typing import Any

from coterie.agents import Context, Message
from coterie.orchestration import Run, Runtime, Workflow, attempt, node
from coterie.orchestration.database import Database
from coterie.orchestration.events import Event
from coterie.orchestration.scheduler import _Step
from coterie.orchestration.state import Command, Task
from tests.orchestration.crashes.desk import MAILED, lines, note


class Text(Message):
    text: str


@node
async def think(question: Text) -> Text:
    return Text(text=question.text + "!")


@node(effect="ask")
async def mail(told: Text, *, ctx: Context) -> Text:
    note(MAILED, ctx.key)
    return told


workflow: Workflow[Text, Text] = Workflow("small", Text, Text)
workflow.start(think)
workflow.edge(think, mail)
workflow.end(mail)
flow = workflow.build()


async def sound(runtime: Runtime) -> Text:
    """Breaks nothing."""
    run = await runtime.start(flow, Text(text="a"), key="trial")
    await run.wait_settled()
    for asked in run.unknown:
        await run.settle(asked.task, happened=asked.key in lines(MAILED), output=Text(text="a!"))
    return await run.result()


async def forgetful(runtime: Runtime) -> Text:
    """Starts another run each time."""
    return await (await runtime.start(flow, Text(text="a"))).result()


async def fickle(runtime: Runtime) -> Text:
    """Returns something else when it is performed again."""
    note(MAILED, "performed")
    return Text(text=f"{len(lines(MAILED))} times, {(await sound(runtime)).text}")


async def boastful(runtime: Runtime) -> Text:
    """Tells of facts before they are kept."""
    keep = Run._record

    async def record(self: Run[Any], *happened: Event, cause: Exception | None = None) -> list[Command]:
        self._publish(happened)
        return await keep(self, *happened, cause=cause)

    Run._record = record  # type: ignore[method-assign]
    return await sound(runtime)


async def loose(runtime: Runtime) -> Text:
    """Writes without a transaction."""
    Database._begin_hot = lambda self, cursor, wait: None  # type: ignore[method-assign]
    return await sound(runtime)


async def tireless(runtime: Runtime) -> Text:
    """Takes up what had finished."""
    finish = _Step.finished

    def finished(self: _Step, task: Task, output: Any) -> None:
        finish(self, task, output)
        self.state.tasks[task.id] = task

    _Step.finished = finished  # type: ignore[method-assign]
    return await sound(runtime)


async def careless(runtime: Runtime) -> Text:
    """Does not keep what it intends to do."""
    intended: Sequence[str] = ()
    attempt.INTENDED = intended  # type: ignore[attr-defined]
    return await sound(runtime)


async def failing(runtime: Runtime) -> Text:
    """Never comes to its end."""
    raise RuntimeError("no")
