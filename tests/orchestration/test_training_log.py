"""What a role can learn from a whole log: corrections made at a desk, on exactly the messages that were wrong."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from coterie.agents.errors import NotDurable
from coterie.orchestration import Approve, MemoryLog, Runtime
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import Case, LineageStep
from coterie.orchestration.training_items import TrainingRow
from tests.orchestration.shown_facts import QUESTION, desk


def learnt(place: str, decide: Callable[[ReviewDesk, Case], Any], role: str | None = None) -> list[TrainingRow]:
    """The training rows of `role` after a run of the small desk, at which somebody did what `decide` does."""

    async def go() -> list[TrainingRow]:
        async with Runtime(log=place) as runtime:
            run = await runtime.start(desk(), QUESTION, thread="client-7")
            await run.wait_settled()
            await anyio.to_thread.run_sync(sit)
            return list(await runtime.log.training_rows(role))

    def sit() -> None:
        with ReviewDesk(place, "anna") as seat:
            item = seat.next()
            assert item is not None
            decide(seat, seat.case(item))

    return anyio.run(go)


def mood_of(case: Case, line: str) -> LineageStep:
    return next(step for step in case.lineage if step.message.fields.get("of") == line)


def test_an_amendment_reaches_exactly_the_role_that_made_the_message(database: str) -> None:
    """One of three moods was wrong: its row has the correction with before and after, and no other row has any."""

    def decide(seat: ReviewDesk, case: Case) -> None:
        step = mood_of(case, "Down")
        seat.amend(step, {**step.message.fields, "label": "bad"}, "it fell")

    rows = learnt(database, decide)
    assert {row.role for row in rows} == {"search", "mood", "write"}
    (corrected,) = [row for row in rows if row.feedback]
    assert (corrected.role, corrected.index, corrected.thread) == ("mood", None, "client-7")
    assert [message.fields for message in corrected.inputs] == [{"text": "Down"}]
    (feedback,) = corrected.feedback
    assert (feedback.kind, feedback.by, feedback.why) == ("gold", "anna", "it fell")
    assert feedback.before == {"of": "Down", "label": "good"}
    assert feedback.after == corrected.correction == {"of": "Down", "label": "bad"}


def test_an_amendment_that_is_taken_back_teaches_nothing(database: str) -> None:
    """It stays among the decisions, and so does that it was taken back."""

    def decide(seat: ReviewDesk, case: Case) -> None:
        step = mood_of(case, "Up")
        seat.amend(step, {**step.message.fields, "label": "bad"}, "a slip")
        seat.undo()
        assert [one.act for one in seat.decisions()] == ["undo", "amend"]

    assert [row for row in learnt(database, decide) if row.feedback] == []


def test_a_marked_passage_reaches_the_role_that_found_it(database: str) -> None:
    """Wrong or right, by its id."""

    def decide(seat: ReviewDesk, case: Case) -> None:
        seat.mark(next(one for one in case.evidence if one.id == "p2"), right=False, why="the weather")

    (row,) = learnt(database, decide, "search")
    assert [(one.kind, one.passage, one.why) for one in row.feedback] == [("wrong", "p2", "the weather")]


def test_an_answer_reaches_the_role_whose_message_was_proposed(database: str) -> None:
    """Although plain code handed the proposal on."""
    rows = learnt(database, lambda seat, case: seat.answer(case.item, Approve(by="anna")))
    assert [(row.role, [one.kind for one in row.feedback]) for row in rows if row.feedback] == [("write", ["approved"])]


def test_a_role_is_asked_for_by_name(database: str) -> None:
    """Only its messages, in the order in which they were asked for."""
    rows = learnt(database, lambda seat, case: None, "mood")
    assert [row.inputs[0].fields["text"] for row in rows] == ["Up", "Down", "Up again"]


@pytest.mark.anyio
async def test_the_log_in_memory_says_that_it_keeps_too_little() -> None:
    """And what to use instead."""
    with pytest.raises(NotDurable, match=r"keeps too little to learn from; use Runtime\(log='desk.db'\)"):
        await MemoryLog().training_rows("mood")
