"""Whatever two people do at their desks, in whatever order: decisions and the rows of questions say the same."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coterie.orchestration import Approve, Choose, Reject, review_deciding
from coterie.orchestration.decisions import check_decisions, decision_of
from coterie.orchestration.errors import NoSuchReview, NothingToUndo, ReviewAnswerError, ReviewTaken
from coterie.orchestration.integrity import ANSWERS, settle
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.review_items import EditFields, Item
from coterie.orchestration.review_queue import CLAIM
from coterie.orchestration.review_rows import ReviewRow
from coterie.orchestration.schema import decisions, reviews
from tests.orchestration.desks import Clock, Headline, left, moods

GRACE = 10.0
PEOPLE = st.sampled_from(["anna", "bob"])
PLACES = st.integers(0, 2)
GIVEN = st.sampled_from(
    [
        Approve(),
        Choose(label="negative"),
        Choose(label="positive"),
        Reject(code="facts"),
        EditFields("Mood", {"label": "neutral", "confidence": 0.5}, by=""),
    ]
)
TOLD = (NoSuchReview, NothingToUndo, ReviewAnswerError, ReviewTaken)


class Desks(RuleBasedStateMachine):
    """Two people, three items, and a run that takes what is due."""

    template: Path
    runs: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name) / "desk.db"
        shutil.copy(self.template, place)
        self.clock = Clock(2_000_000_000.0)
        self.desks = {by: ReviewDesk(place, by, clock=self.clock).__enter__() for by in ("anna", "bob")}
        self.items: dict[int, Item] = {}
        self.taken: dict[tuple[str, str], ReviewRow] = {}

    def teardown(self) -> None:
        for desk in self.desks.values():
            desk.__exit__(None, None, None)
        self.folder.cleanup()

    @property
    def log(self) -> Any:
        return self.desks["anna"]._opened()  # the log that both work on

    def told(self, work: Any) -> Any:
        """What `work` gives; where it is refused, nothing was stored."""
        before = self.stored()
        try:
            return work()
        except TOLD:
            assert self.stored() == before
            return None

    def stored(self) -> tuple[list[Any], list[ReviewRow]]:
        def read(connection: Any) -> tuple[list[Any], list[ReviewRow]]:
            made = connection.execute(decisions.select().order_by(decisions.c.seq)).all()
            rows = connection.execute(reviews.select().order_by(reviews.c.run)).all()
            return [decision_of(row) for row in made], [ReviewRow(*row) for row in rows]

        return self.log.read(read)

    def item(self, number: int) -> Item:
        if number not in self.items:
            self.items[number] = self.desks["anna"].item(self.runs[number], "desk")
        return self.items[number]

    @rule(by=PEOPLE)
    def comes(self, by: str) -> None:
        item = self.desks[by].next()
        if item is not None:
            assert item.claimed_by is None

    @rule(by=PEOPLE, number=PLACES, given=GIVEN, seconds=st.sampled_from([0.0, 1.0]))
    def answers(self, by: str, number: int, given: Any, seconds: float) -> None:
        self.told(lambda: self.desks[by].answer(self.item(number), given, seconds=seconds))

    @rule(by=PEOPLE, given=GIVEN)
    def answers_all(self, by: str, given: Any) -> None:
        found = [self.item(number) for number in range(3)]
        self.told(lambda: self.desks[by].answer_batch(found, given, seconds=3.0))

    @rule(by=PEOPLE)
    def takes_back(self, by: str) -> None:
        can = [one.seq for one in self.desks[by].waiting_release()]
        undone = self.told(self.desks[by].undo)
        if undone is not None:
            assert {one.seq for one in undone} >= set(can[:1])

    @rule(by=PEOPLE, number=PLACES)
    def skips(self, by: str, number: int) -> None:
        self.told(lambda: self.desks[by].skip(self.item(number)))

    @rule(by=PEOPLE, number=PLACES, text=st.sampled_from(["a", "b"]))
    def amends(self, by: str, number: int, text: str) -> None:
        desk, item = self.desks[by], self.item(number)
        step = next(one for one in desk.case(item).lineage if one.message.type == "Headline")
        self.told(lambda: desk.amend(step, {**step.message.fields, "text": text}, "why"))

    @rule(by=PEOPLE, number=PLACES)
    def lets_go(self, by: str, number: int) -> None:
        self.desks[by].release_claim(self.item(number))

    @rule(seconds=st.sampled_from([1.0, GRACE, CLAIM + 1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(fits=st.booleans())
    def runs_take_what_is_due(self, fits: bool) -> None:
        found = self.log.read(lambda connection: review_deciding.decided_of(connection, self.runs))
        for decided in found:
            if decided.release > self.clock.now:
                continue
            with self.log.write() as connection:
                if fits or decided.act != "edit":
                    review_deciding.take(connection, decided, self.clock.now)
                else:
                    review_deciding.refuse(connection, decided, "it does not fit", self.clock.now)
        self.taken |= {(row.run, row.task): row for row in self.stored()[1] if row.state == "closed"}

    @invariant()
    def the_chain_is_whole(self) -> None:
        assert self.log.read(lambda connection: list(check_decisions(connection))) == []

    @invariant()
    def rows_say_what_decisions_say(self) -> None:
        made, rows = self.stored()
        standing = [one for one in settle(made).standing if one.act in ANSWERS]
        for row in rows:
            assert row.sealed() == row
            given = [one for one in standing if (one.run, one.task) == (row.run, row.task)]
            assert len(given) == (row.state in ("answered", "closed"))
            assert row.decision == (given[0].seq if given else None)
            assert row.by == (given[0].by if given else None)

    @invariant()
    def what_was_taken_never_changes(self) -> None:
        for row in self.stored()[1]:
            assert self.taken.get((row.run, row.task), row) == row


@pytest.mark.timeout(300)
def test_decisions_and_rows_say_the_same_whatever_two_people_do(tmp_path: Path) -> None:
    """At most one answer stands for an item, the chain of hashes is whole, and what was taken never changes."""
    Desks.template = tmp_path / "desk.db"
    messages = [Headline(text=f"Profit of Nokia rose to EUR {number} mn") for number in range(3)]
    Desks.runs = anyio.run(left, str(Desks.template), moods(grace=GRACE), *messages)
    steps = settings(max_examples=40, stateful_step_count=20, deadline=None)
    Desks.TestCase.settings = steps
    test = Desks.TestCase("runTest")
    test.runTest()
