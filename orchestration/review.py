"""A person as a node: `Review[In, Out]`, when it asks, and what an answer makes of a proposal.

A review holds nothing open: the scheduler leaves its task pending until an answer comes. This file knows nothing of
terminals, of where questions wait, and of who asks the person.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from ..agents.agent import Context, Described, In, Out
from ..agents.decisions import label_of
from ..agents.messages import Message, Rejection
from ..agents.type_forms import describe, is_instance, members
from .asking import Asking, Gates, Rule, confidence_of, fields_of, reasons, role_of, verdicts_of
from .errors import ReviewAnswerError, ReviewRejected
from .labels import LabelField, calibrated_fields, label_field_of
from .review_answers import Answer, Approve, Choose, Edit, Reject

CODES: Mapping[str, str] = {
    "facts": "what it says is not so",
    "evidence": "what it rests on does not say it",
    "tone": "it should be said in another way",
    "policy": "it must not be said or done",
    "other": "something else is wrong with it",
}
ROUTED = "the flow wants a person to see it"


@dataclass(eq=False)
class Review(Described[In, Out]):
    """A person decides.

        Review[NeedsReview, Publish]("desk")                                    # about everything that is routed here
        Review[Mood, Mood]("moods", ask_below=0.7, audit=0.05, rules=[profit])  # about what is unsure, and 1 in 20
        Review[Mood, Mood]("moods", second=SecondMood)                          # where two roles say different things
        Review[Refund, Paid]("refunds", approvals=2, author_may_decide=False, deadline=86_400)

    Approving turns the proposal into the first member of `Out` that its fields can make; choosing puts another label
    into it; editing puts a typed message in its place; rejecting answers with a `Rejection` where `Out` names it, and
    fails the task where it does not. What nobody is asked about goes on as if it were approved.

    A `Rejection` as proposal, from a classifier with `abstain_below=`, stands for what would have been said.
    """

    name: str
    _: KW_ONLY
    always: bool | None = None  # ask about everything; None: unless one of the next four says when to ask
    ask_below: float | None = None  # ask where the model's probability of being right, 0 to 1, is lower
    audit: float | None = None  # ask about this share, 0 to 1, of all else, by lot
    rules: tuple[Rule, ...] | list[Rule] = ()  # ask where one of them objects
    second: type[Message] | None = None  # ask where another role's message of this type has another label
    risk: float | Callable[[Any], float] = 1.0  # what a wrong answer costs, in a unit of your own
    label: str | None = None  # field whose labels can be chosen; None: the first that has any
    codes: Mapping[str, str] = field(default_factory=lambda: CODES)  # why something is rejected: code -> sentence
    approvals: int = 1  # people who must give the same answer
    deadline: float | None = None  # seconds; then the task fails with ReviewOverdue, which a handler must catch
    grace: float = 10.0  # seconds in which an answer can be taken back, unless three more are given before
    blind: float = 0.05  # share of items, 0 to 1, that are decided before the proposal is shown
    checks: float = 0.0  # share of items, 0 to 1, before which one with a known answer is shown again
    author_may_decide: bool = True  # whether whoever started the run may

    @property
    def given(self) -> Mapping[str, Any]:
        """What it is given besides the proposal, by parameter."""
        return {} if self.second is None else {"second": self.second}

    @cached_property
    def gates(self) -> Gates:
        """When it asks."""
        told = self.ask_below is not None or self.audit is not None or bool(self.rules) or self.second is not None
        always = not told if self.always is None else self.always
        return Gates(always=always, ask_below=self.ask_below, audit=self.audit, rules=tuple(self.rules))

    @cached_property
    def label_field(self) -> LabelField | None:
        """The labels that can be chosen; None: there are none."""
        return label_field_of(self.signature.produces, self.label)

    @property
    def approves_to(self) -> str | None:
        """The stored name of the type that approving makes; None: a proposal cannot be approved, only edited."""
        for proposal in members(self.signature.consumes):
            for kind in self._kinds:
                if proposal is Rejection or issubclass(proposal, kind) or _can_become(proposal, kind):
                    return kind.schema_name
        return None

    def faults(self) -> list[str]:
        """What is wrong with the settings, in sentences."""
        return list(self._faults())

    def asking(self, proposal: Message, given: Mapping[str, Message], lot: str) -> Asking | None:
        """Why a person is asked about `proposal`; None: nobody is.

        Args:
            given: what the review is given besides, by parameter.
            lot: the same text always draws the same.
        """
        verdicts = verdicts_of(self.gates.rules, proposal)
        differing = self._differing(proposal, given)
        why = tuple(reasons(self.gates, proposal, verdicts, differing, lot))
        if not why and not self.gates.always:
            return None
        sure = confidence_of(proposal)
        return Asking(
            why=why or (ROUTED,),
            rules=verdicts,
            risk=float(self.risk(proposal) if callable(self.risk) else self.risk),
            doubt=None if sure is None else 1 - sure,
            disagrees=differing is not None or not all(one.agrees for one in verdicts),
            label=self._label(proposal),
            deadline=self.deadline,
        )

    async def handle(self, message: In, context: Context) -> Any:
        """What goes on of a proposal that nobody is asked about."""
        assert isinstance(message, Message)  # noqa: S101 - the build refuses anything else
        return self.approved(message)

    def approved(self, proposal: Message) -> Any:
        """What goes on when `proposal` is approved as it is.

        Raises:
            ReviewAnswerError: no member of `Out` can be made from the proposal's fields.
        """
        for kind in self._kinds:
            if isinstance(proposal, kind):
                return proposal
            if isinstance(proposal, Rejection) and proposal.proposal.keys() >= _needed(kind):
                return self._made(kind, proposal, proposal.proposal, "approved")
            if _can_become(type(proposal), kind):
                return self._made(kind, proposal, fields_of(proposal), "approved")
        raise ReviewAnswerError(
            f"{type(proposal).__name__} cannot be approved at {self.name!r}: none of its fields make a "
            f"{describe(self.signature.produces)}; edit it instead"
        )

    def chosen(self, proposal: Message, label: str) -> Any:
        """What goes on when `label` is chosen for `proposal`.

        Raises:
            ReviewAnswerError: there is no such label, or no message with it can be made from the proposal's fields.
        """
        found = self.label_field
        if found is None or label not in found.values:
            known = "none" if found is None else ", ".join(found.values)
            raise ReviewAnswerError(f"{self.name!r} has no label {label!r} to choose; its labels are: {known}")
        fields = dict(proposal.proposal if isinstance(proposal, Rejection) else fields_of(proposal))
        kind = found.kind_of(label)
        if found.field is not None:
            fields |= {found.field: found.values[label]}
        sure = dict.fromkeys(calibrated_fields(kind), 1.0)
        return self._made(kind, proposal, fields | sure, f"relabelled {label!r}")

    def decide(self, proposal: Message, answer: Answer) -> Any:
        """The message that `answer` sends on.

        Raises:
            ReviewAnswerError: the answer does not fit the review's output type.
            ReviewRejected: the proposal was rejected and `Out` does not name `Rejection`.
        """
        match answer:
            case Approve():
                return self.approved(proposal)
            case Choose(label=label):
                return self.chosen(proposal, label)
            case Edit(message=message):
                if not is_instance(message, self.signature.produces):
                    raise ReviewAnswerError(
                        f"{self.name!r} was answered with {type(message).__name__}, "
                        f"but takes {describe(self.signature.produces)}"
                    )
                return message
            case Reject(by=by):
                reason = answer.reason or self.codes.get(answer.code, answer.code)
                if Rejection not in members(self.signature.produces):
                    raise ReviewRejected(self.name, by, reason)
                return Rejection(by=by, reason=reason, proposal=proposal.model_dump(mode="json"))

    @property
    def _kinds(self) -> list[type[Message]]:
        return [kind for kind in members(self.signature.produces) if kind is not Rejection]

    def _label(self, proposal: Message) -> str | None:
        """The label that `proposal` has, or stands for."""
        found = self.label_field
        if found is None:
            return None
        if found.field is None:
            return next((kind.__name__ for kind in self._kinds if _can_become(type(proposal), kind)), None)
        fields = proposal.proposal if isinstance(proposal, Rejection) else fields_of(proposal)
        return None if fields.get(found.field) is None else label_of(fields[found.field])

    def _differing(self, proposal: Message, given: Mapping[str, Message]) -> str | None:
        second = given.get("second")
        own, other = self._label(proposal), None if second is None else self._label(second)
        if second is None or other is None or own == other:
            return None
        return f"{role_of(proposal)} says {own}, but {role_of(second)} says {other}"

    def _made(self, kind: type[Message], proposal: Message, fields: Mapping[str, Any], what: str) -> Message:
        known = {name: value for name, value in fields.items() if name in kind.model_fields}
        try:
            return kind.model_validate(known, strict=not isinstance(proposal, Rejection))  # which holds JSON values
        except ValidationError as error:
            rules = "; ".join(f"{'.'.join(map(str, rule['loc']))}: {rule['msg']}" for rule in error.errors())
            raise ReviewAnswerError(
                f"{type(proposal).__name__} cannot be {what} at {self.name!r} ({rules}); edit it instead"
            ) from error

    def _faults(self) -> Iterator[str]:
        for setting, share in (("ask_below", self.ask_below), ("audit", self.audit), ("blind", self.blind),
                               ("checks", self.checks)):  # fmt: skip
            if share is not None and not 0 <= share <= 1:
                yield f"review {self.name!r}: its `{setting}` is {share}, but must be from 0 to 1"
        for setting, seconds in (("deadline", self.deadline), ("grace", self.grace)):
            if seconds is not None and seconds < 0:
                yield f"review {self.name!r}: its `{setting}` is {seconds} s, but must not be negative"
        if self.approvals < 1:
            yield f"review {self.name!r}: its `approvals` is {self.approvals}, but at least one person must answer"
        if self.label is not None and self.label_field is None:
            produced = describe(self.signature.produces)
            yield f"review {self.name!r}: {produced} has no field {self.label!r} with labels to choose from"
        if not self.gates.always and self.approves_to is None and Rejection not in members(self.signature.consumes):
            yield (
                f"review {self.name!r} lets proposals pass unseen, but {describe(self.signature.consumes)} makes no "
                f"{describe(self.signature.produces)}; set `always=True`, or give both the same fields"
            )


def _needed(kind: type[Message]) -> set[str]:
    return {name for name, field in kind.model_fields.items() if field.is_required()}


def _can_become(source: type[Message], target: type[Message]) -> bool:
    """Whether each field that `target` needs has a field of the same name and type in `source`."""
    return all(
        name in source.model_fields and source.model_fields[name].annotation == field.annotation
        for name, field in target.model_fields.items()
        if field.is_required() or name in source.model_fields
    )
