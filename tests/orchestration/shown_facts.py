"""Facts as a reader sees them: of a real run of a small desk, and written by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_json

from coterie.agents import Message, Origin, Passage, ScriptedAgent
from coterie.agents.registry import StoredMessage
from coterie.orchestration import Flow, Given, Review, Runtime, Workflow, node
from coterie.orchestration.database import Database
from coterie.orchestration.queries import ShownFact, decisions_since, show
from coterie.orchestration.review_answers import Answer
from coterie.orchestration.review_items import Decision


class Question(Message):
    text: str
    company: str


class Query(Message):
    text: str


class Evidence(Message):
    passages: list[Passage]


class Line(Message):
    text: str


class Mood(Message):
    of: str
    label: Literal["good", "bad"]


class Tally(Message):
    good: int


class Brief(Message):
    question: str
    passages: list[Passage]
    good: int


class Note(Message):
    text: str
    citations: list[str]


class Publish(Message):
    text: str


PASSAGES = [Passage(id="p1", text="Net sales rose to 12.5 million.", score=0.5), Passage(id="p2", text="Rain.")]
QUESTION = Question(text="How much was sold?", company="Raute")


def made_by(role: str, message: Message) -> Any:
    return message.made_by(Origin(role=role, weights=f"{role} weights"))


@node
async def plan(question: Question) -> Query:
    return Query(text=question.text)


@node
async def lines(question: Question) -> list[Line]:
    return [Line(text="Up"), Line(text="Down"), Line(text="Up again")]


@node
async def tally(moods: list[Mood]) -> Tally:
    return Tally(good=sum(mood.label == "good" for mood in moods))


@node
async def brief(found: Evidence, felt: Tally, *, asked: Given[Question]) -> Brief:
    return Brief(question=asked.text, passages=found.passages, good=felt.good)


@node
async def keep(note: Note) -> Note:
    return note


def desk() -> Flow[Question, Publish]:
    """Search, mood of each line, a note, and a person."""
    search = ScriptedAgent[Query, Evidence]("search", lambda query: made_by("search", Evidence(passages=PASSAGES)))
    mood = ScriptedAgent[Line, Mood]("mood", lambda line: made_by("mood", Mood(of=line.text, label="good")))
    note = Note(text="Net sales were 12.5 million.", citations=["p1"])
    write = ScriptedAgent[Brief, Note]("write", lambda told: made_by("write", note))
    person = Review[Note, Publish]("person")
    flow = Workflow("desk", Question, Publish)
    flow.start(plan, lines)
    flow.edge(plan, search)
    flow.map(lines, mood)
    flow.join(mood, tally)
    flow.gather((search, tally), brief)
    flow.edge(brief, write)
    flow.edge(write, keep)
    flow.edge(keep, person)
    flow.end(person)
    return flow.build()


async def run_of(folder: Path, flow: Flow[Any, Any], message: Message, *answers: tuple[str, Answer]) -> Any:
    """The facts of a run of `flow`, which is answered as long as it asks."""
    place = folder / "desk.db"
    async with Runtime(log=place) as runtime:
        run = await runtime.start(flow, message)
        for task, answer in answers:
            await run.wait_settled()
            await run.answer(task, answer)
        await run.wait_settled()
    database = Database(place)
    try:
        return database.read(lambda connection: show(connection, run.id))
    finally:
        database.close()


def decided_in(folder: Path) -> list[Decision]:
    """What was decided in the log that `run_of` made, as of a run called "r"."""
    database = Database(folder / "desk.db")
    try:
        return [replace(decision, run="r") for decision in database.read(decisions_since)]
    finally:
        database.close()


def message(kind: str, role: str | None = None, **fields: Any) -> dict[str, Any]:
    """A message as a fact shows it."""
    origin = None if role is None else {"role": role, "weights": f"{role} weights"}
    stored = StoredMessage(kind, 1, to_json(fields).decode(), None if origin is None else to_json(origin).decode())
    return {"type": kind, "version": 1, "digest": stored.digest(), "fields": fields, "origin": origin}


class Facts(list[ShownFact]):
    """Facts written one after another; each happens a second after the one before."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        super().__init__()
        self.add("run-started", None, message=start, flow="flow")

    def add(self, kind: str, task: str | None, **fields: Any) -> None:
        at = len(self) + 1
        name = None if task is None else task.split("/")[-1].split("#")[0]
        self.append(ShownFact(at, kind, float(at), task, name, fields, ""))

    def begins(self, task: str, inputs: Sequence[Any], given: Mapping[str, Any] | None = None) -> None:
        self.add("task-started", task, attempt=1, inputs=list(inputs), given=given or {})

    def does(self, task: str, inputs: Sequence[Any], output: Any, given: Mapping[str, Any] | None = None) -> None:
        self.begins(task, inputs, given)
        self.add("task-finished", task, output=output)

    def asks(self, task: str, proposal: Mapping[str, Any]) -> None:
        self.add("review-requested", task, message=proposal)
