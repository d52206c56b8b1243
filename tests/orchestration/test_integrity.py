"""Which items are shown blind or again, and what a reviewer's answers are worth."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.orchestration.integrity import (
    BLIND_SHARE,
    STREAK,
    Catch,
    Judgement,
    Place,
    answers,
    cohens_kappa,
    drawn,
    first_agrees,
    judgement,
    known_answers,
    last_words,
    later_decisions,
    pace,
    quick_limit,
    quick_streak,
    settle,
    shown_again,
    shown_blind,
)
from coterie.orchestration.review_items import Act, Decision

labels = st.sampled_from(["positive", "neutral", "negative"])
pairs = st.lists(st.tuples(labels, labels), max_size=30)


def decided(
    seq: int, act: Act = "approve", *, by: str = "ana", task: str = "", batch: str | None = None, **body: object
) -> Decision:
    """A decision, of an item of its own where no task is named."""
    return Decision(seq, 1000.0 + seq, by, act, "r1", task or f"desk#{seq}", body, batch)


def approvals(count: int, seconds: float, *, first: int = 1) -> list[Decision]:
    return [decided(number, seconds=seconds) for number in range(first, first + count)]


def an_item_not_drawn(by: str = "ana") -> Place:
    return next(("r1", f"t{number}") for number in range(99) if not drawn("blind", "r1", f"t{number}", by, BLIND_SHARE))


def test_a_twentieth_of_the_items_is_drawn() -> None:
    """The share that is asked for comes out, and each lot falls on other items."""
    places = [(f"run{number % 97}", f"desk#{number}") for number in range(20_000)]
    blind = {place for place in places if drawn("blind", *place, "ana", 0.05)}
    assert 0.045 < len(blind) / len(places) < 0.055
    assert {place for place in places if drawn("blind", *place, "bo", 0.05)} != blind
    both = {place for place in blind if drawn("check", *place, "ana", 0.05)}
    assert len(both) < 0.1 * len(blind)


@given(st.text(), st.text(), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_lot_is_always_the_same(run: str, task: str, by: str, share: float, more: float) -> None:
    """An item that is opened again is shown as before; a greater share takes nothing away."""
    found = drawn("blind", run, task, by, share)
    assert found == drawn("blind", run, task, by, share)
    assert not found or drawn("blind", run, task, by, max(share, more))
    assert not drawn("blind", run, task, by, 0.0)
    assert drawn("blind", run, task, by, 1.0)


def test_a_streak_of_quick_approvals_brings_a_blind_item() -> None:
    """The fifteenth approval under 3 s does; the blind item's answer begins anew."""
    place = an_item_not_drawn()
    assert not shown_blind(*place, "ana", approvals(STREAK - 1, 1.0))
    assert shown_blind(*place, "ana", approvals(STREAK, 1.0))
    after = [*approvals(STREAK, 1.0), decided(STREAK + 1, seconds=1.0, blind=True)]
    assert not shown_blind(*place, "ana", after)
    assert shown_blind(*place, "ana", [*after, *approvals(STREAK, 1.0, first=STREAK + 2)])


def test_skipping_does_not_get_around_a_blind_item() -> None:
    """Nor does an approval that was taken back."""
    place = an_item_not_drawn()
    streak = approvals(STREAK, 1.0)
    assert shown_blind(*place, "ana", [*streak, decided(90, "skip")])
    again = [decided(90, seconds=9.0, task="late"), decided(91, "undo", task="late")]
    assert shown_blind(*place, "ana", [*streak, *again])


@pytest.mark.parametrize("act", ["choose", "edit", "reject"])
def test_any_other_answer_ends_a_streak(act: Act) -> None:
    """Who changes something has read it."""
    some = answers([*approvals(20, 1.0), decided(21, act, seconds=1.0), *approvals(3, 1.0, first=22)])
    assert quick_streak(some, 3.0) == 3


def test_a_batch_is_one_approval() -> None:
    """Its parts' times add up to that of one look."""
    batch = [decided(number, seconds=0.5, batch="b1") for number in range(1, 26)]
    assert quick_streak(answers(batch), 3.0) == 0
    assert quick_streak(answers(batch), 20.0) == 1
    assert quick_streak(answers([*batch, *approvals(2, 1.0, first=26)]), 20.0) == 3


def test_what_is_quick_depends_on_the_person() -> None:
    """3 s, or a third of the median where that is more: somebody who always nods has a short one."""
    assert quick_limit([]) == 3.0
    assert quick_limit(answers(approvals(5, 1.0))) == 3.0
    assert quick_limit(answers(approvals(5, 60.0))) == pytest.approx(20.0)


def test_answers_without_a_time_are_no_streak() -> None:
    """A file that is applied from a script says nothing of how long somebody looked."""
    some = answers([decided(number, seconds=0.0) for number in range(20)])
    assert (quick_streak(some, 3.0), pace(some)) == (0, None)


def test_no_item_is_shown_again_unless_a_share_is_asked_for() -> None:
    """Known-answer items are off at first."""
    assert shown_again("r", "t", "ana", [("r", "old")], set()) is None


@given(st.sets(st.tuples(st.text(), st.text()), min_size=1), st.data())
def test_the_item_shown_again_stays_the_same(known: set[Place], data: st.DataObject) -> None:
    """It does not depend on the order of the others, nor on those that go, and never was seen."""
    order: Sequence[Place] = data.draw(st.permutations(sorted(known)))
    found = shown_again("r", "t", "ana", order, set(), share=1.0)
    assert found == shown_again("r", "t", "ana", sorted(known), set(), share=1.0)
    others = known - {found} if found is not None else known
    gone = data.draw(st.sets(st.sampled_from(sorted(others)))) if others else set()
    assert shown_again("r", "t", "ana", known, gone, share=1.0) == found
    assert shown_again("r", "t", "ana", known, known, share=1.0) is None
    assert found != ("r", "t")


def test_an_undo_takes_back_the_latest_decision_of_the_same_person_at_the_task() -> None:
    """Those of others, and those elsewhere, stand; undone twice, the one before goes, too."""
    rows = [
        decided(1, task="a"),
        decided(2, "amend", task="a"),
        decided(3, by="bo", task="a"),
        decided(4, task="b"),
        decided(5, "undo", task="a"),
    ]
    assert [one.seq for one in settle(rows).standing] == [1, 3, 4]
    assert [one.seq for one in settle([*rows, decided(6, "undo", task="a")]).undone] == [1, 2]


def test_an_undo_may_name_what_it_takes_back() -> None:
    """One number or several, of a batch."""
    rows = [decided(1), decided(2), decided(3)]
    assert [one.seq for one in settle([*rows, decided(4, "undo", undoes=1)]).standing] == [2, 3]
    assert [one.seq for one in settle([*rows, decided(4, "undo", undoes=[1, 3, 3, 77])]).undone] == [1, 3]


def test_an_answer_that_the_flow_refuses_does_not_stand() -> None:
    """The item waits again, and the next answer counts."""
    rows = [
        decided(1, "edit", task="a"),
        decided(2, "refused", by="flow", task="a"),
        decided(3, "reject", task="a"),
        decided(4, "undo", by="flow", task="nothing here"),
    ]
    found = settle(rows)
    assert ([one.seq for one in found.standing], [one.seq for one in found.refused]) == ([3], [1])


def test_a_first_choice_agrees_with_the_model_or_not() -> None:
    """Of an item that was not blind nothing is known."""
    blind = judgement(decided(1, blind=True, first="neutral", proposed="neutral", label="positive"))
    assert first_agrees(blind) is True
    assert first_agrees(replace(blind, first="positive")) is False
    assert first_agrees(replace(blind, blind=False)) is None
    assert first_agrees(replace(blind, first=None)) is None


def test_choosing_the_label_that_was_proposed_keeps_it() -> None:
    """And rejecting is a category of its own, whatever the label."""
    chosen = judgement(decided(1, "choose", proposed="neutral", label="neutral"))
    assert (chosen.keeps, replace(chosen, label="positive").keeps) == (True, False)
    assert judgement(decided(1, "approve", proposed="neutral")).said == "neutral"
    assert judgement(decided(1, "approve")).said == "(approve)"
    assert judgement(decided(1, "reject", proposed="neutral", label="neutral")).said == "(reject)"


def test_kappa_of_a_worked_example() -> None:
    """20 both yes, 15 both no, 5 and 10 apart: observed 0.7, by chance 0.5, so 0.4."""
    some = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohens_kappa(some) == pytest.approx(0.4)


@given(pairs)
def test_kappa_is_symmetric_and_bounded(some: list[tuple[str, str]]) -> None:
    """Swapping the people or naming the labels anew changes nothing; only like answers throughout give 1."""
    found = cohens_kappa(some)
    swapped = cohens_kappa([(other, one) for one, other in some])
    renamed = cohens_kappa([(one[::-1], other[::-1]) for one, other in some])
    assert found == swapped == renamed
    if found is None:
        assert len(set(some)) <= 1
    else:
        assert -1 <= found <= 1
        assert math.isclose(found, 1) == all(one == other for one, other in some)


def test_ones_own_last_word_is_not_compared_with_itself() -> None:
    """Whoever decides last is compared with the last of the others."""
    given = answers(
        [
            decided(1, by="ana", task="a", label="x"),
            decided(2, by="bo", task="a", label="y"),
            decided(3, by="bo", task="alone", label="z"),
        ]
    )
    assert [(own.said, other.said) for own, other in last_words(given, "bo")] == [("y", "x")]
    assert [(own.said, other.said) for own, other in last_words(given, "ana")] == [("x", "y")]


def test_known_items_are_caught_by_changing_the_model() -> None:
    """Of those where the model is right nothing can be caught."""
    checks: list[Judgement] = [
        judgement(decided(number, "check", proposed=proposed, known=known, label=label))
        for number, (proposed, known, label) in enumerate(["xxx", "xyx", "xyy", "xyz"])
    ]
    assert known_answers(checks) == Catch(wrong=3, caught=2)


def test_the_model_was_wrong_where_somebody_else_changed_it_later() -> None:
    """By another answer or by an amendment of the proposal; one's own change proves nothing."""
    given = answers(
        [
            decided(1, task="a", proposed="x", label="x"),
            decided(2, "choose", task="b", proposed="x", label="y"),
            decided(3, "choose", task="c", proposed="x", label="y"),
            decided(4, task="d", digest="f00"),
            decided(5, "choose", by="bo", task="a", proposed="x", label="y"),
            decided(6, "reject", by="bo", task="b"),
        ]
    )
    assert later_decisions(given, "ana") == Catch(wrong=2, caught=1)
    amended = decided(7, "amend", by="bo", task="mood", digest="f00")
    assert later_decisions(given, "ana", [amended]) == Catch(wrong=3, caught=1)
    assert later_decisions(given, "ana", [replace(amended, by="ana")]) == Catch(wrong=2, caught=1)
    assert later_decisions(given, "ana", [replace(amended, seq=3)]) == Catch(wrong=2, caught=1)
    assert later_decisions(given, "bo") == Catch(wrong=0, caught=0)
