"""What people do at a desk besides answering: take back, batch, skip, amend, mark, and what they are checked with."""

import anyio
import pytest

from coterie.orchestration import Approve, Choose, Reject, Runtime
from coterie.orchestration.errors import NothingToUndo, ReviewAnswerError, ReviewTaken
from coterie.orchestration.integrity import STREAK
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_queue import TOGETHER
from tests.orchestration.desks import Headline, acts, asked, left, moods, stored_decisions, stored_rows

GRACE = 60.0


def states(database: str) -> list[str]:
    return sorted(row.state for row in stored_rows(database))


@pytest.mark.anyio
async def test_answers_are_taken_back_one_after_the_other(database: str) -> None:
    """As many as still wait, latest first; each waits again as if it had not been answered, and can be answered."""
    runs = await left(database, moods(grace=GRACE), *(Headline(text=f"{number}") for number in range(3)))
    before = stored_rows(database)
    with ReviewDesk(database, "anna") as desk:
        given = [desk.answer(desk.item(run, "desk"), Choose(label="negative")) for run in runs]
        assert [one.seq for one in desk.waiting_release()] == [3, 2, 1]
        assert [desk.undo() for _ in runs] == [[one] for one in reversed(given)]
        assert stored_rows(database) == before
        with pytest.raises(NothingToUndo, match="there is nothing of yours to take back"):
            desk.undo()
        desk.answer(desk.item(runs[0], "desk"), Approve())
    assert [act for _, act in acts(database)] == ["choose"] * 3 + ["undo"] * 3 + ["approve"]


@pytest.mark.anyio
async def test_nobody_takes_back_what_another_did(database: str) -> None:
    """Each person has their own decisions."""
    (run,) = await left(database, moods(grace=GRACE), Headline(text="one"))
    with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
        anna.answer(anna.item(run, "desk"), Approve())
        with pytest.raises(NothingToUndo, match="there is nothing of yours"):
            bob.undo()
        assert bob.waiting_release() == []


@pytest.mark.anyio
async def test_three_later_answers_release_an_earlier_one(database: str) -> None:
    """The run takes it although its time is not over; the three wait on."""
    async with asked(database, moods(grace=3600.0), *(Headline(text=f"{number}") for number in range(4))) as runs:
        with ReviewDesk(database, "anna") as desk:
            for run in runs:
                desk.answer(desk.item(run.id, "desk"), Approve())
        await runs[0].result()
        assert states(database) == ["answered"] * 3 + ["closed"]
        with ReviewDesk(database, "anna") as desk:
            assert len(desk.waiting_release()) == 3


@pytest.mark.anyio
async def test_what_the_run_has_taken_cannot_be_taken_back(database: str) -> None:
    """And the sentence says why."""
    async with asked(database, moods(), Headline(text="one")) as (run,):
        with ReviewDesk(database, "anna") as desk:
            desk.answer(desk.item(run.id, "desk"), Approve())
            await run.result()
            with pytest.raises(NothingToUndo, match=r"approved at 'desk' .*: the run has taken it and gone on"):
                desk.undo()


@pytest.mark.anyio
async def test_a_batch_is_of_the_same_proposal_in_almost_the_same_words_and_undone_at_once(database: str) -> None:
    """At most 25; what is alike but proposed otherwise, or only half alike, is not in it."""
    same = [Headline(text=f"Profit of Nokia rose to EUR {number} mn in the first quarter") for number in range(10, 40)]
    other = Headline(text=f"{same[0].text}", says="negative")
    await left(database, moods(grace=GRACE), *same, other, Headline(text="The board met", sure=0.9))
    with ReviewDesk(database, "anna") as desk:
        item = next(one for one in desk.items() if "positive" in one.proposal.fields.values())
        found = desk.batch_of(item)
        assert found[0].place == item.place
        assert len({one.place for one in found}) == TOGETHER
        assert {one.proposal.fields["label"] for one in found} == {"positive"}
        given = desk.answer_batch(found, Approve(), seconds=10.0)
        assert len({one.batch for one in given}) == 1
        assert states(database).count("answered") == TOGETHER
        assert len(desk.undo()) == TOGETHER
    assert set(states(database)) == {"open"}


@pytest.mark.anyio
async def test_a_batch_is_answered_wholly_or_not_at_all(database: str) -> None:
    """Where somebody was first at one of its items, nothing of it is stored."""
    same = [Headline(text=f"Profit of Nokia rose to EUR {number} mn in the first quarter") for number in range(10, 14)]
    runs = await left(database, moods(grace=GRACE), *same)
    with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
        found = anna.batch_of(anna.item(runs[0], "desk"))
        assert len(found) == 4
        bob.answer(bob.item(runs[2], "desk"), Approve())
        with pytest.raises(ReviewTaken, match="was answered by bob first"):
            anna.answer_batch(found, Approve(), seconds=4.0)
    assert acts(database) == [("bob", "approve")]


@pytest.mark.anyio
async def test_a_skipped_item_waits_on_for_anybody(database: str) -> None:
    """How often it was skipped is kept, and that can be taken back, too."""
    (run,) = await left(database, moods(), Headline(text="one"))
    with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
        item = anna.next()
        assert item is not None
        anna.skip(item, seconds=1.0)
        again = bob.next()
        assert again is not None
        assert (again.place, again.skipped) == ((run, "desk"), 1)
        anna.undo()
        assert bob.item(run, "desk").skipped == 0
    assert acts(database) == [("anna", "skip"), ("anna", "undo")]


@pytest.mark.anyio
async def test_a_message_upstream_is_corrected_and_a_wrong_correction_is_not_stored(database: str) -> None:
    """Checked against its own type; the case shows the correction, and it can be taken back."""
    (run,) = await left(database, moods(), Headline(text="one"))
    with ReviewDesk(database, "anna") as desk:
        item = desk.item(run, "desk")
        step = next(one for one in desk.case(item).lineage if one.message.type == "Headline")
        with pytest.raises(ReviewAnswerError, match="this is no Headline: text is missing; nothing was stored"):
            desk.amend(step, {"sure": 0.5}, "no text")
        with pytest.raises(ReviewAnswerError, match="this Headline is as it was; nothing was stored"):
            desk.amend(step, dict(step.message.fields), "the same")
        assert stored_decisions(database) == []
        desk.amend(step, {**step.message.fields, "text": "two"}, "a typing error")
        (amended,) = next(one for one in desk.case(item).lineage if one.message.type == "Headline").amended
        assert (amended.by, amended.why) == ("anna", "a typing error")
        assert (amended.before["text"], amended.after["text"]) == ("one", "two")
        desk.undo()
        assert all(one.amended == () for one in desk.case(item).lineage)


@pytest.mark.anyio
async def test_after_fifteen_quick_approvals_the_next_item_is_blind(database: str) -> None:
    """A slow one, or a blind one, ends the streak."""
    runs = await left(database, moods(grace=GRACE), *(Headline(text=f"{number}") for number in range(STREAK + 2)))
    with ReviewDesk(database, "anna") as desk:
        for run in runs[:STREAK]:
            item = desk.item(run, "desk")
            assert not item.blind
            desk.answer(item, Approve(), seconds=1.0)
        item = desk.item(runs[STREAK], "desk")
        assert item.blind
        desk.answer(item, Approve(), seconds=1.0, blind=True, first="positive")
        assert not desk.item(runs[STREAK + 1], "desk").blind
    with ReviewDesk(database, "bob") as desk:
        assert not desk.item(runs[STREAK + 1], "desk").blind


@pytest.mark.anyio
async def test_an_item_with_a_known_answer_is_shown_once_before_another(database: str) -> None:
    """It looks like any other; what is said of it changes no run, can be skipped, and the item behind comes next."""
    flow = moods(checks=1.0)
    async with asked(database, flow, Headline(text="known"), Headline(text="known, too")) as known:
        with ReviewDesk(database, "anna") as anna:
            for run in known:
                anna.answer(anna.item(run.id, "desk"), Choose(label="negative"))
        for run in known:
            await run.result()
    new = await left(database, flow, Headline(text="new"))
    with ReviewDesk(database, "bob") as bob:
        check = bob.next()
        assert check is not None
        assert check.check
        assert check.run in {run.id for run in known}
        assert bob.case(check).item == check
        assert bob.batch_of(check) == [check]
        bob.answer(check, Approve(), seconds=2.0)
        item = bob.next()
        assert item is not None
        assert not item.check
        assert item.run == new[0]
        bob.answer(item, Approve())
    (told,) = [row for row in stored_decisions(database) if row.act == "check"]
    assert '"label":"positive","known":"negative"' in told.body
    assert [row.label for row in stored_rows(database) if row.run in {run.id for run in known}] == ["negative"] * 2


@pytest.mark.anyio
async def test_a_check_can_be_skipped(database: str) -> None:
    """As any item can; nothing of the known one changes."""
    flow = moods(checks=1.0)
    async with asked(database, flow, Headline(text="known")) as (run,):
        with ReviewDesk(database, "anna") as anna:
            anna.answer(anna.item(run.id, "desk"), Choose(label="negative"))
        await run.result()
    await left(database, flow, Headline(text="new"))
    known = [row for row in stored_rows(database) if row.run == run.id]
    with ReviewDesk(database, "bob") as bob:
        check = bob.next()
        assert check is not None
        assert check.check
        bob.skip(check)
        item = bob.next()
        assert item is not None
        assert not item.check
    assert [row for row in stored_rows(database) if row.run == run.id] == known


@pytest.mark.anyio
async def test_an_answer_waits_for_its_grace_and_is_taken_by_a_process_that_comes_later(database: str) -> None:
    """While no process holds the run nothing happens; a run with an answer in its grace is not settled before it is
    taken."""
    flow = moods(grace=0.3)
    (identity,) = await left(database, flow, Headline(text="one"))
    with ReviewDesk(database, "anna") as desk:
        desk.answer(desk.item(identity, "desk"), Choose(label="negative"))
        assert states(database) == ["answered"]
    async with Runtime(log=database) as runtime:
        run = await runtime.resume_run(flow, identity)
        await run.wait_settled()
        assert run.ended
        assert (await run.result()).label == "negative"


@pytest.mark.anyio
async def test_a_rejected_item_that_is_retried_is_asked_anew(database: str) -> None:
    """The earlier answer counts no more, and another one does."""
    flow = moods()
    async with Runtime(log=database) as runtime:
        run = await runtime.start(flow, Headline(text="one"))
        await run.wait_settled()
        await anyio.to_thread.run_sync(reject, database, run.id)
        with pytest.raises(Exception, match="anna rejected"):
            await run.result()
        again = await runtime.retry(flow, run.id)
        await again.wait_settled()
        (row,) = stored_rows(database)
        assert (row.state, row.decision, row.by, row.label, row.kept) == ("open", None, None, None, None)
        await again.answer("desk", Approve(by="bob"))
        assert (await again.result()).label == "positive"


def reject(database: str, run: str) -> None:
    with ReviewDesk(database, "anna") as desk:
        desk.answer(desk.item(run, "desk"), Reject(code="facts"))


@pytest.mark.anyio
async def test_a_batch_is_stored_whole_or_not_at_all(database: str) -> None:
    """Where one of its items was answered by somebody else meanwhile, none of the others is."""
    runs = await left(database, moods(grace=GRACE), *(Headline(text=f"{number}") for number in range(3)))
    with ReviewDesk(database, "anna") as anna, ReviewDesk(database, "bob") as bob:
        batch = [anna.item(run, "desk") for run in runs]
        bob.answer(bob.item(runs[-1], "desk"), Choose(label="negative"))
        with pytest.raises(ReviewTaken, match="was answered by bob first"):
            anna.answer_batch(batch, Approve(), seconds=3.0)
        assert anna.waiting_release() == []
    assert states(database) == ["answered", "open", "open"]
    assert acts(database) == [("bob", "choose")]
