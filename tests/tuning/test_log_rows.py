"""What people said in the log becomes rows of the role that erred, as the agent itself would see them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from coterie.agents import (
    Confidence,
    Context,
    DecisionClassifier,
    DialogueManager,
    Exchange,
    LocalHost,
    Message,
    Passage,
    Rejection,
    Retriever,
)
from coterie.agents.inference import ChatTurn, Completion, Generation, Inference
from coterie.orchestration import Approve, Choose, Review, Runtime, Workflow
from coterie.orchestration.review_items import ShownMessage
from coterie.orchestration.training_items import Feedback, TrainingRow
from coterie.tuning.classifier_log import classifier_log
from coterie.tuning.dialogue_log import dialogue_log
from coterie.tuning.feedback import APPROVED
from coterie.tuning.log_rows import read_log
from coterie.tuning.retriever_log import retriever_log
from coterie.tuning.splits import split_of

if TYPE_CHECKING:
    from coterie.agents.engine import Engine


class Line(Message):
    text: str
    company: str = ""
    day: float | None = None


class Mood(Message):
    label: Literal["up", "down", "flat"]
    confidence: Confidence


class Grade(Message):
    label: Literal["up", "down"]
    share: Annotated[float, Field(ge=0, le=1)]


class Keep(Message):
    text: str


class Drop(Message):
    text: str


class Evidence(Message):
    passages: list[Passage]


class Brief(Message):
    question: str
    passages: list[Passage] = []  # noqa: RUF012 - pydantic copies it


class Note(Message):
    text: str
    citations: list[str]


class Sent(Message):
    text: str


def shown(message: Message) -> ShownMessage:
    return ShownMessage(message.schema_name, 1, str(hash(message)), message.model_dump(mode="json"), None)


def said(kind: Any, after: Mapping[str, Any] | None = None, **more: Any) -> Feedback:
    given = {"passage": None, "decision": 7, "type": None, **more}
    return Feedback(kind, "anna", 1.0, "", None if after is None else {}, after, **given)


def made(told: Message, answered: Message, *feedback: Feedback, run: str = "r1", **more: Any) -> TrainingRow:
    given: dict[str, Any] = {"index": None, "thread": None, "role": "desk", "weights": "w", "at": 1.0, **more}
    return TrainingRow(
        run=run, task="node", inputs=(shown(told),), given={}, output=shown(answered), feedback=feedback, **given
    )


LINE = Line(text="Sales rose.", company="Acme", day=0.5)
MOOD = DecisionClassifier[Line, Mood]("desk")
GOOD = Mood(label="up", confidence=0.9)


def learned(agent: DecisionClassifier[Any, Any], told: Message, answered: Message, *feedback: Feedback) -> Any:
    """Targets, what is excluded, and the weight of the one row; None: there is no row."""
    data = classifier_log(agent, [made(told, answered, *feedback)])
    assert not data.bad_lines
    return next(((row.targets, row.excluded, row.weight) for row in data.rows), None)


def test_a_row_says_where_it_is_from() -> None:
    """Its text and features are those that the agent serves; its thread is the log's, else the run."""
    rows = [
        made(LINE, GOOD, said("approved"), index=2),
        made(Line(text="Rain."), GOOD, said("approved"), run="r2", thread="client"),
        made(LINE, GOOD, said("approved"), role="another"),
        made(LINE, GOOD),
    ]
    data = classifier_log(MOOD, rows)
    first, second = data.rows
    assert (first.text, first.features, first.id) == ("Sales rose.\nAcme", (0.5,), "r1/node[2]")
    assert (first.source.where, first.source.thread, first.source.decisions, first.source.weights) == (
        *("run r1, task node, message 3", "r1"),
        *((7,), "w"),
    )
    assert (second.source.thread, second.split) == ("client", split_of("client"))
    assert (data.features, data.heads[0].labels) == (("day",), ("up", "down", "flat"))


def test_labels_that_people_gave_or_let_pass() -> None:
    """A correction is gold and tells what was wrong; an approval counts less; the last correction outweighs all."""
    down = {"label": "down", "confidence": 0.9}
    assert learned(MOOD, LINE, GOOD, said("approved")) == (("up",), (), APPROVED)
    assert learned(MOOD, LINE, GOOD, said("gold", down)) == (("down",), (frozenset({"up"}),), 1.0)
    assert learned(MOOD, LINE, GOOD, said("gold", {**down, "label": "up"})) == (("up",), (), 1.0)
    assert learned(MOOD, LINE, GOOD, said("edited", down), said("approved")) == (("down",), (frozenset({"up"}),), 1.0)
    assert learned(MOOD, LINE, GOOD, said("edited", down), said("gold", {"label": "flat"}))[0] == ("flat",)
    assert learned(MOOD, LINE, GOOD, said("right", passage="p")) is None


def test_a_rejection_says_what_is_wrong() -> None:
    """Of two labels the other is then right; of several heads nobody knows which was meant."""
    assert learned(MOOD, LINE, GOOD, said("approved"), said("rejected")) == ((None,), (frozenset({"up"}),), 1.0)
    either = DecisionClassifier[Line, Keep | Drop]("desk")
    assert learned(either, LINE, Keep(text="Sales rose."), said("rejected")) == (("Drop",), (frozenset({"Keep"}),), 1.0)
    grades = DecisionClassifier[Line, Grade]("desk")
    assert learned(grades, LINE, Grade(label="up", share=0.5), said("rejected")) is None
    gold = said("gold", {"label": "down", "share": 0.75})
    assert learned(grades, LINE, Grade(label="up", share=0.5), gold)[0] == ("down", 0.75)


def test_which_member_of_a_union_is_right() -> None:
    """The type that was sent on; but who wrote the text anew did not say where the old one belongs."""
    either = DecisionClassifier[Line, Keep | Drop]("desk")
    kept = Keep(text="Sales rose.")
    moved = said("edited", {"text": "Sales rose."}, type="Drop")
    assert learned(either, LINE, kept, moved) == (("Drop",), (frozenset({"Keep"}),), 1.0)
    assert learned(either, LINE, kept, said("edited", {"text": "Sales fell."}, type="Drop")) is None


def test_declining_is_corrected_but_not_learned() -> None:
    """An approval of it names no label."""
    shy = DecisionClassifier[Line, Mood | Rejection]("desk", abstain_below=0.5)
    declined = Rejection(by="desk", reason="unsure")
    assert learned(shy, LINE, declined, said("approved")) is None
    gold = said("edited", {"label": "down", "confidence": 1.0}, type="Mood")
    assert learned(shy, LINE, declined, gold) == (("down",), (), 1.0)


def test_what_does_not_fit_its_type_any_more_is_a_bad_row() -> None:
    """Named by run and task; the rest is kept."""
    odd = made(LINE, GOOD, said("gold", {"label": "sideways"}), run="r2")
    data = classifier_log(
        MOOD,
        [odd, made(Note(text="n", citations=[]), GOOD, said("approved")), made(LINE, GOOD, said("approved"), run="r3")],
    )
    assert [row.id for row in data.rows] == ["r3/node"]
    assert str(data.bad_lines[0]).startswith("run r2, task node: this is no stored Mood")
    assert (
        str(data.bad_lines[1]) == "run r1, task node: the role was told Note, which is no type that the agent takes now"
    )


PASSAGES = [Passage(id=f"p{number}", text=f"text {number}") for number in range(3)]
FOUND = Evidence(passages=PASSAGES)


def test_passages_that_people_marked_kept_or_took_out() -> None:
    """Marks outweigh the rest, the latest of each passage counts."""
    search = Retriever[Line, Evidence]("desk", passages=PASSAGES)
    fewer = said("gold", {"passages": [PASSAGES[1].model_dump(), {"id": "new", "text": "added"}]})
    cases: list[tuple[Sequence[Feedback], Any]] = [
        ([said("right", passage="p1"), said("wrong", passage="p0"), said("approved")], (("p1",), ("p0",), 1.0)),
        ([said("right", passage="p1"), said("wrong", passage="p1")], ((), ("p1",), 1.0)),
        ([said("approved")], (("p0", "p1", "p2"), (), APPROVED)),
        ([said("rejected")], ((), ("p0", "p1", "p2"), 1.0)),
        ([fewer], (("p1", "new"), ("p0", "p2"), 1.0)),
    ]
    for feedback, expected in cases:
        data = retriever_log(search, [made(LINE, FOUND, *feedback)])
        assert [(row.relevant, row.rejected, row.weight) for row in data.rows] == [expected]
        assert data.rows[0].query == "Sales rose.\nAcme"
        assert data.passages["p2"] == "text 2"
    assert data.passages["new"] == "added"


BRIEF = Brief(question="How did sales develop?", passages=PASSAGES)
SAID = Note(text="They fell.", citations=["p0"])


class Overheard:
    """An engine whose requests are remembered."""

    def __init__(self, engine: Inference) -> None:
        self.engine = engine
        self.heard: list[Generation] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def generate(self, request: Generation, on_text: Any = None) -> Completion:
        self.heard.append(request)
        return await self.engine.generate(request, on_text)


def writer(base: Path) -> DialogueManager[Brief, Note]:
    return DialogueManager[Brief, Note]("desk", instructions="Answer.", base=str(base), max_new_tokens=16)


@pytest.mark.anyio
async def test_the_turns_are_those_that_the_model_is_put(engine: "Engine", tiny_decoder: Path) -> None:
    """With what was said earlier in the thread, and nothing of other threads or of later."""
    agent, overheard = writer(tiny_decoder), Overheard(engine)
    earlier = Exchange(Brief(question="And before?"), Note(text="They rose.", citations=[]))

    async def history(node: str) -> Sequence[Exchange]:
        return (earlier,)

    answer = await agent.handle(BRIEF, Context(LocalHost(overheard), history=history))
    rows = [
        made(earlier.told, earlier.answered, run="r0", thread="t", at=1.0),
        made(Brief(question="Elsewhere?"), SAID, run="r1", thread="u", at=1.0),
        made(BRIEF, answer, said("approved"), run="r2", thread="t", at=2.0),
        made(Brief(question="Later?"), SAID, run="r3", thread="t", at=3.0),
    ]
    (row,) = (await dialogue_log(agent, rows, engine)).rows
    assert row.turns[:-1] == overheard.heard[0].turns
    assert row.supervised == (*(False for _ in row.turns[:-1]), True)
    assert (row.turns[-1].speaker, row.weight, row.rejected) == ("assistant", APPROVED, None)


@pytest.mark.anyio
async def test_answers_that_people_wrote(engine: "Engine", tiny_decoder: Path) -> None:
    """An edit is learned and preferred; a rejection is never learned; a citation of what was not shown is a bad row."""
    agent = writer(tiny_decoder)
    edit = said("edited", {"text": 'They "rose".', "citations": ["p1"]})
    unseen = said("gold", {"text": "They rose.", "citations": ["p9"]})
    as_sent = said("edited", {"text": "They rose."}, type="Sent")
    rows = [
        made(BRIEF, SAID, edit, run="r1"),
        made(BRIEF, SAID, as_sent, run="r2"),
        made(BRIEF, SAID, said("gold", SAID.model_dump()), run="r3"),
        made(BRIEF, SAID, said("rejected"), run="r4"),
        made(BRIEF, SAID, unseen, run="r5"),
    ]
    data = await dialogue_log(agent, rows, engine)
    before = 'They fell.\n{"citations":["A"]}'
    assert [(row.id, row.turns[-1], row.rejected, row.weight) for row in data.rows] == [
        ("r1/node", ChatTurn("assistant", 'They \'rose\'.\n{"citations":["B"]}'), before, 1.0),
        ("r2/node", ChatTurn("assistant", 'They rose.\n{"citations":["A"]}'), before, 1.0),
        ("r3/node", ChatTurn("assistant", before), None, 1.0),
    ]
    assert [str(bad) for bad in data.bad_lines] == ["run r5, task node: it cites 'p9', but 3 other passages were shown"]


@pytest.mark.anyio
async def test_a_real_log_is_read(engine: "Engine", tiny_encoder: Path, tmp_path: Path) -> None:
    """Runs that asked a person, answered: each correction becomes a row with the text that was embedded."""
    mood = DecisionClassifier[Line, Mood]("desk/mood", base=str(tiny_encoder))
    person = Review[Mood, Mood]("person")
    workflow = Workflow("moods", Line, Mood)
    workflow.start(mood)
    workflow.edge(mood, person)
    workflow.end(person)
    flow = workflow.build()
    async with Runtime(log=tmp_path / "desk.db") as runtime:
        proposed = []
        for text in ("Sales rose.", "Sales fell."):
            run = await runtime.start(flow, Line(text=text))
            await run.wait_settled()
            proposed.append(run.pending[0].message.label)
            right = next(label for label in ("up", "down", "flat") if label != proposed[-1])
            await run.answer(
                run.pending[0].task, Choose(label=right, by="anna") if text == "Sales rose." else Approve()
            )
            await run.result()
        data = await read_log(mood, await runtime.log.training_rows(), runtime.engine)
    first, second = data.rows
    assert (first.text, first.excluded, first.weight) == ("Sales rose.", (frozenset({proposed[0]}),), 1.0)
    assert (second.text, second.targets, second.weight) == ("Sales fell.", (proposed[1],), APPROVED)
