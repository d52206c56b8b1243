"""What people said of messages lands on the rows of the roles that made them, and nowhere else."""

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.orchestration import Approve, Edit, Reject
from coterie.orchestration.review_items import Act, Decision
from coterie.orchestration.training_items import Feedback, TrainingRow
from coterie.orchestration.training_rows import training_rows
from tests.orchestration.shown_facts import QUESTION, Facts, Publish, decided_in, desk, message, run_of

START = message("Question", text="start")
MOOD = message("Mood", "mood", label="good", confidence=0.6)
NOTE = message("Note", "write", text="n", citations=["p1"])


def decided(seq: int, act: Act, task: str = "desk", *, run: str = "r", by: str = "anna", **body: Any) -> Decision:
    return Decision(seq, 1000.0 + seq, by, act, run, task, body)


def rows_of(facts: Any, *decisions: Decision, role: str | None = None) -> list[TrainingRow]:
    return list(training_rows("r", "client-7", facts, decisions, role))


def feedback_of(facts: Any, *decisions: Decision) -> dict[tuple[str, int | None], tuple[Feedback, ...]]:
    return {(row.task, row.index): row.feedback for row in rows_of(facts, *decisions) if row.feedback}


def reviewed(proposal: Any = MOOD) -> Facts:
    """A run that asks about one message."""
    facts = Facts(START)
    facts.does("mood", [START], proposal)
    facts.asks("desk", proposal)
    return facts


def answered(kind: str, outcome: Any = None, **answer: Any) -> Facts:
    """A run whose program answered."""
    facts = reviewed()
    facts.add("review-answered", "desk", answer={"kind": kind, "by": "ben", **answer})
    facts.add("task-finished", "desk", output=outcome)
    return facts


@pytest.mark.anyio
async def test_a_row_for_each_message_that_a_role_made(tmp_path: Path, anyio_backend: str) -> None:
    """With all that it saw; what plain code and people made, or handed on, is none."""
    facts = await run_of(tmp_path, desk(), QUESTION, ("person", Approve(by="anna")))
    rows = {row.task: row for row in rows_of(facts, *decided_in(tmp_path))}
    assert {name: row.role for name, row in rows.items()} == {
        "search": "search",
        "lines[0]/mood": "mood",
        "lines[1]/mood": "mood",
        "lines[2]/mood": "mood",
        "write": "write",
    }
    write = rows["write"]
    assert (write.run, write.thread, write.weights, write.index) == ("r", "client-7", "write weights", None)
    assert [one.type for one in write.inputs] == ["Brief"]
    assert write.at == next(fact.at for fact in facts if (fact.kind, fact.task) == ("task-finished", "write"))
    assert rows["lines[1]/mood"].inputs[0].fields == {"text": "Down"}
    assert [one.kind for one in write.feedback] == ["approved"]  # though "keep" handed the note on
    assert not any(row.feedback for name, row in rows.items() if name != "write")
    assert [row.task for row in rows_of(facts, role="search")] == ["search"]


@pytest.mark.anyio
async def test_answers_that_a_program_gave_count_like_those_of_a_desk(tmp_path: Path, anyio_backend: str) -> None:
    """They are decisions of the log, too."""
    edit = ("person", Edit(message=Publish(text="Better."), by="anna"))
    facts = await run_of(tmp_path, desk(), QUESTION, edit)
    (told,) = (row for row in rows_of(facts, *decided_in(tmp_path)) if row.feedback)
    (found,) = told.feedback
    assert (found.kind, found.by, found.decision) == ("edited", "anna", 1)
    assert (found.before, found.after, found.type) == (told.output.fields, {"text": "Better."}, "Publish")
    assert told.correction == {"text": "Better.", "citations": ["p1"]}


@pytest.mark.anyio
async def test_a_rejection_says_why(tmp_path: Path, anyio_backend: str) -> None:
    """And corrects nothing; the run failed with it."""
    facts = await run_of(tmp_path, desk(), QUESTION, ("person", Reject(reason="stale", by="anna")))
    (told,) = (row for row in rows_of(facts, *decided_in(tmp_path)) if row.feedback)
    assert [(one.kind, one.why, one.after) for one in told.feedback] == [("rejected", "stale", None)]
    assert told.correction is None


def test_a_row_holds_lists_and_given_messages() -> None:
    """A role behind a join sees items one after another, and answers may be lists."""
    facts, other = Facts(START), message("Mood", "mood", label="bad", confidence=0.5)
    facts.does("split", [[START, NOTE], START], [MOOD, other, START], {"asked": START})
    first, second = rows_of(facts)
    assert (first.index, second.index, second.output.fields["label"]) == (0, 1, "bad")
    assert [one.type for one in first.inputs] == ["Question", "Note", "Question"]
    assert first.given["asked"].digest == START["digest"]


def test_what_a_fork_put_in_is_no_row() -> None:
    """The role that made it once did not make it here."""
    facts = Facts(START)
    facts.begins("write", [START])
    facts.add("input-swapped", "write", message=MOOD)
    facts.does("write", [MOOD], NOTE)
    (row,) = rows_of(facts)
    assert (row.role, row.inputs[0].digest) == ("write", MOOD["digest"])


def test_an_amendment_is_gold_on_the_one_row_of_its_message() -> None:
    """The task and the position tell apart what two items made alike."""
    facts = Facts(START)
    facts.does("mood", [START], [MOOD, MOOD])
    facts.does("mood#2", [START], MOOD)
    after = {"label": "bad", "confidence": 0.6}
    body = {"digest": MOOD["digest"], "before": MOOD["fields"], "after": after, "why": "irony", "role": "mood"}
    found = feedback_of(facts, _amend(1, "mood", 1, body))
    (gold,) = found.pop(("mood", 1))
    assert gold == Feedback("gold", "anna", 1001.0, "irony", MOOD["fields"], after, None, 1)
    assert not found
    assert list(feedback_of(facts, _amend(1, "mood#2", None, body))) == [("mood#2", None)]
    assert len(feedback_of(facts, _amend(1, None, None, body))) == 1
    assert not feedback_of(facts, _amend(1, "elsewhere", None, body))


def test_the_last_amendment_is_the_gold_one() -> None:
    """All stay on the row, in the order in which they were decided; one that was taken back does not."""
    facts, body = reviewed(), {"digest": MOOD["digest"], "why": ""}
    one, two, three = (_amend(n, "mood", None, {**body, "after": {"label": f"{n}"}}) for n in (1, 2, 3))
    undo = decided(4, "undo", undoes=3)
    (row,) = rows_of(facts, three, undo, two, one)
    assert [change.after for change in row.feedback] == [{"label": "1"}, {"label": "2"}]
    assert row.correction == {"label": "2"}
    assert row.output.fields["label"] == "good"


def test_choosing_a_label_is_gold() -> None:
    """The other fields stay as they were."""
    body = {"digest": MOOD["digest"], "proposed": "good", "field": "label", "label": "bad", "role": "mood"}
    (row,) = rows_of(reviewed(), decided(1, "choose", **body))
    (gold,) = row.feedback
    assert (gold.kind, gold.before, gold.after) == ("gold", MOOD["fields"], {"label": "bad", "confidence": 0.6})
    assert row.correction == gold.after


def test_a_label_that_is_no_text_keeps_its_type() -> None:
    """A label is shown as text; what was sent on says what it is."""
    stars = message("Stars", "mood", stars=3)
    body = {"digest": stars["digest"], "field": "stars", "label": "4", "after": {"stars": 4}}
    (row,) = rows_of(reviewed(stars), decided(1, "choose", **body))
    assert row.correction == {"stars": 4}


def test_an_edit_is_a_pair_and_a_rejection_has_its_code() -> None:
    """Approvals are told as such, with who gave them and when."""
    edit = decided(1, "edit", digest=MOOD["digest"], type="Mood", fields={"label": "bad"}, before={"label": "good"})
    reject = decided(2, "reject", by="ben", digest=MOOD["digest"], code="stale", reason="of last year")
    approve = decided(3, "approve", digest=MOOD["digest"])
    (row,) = rows_of(reviewed(), edit, reject, approve)
    assert row.feedback == (
        Feedback("edited", "anna", 1001.0, "", {"label": "good"}, {"label": "bad"}, None, 1),
        Feedback("rejected", "ben", 1002.0, "stale", None, None, None, 2),
        Feedback("approved", "anna", 1003.0, "", None, None, None, 3),
    )
    assert row.correction == {"label": "bad"}


def test_answers_about_what_plain_code_proposed_land_nowhere() -> None:
    """The roles upstream of it did not say it."""
    facts = Facts(START)
    facts.does("mood", [START], MOOD)
    facts.does("draft", [MOOD], message("Draft", text="d"))
    facts.asks("desk", message("Draft", text="d"))
    assert not feedback_of(facts, decided(1, "approve", digest=message("Draft", text="d")["digest"]))


def test_an_answer_is_about_what_was_asked_then_and_there() -> None:
    """Where the same message is made again, by another item or later, that row is left alone."""
    facts = Facts(START)
    for item in (0, 1):
        facts.does(f"lines[{item}]/mood", [START], MOOD)
        facts.asks(f"lines[{item}]/desk", MOOD)
    facts.does("lines[0]/mood#2", [START], MOOD)
    for item in (0, 1):
        said = decided(1, "approve", f"lines[{item}]/desk", digest=MOOD["digest"])
        assert list(feedback_of(facts, said)) == [(f"lines[{item}]/mood", None)]


def test_marks_are_on_the_retrievers_row() -> None:
    """With the passage that is right or wrong."""
    found, facts = message("Evidence", "search", passages=[{"id": "p1", "text": "t"}]), Facts(START)
    facts.does("search", [START], found)
    facts.does("brief", [found], message("Brief", passages=[{"id": "p1", "text": "t"}]))
    body = {"digest": found["digest"], "index": 0, "passage": "p1", "role": "search"}
    wrong, right = decided(1, "mark", right=False, why="old", **body), decided(2, "mark", right=True, **body)
    (row,) = rows_of(facts, wrong, right)
    assert [(one.kind, one.passage, one.why) for one in row.feedback] == [("wrong", "p1", "old"), ("right", "p1", "")]
    assert row.correction is None


def test_what_was_undone_refused_or_said_elsewhere_does_not_count() -> None:
    """Nor does what says nothing of a message."""
    approve = decided(1, "approve", digest=MOOD["digest"])
    assert feedback_of(reviewed(), approve)
    assert not feedback_of(reviewed(), approve, decided(2, "undo"))
    assert not feedback_of(reviewed(), approve, decided(2, "refused"))
    assert not feedback_of(reviewed(), decided(1, "approve", run="other", digest=MOOD["digest"]))
    others: tuple[Act, ...] = ("skip", "check", "grant")
    assert not feedback_of(reviewed(), *(decided(n, act, digest=MOOD["digest"]) for n, act in enumerate(others, 1)))


def test_a_desk_answer_that_was_taken_into_the_run_counts_once() -> None:
    """The fact of it names the decision."""
    facts = reviewed()
    facts.add("review-answered", "desk", answer={"kind": "approve", "by": "anna"}, decision=1)
    assert not feedback_of(facts)
    (one,) = feedback_of(facts, decided(1, "approve", digest=MOOD["digest"])).values()
    assert [said.decision for said in one] == [1]


@pytest.mark.parametrize("field", [{"field": "label"}, {}])
def test_a_label_chosen_inside_a_program_is_gold(field: dict[str, str]) -> None:
    """Where the answer does not name the field, what was sent on shows it."""
    facts = answered("choose", message("Published", label="bad"), label="bad", **field)
    (row,) = rows_of(facts)
    assert row.correction == {"label": "bad", "confidence": 0.6}


def test_an_answer_inside_a_program_and_an_amendment_are_told_in_order() -> None:
    """Whatever came last is the correction."""
    facts = answered("edit", MOOD, message={**message("Mood", label="bad", confidence=1.0)})
    body = {"digest": MOOD["digest"], "after": {"label": "neutral"}}
    (row,) = rows_of(facts, _amend(1, "mood", None, body))
    assert [one.kind for one in row.feedback] == ["edited", "gold"]
    assert row.correction == {"label": "neutral"}


def _amend(seq: int, task: str | None, index: int | None, body: dict[str, Any]) -> Decision:
    return Decision(seq, 1000.0 + seq, "anna", "amend", "r", "desk", {**body, "task": task, "index": index})


outputs = st.lists(
    st.builds(
        lambda role, label: message("Mood", role, label=label), st.sampled_from(["a", "b", None]), st.integers(0, 2)
    ),
    min_size=1,
    max_size=3,
)
runs = st.lists(st.tuples(outputs, st.sampled_from(["", "plan[0]/", "plan[1]/"])), min_size=1, max_size=5)


@given(runs, st.data(), st.booleans())
def test_an_amendment_never_changes_rows_of_another_role(drawn: Any, data: st.DataObject, named: bool) -> None:
    """It changes one row of the role that made the message, and none where no role did."""
    facts = Facts(START)
    for number, (made, path) in enumerate(drawn):
        facts.does(f"{path}node{number}", [START], made if len(made) > 1 else made[0])
    number = data.draw(st.integers(0, len(drawn) - 1))
    index = data.draw(st.integers(0, len(drawn[number][0]) - 1))
    amended, path = drawn[number][0][index], drawn[number][1]
    task = f"{path}node{number}" if named else None
    place = index if named and len(drawn[number][0]) > 1 else None
    decision = _amend(1, task, place, {"digest": amended["digest"], "after": {"label": 9}})
    before, after = rows_of(facts), rows_of(facts, decision)
    role: Literal["a", "b"] | None = amended["origin"] and amended["origin"]["role"]
    changed = [row for row, old in zip(after, before, strict=True) if row != old]
    assert [row.role for row in changed] == ([] if role is None else [role])
    assert all(row.output.digest == amended["digest"] and row.correction == {"label": 9} for row in changed)
    if named and role is not None:
        assert [(row.task, row.index) for row in changed] == [(task, place)]
    for other in {"a", "b"} - {role}:
        assert rows_of(facts, decision, role=other) == rows_of(facts, role=other)
