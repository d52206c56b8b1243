"""Output types: which decisions they ask for, how predictions become messages, and every fault in a sentence."""

import enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from coterie.agents.decisions import Classes, MultiLabel, Regression, Routing
from coterie.agents.errors import OutputTypeError
from coterie.agents.messages import Confidence, Message, Origin, Rejection
from coterie.agents.outputs import output_faults, plan_output

ORIGIN = Origin(role="desk/test", weights="f" * 64)


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Step(enum.Enum):
    FIRST = 1
    SECOND = 2


class Question(Message):
    text: str
    company: str = ""


class Mood(Message):
    label: Literal["positive", "neutral", "negative"]
    confidence: Confidence


class Ticket(Message):
    topic: Literal["card", "loan"]
    level: Level
    urgent: bool
    company: str
    topic_confidence: Confidence
    confidence: Confidence
    note: str = "none"


class Topics(Message):
    topics: list[Literal["price", "risk", "growth"]]
    confidence: Confidence


class Outlook(Message):
    movement: Annotated[float, Field(ge=-1, le=1)]


class Note(Message):
    text: Annotated[str, Field(min_length=1)]
    citations: list[str]


class Publish(Note):
    """A note that may go out.

    Nothing more to do.
    """


class NeedsReview(Note):
    confidence: Confidence


def test_a_literal_field_is_a_choice_with_its_probability() -> None:
    """The likeliest value and its probability are filled in, and the origin travels along."""
    plan = plan_output(Question, Mood)
    assert plan.heads == (Classes("label", ("positive", "neutral", "negative")),)
    answer = plan.build([(0.2, 0.7000000004, 0.1)], Question(text="?"), ORIGIN)
    assert answer == Mood(label="neutral", confidence=0.7)
    assert answer.origin is ORIGIN
    assert plan.alternatives([(0.2, 0.7, 0.1)]) == (("neutral", 0.7), ("positive", 0.2), ("negative", 0.1))


def test_several_choices_are_several_heads_on_one_message() -> None:
    """Literal, Enum and bool each get a head; the company is copied, the note keeps its default."""
    plan = plan_output(Question, Ticket)
    assert [(head.kind, head.field, head.labels) for head in plan.heads] == [
        ("classes", "topic", ("card", "loan")),
        ("classes", "level", ("low", "high")),
        ("classes", "urgent", ("false", "true")),
    ]
    answer = plan.build([(0.1, 0.9), (0.5, 0.5), (0.2, 0.8)], Question(text="?", company="Oak"), ORIGIN)
    assert answer == Ticket(
        topic="loan", level=Level.LOW, urgent=True, company="Oak", topic_confidence=0.9, confidence=0.36
    )
    assert plan.alternatives([(0.1, 0.9), (0.5, 0.5), (0.2, 0.8)])[0] == ("topic: loan", 0.9)


def test_a_union_is_a_choice_among_its_members() -> None:
    """The member is built from the input's fields of the same names, and from the probability."""
    plan = plan_output(Note, Publish | NeedsReview)
    assert plan.heads == (Routing((Publish, NeedsReview)),)
    note = Note(text="Sales rose.", citations=["a"])
    assert plan.build([(0.8, 0.2)], note, ORIGIN) == Publish(text="Sales rose.", citations=["a"])
    assert plan.build([(0.2, 0.8)], note, ORIGIN) == NeedsReview(text="Sales rose.", citations=["a"], confidence=0.8)


def test_a_list_of_choices_is_any_number_of_labels() -> None:
    """Labels more likely than not are chosen; the confidence is that all of them are right."""
    plan = plan_output(Question, Topics)
    assert plan.heads == (MultiLabel("topics", ("price", "risk", "growth")),)
    answer = plan.build([(0.9, 0.2, 0.5)], Question(text="?"), ORIGIN)
    assert answer == Topics(topics=["price", "growth"], confidence=0.36)
    assert plan.build([(0.1, 0.1, 0.1)], Question(text="?"), ORIGIN) == Topics(topics=[], confidence=0.729)


def test_the_limits_of_a_list_are_kept() -> None:
    """At least one and at most two labels, whatever their probabilities."""

    class Some(Message):
        topics: Annotated[list[Literal["a", "b", "c"]], Field(min_length=1, max_length=2)]

    plan = plan_output(Question, Some)
    assert plan.build([(0.1, 0.3, 0.2)], Question(text="?"), ORIGIN) == Some(topics=["b"])
    assert plan.build([(0.7, 0.8, 0.9)], Question(text="?"), ORIGIN) == Some(topics=["b", "c"])


@given(st.floats(allow_nan=False))
def test_a_bounded_float_never_leaves_its_bounds(value: float) -> None:
    """Whatever a head says, the field is valid, also where the bounds themselves are excluded."""

    class Share(Message):
        part: Annotated[float, Field(gt=0, lt=1)]
        movement: Annotated[float, Field(ge=-1, le=1)]

    plan = plan_output(Question, Share)
    answer = plan.build([(value,), (value,)], Question(text="?"), ORIGIN)
    assert isinstance(answer, Share)
    assert 0 < answer.part < 1
    assert -1 <= answer.movement <= 1
    assert plan.confidence([(value,), (value,)]) is None
    assert plan.alternatives([(value,), (value,)]) == ()


@pytest.mark.parametrize(
    ("form", "labels", "values"),
    [
        (Literal[1, 2, 3], ("1", "2", "3"), (1, 2, 3)),
        (Literal["yes", "no"] | None, ("yes", "no", "null"), ("yes", "no", None)),
        (bool | None, ("false", "true", "null"), (False, True, None)),
        (Level, ("low", "high"), (Level.LOW, Level.HIGH)),
        (Step, ("FIRST", "SECOND"), (Step.FIRST, Step.SECOND)),
        (Literal[1, True], ("1", "true"), (1, True)),
    ],
)
def test_any_value_of_a_choice_comes_back_as_itself(
    form: Any, labels: tuple[str, ...], values: tuple[Any, ...]
) -> None:
    """Numbers, truth values, None and Enum members are labels by their text, and values in the answer."""
    kind = type("Chosen", (Message,), {"__annotations__": {"choice": form}})
    plan = plan_output(Question, kind)
    assert plan.heads[0].labels == labels
    for index, value in enumerate(values):
        prediction = tuple(float(index == other) for other in range(len(values)))
        answer = plan.build([prediction], Question(text="?"), ORIGIN)
        assert type(answer.choice) is type(value)  # type: ignore[attr-defined]
        assert answer.choice == value  # type: ignore[attr-defined]


def test_labels_describe_themselves() -> None:
    """Words for names, the first paragraph of a member's own docstring, the field beside a number, `not` for false."""

    class Chosen(Message):
        intent: Literal["card_arrival", "Top up!"]
        stars: Literal[1, 2]
        is_urgent: bool
        owner: Literal["client"] | None
        risk: Annotated[float, Field(ge=0, le=1)]

    assert [head.descriptions for head in plan_output(Question, Chosen).heads] == [
        ("card arrival", "Top up!"),
        ("stars: 1", "stars: 2"),
        ("not is urgent", "is urgent"),
        ("client", "no owner"),
        ("very low risk", "very high risk"),
    ]
    assert plan_output(Note, Publish | NeedsReview).heads[0].descriptions == ("A note that may go out.", "needs review")


def test_a_field_that_the_input_has_is_copied_not_decided() -> None:
    """What is known already is passed along; a Confidence is about this decision, so it is filled in anew."""

    class Checked(Mood):
        correct: bool

    plan = plan_output(Mood, Checked)
    assert [head.field for head in plan.heads] == ["correct"]
    answer = plan.build([(0.3, 0.7)], Mood(label="negative", confidence=0.2), ORIGIN)
    assert answer == Checked(label="negative", confidence=0.7, correct=True)


def test_too_unsure_is_a_rejection() -> None:
    """Below the limit the answer is a Rejection with what would have been said; at the limit it is not."""
    plan = plan_output(Question, Mood | Rejection, abstain_below=0.6)
    assert plan.rejects
    assert plan.build([(0.6, 0.3, 0.1)], Question(text="?"), ORIGIN) == Mood(label="positive", confidence=0.6)
    declined = plan.build([(0.5, 0.3, 0.2)], Question(text="?"), ORIGIN)
    assert declined == Rejection(
        by="desk/test",
        reason="label 'positive' has probability 0.50, below 0.6",
        proposal={"label": "positive", "confidence": 0.5},
    )
    assert declined.origin is ORIGIN


def test_rejection_is_no_class_of_a_union() -> None:
    """Two members and Rejection are two classes."""
    plan = plan_output(Note, Publish | NeedsReview | Rejection, abstain_below=0.9)
    assert plan.heads == (Routing((Publish, NeedsReview)),)
    declined = plan.build([(0.6, 0.4)], Note(text="x", citations=[]), ORIGIN)
    assert isinstance(declined, Rejection)
    assert declined.reason == "Publish has probability 0.60, below 0.9"


class Unfilled(Message):
    label: Literal["a", "b"]
    reason: str
    count: int
    score: float
    tags: list[str]
    passage: Question


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("reason", "a classifier writes no text; choose among texts with Literal[…], use a DialogueManager"),
        ("count", "an int is neither a choice nor a bounded float; write Literal[1, 2, 3] or a float"),
        ("score", "a float without lower and upper limit; write Annotated[float, Field(ge=…, le=…)]"),
        ("tags", "list[str] has no labels to choose from; write list[Literal[…]]"),
        ("passage", "no head gives Question; use a Literal, an Enum, bool, list[Literal] or a bounded float"),
    ],
)
def test_each_field_that_no_head_can_fill_is_said(field: str, said: str) -> None:
    """All of them at once, each with what to do."""
    faults = output_faults(Question, Unfilled)
    assert len(faults) == 5
    assert (
        f"nothing fills Unfilled.{field}: {said}, or give Question a field `{field}` to copy, or give it a default"
        in faults
    )
    with pytest.raises(OutputTypeError, match=r"nothing fills Unfilled\.reason.*nothing fills Unfilled\.passage"):
        plan_output(Question, Unfilled)


def made(**annotations: Any) -> type[Message]:
    """A message type called Made."""
    return type("Made", (Message,), {"__annotations__": annotations})


@pytest.mark.parametrize(
    ("produces", "said"),
    [
        (made(part=Annotated[float, Field(ge=0)]), "a float without upper limit"),
        (made(part=Annotated[float, Field(ge=1, le=0)]), "its limits 1 and 0 leave no room"),
        (made(one=Literal["a"]), "with 'a' alone there is nothing to choose; name another value"),
        (made(one=Literal[1, "1"]), "its values '1' cannot be told apart as labels; rename them"),
        (made(), "Made leaves nothing to decide: it needs a Literal, Enum, bool, list[Literal] or bounded float field"),
        (made(text=str), "Made leaves nothing to decide"),
        (made(text=bool), "Made.text, which is copied from Question.text, is bool there and str here; make them the"),
        (
            made(text=Annotated[str, Field(max_length=9)], yes=bool),
            "Made.text, which is copied from Question.text, has limits that Question.text has not",
        ),
        (
            made(part=Annotated[float, Field(ge=0, le=1)], sure=Confidence),
            "Made.sure cannot be filled in: a bounded float has no probability of being right",
        ),
        (Rejection, "Rejection alone leaves nothing to decide; name what is answered otherwise"),
        (str, "a classifier answers with message types, but str in str is none"),
        (Mood | None, "a classifier answers with message types, but None in Mood | None is none"),
        (list[Mood], "a classifier answers with message types, but list[Mood] in list[Mood] is none"),
        (made(yes=bool) | made(no=bool), "two members of the union are called Made; their names are the labels"),
        (
            Publish | Question,
            "nothing fills Publish.citations: Publish is one class of a union, so only which member it is gets "
            "decided; give Question a field `citations` to copy, or a default",
        ),
    ],
)
def test_what_is_no_output_type_is_said(produces: Any, said: str) -> None:
    """One sentence that names the types and fields and says what to do."""
    faults = output_faults(Question, produces)
    assert len([fault for fault in faults if said in fault]) == 1, faults


def test_the_input_is_one_message_type() -> None:
    """A list or a tuple has no text of its own."""
    assert output_faults(list[Question], Mood) == ["a classifier takes one message type, not list[Question]"]


def test_abstaining_needs_a_rejection_and_a_probability() -> None:
    """Both are said, with the type to write."""
    assert output_faults(Question, Mood, abstain_below=0.6) == [
        "abstain_below=0.6 needs Rejection among the answers; write `Mood | Rejection`"
    ]
    assert output_faults(Question, Outlook | Rejection, abstain_below=0.6) == [
        "abstain_below=0.6 has no effect on Outlook: a bounded float has no probability"
    ]
    assert output_faults(Question, Outlook | Rejection) == []


def test_a_validator_of_the_output_type_has_the_last_word() -> None:
    """A decision that the type refuses is an error, not an answer."""

    class Strict(Message):
        level: Literal["a", "b"]
        tags: Annotated[list[Literal["a", "b"]], Field(min_length=3)]

    with pytest.raises(ValidationError, match="at least 3 items"):
        plan_output(Question, Strict).build([(0.5, 0.5), (1.0, 1.0)], Question(text="?"), ORIGIN)


def test_regression_is_planned_with_the_bounds_that_the_field_accepts() -> None:
    """Included bounds are themselves."""
    assert plan_output(Question, Outlook).heads == (Regression("movement", -1.0, 1.0),)
