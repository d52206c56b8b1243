"""An effect in doubt is asked about once, however often its run is taken up again."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from coterie.agents import Message
from coterie.orchestration import Flow, Runtime, Workflow, node
from coterie.orchestration.database_log import DatabaseLog
from coterie.orchestration.events import EffectIntended, EffectUnknown
from coterie.orchestration.queries import one_run


class Letter(Message):
    text: str


def sending() -> Flow[Letter, Letter]:
    @node(effect="ask")
    async def send(letter: Letter) -> Letter:
        await anyio.sleep_forever()
        return letter

    workflow = Workflow("sending", Letter, Letter)
    workflow.start(send)
    workflow.end(send)
    return workflow.build()


@pytest.mark.anyio
async def test_one_question_however_often_it_is_taken_up(tmp_path: Path) -> None:
    """The log holds one question, says that one waits, and an answer leaves none."""
    flow, place = sending(), tmp_path / "desk.db"
    async with Runtime(log=place) as runtime:
        run = await runtime.start(flow, Letter(text="a"))
        async with aclosing(run.events()) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, EffectIntended):
                    break
    for _ in range(3):
        async with Runtime(log=place) as runtime:
            again = await runtime.resume_run(flow, run.id)
            await again.wait_settled()
            assert [one.task for one in again.unknown] == ["send"]
            assert sum(isinstance(fact, EffectUnknown) for fact in again.facts()) == 1
    async with DatabaseLog(place) as log:
        summary = await log.call(lambda database: database.read(lambda found: one_run(found, run.id)))
    assert (summary.state, summary.asked) == ("waiting", 1)
    async with Runtime(log=place) as runtime:
        last = await runtime.resume_run(flow, run.id)
        await last.settle("send", happened=True, output=Letter(text="sent"))
        assert await last.result() == Letter(text="sent")
    async with DatabaseLog(place) as log:
        summary = await log.call(lambda database: database.read(lambda found: one_run(found, run.id)))
    assert (summary.state, summary.asked) == ("finished", 0)
