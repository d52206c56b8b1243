"""A desk in memory, with the interface of the real one: items in a list, decisions in another."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from coterie.agents.errors import CoterieError
from coterie.cli.review.desk import Answer
from coterie.orchestration.answer_form import FieldFault, ReviewForm
from coterie.orchestration.asking import RuleVerdict
from coterie.orchestration.field_faults import faults_of
from coterie.orchestration.review_answers import Choose, Reject
from coterie.orchestration.review_items import (
    Amendment,
    Budget,
    Case,
    Decision,
    EarlierDecision,
    EditFields,
    EvidenceItem,
    Frequency,
    Item,
    LineageStep,
    QueueFilter,
    ShownMessage,
)

MOOD = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "label": {"enum": ["positive", "neutral", "negative"]},
        "text": {"type": "string", "minLength": 3},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["label", "text"],
}
HEADLINE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}
FORM = ReviewForm(
    approves_to="Mood",
    types={"Mood": MOOD, "Headline": HEADLINE},
    label_field="label",
    labels=("positive", "neutral", "negative"),
    codes={"wrong": "the facts are wrong", "tone": "the tone does not fit", "other": "something else"},
    causes=("'publish' goes on with it", "'mail' acts outside (ask), which cannot be taken back"),
    grace=10.0,
)
ORIGIN = {
    "role": "finance/mood",
    "weights": "ab" * 32,
    "calibrated": False,
    "alternatives": [["positive", 0.62], ["negative", 0.31], ["neutral", 0.07]],
}
TEXT = "Profit rose to EUR 13.1 mn from EUR 8.7 mn in the corresponding period"


def an_item(number: int = 1, **changes: Any) -> Item:
    fields = {"label": "positive", "text": f"{TEXT} in 20{number:02}", "stars": 4}
    item = Item(
        run=f"run{number:04}", task="desk", flow="finance-desk", node="desk", thread=f"client-{number}", asked=1000.0,
        why=("the model is less sure than 0.70",), about=f"{TEXT} in 20{number:02}",
        proposal=ShownMessage("Draft", 1, f"digest{number}", fields, ORIGIN),
        rules=(RuleVerdict("profit-up", "profit that rises is good news", True),
               RuleVerdict("small-print", "a one-off gain is no good news", False)),
        risk=2.0, doubt=0.38, disagrees=True, alike="group", alike_open=3, deadline=None, approved_by=(),
        claimed_by=None, skipped=0, notes=(), form=FORM,
    )  # fmt: skip
    return replace(item, **changes)


def a_case(item: Item) -> Case:
    text = f"In the year under review {TEXT.lower()}, which the board attributes to lower costs. " * 3
    begin = text.index("profit rose")
    passages = tuple(
        EvidenceItem(item.run, "search", "evidence", index, f"report-{index}", text, f"annual/report.md#{index}",
                     0.9 - index / 10, index == 0, ((begin, begin + 11),), 0.71, "finance/search")
        for index in range(4)
    )  # fmt: skip
    found = ShownMessage("Evidence", 1, "evidence", {"passages": ["report-0", "report-1"]}, None)
    start = ShownMessage("Question", 1, "start", {"text": f"What is the mood of: {TEXT}?", "company": "Raute"}, None)
    headline = ShownMessage("Headline", 1, "headline", {"text": TEXT}, ORIGIN)
    lineage = (
        LineageStep(item.run, "headline", "headline", headline, None, "finance/mood", HEADLINE),
        LineageStep(item.run, "search", "search", found, None, "finance/search", {"type": "object"}),
        LineageStep(item.run, "start", "start", start, None, None, {"type": "object"}),
    )
    earlier = (EarlierDecision("run0900", "desk", "approve", "positive", 0.91, "berta", 900.0),)
    return Case(item, lineage, passages, earlier, Frequency(13, 21), ("negative", 0.31))


ALL = QueueFilter()


class Refused(CoterieError):
    """What the desk will not do."""


class FakeDesk:
    """Items that wait, in order; everything done is in `stored`."""

    def __init__(self, items: Sequence[Item], by: str = "anna") -> None:
        self.open = {item.place: item for item in items}
        self.by = by
        self.stored: list[Decision] = []
        self.taken: list[tuple[list[Decision], list[Item]]] = []
        self.claimed: set[tuple[str, str]] = set()
        self.amended: dict[str, tuple[Amendment, ...]] = {}
        self.marks: dict[int, bool] = {}
        self.calls: list[str] = []
        self.kept: list[tuple[str, str]] = []  # items that were held on

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def next(self, wanted: QueueFilter = ALL, *, skip: Collection[tuple[str, str]] = ()) -> Item | None:
        found = next((item for item in self.items(wanted) if item.place not in skip), None)
        if found is not None:
            self.claimed.add(found.place)
        return found

    def ahead(self, item: Item, wanted: QueueFilter = ALL, *, skip: Collection[tuple[str, str]] = ()) -> Item | None:
        return next((one for one in self.items(wanted) if one.place not in {*skip, item.place}), None)

    def item(self, run: str, task: str) -> Item:
        if (run, task) not in self.open:
            raise Refused(f"no review waits at {task!r} of run {run!r}")
        return self.open[run, task]

    def items(self, wanted: QueueFilter) -> list[Item]:
        fits = [item for item in self.open.values() if wanted.text is None or wanted.text in str(item.proposal.fields)]
        return fits[: wanted.limit]

    def case(self, item: Item) -> Case:
        self.calls.append("case")
        case = a_case(item)
        steps = tuple(replace(step, amended=self.amended.get(step.task, ())) for step in case.lineage)
        passages = tuple(replace(one, marked=self.marks.get(one.index)) for one in case.evidence)
        return replace(case, lineage=steps, evidence=passages)

    def budget(self, wanted: QueueFilter) -> Budget:
        left = len(self.items(wanted))
        return Budget(left, len(self.claimed), 25.0 * left)

    def waiting_release(self) -> list[Decision]:
        return [one for decisions, _ in reversed(self.taken) for one in decisions]

    def answer(
        self, item: Item, answer: Answer, *, seconds: float = 0.0, blind: bool = False, first: str | None = None
    ) -> Decision:
        self.item(*item.place)
        if isinstance(answer, EditFields) and self.check(item, answer.fields, answer.type):
            raise Refused("label is wrong")
        del self.open[item.place]
        return self._store(_act(answer), item, _body(answer) | ({"first": first} if first else {}))

    def check(self, item: Item, fields: Mapping[str, Any], type: str) -> list[FieldFault]:  # noqa: A002
        return faults_of(item.form.types[type], dict(fields))

    def skip(self, item: Item, seconds: float = 0.0) -> Decision:
        return self._store("skip", item, {})

    def amend(self, step: LineageStep, fields: Mapping[str, Any], why: str) -> Decision:
        change = Amendment(len(self.stored) + 1, self.by, 1.0, why, step.message.fields, dict(fields))
        self.amended[step.task] = (*self.amended.get(step.task, ()), change)
        return self._store("amend", an_item(), {"why": why, "after": dict(fields)})

    def mark(self, evidence: EvidenceItem, right: bool, why: str = "") -> Decision:
        self.marks[evidence.index] = right
        return self._store("mark", an_item(), {"right": right})

    def undo(self) -> list[Decision]:
        if not self.taken:
            raise Refused("nothing of yours waits any more: the last one has been taken into its run")
        decisions, items = self.taken.pop()
        self.open = {item.place: item for item in [*items, *self.open.values()]}
        self.stored.append(replace(decisions[0], seq=len(self.stored) + 1, act="undo", body={}))
        return decisions

    def batch_of(self, item: Item) -> list[Item]:
        return [item, *(one for one in self.open.values() if one.place != item.place)][:25]

    def answer_batch(self, items: Sequence[Item], answer: Answer, *, seconds: float) -> list[Decision]:
        decisions = [self.answer(item, answer) for item in items]
        del self.taken[-len(items) :]
        self.taken.append((decisions, list(items)))
        return decisions

    def keep_claim(self, item: Item) -> None:
        self.kept.append(item.place)

    def release_claim(self, item: Item) -> None:
        self.claimed.discard(item.place)

    def decisions(self, since: float | None = None, by: str | None = None) -> Iterator[Decision]:
        yield from reversed(self.stored)

    def _store(self, act: Any, item: Item, body: dict[str, Any]) -> Decision:
        decision = Decision(len(self.stored) + 1, 1.0, self.by, act, item.run, item.task, body)
        self.stored.append(decision)
        self.taken.append(([decision], [item]))
        return decision


def _act(answer: Answer) -> str:
    return {"Approve": "approve", "Choose": "choose", "EditFields": "edit", "Reject": "reject"}[type(answer).__name__]


def _body(answer: Answer) -> dict[str, Any]:
    match answer:
        case Choose(label=label):
            return {"label": label}
        case EditFields(type=kind, fields=fields):
            return {"type": kind, "fields": dict(fields)}
        case Reject(code=code, reason=reason):
            return {"code": code, "reason": reason}
        case _:
            return {}
