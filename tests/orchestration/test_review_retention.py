"""What is forgotten beside reviews: runs that nobody looked at, but no question that waits, and nothing decided."""

import time

import pytest

from coterie.orchestration import Approve, Runtime
from coterie.orchestration.queries import verify
from coterie.orchestration.retention import Pruned, prune
from coterie.orchestration.review_desk import ReviewDesk
from tests.orchestration.desks import Headline, asked, left, moods, opened, stored_rows


def pruned(database: str) -> Pruned:
    """What is forgotten of all that has ended by now; the log must be sound afterwards."""
    with opened(database) as log:
        with log.write() as connection:
            found = prune(connection, time.time() + 1)
        assert log.read(verify).faults == []
    return found


@pytest.mark.anyio
async def test_a_question_that_waits_is_not_forgotten(database: str) -> None:
    """Its run has not ended, however old it is."""
    await left(database, moods(), Headline(text="waits"))
    assert pruned(database).runs == 0
    assert [row.state for row in stored_rows(database)] == ["open"]


@pytest.mark.anyio
async def test_what_somebody_decided_about_is_kept_whole(database: str) -> None:
    """For training and for audits; the answer, and an amendment of a run that was then cancelled."""
    async with asked(database, moods(), Headline(text="answered"), Headline(text="amended")) as (answered, amended):
        with ReviewDesk(database, "anna") as desk:
            desk.answer(desk.item(answered.id, "desk"), Approve())
            step = desk.case(desk.item(amended.id, "desk")).lineage[-1]
            desk.amend(step, {**step.message.fields, "text": "mended"}, "a slip")
        await answered.result()
        await amended.cancel()
    found = pruned(database)
    assert (found.runs, found.kept_for_reviews) == (0, 2)
    assert sorted(row.state for row in stored_rows(database)) == ["closed", "ended"]


@pytest.mark.anyio
async def test_a_question_goes_with_a_run_that_nobody_looked_at(database: str) -> None:
    """It ended before anybody decided anything, so its row is forgotten with its facts."""
    async with Runtime(log=database) as runtime:
        run = await runtime.start(moods(), Headline(text="cancelled"))
        await run.wait_settled()
        await run.cancel()
    assert pruned(database).runs == 1
    assert stored_rows(database) == []
