"""What is upstream of a question to a person, found in the facts of its run alone."""

from pathlib import Path
from typing import Any

import pytest

from coterie.orchestration import Approve, ReviewAnswerError
from coterie.orchestration.lineage import lineage_of
from coterie.orchestration.review_items import Amendment, LineageStep
from coterie.orchestration.task_facts import INPUT
from tests.orchestration.shown_facts import QUESTION, Facts, desk, message, run_of

START = message("Question", text="start")


def steps_of(facts: Any, task: str = "desk") -> tuple[LineageStep, ...]:
    return lineage_of("r", facts, task, {}, {})


def places(steps: tuple[LineageStep, ...]) -> list[tuple[str, int | None]]:
    return [(step.task, step.index) for step in steps]


@pytest.mark.anyio
async def test_a_lineage_crosses_every_kind_of_edge(tmp_path: Path, anyio_backend: str) -> None:
    """Links, gathers, joins, maps and given messages, nearest first; what was handed on is its maker's."""
    steps = steps_of(await run_of(tmp_path, desk(), QUESTION), "person")
    found = [(step.task, step.message.type, step.index, step.role) for step in steps]
    assert found[:3] == [
        ("brief", "Brief", None, None),
        ("search", "Evidence", None, "search"),
        ("tally", "Tally", None, None),
    ]
    assert sorted(found[3:-1], key=str) == [
        ("lines", "Line", 0, None),
        ("lines", "Line", 1, None),
        ("lines", "Line", 2, None),
        ("lines[0]/mood", "Mood", None, "mood"),
        ("lines[1]/mood", "Mood", None, "mood"),
        ("lines[2]/mood", "Mood", None, "mood"),
        ("plan", "Query", None, None),
    ]
    assert found[-1] == (INPUT, "Question", None, None)
    assert {step.node for step in steps} == {"brief", "search", "tally", "plan", "lines", "mood", "desk"}


@pytest.mark.anyio
async def test_a_lineage_stays_the_same_once_the_run_has_ended(tmp_path: Path, anyio_backend: str) -> None:
    """What happens after the question changes nothing of what it rests on."""
    (tmp_path / "open").mkdir()
    (tmp_path / "done").mkdir()
    still_open = steps_of(await run_of(tmp_path / "open", desk(), QUESTION), "person")
    done = steps_of(await run_of(tmp_path / "done", desk(), QUESTION, ("person", Approve())), "person")
    assert {step.message.digest for step in still_open} == {step.message.digest for step in done}


def test_the_proposal_is_no_step_whoever_made_it() -> None:
    """Not where a role did, nor where it is what the run began with, which then is the one step."""
    note, facts = message("Note", "write", text="n"), Facts(START)
    facts.does("write", [START], note)
    facts.asks("desk", note)
    facts.asks("first", START)
    assert places(steps_of(facts)) == [(INPUT, None)]
    assert places(steps_of(facts, "first")) == [(INPUT, None)]


def test_the_last_answer_before_the_reader_began_counts() -> None:
    """The same message may be made in every turn of a loop, also after it was read."""
    query, note, facts = message("Query", text="q"), message("Note", text="n"), Facts(START)
    for task in ("plan", "plan#2"):
        facts.does(task, [START], query)
    facts.does("write", [query], note)
    facts.does("plan#3", [START], query)
    facts.asks("desk", note)
    assert places(steps_of(facts)) == [("plan#2", None), (INPUT, None)]


def test_a_second_attempt_reads_what_the_first_was_given() -> None:
    """What was made between the two is not what it had."""
    query, note, facts = message("Query", text="q"), message("Note", text="n"), Facts(START)
    facts.does("plan", [START], query)
    facts.begins("write", [query])
    facts.does("plan#2", [START], query)
    facts.does("write", [query], note)
    facts.asks("desk", note)
    assert places(steps_of(facts)) == [("plan", None), (INPUT, None)]


def test_items_of_a_map_keep_to_their_own_branch() -> None:
    """Where two items made the same message, each reader has that of its own item."""
    line, mood = message("Line", text="same"), message("Mood", "mood", label="good")
    facts = Facts(START)
    facts.does("lines", [START], [line, line])
    for item in (0, 1):
        facts.does(f"lines[{item}]/mood", [line], mood)
    for item in (0, 1):
        facts.does(f"lines[{item}]/rate", [mood], message("Rate", number=item))
    facts.asks("lines[0]/desk", message("Rate", number=0))
    assert places(steps_of(facts, "lines[0]/desk"))[0] == ("lines[0]/mood", None)


def test_a_message_is_one_step_however_many_handed_it_on() -> None:
    """The step is of the task that made it; what else those tasks saw is upstream, too."""
    note, other, facts = message("Note", "write", text="n"), message("Note", text="other"), Facts(START)
    facts.does("write", [START], note)
    facts.does("rival", [START], other)
    facts.does("pick", [note, other], note)
    facts.does("keep", [note], note)
    facts.does("wrap", [note], message("Draft", text="d"))
    facts.asks("desk", message("Draft", text="d"))
    assert places(steps_of(facts)) == [("write", None), ("rival", None), (INPUT, None)]


def test_a_failure_leads_to_what_the_failed_task_saw() -> None:
    """A handler is told of an error in a message that no task answered with."""
    line, facts = message("Line", text="l"), Facts(START)
    facts.does("lines", [START], [line])
    facts.begins("lines[0]/mood", [line])
    facts.add("task-failed", "lines[0]/mood", attempt=1, error="TooUnsure", reason="0.4", kinds=[], retry_in=None)
    failure = message("Failure", node="mood", error="TooUnsure", reason="0.4", attempts=1)
    facts.does("spare", [failure], message("Draft", text="d"))
    facts.asks("desk", message("Draft", text="d"))
    assert places(steps_of(facts)) == [("lines[0]/mood", None), ("lines", 0), (INPUT, None)]


def test_what_a_fork_put_in_has_nothing_upstream() -> None:
    """It replaces what the task had been given."""
    query, better, facts = message("Query", text="q"), message("Query", text="better"), Facts(START)
    facts.does("plan", [START], query)
    facts.begins("write", [query])
    facts.add("input-swapped", "write", message=better)
    facts.does("write", [better], message("Note", text="n"))
    facts.asks("desk", message("Note", text="n"))
    steps = steps_of(facts)
    assert [(step.task, step.message.fields["text"]) for step in steps] == [("write", "better"), (INPUT, "start")]


def test_steps_carry_their_schema_and_what_was_amended() -> None:
    """By the type's name, and by the run and the digest; a type without a schema takes any object."""
    query, facts = message("Query", text="q"), Facts(START)
    facts.does("plan", [START], query)
    facts.does("write", [query], message("Note", text="n"))
    facts.asks("desk", message("Note", text="n"))
    changed = Amendment(3, "anna", 1.0, "typo", {"text": "q"}, {"text": "Q"})
    amendments = {("r", query["digest"]): [changed], ("other", START["digest"]): [changed]}
    first, last = lineage_of("r", facts, "desk", {"Question": {"required": ["text"]}}, amendments)
    assert (first.amended, first.schema) == ((changed,), {"title": "Query", "type": "object"})
    assert (last.amended, last.schema) == ((), {"required": ["text"]})


def test_there_is_no_lineage_where_nobody_is_asked() -> None:
    """The error says where somebody is."""
    facts = Facts(START)
    facts.asks("desk", START)
    with pytest.raises(ReviewAnswerError, match=r"^run 'r' asks nobody at task 'writer'; it asks at desk$"):
        steps_of(facts, "writer")
