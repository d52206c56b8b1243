"""Decisions about reviews from JSON lines, stored without a terminal.

A decision names the run, the task and an act: {"run": …, "task": …, "act": "approve"}. "choose" needs a "label", "edit"
a "type" and "fields", "reject" a "code" or a "reason"; "skip" needs nothing. Where it repeats the "digest" that was
listed, it is a conflict if the proposal has changed since.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ...agents.errors import CoterieError
from ...orchestration.review_answers import Approve, Choose, Reject
from ...orchestration.review_items import EditFields, Item
from .desk import Answer, Desk


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)
    run: str
    task: str
    digest: str | None = None
    seconds: float = Field(default=0.0, ge=0)


class GivenApprove(_Given):
    act: Literal["approve"]


class GivenChoose(_Given):
    act: Literal["choose"]
    label: str


class GivenEdit(_Given):
    act: Literal["edit"]
    type: str
    fields: dict[str, Any]


class GivenReject(_Given):
    act: Literal["reject"]
    code: str = ""
    reason: str = ""


class GivenSkip(_Given):
    act: Literal["skip"]


Given: TypeAlias = Annotated[
    GivenApprove | GivenChoose | GivenEdit | GivenReject | GivenSkip, Field(discriminator="act")
]
GIVEN: TypeAdapter[Given] = TypeAdapter(Given)


class UnreadableDecisions(CoterieError, ValueError):
    """A line is no decision; none of the lines was stored."""


def read_decisions(lines: Iterable[str]) -> list[Given]:
    """The decisions in `lines`; blank lines are nothing.

    Raises:
        UnreadableDecisions: naming every line that is none.
    """
    found: list[Given] = []
    faults: list[str] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            found.append(GIVEN.validate_json(text))
        except ValidationError as error:
            faults += [f"line {number}: {_fault(fault)}" for fault in error.errors(include_url=False)]
    if faults:
        raise UnreadableDecisions("\n".join([*faults, "nothing was stored"]))
    return found


def _fault(fault: Any) -> str:
    if fault["type"] == "union_tag_not_found":
        return 'it has no "act": approve, choose, edit, reject or skip'
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}" if place else str(fault["msg"])


def applied(desk: Desk, by: str, decisions: Iterable[Given]) -> Iterator[dict[str, Any]]:
    """What became of each decision: "stored", "conflict" (another answer was first) or "refused" (and why)."""
    for given in decisions:
        yield {"run": given.run, "task": given.task, **_apply(desk, by, given)}


def _apply(desk: Desk, by: str, given: Given) -> dict[str, Any]:
    try:
        item = desk.item(given.run, given.task)
    except CoterieError as error:
        return {"outcome": "conflict", "problem": str(error)}
    if given.digest is not None and given.digest != item.proposal.digest:
        return {"outcome": "conflict", "problem": "the proposal has changed since it was listed; list it again"}
    if item.blind and not isinstance(given, GivenChoose | GivenSkip):
        return {"outcome": "refused", "problem": "its proposal is hidden: choose a label"}
    return _store(desk, by, given, item)


def _store(desk: Desk, by: str, given: Given, item: Item) -> dict[str, Any]:
    try:
        if isinstance(given, GivenSkip):
            stored = desk.skip(item, given.seconds)
        else:
            first = given.label if item.blind and isinstance(given, GivenChoose) else None
            stored = desk.answer(item, _answer(given, by), seconds=given.seconds, blind=item.blind, first=first)
    except CoterieError as error:
        return {"outcome": _outcome(desk, item), "problem": str(error)}
    return {"outcome": "stored", "seq": stored.seq, "act": stored.act}


def _outcome(desk: Desk, item: Item) -> str:
    """A conflict, where the item is no longer there; else the answer itself was refused."""
    try:
        desk.item(*item.place)
    except CoterieError:
        return "conflict"
    return "refused"


def _answer(given: GivenApprove | GivenChoose | GivenEdit | GivenReject, by: str) -> Answer:
    match given:
        case GivenApprove():
            return Approve(by=by)
        case GivenChoose(label=label):
            return Choose(label=label, by=by)
        case GivenEdit(type=kind, fields=fields):
            return EditFields(kind, fields, by=by)
        case GivenReject(code=code, reason=reason):
            return Reject(code=code, reason=reason, by=by)
