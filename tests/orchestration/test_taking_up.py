"""A runtime takes up what nobody is at work on, itself included."""

from pathlib import Path

import anyio
import pytest

from coterie.agents import Message
from coterie.orchestration import Flow, RunError, Runtime, Workflow, node

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


class Slow:
    """A flow of one node that waits until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun, self.go = anyio.Event(), anyio.Event()

        @node
        async def slow(message: Text) -> Text:
            self.calls += 1
            self.begun.set()
            await self.go.wait()
            return message

        workflow: Workflow[Text, Text] = Workflow("slow", Text, Text)
        workflow.start(slow)
        workflow.end(slow)
        self.flow: Flow[Text, Text] = workflow.build()


async def test_a_runtime_does_not_resume_what_it_is_at_work_on(tmp_path: Path) -> None:
    """Neither a run that it has started, nor one that it has resumed before; each goes on undisturbed."""
    slow = Slow()
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(slow.flow, Text(text="a"))
        await slow.begun.wait()
        assert (await runtime.resume()).runs == ()
        assert await runtime.resume_run(slow.flow, run.id) is run
    slow.begun = anyio.Event()
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        (again,) = (await runtime.resume(slow.flow)).runs
        await slow.begun.wait()
        assert (await runtime.resume(slow.flow)).runs == ()
        slow.go.set()
        assert await again.result() == Text(text="a")
    assert slow.calls == 2


async def test_a_run_that_is_at_work_cannot_be_retried(tmp_path: Path) -> None:
    """It says so, and the run goes on undisturbed."""
    slow = Slow()
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        run = await runtime.start(slow.flow, Text(text="a"))
        await slow.begun.wait()
        with pytest.raises(RunError, match="is at work; only a run that a task has ended can be retried"):
            await runtime.retry(slow.flow, run.id)
        slow.go.set()
        assert await run.result() == Text(text="a")
