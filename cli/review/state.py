"""Where a reviewer is: which item, which view of it, what is marked, and what is being written. Plain frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ...orchestration.answer_form import FieldFault, JsonSchema
from ...orchestration.review_items import Budget, Case, Decision, EvidenceItem, Item, LineageStep, QueueFilter
from .page import Tone, parts
from .values import spoken

View = Literal["item", "lineage", "proof", "why", "history", "keys", "reject", "batch", "form", "diff", "done"]
Place = tuple[str, str]  # run and task


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about what was just done or could not be."""

    text: str = ""
    tone: Tone = "note"


@dataclass(frozen=True, slots=True)
class Question:
    """Text that is wanted from the keyboard, a line or a whole file."""

    name: Literal["filter", "reason", "field", "why", "editor"]
    prompt: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An edit under way: of the proposal, or of one message upstream (`step`)."""

    title: str
    types: Mapping[str, JsonSchema]
    type: str
    before: Mapping[str, Any]
    values: Mapping[str, Any]
    step: LineageStep | None = None
    why: str = ""
    faults: tuple[FieldFault, ...] = ()

    @property
    def schema(self) -> JsonSchema:
        return self.types[self.type]

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the type's fields; a type without any in its schema has those it holds."""
        return tuple(self.schema.get("properties", self.values))


@dataclass(frozen=True, slots=True)
class State:
    """All that the next key depends on, besides what is stored."""

    by: str
    wanted: QueueFilter
    view: View = "item"
    case: Case | None = None
    ahead: Case | None = None  # of the item that probably comes next
    budget: Budget = field(default_factory=lambda: Budget(0, 0, 0.0))
    number: int = 1  # of the item in this sitting
    done: Mapping[str, int] = field(default_factory=dict[str, int])  # act -> how often in this sitting
    marked: tuple[Place, ...] = ()  # for a batch, in the order in which they were
    passed: frozenset[Place] = frozenset()  # skipped in this sitting
    undoable: tuple[Decision, ...] = ()  # latest first
    first: str | None = None  # own choice before the proposal was shown
    began: float = 0.0  # when the item was shown, seconds since the epoch
    cursor: int = 0  # selected entry of a list
    part: int = 0  # of the selected entry's texts
    scroll: int = 0  # rows further down than the view begins
    notice: Notice = Notice()
    question: Question | None = None
    draft: Draft | None = None
    batch: tuple[Item, ...] = ()
    history: tuple[Decision, ...] = ()
    ended: bool = False

    @property
    def item(self) -> Item | None:
        return None if self.case is None else self.case.item

    @property
    def hidden(self) -> bool:
        """Whether the proposal is kept back until the reviewer has chosen."""
        item = self.item
        return item is not None and item.blind and bool(item.form.labels) and self.first is None

    @property
    def entries(self) -> tuple[LineageStep | EvidenceItem, ...]:
        """What can be selected in the view."""
        if self.case is None:
            return ()
        if self.view == "proof":
            return self.case.evidence
        if self.view != "lineage":
            return ()
        if self.hidden:  # what the run began with says nothing of the proposal; what came after may
            return tuple(
                step for step in self.case.lineage[-1:] if step.message.digest != self.case.item.proposal.digest
            )
        found: list[LineageStep | EvidenceItem] = []
        for step in self.case.lineage:
            found += [step, *(one for one in self.case.evidence if one.digest == step.message.digest)]
        return tuple(found)

    @property
    def selected(self) -> LineageStep | EvidenceItem | None:
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    @property
    def size(self) -> int:
        """How many entries the cursor can stand on."""
        if self.view == "form" and self.draft is not None:
            return len(self.draft.fields)
        return len(self.batch) if self.view == "batch" else len(self.entries)

    @property
    def parts(self) -> int:
        """How many parts the selected entry has."""
        match self.selected:
            case EvidenceItem(text=text):
                return parts(text)
            case LineageStep(message=message):
                return max((parts(spoken(value)) for value in message.fields.values()), default=1)
            case _:
                return 1

    def says(self, text: str, tone: Tone = "note") -> "State":
        """The same place with another notice."""
        return replace(self, notice=Notice(text, tone))

    def at(self, view: View) -> "State":
        """Another view of the same item, from its beginning."""
        return replace(self, view=view, cursor=0, part=0, scroll=0, notice=Notice())
