"""A desk: in which order it shows what waits, whom an item belongs to, and what it refuses."""

import re
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coterie.orchestration import Approve, Choose, Reject, Rule, review_queue
from coterie.orchestration.errors import NoSuchReview, NotAllowed, ReviewAnswerError, ReviewTaken
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import EditFields, QueueFilter
from coterie.orchestration.review_queue import CLAIM
from tests.orchestration.desks import (
    Clock,
    Headline,
    acts,
    asked,
    left,
    moods,
    stored_decisions,
    stored_rows,
)

UNSURE = Headline(text="unsure", sure=0.4)
NOW = 2_000_000_000.0  # after anything that a test asks


def texts(found: Any) -> list[str]:
    return [item.about for item in found]


@pytest.mark.anyio
async def test_what_costs_most_and_is_least_sure_comes_first(database: str) -> None:
    """Then what a rule objects to, then what has waited longest."""
    rules = (Rule("gloom", "nothing is good news", lambda mood: mood.label != "positive"),)
    flow = moods(rules=rules, always=True, risk=lambda mood: 5.0 if mood.label == "negative" else 1.0)
    await left(
        database,
        flow,
        Headline(text="old", sure=0.5, says="neutral"),
        Headline(text="young", sure=0.5, says="neutral"),
        Headline(text="objected", sure=0.5, says="positive"),
        Headline(text="sure", sure=0.9, says="neutral"),
        Headline(text="costly", sure=0.8, says="negative"),
    )
    with ReviewDesk(database, "anna") as desk:
        order = [text.split()[0] for text in texts(desk.items())]
        assert order == ["costly", "objected", "old", "young", "sure"]
        seen = []
        while (item := desk.next(skip=[one.place for one in seen])) is not None:
            seen.append(item)
        assert [text.split()[0] for text in texts(seen)] == order


@pytest.mark.anyio
async def test_near_duplicates_follow_each_other(database: str) -> None:
    """In the list, and after a decision about one of them."""
    await left(
        database,
        moods(),
        Headline(text="Profit rose to EUR 7 mn in the first quarter", sure=0.3),
        Headline(text="The board met", sure=0.4),
        Headline(text="Profit rose to EUR 9 mn in the first quarter", sure=0.5),
    )
    with ReviewDesk(database, "anna") as desk:
        assert [text[:6] for text in texts(desk.items())] == ["Profit", "Profit", "The bo"]
        assert [item.alike_open for item in desk.items()] == [2, 2, 1]
        item = desk.next()
        assert item is not None
        desk.answer(item, Approve())
        following = desk.next()
        assert following is not None
        assert following.about.startswith("Profit rose to EUR 9")


AWKWARD = (
    "100% sure",
    "snake_case",
    "back\\slash",
    "quote ' OR 1=1 --",
    "ÉTÉ straße",
    "İstanbul",
    "emoji 😀",
    "tab\tnew",
)


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log with awkward texts that wait."""
    place = str(tmp_path_factory.mktemp("filtered") / "desk.db")
    anyio.run(left, place, moods(), *(Headline(text=text) for text in AWKWARD))
    return place


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.none()
    | st.sampled_from(["%", "_", "\\", "'", "été", "STRASSE", "i̇", "😀", "POSITIVE", ""])
    | st.text(st.characters(exclude_categories=()), max_size=4)
)
def test_a_filter_gives_what_a_filter_in_python_gives(filtered: str, text: str | None) -> None:
    """Whatever text it is given, in any case, and never anything else."""
    with ReviewDesk(filtered, "anna") as desk:
        chosen = {item.run for item in desk.items(QueueFilter(text=text))}
    expected = {row.run for row in stored_rows(filtered) if text is None or text.casefold() in row.text}
    assert chosen == expected


@pytest.mark.anyio
async def test_filters_of_flow_node_role_thread_and_number_hold_together(database: str) -> None:
    """Each of them, for the list and for what comes next; a desk for one flow shows no other."""
    await left(database, moods(), UNSURE, UNSURE)
    with ReviewDesk(database, "anna") as desk:
        assert len(desk.items(QueueFilter(flow="moods", node="desk", role="mood"))) == 2
        assert len(desk.items(QueueFilter(limit=1))) == 1
        for none in (QueueFilter(flow="x"), QueueFilter(node="x"), QueueFilter(role="x"), QueueFilter(thread="x")):
            assert desk.items(none) == []
            assert desk.next(none) is None
            assert desk.budget(none).left == 0
        assert desk.budget().left == 2
    with ReviewDesk(database, "anna", flow="another") as desk:
        assert desk.next() is None


@pytest.mark.anyio
@pytest.mark.parametrize("remembered", [2, 200])
async def test_a_text_is_found_wherever_it_waits(
    database: str, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    """Also beyond the places that are remembered; what is answered or skipped does not come again."""
    monkeypatch.setattr(review_queue, "FOUND", remembered)
    names = [f"rare {number * 7919}" for number in range(5)]
    flow = moods(grace=10.0)
    await left(database, flow, *(Headline(text=name, sure=0.5) for name in names), Headline(text="other", sure=0.1))
    seen: list[tuple[str, str]] = []
    skipped: set[tuple[str, str]] = set()
    with ReviewDesk(database, "anna") as desk:
        while (item := desk.next(QueueFilter(text="RARE"), skip=skipped)) is not None:
            seen.append(item.place)
            if len(seen) % 2:
                desk.answer(item, Approve())
            else:
                desk.skip(item)
                skipped.add(item.place)
        assert len(seen) == len(set(seen)) == 5
        desk.undo()
        again = desk.next(QueueFilter(text="rare"), skip=skipped)
        assert again is not None
        assert again.place == seen[-1]


@pytest.mark.anyio
async def test_an_item_that_somebody_has_open_is_not_given_to_others_until_their_lease_ends(database: str) -> None:
    """It reopens at the same person's desk, whatever else waits, and comes back to others when it expires."""
    clock = Clock(NOW)
    await left(database, moods(), UNSURE)
    with ReviewDesk(database, "anna", clock=clock) as anna:
        mine = anna.next()
    with ReviewDesk(database, "bob", clock=clock) as bob, ReviewDesk(database, "anna", clock=clock) as anna:
        assert mine is not None
        assert bob.next() is None
        assert bob.item(mine.run, mine.task).claimed_by == "anna"
        assert anna.next() == mine
        with pytest.raises(ReviewTaken, match="is open at the desk of anna; your answer was not stored"):
            bob.answer(mine, Approve())
        clock.now += CLAIM + 1
        again = bob.next()
        assert again is not None
        assert again.place == mine.place
        with pytest.raises(ReviewTaken, match="is open at the desk of bob"):
            anna.answer(mine, Approve())
    assert acts(database) == []


@pytest.mark.anyio
async def test_an_item_is_held_on_for_somebody_who_is_still_at_it(database: str) -> None:
    """As long as they press a key now and then; what somebody else has taken meanwhile is theirs."""
    clock = Clock(NOW)
    await left(database, moods(), UNSURE)
    with ReviewDesk(database, "anna", clock=clock) as anna, ReviewDesk(database, "bob", clock=clock) as bob:
        mine = anna.next()
        assert mine is not None
        for _ in range(4):
            clock.now += CLAIM * 0.6
            anna.keep_claim(mine)
            assert bob.next() is None
        clock.now += CLAIM + 1
        assert bob.next() is not None
        anna.keep_claim(mine)
        assert anna.item(*mine.place).claimed_by == "bob"


@pytest.mark.anyio
async def test_the_same_item_opens_again_at_the_same_persons_desk(database: str) -> None:
    """Even where something more urgent has come meanwhile."""
    flow = moods()
    async with asked(database, flow, UNSURE):
        with ReviewDesk(database, "anna") as desk:
            mine = desk.next()
    await left(database, flow, Headline(text="urgent", sure=0.1))
    with ReviewDesk(database, "anna") as desk:
        again = desk.next()
        assert mine is not None
        assert again is not None
        assert again.place == mine.place
        desk.release_claim(again)
        urgent = desk.next()
        assert urgent is not None
        assert urgent.about.startswith("urgent")


@pytest.mark.anyio
async def test_an_answer_at_a_desk_makes_the_run_go_on(database: str) -> None:
    """Each kind of answer, in the words of the flow."""
    messages = [Headline(text=text) for text in ("approved", "chosen", "edited", "rejected")]
    async with asked(database, moods(), *messages) as runs:
        given = [
            Approve(),
            Choose(label="negative"),
            EditFields("Mood", {"label": "neutral", "confidence": 0.5}, by="anna"),
            Reject(code="facts"),
        ]
        with ReviewDesk(database, "anna") as desk:
            for run, answer in zip(runs, given, strict=True):
                desk.answer(desk.item(run.id, "desk"), answer, seconds=2.0)
        assert (await runs[0].result()).label == "positive"
        assert (await runs[1].result()).model_dump() == {"label": "negative", "confidence": 1.0}
        assert (await runs[2].result()).model_dump() == {"label": "neutral", "confidence": 0.5}
        with pytest.raises(Exception, match="anna rejected the proposal at 'desk': what it says is not so"):
            await runs[3].result()
    assert [(row.state, row.kept) for row in stored_rows(database)].count(("closed", 1)) == 1
    assert [act for _, act in acts(database)] == ["approve", "choose", "edit", "reject"]


BROKEN: list[tuple[Any, str]] = [
    (Choose(label="joyful"), "'desk' has no label 'joyful' to choose; its labels are: positive, neutral, negative"),
    (Reject(code="taste"), "'taste' is no reason code of 'desk'; they are facts, evidence, tone, policy, other"),
    (EditFields("Mood", {"label": "neutral", "confidence": 2}, by=""), "confidence is 2, but must be at most 1"),
    (EditFields("Mood", {"label": "glad", "confidence": 1}, by=""), "label is 'glad', but must be one of 'positive'"),
    (EditFields("Mood", {"label": "neutral"}, by=""), "this is no Mood: confidence is missing; nothing was stored"),
    (EditFields("Mood", {"label": "neutral", "confidence": 1, "x": 1}, by=""), "x is no field of it; its fields are"),
    (EditFields("Headline", {"text": "x"}, by=""), "(type) is Headline, but must be one of Mood"),
]


@pytest.mark.anyio
async def test_an_answer_that_does_not_fit_is_refused_and_nothing_is_stored(database: str) -> None:
    """With the field and the reason; no decision, and the row is as it was."""
    await left(database, moods(), UNSURE)
    with ReviewDesk(database, "anna") as desk:
        item = desk.next()
        assert item is not None
        before = stored_rows(database)
        for answer, said in BROKEN:
            with pytest.raises(ReviewAnswerError, match=re.escape(said)):
                desk.answer(item, answer)
    assert stored_rows(database) == before
    assert stored_decisions(database) == []


@pytest.mark.anyio
async def test_whoever_starts_a_run_may_not_decide_about_it_where_the_flow_says_so(database: str) -> None:
    """Nor anybody, where nobody said who started it."""
    flow = moods(author_may_decide=False)
    (own,) = await left(database, flow, UNSURE, by="otto")
    said = "'otto' is the run's author here and may not decide"
    with ReviewDesk(database, "otto") as desk, pytest.raises(NotAllowed, match=said):
        desk.answer(desk.item(own, "desk"), Approve())
    with ReviewDesk(database, "anna") as desk:
        desk.answer(desk.item(own, "desk"), Approve())
    assert acts(database) == [("anna", "approve")]


@pytest.mark.anyio
async def test_what_does_not_wait_cannot_be_looked_at(database: str) -> None:
    """The sentence says what became of it."""
    async with asked(database, moods(), UNSURE) as (run,):
        with ReviewDesk(database, "anna") as desk:
            with pytest.raises(NoSuchReview, match=r"no review waits at 'x' of run .*: there is no such review"):
                desk.item(run.id, "x")
            item = desk.item(run.id, "desk")
            desk.answer(item, Approve())
            await run.result()
            with pytest.raises(NoSuchReview, match="it was decided by anna, and its run has gone on"):
                desk.item(run.id, "desk")
            with pytest.raises(ReviewTaken, match="waits no more: it was decided by anna, and its run has gone on"):
                desk.answer(item, Approve())
