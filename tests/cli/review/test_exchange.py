"""Reviews as JSON lines: what is listed, what is taken, and what became of each decision."""

import json

import pytest

from coterie.cli.review.exchange import UnreadableDecisions, applied, read_decisions
from coterie.cli.review.json_lines import line_of, listed
from coterie.orchestration.review_items import QueueFilter
from tests.cli.review.fake_desk import FakeDesk, an_item


def outcomes(desk: FakeDesk, *decisions: dict[str, object]) -> list[str]:
    given = read_decisions(json.dumps({"task": "desk", **one}) for one in decisions)
    return [one["outcome"] for one in applied(desk, "anna", given)]


def test_what_is_listed_can_be_applied() -> None:
    """An act added to the line is a decision."""
    desk = FakeDesk([an_item(1), an_item(2)])
    lines = [line_of({**listed(item), "act": "approve"}) for item in desk.items(QueueFilter())]
    assert [one["outcome"] for one in applied(desk, "anna", read_decisions(lines))] == ["stored", "stored"]
    assert desk.open == {}


def test_every_act() -> None:
    """Approve, choose, edit, reject, skip."""
    desk = FakeDesk([an_item(number) for number in range(1, 6)])
    fields = {"label": "neutral", "text": "flat"}
    done = outcomes(
        desk,
        {"run": "run0001", "act": "approve"},
        {"run": "run0002", "act": "choose", "label": "neutral"},
        {"run": "run0003", "act": "edit", "type": "Mood", "fields": fields},
        {"run": "run0004", "act": "reject", "code": "tone"},
        {"run": "run0005", "act": "skip"},
    )
    assert done == ["stored"] * 5
    assert [one.act for one in desk.stored] == ["approve", "choose", "edit", "reject", "skip"]


def test_an_answered_item_or_a_changed_proposal_is_a_conflict() -> None:
    """Nothing is stored for it."""
    desk = FakeDesk([an_item(1)])
    assert outcomes(desk, {"run": "run0009", "act": "approve"}) == ["conflict"]
    assert outcomes(desk, {"run": "run0001", "act": "approve", "digest": "other"}) == ["conflict"]
    assert desk.stored == []


def test_an_answer_that_does_not_fit_is_refused() -> None:
    """And the item still waits."""
    desk = FakeDesk([an_item(1)])
    assert outcomes(desk, {"run": "run0001", "act": "edit", "type": "Mood", "fields": {"label": "odd"}}) == ["refused"]
    assert list(desk.open) == [("run0001", "desk")]


def test_a_blind_item_is_listed_without_its_proposal() -> None:
    """Only a label can be chosen for it."""
    item = an_item(1, blind=True)
    shown = listed(item)
    assert (shown["proposal"], shown["rules"], shown["why"]) == (None, [], [])
    desk = FakeDesk([item])
    assert outcomes(desk, {"run": "run0001", "act": "approve"}) == ["refused"]
    assert outcomes(desk, {"run": "run0001", "act": "choose", "label": "neutral"}) == ["stored"]
    assert desk.stored[0].body == {"label": "neutral", "first": "neutral"}


def test_a_line_that_is_no_decision_stops_all() -> None:
    """Every such line is named, and nothing is stored."""
    with pytest.raises(UnreadableDecisions) as caught:
        read_decisions(
            ['{"run": "a", "task": "b", "act": "approve"}', "", "{", '{"run": "a", "task": "b", "act": "x"}']
        )
    assert "line 3: Invalid JSON" in str(caught.value)
    assert "line 4: " in str(caught.value)
    assert str(caught.value).endswith("nothing was stored")


def test_a_line_without_an_act_is_told_which_there_are() -> None:
    """What was found against what can be."""
    with pytest.raises(UnreadableDecisions, match='line 1: it has no "act": approve, choose, edit, reject or skip'):
        read_decisions(['{"run": "a", "task": "b", "answer": "approve"}'])


def test_hidden_characters_are_escaped() -> None:
    """A terminal that shows the list obeys nothing in it."""
    assert line_of({"text": "\x1b[2J\u202e"}).isascii()
    assert "\x1b" not in line_of({"text": "\x1b[2J\u202e"})
