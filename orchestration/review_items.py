"""What a reviewer sees and does, as plain values: questions that wait, what surrounds them, and decisions.

Everything here is made from stored rows, so messages are shown as the JSON they are, and types as JSON Schema: a
reviewer's process needs neither the flow's code nor its models. This file does no work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .answer_form import JsonSchema, ReviewForm
from .asking import RuleVerdict

Act = Literal["approve", "choose", "edit", "reject", "skip", "amend", "mark", "undo", "check", "refused", "grant"]
"""What a decision does. "check" answers an item whose right answer is known; "refused" is the flow's own, where an
answer that was stored did not fit its type after all; "grant" changes what somebody may do."""


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A stored message, as JSON values."""

    type: str
    version: int
    digest: str
    fields: Mapping[str, Any]
    origin: Mapping[str, Any] | None  # of `Origin`: role, weights, calibrated, alternatives


@dataclass(frozen=True, slots=True)
class Item:
    """A question that waits for a person."""

    run: str
    task: str
    flow: str
    node: str
    thread: str | None
    asked: float  # seconds since the epoch, UTC
    why: tuple[str, ...]  # why a person is asked, a sentence each
    about: str  # the beginning of what the proposal is about, where it was made from a message
    proposal: ShownMessage
    rules: tuple[RuleVerdict, ...]
    risk: float  # what a wrong answer costs, in the flow's own unit
    doubt: float | None  # 1 less the confidence of the model; None: no model said
    disagrees: bool  # two roles, or a model and a rule, say different things
    alike: str  # group of near-duplicates
    alike_open: int  # how many of the group wait, itself included
    deadline: float | None  # seconds since the epoch, UTC
    approved_by: tuple[str, ...]  # who has approved it already, where more than one must
    claimed_by: str | None  # somebody else who has it open now
    skipped: int  # how often it was
    notes: tuple[str, ...]  # what became of earlier answers
    form: ReviewForm
    blind: bool = False  # the proposal is shown only after a first choice
    check: bool = False  # its right answer is known already; it looks like any other

    @property
    def place(self) -> tuple[str, str]:
        return self.run, self.task


@dataclass(frozen=True, slots=True)
class Amendment:
    """A correction of one message."""

    seq: int  # of the decision
    by: str
    at: float  # seconds since the epoch, UTC
    why: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineageStep:
    """A message upstream of a proposal."""

    run: str
    task: str  # "(input)" for what the run began with
    node: str
    message: ShownMessage
    index: int | None  # its position, where the task answered with a list
    role: str | None  # the role that made it; None: plain code or a person
    schema: JsonSchema
    amended: tuple[Amendment, ...] = ()


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """A passage that a proposal may rest on."""

    run: str
    task: str
    digest: str  # of the message that carries it
    index: int  # its position among the passages of that message's lists, in order
    id: str
    text: str
    source: str
    score: float
    cited: bool
    spans: tuple[tuple[int, int], ...]  # characters of `text` that the proposal says, too
    overlap: float  # share of the proposal's words that the passage has, 0 to 1
    role: str | None  # the role that found it
    marked: bool | None = None  # what a reviewer said of it: right or wrong


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """What was decided about something similar."""

    run: str
    task: str
    act: str
    label: str  # what was chosen, in a word or a few
    similarity: float  # 0 to 1
    by: str
    at: float  # seconds since the epoch, UTC


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often proposals at this level of confidence were right."""

    right: int
    of: int


@dataclass(frozen=True, slots=True)
class Case:
    """An item and what surrounds it."""

    item: Item
    lineage: tuple[LineageStep, ...]  # nearest first
    evidence: tuple[EvidenceItem, ...]  # what is cited first, then by overlap
    earlier: tuple[EarlierDecision, ...]  # most similar first
    frequency: Frequency | None  # None: too few were decided to say
    runner_up: tuple[str, float] | None  # what the model would have said next, and its probability


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is left."""

    left: int
    mine: int  # of them claimed by this reviewer
    seconds: float  # estimated, from this reviewer's own pace


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody did; a row that never changes."""

    seq: int
    at: float  # seconds since the epoch, UTC
    by: str
    act: Act
    run: str
    task: str
    body: Mapping[str, Any]
    batch: str | None = None  # decisions that are undone together


@dataclass(frozen=True, slots=True)
class EditFields:
    """An answer: a message of `type` with these fields, as JSON values, goes on in place of the proposal."""

    type: str
    fields: Mapping[str, Any]
    by: str


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which items are wanted; None: whatever it is."""

    flow: str | None = None
    node: str | None = None
    role: str | None = None
    thread: str | None = None
    text: str | None = None  # part of the proposal's text, in any case
    limit: int | None = None
