"""A sitting, key by key, without a terminal: what each key does, what it refuses, and that nothing is kept back."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from coterie.cli.review.keymap import keys_of
from coterie.cli.review.moving import read_filter
from coterie.cli.review.session import Session
from coterie.cli.review.state import State
from coterie.orchestration.review_items import Item, QueueFilter
from tests.cli.review.fake_desk import FORM, FakeDesk, an_item


class Sat:
    """A reviewer who presses keys; after each of them a new session at the same desk could go on."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.now = 1000.0
        self.desk = FakeDesk(items)
        self.session = Session(self.desk, "anna", lambda: self.now)
        self.state = self.session.open(QueueFilter())

    def press(self, *keys: str) -> State:
        for key in keys:
            self.now += 2.0
            self.state = self.session.press(self.state, key)
        return self.state

    def tell(self, text: str | None) -> State:
        self.state = self.session.told(self.state, text)
        return self.state

    @property
    def acts(self) -> list[str]:
        return [decision.act for decision in self.desk.stored]


def sat(count: int = 3, **changes: object) -> Sat:
    return Sat([an_item(number, **changes) for number in range(1, count + 1)])


def test_a_approves_and_goes_on() -> None:
    """One key, stored before the next item is shown."""
    sitting = sat()
    state = sitting.press("a")
    assert sitting.acts == ["approve"]
    assert state.item is not None
    assert state.item.run == "run0002"
    assert state.notice.text == "approved desk of run run0001; u takes it back for 10 s"


@pytest.mark.parametrize("key", ["c-m", "c-j", "enter", "z", "c-x", "y", " "])
def test_no_other_key_decides(key: str) -> None:
    """Enter alone never approves."""
    sitting = sat()
    state = sitting.press(key, key)
    assert sitting.acts == []
    assert state.item == an_item(1)


def test_a_wrong_key_says_what_can_be_pressed() -> None:
    """All that can be pressed now, and nothing that cannot."""
    text = sat(1, form=replace(FORM, approves_to=None)).press("z").notice.text
    assert text == "z does nothing here; you can press e E 1-3 x s u m b / l p w h ? q space -"


def test_a_disabled_key_says_why() -> None:
    """In a sentence."""
    said = sat(1, form=replace(FORM, approves_to=None)).press("a").notice.text
    assert said == "a: not now, it cannot be approved as it is: edit it (e)"


def test_who_has_approved_cannot_approve_again() -> None:
    """The second of two people must be another."""
    sitting = sat(1, form=replace(FORM, approvals=2), approved_by=("anna",))
    assert "it needs 2 people" in sitting.press("a").notice.text
    assert sitting.acts == []


def test_a_number_chooses_another_label() -> None:
    """In the schema's order; a number beyond them chooses none."""
    sitting = sat()
    assert "chooses none" in sitting.press("4").notice.text
    sitting.press("3")
    assert [(one.act, one.body) for one in sitting.desk.stored] == [("choose", {"label": "negative"})]


def test_a_rejection_needs_one_more_key() -> None:
    """The reason; escape goes back and stores nothing."""
    sitting = sat()
    sitting.press("x", "escape", "x")
    assert sitting.acts == []
    assert [(hint.key, hint.act) for hint in keys_of(sitting.state)][:3] == [
        ("w", "code wrong"),
        ("2", "code tone"),
        ("o", "code other"),
    ]
    sitting.press("w")
    assert sitting.desk.stored[0].body == {"code": "wrong", "reason": "the facts are wrong"}


def test_a_reason_in_own_words() -> None:
    """An empty one is refused."""
    sitting = sat()
    sitting.press("x", "t")
    assert "needs a reason" in sitting.tell("  ").notice.text
    sitting.press("t")
    sitting.tell("rude")
    assert sitting.desk.stored[0].body == {"code": "", "reason": "rude"}


def test_undo_takes_back_the_latest_first() -> None:
    """And shows what was taken back; then it says why it cannot."""
    sitting = sat()
    sitting.press("a", "s")
    state = sitting.press("u")
    assert state.item == an_item(2)
    state = sitting.press("u")
    assert state.item == an_item(1)
    assert state.done == {}
    assert "taken into its run" in sitting.press("u").notice.text


def test_a_skipped_item_does_not_come_back_by_itself() -> None:
    """Only when it is asked for at the end."""
    sitting = sat(2)
    state = sitting.press("s", "s")
    assert state.view == "done"
    state = sitting.press("s")
    assert state.item == an_item(1)


def test_the_end_says_what_was_done() -> None:
    """And what can be taken back still can."""
    sitting = sat(2)
    state = sitting.press("a", "2")
    assert (state.view, state.done) == ("done", {"approved": 1, "relabelled": 1})
    assert sitting.press("u").item == an_item(2)


def test_a_blind_item_is_shown_after_the_first_choice() -> None:
    """Until then nothing but a choice decides; the choice is kept with the answer."""
    sitting = sat(1, blind=True)
    for key in "aeExmbw":
        assert "hidden until you have chosen" in sitting.press(key).notice.text
    state = sitting.press("2")
    assert not state.hidden
    assert "differs" in state.notice.text
    assert sitting.acts == []
    sitting.press("a")
    assert sitting.desk.stored[0].body == {"first": "neutral"}


def test_a_batch_takes_what_is_marked() -> None:
    """Of what proposes the same; one undo takes all of it back."""
    sitting = sat(5)
    sitting.press("m", "m", "b")
    assert [item.run for item in sitting.state.batch] == ["run0003", "run0001", "run0002"]
    state = sitting.press("y")
    assert sitting.acts == ["approve"] * 3
    assert (state.marked, state.done) == ((), {"approved": 3})
    assert state.item is not None
    assert state.item.run == "run0004"
    assert sitting.press("u").done == {}


def test_a_batch_without_marks_is_the_whole_group() -> None:
    """Any of it can be taken out; alone it is no batch."""
    sitting = sat(2)
    state = sitting.press("b", "j", "m")
    assert [item.run for item in state.batch] == ["run0001"]
    assert "decide it alone" not in sitting.press("escape").notice.text
    assert "only this item is left" in sitting.press("b", "m", "y").notice.text
    assert sitting.acts == []


def test_a_blind_item_is_in_no_batch() -> None:
    """Its proposal would be seen."""
    sitting = Sat([an_item(1), an_item(2, blind=True), an_item(3)])
    assert [item.run for item in sitting.press("b").batch] == ["run0001", "run0003"]


def test_what_was_skipped_and_then_decided_in_a_batch_is_not_brought_back() -> None:
    """The end does not offer it."""
    sitting = sat(3)
    sitting.press("s", "b", "y")
    assert sitting.state.passed == frozenset()
    assert "you skipped none" in sitting.press("s").notice.text


def test_marked_items_come_last_and_can_be_unmarked() -> None:
    """They are not forgotten."""
    sitting = sat(2)
    state = sitting.press("m", "m")
    assert "only marked ones are left" in state.notice.text
    assert sitting.press("m").marked == (("run0002", "desk"),)


def test_an_edit_is_compared_and_then_stored() -> None:
    """Field by field, with listed values under numbers."""
    sitting = sat()
    state = sitting.press("e", "3", "y")
    assert state.view == "diff"
    assert sitting.acts == []
    sitting.press("y")
    assert sitting.desk.stored[0].body["fields"]["label"] == "negative"


def test_an_edit_that_does_not_fit_is_refused_before_it_is_stored() -> None:
    """With the field and the reason."""
    sitting = sat()
    sitting.press("e", "j", "j", "enter")
    sitting.tell("9")
    state = sitting.press("y")
    assert state.view == "form"
    assert state.draft is not None
    assert [(fault.field, fault.problem) for fault in state.draft.faults] == [("stars", "is 9, but must be at most 5")]
    assert state.notice.text == "refused because of stars; nothing was stored"
    sitting.press("enter")
    assert "is no JSON" in sitting.tell("many").notice.text
    assert sitting.acts == []


def test_an_edit_that_changes_nothing_is_no_edit() -> None:
    """It would say that the model was wrong."""
    sitting = sat()
    assert sitting.press("e", "y").notice.text == "nothing is changed yet"


def test_an_edit_in_the_editor_is_checked_at_once() -> None:
    """What is no JSON object is refused; given up, all is as it was."""
    sitting = sat()
    state = sitting.press("E")
    assert state.question is not None
    assert '"label": "positive"' in state.question.text
    assert "no JSON" in sitting.tell("{").notice.text
    sitting.press("E")
    assert "stands in it twice" in sitting.tell('{"label": "neutral", "label": "negative"}').notice.text
    sitting.press("E")
    assert sitting.tell('{"label": "neutral", "text": "flat"}').view == "diff"
    sitting.press("y")
    assert sitting.desk.stored[0].body["fields"] == {"label": "neutral", "text": "flat"}


def test_another_type_keeps_the_fields_that_both_have() -> None:
    """And says which type it is."""
    state = sat().press("e", "t")
    assert state.draft is not None
    assert (state.draft.type, set(state.draft.values)) == ("Headline", {"text"})


def test_a_message_upstream_is_amended_with_a_reason() -> None:
    """The item stays; the lineage shows before and after."""
    sitting = sat()
    sitting.press("l", "e", "enter")
    sitting.tell("Profit fell")
    sitting.press("y", "y")
    assert sitting.acts == []
    assert "needs a reason" in sitting.tell("").notice.text
    sitting.press("y")
    sitting.tell("it fell")
    state = sitting.press("y")
    assert sitting.desk.stored[0].body == {"why": "it fell", "after": {"text": "Profit fell"}}
    assert (state.view, state.item) == ("lineage", an_item(1))
    assert state.case is not None
    assert state.case.lineage[0].amended[0].after == {"text": "Profit fell"}


def test_passages_are_marked_right_or_wrong() -> None:
    """In the lineage and among the proof; a message itself is not."""
    sitting = sat()
    sitting.press("p", "j", "-", "escape", "l")
    assert "select a passage" in sitting.press("+").notice.text
    sitting.press("j", "j", "+")
    assert [one.body for one in sitting.desk.stored] == [{"right": False}, {"right": True}]
    assert sitting.desk.marks == {1: False, 0: True}


def test_an_item_that_somebody_else_answered_gives_way() -> None:
    """The loser is told."""
    sitting = sat()
    del sitting.desk.open["run0001", "desk"]
    state = sitting.press("a")
    assert "no review waits" in state.notice.text
    assert state.item == an_item(2)


def test_a_filter_goes_to_what_fits() -> None:
    """And an empty one shows everything again."""
    sitting = sat(5)
    assert sitting.press("/").question is not None
    state = sitting.tell("in 2004")
    assert state.item == an_item(4)
    assert sitting.desk.claimed == {("run0004", "desk")}
    sitting.press("/")
    assert sitting.tell("").item == an_item(1)


def test_a_filter_is_words_and_names() -> None:
    """A quote that does not end is only a character."""
    assert read_filter("node:desk thread:'client 7' two words") == QueueFilter(
        node="desk", thread="client 7", text="two words"
    )
    assert read_filter("it's") == QueueFilter(text="it's")
    assert read_filter(" ") == QueueFilter()


def test_leaving_gives_back_what_was_not_decided() -> None:
    """Ctrl-C, too."""
    for key in ("q", "c-c"):
        sitting = sat(3)
        assert sitting.press("m", key).ended
        assert sitting.desk.claimed == set()


def test_leaving_works_when_the_item_has_gone() -> None:
    """Nobody is held by an error."""
    sitting = sat(1)
    sitting.desk.open.clear()
    assert sitting.press("q").ended


def test_the_next_case_is_read_ahead() -> None:
    """After painting, so that the key that brings it need not."""
    sitting = sat(3)
    sitting.state = sitting.session.prepare(sitting.state)
    sitting.desk.calls.clear()
    assert sitting.press("a").item == an_item(2)
    assert sitting.desk.calls == []


def test_ending_between_any_two_keys_loses_nothing() -> None:
    """Whoever comes back finds everything stored that a key had stored, and the same item open."""
    keys = ["a", "3", "x", "w", "l", "e", "escape", "p", "escape", "s", "u", "e", "2", "y", "y", "m", "b", "q"]
    whole = sat(9)
    whole.press(*keys)
    for end in range(len(keys)):
        sitting = sat(9)
        sitting.press(*keys[:end])
        again = Session(sitting.desk, "anna").open(QueueFilter())
        assert sitting.acts == whole.acts[: len(sitting.acts)]
        if sitting.state.item is not None and sitting.state.passed == frozenset() and not sitting.state.marked:
            assert again.item == sitting.state.item


def test_what_is_shown_is_held_on_at_every_key() -> None:
    """So that nobody else is given it while somebody is at it."""
    sitting = sat(2)
    sitting.state = sitting.session.prepare(sitting.state)
    sitting.press("a")
    sitting.state = sitting.session.prepare(sitting.state)
    assert sitting.desk.kept == [("run0001", "desk"), ("run0002", "desk")]
