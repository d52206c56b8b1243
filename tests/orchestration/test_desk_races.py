"""Who answers the same question at the same moment: one answer wins, and everybody else is told."""

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from coterie.orchestration import Approve, Choose, Edit, Reject
from coterie.orchestration.errors import LogError, ReviewAnswerError, ReviewTaken
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import EditFields
from tests.orchestration.desks import Headline, Mood, acts, asked, left, moods, stored_decisions, stored_rows

ROUNDS = 12


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each of `works` gives or raises, all begun at the same moment in threads of their own."""
    gate = threading.Barrier(len(works))
    found: list[Any] = [None] * len(works)

    def perform(place: int, work: Callable[[], Any]) -> None:
        gate.wait()
        try:
            found[place] = work()
        except LogError as error:
            found[place] = error

    threads = [threading.Thread(target=perform, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def answering(database: str, by: str, place: tuple[str, str], given: Any) -> Callable[[], Any]:
    def work() -> Any:
        with ReviewDesk(database, by) as desk:
            return desk.answer(desk.item(*place), given)

    return work


@pytest.mark.anyio
async def test_the_second_answer_is_told_who_was_first(database: str) -> None:
    """Nothing of it is stored."""
    (run,) = await left(database, moods(grace=60.0), Headline(text="one"))
    with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
        item = bob.item(run, "desk")
        anna.answer(anna.item(run, "desk"), Approve())
        before = stored_rows(database)
        with pytest.raises(
            ReviewTaken, match=r"'desk' of run .* was answered by anna first; your answer was not stored"
        ):
            bob.answer(item, Choose(label="negative"))
    assert stored_rows(database) == before
    assert acts(database) == [("anna", "approve")]


@pytest.mark.anyio
async def test_of_answers_at_the_same_moment_one_wins(database: str) -> None:
    """Many rounds: one decision for each item, and its chain of hashes is whole."""
    runs = await left(database, moods(), *(Headline(text=f"{number}") for number in range(ROUNDS)))
    for run in runs:
        place = run, "desk"
        found = await anyio.to_thread.run_sync(
            at_once,
            answering(database, "anna", place, Approve()),
            answering(database, "bob", place, Choose(label="negative")),
            answering(database, "cleo", place, Reject(code="facts")),
        )
        assert sum(not isinstance(one, LogError) for one in found) == 1, found
        assert all(isinstance(one, LogError) for one in found if isinstance(one, Exception))
    assert len(stored_decisions(database)) == ROUNDS
    assert {row.state for row in stored_rows(database)} == {"answered"}


@pytest.mark.anyio
async def test_people_who_come_at_the_same_moment_get_different_items(database: str) -> None:
    """Nobody is refused, and nobody has another's item."""
    await left(database, moods(), *(Headline(text=f"{number}") for number in range(6)))

    def coming(by: str) -> Callable[[], Any]:
        def work() -> Any:
            with ReviewDesk(database, by) as desk:
                item = desk.next()
                assert item is not None
                return item.place

        return work

    found = await anyio.to_thread.run_sync(at_once, *(coming(by) for by in ("anna", "bob", "cleo", "dora")))
    assert len(set(found)) == 4


@pytest.mark.anyio
async def test_a_desk_and_the_program_at_the_same_moment_make_one_answer(database: str) -> None:
    """Whoever was second is told, and the run goes on with what won."""
    async with asked(database, moods(), *(Headline(text=f"{number}") for number in range(ROUNDS))) as runs:
        for run in runs:
            won: list[str] = []

            async def inside(run: Any = run, won: list[str] = won) -> None:
                try:
                    await run.answer("desk", Choose(label="neutral", by="program"))
                    won.append("neutral")
                except (ReviewTaken, ReviewAnswerError):
                    pass

            def outside(run: Any = run, won: list[str] = won) -> None:
                try:
                    answering(database, "anna", (run.id, "desk"), Choose(label="negative"))()
                    won.append("negative")
                except LogError:
                    pass

            async with anyio.create_task_group() as group:
                group.start_soon(inside)
                group.start_soon(anyio.to_thread.run_sync, outside)
            (label,) = won
            assert (await run.result()).label == label
    assert len(stored_decisions(database)) == ROUNDS


@pytest.mark.anyio
async def test_undoing_and_taking_at_the_same_moment_breaks_no_run(database: str) -> None:
    """An answer is taken or taken back, and the run ends either way."""
    async with asked(database, moods(), *(Headline(text=f"{number}") for number in range(ROUNDS))) as runs:
        for run in runs:

            def hesitate(run: Any = run) -> None:
                with ReviewDesk(database, "anna") as desk:
                    desk.answer(desk.item(run.id, "desk"), Approve())
                    try:
                        desk.undo()
                    except LogError:
                        return
                    desk.answer(desk.item(run.id, "desk"), Choose(label="negative"))

            await anyio.to_thread.run_sync(hesitate)
            label = (await run.result()).label
            taken = [row for row in stored_rows(database) if row.run == run.id]
            assert [row.label for row in taken] == [label]


@pytest.mark.anyio
async def test_two_people_must_give_the_same_answer_where_the_flow_wants_two(database: str) -> None:
    """The same edit counts, in whatever order its fields are written; the run waits until then."""
    one = EditFields("Mood", {"label": "neutral", "confidence": 0.5}, by="")
    same = EditFields("Mood", {"confidence": 0.5, "label": "neutral"}, by="")
    async with asked(database, moods(approvals=2), Headline(text="one"), Headline(text="two")) as runs:
        with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
            for run, first, second in zip(runs, (Approve(), one), (Approve(), same), strict=True):
                anna.answer(anna.item(run.id, "desk"), first)
                assert not run.ended
                with pytest.raises(ReviewAnswerError, match="you have answered so already; 2 people must, so another"):
                    anna.answer(anna.item(run.id, "desk"), first)
                bob.answer(bob.item(run.id, "desk"), second)
        assert [(await run.result()).label for run in runs] == ["positive", "neutral"]


@pytest.mark.anyio
async def test_different_answers_of_two_people_leave_the_question_open(database: str) -> None:
    """Who said what is shown; a third who says the same as one of them ends it, and one rejection is enough."""
    async with asked(database, moods(approvals=2), Headline(text="one"), Headline(text="two")) as runs:
        place, other = (runs[0].id, "desk"), (runs[1].id, "desk")
        with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
            anna.answer(anna.item(*place), Approve())
            bob.answer(bob.item(*place), Choose(label="negative"))
            item = anna.item(*place)
            assert item.approved_by == ("anna",)
            assert item.notes == ("bob would choose negative; 2 people must say the same",)
            anna.answer(anna.item(*other), Approve())
            bob.answer(bob.item(*other), Reject(code="policy"))
        with ReviewDesk(database, "cleo") as cleo:
            cleo.answer(cleo.item(*place), Choose(label="negative"))
        assert (await runs[0].result()).label == "negative"
        with pytest.raises(Exception, match="bob rejected"):
            await runs[1].result()


@pytest.mark.anyio
async def test_a_person_and_a_program_agree_on_the_same_edit(database: str) -> None:
    """What a program answers counts as what a desk does."""
    async with asked(database, moods(approvals=2), Headline(text="one")) as (run,):
        with ReviewDesk(database, "anna") as anna:
            anna.answer(anna.item(run.id, "desk"), EditFields("Mood", {"label": "neutral", "confidence": 0.5}, by=""))
        await run.answer("desk", Edit(message=Mood(label="neutral", confidence=0.5), by="program"))
        assert (await run.result()).label == "neutral"
