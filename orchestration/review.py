"""A person as a node: `Review[In, Out]`, and the answers that a person can give.

A review holds nothing open and runs no user code: the scheduler leaves its task pending until an answer comes. This
file knows nothing of terminals and of who asks the person.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError

from ..agents.agent import Described, In, Out
from ..agents.messages import Message, Rejection
from ..agents.type_forms import describe, is_instance, members
from .errors import ReviewAnswerError, ReviewRejected


class Approve(BaseModel):
    """Let the proposal go on as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    kind: Literal["approve"] = "approve"
    by: str = "reviewer"


class Edit(BaseModel):
    """Let `message` go on in place of the proposal."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    kind: Literal["edit"] = "edit"
    message: SerializeAsAny[Message]
    by: str = "reviewer"


class Reject(BaseModel):
    """Turn the proposal down."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    kind: Literal["reject"] = "reject"
    reason: str = Field(min_length=1)
    by: str = "reviewer"


Answer: TypeAlias = Annotated[Approve | Edit | Reject, Field(discriminator="kind")]


@dataclass(eq=False)
class Review(Described[In, Out]):
    """A person decides. `Review[NeedsReview, Publish]("desk")`

    Approving turns the proposal into the first member of `Out` that its fields can make; editing puts a typed message
    in its place; rejecting answers with a `Rejection` where `Out` names it, and fails the task where it does not.
    """

    name: str

    def approved(self, proposal: Message) -> Any:
        """What goes on when `proposal` is approved as it is.

        Raises:
            ReviewAnswerError: no member of `Out` can be made from the proposal's fields.
        """
        for kind in members(self.signature.produces):
            if isinstance(proposal, kind):
                return proposal
            if kind is not Rejection and _can_become(type(proposal), kind):
                return self._made(kind, proposal)
        raise ReviewAnswerError(
            f"{type(proposal).__name__} cannot be approved at {self.name!r}: none of its fields make a "
            f"{describe(self.signature.produces)}; edit it instead"
        )

    def _made(self, kind: type[Message], proposal: Message) -> Message:
        shared = kind.model_fields.keys() & type(proposal).model_fields.keys()
        try:
            return kind(**{name: getattr(proposal, name) for name in shared})
        except ValidationError as error:
            rules = "; ".join(f"{'.'.join(map(str, rule['loc']))}: {rule['msg']}" for rule in error.errors())
            raise ReviewAnswerError(
                f"{type(proposal).__name__} cannot be approved at {self.name!r} ({rules}); edit it instead"
            ) from error

    def decide(self, proposal: Message, answer: Answer) -> Any:
        """The message that `answer` sends on.

        Raises:
            ReviewAnswerError: the answer does not fit the review's output type.
            ReviewRejected: the proposal was rejected and `Out` does not name `Rejection`.
        """
        match answer:
            case Approve():
                return self.approved(proposal)
            case Edit(message=message):
                if not is_instance(message, self.signature.produces):
                    raise ReviewAnswerError(
                        f"{self.name!r} was answered with {type(message).__name__}, "
                        f"but takes {describe(self.signature.produces)}"
                    )
                return message
            case Reject(reason=reason, by=by):
                if Rejection not in members(self.signature.produces):
                    raise ReviewRejected(self.name, by, reason)
                return Rejection(by=by, reason=reason, proposal=proposal.model_dump(mode="json"))


def _can_become(source: type[Message], target: type[Message]) -> bool:
    """Whether each field that `target` needs has a field of the same name and type in `source`."""
    return all(
        name in source.model_fields and source.model_fields[name].annotation == field.annotation
        for name, field in target.model_fields.items()
        if field.is_required() or name in source.model_fields
    )
