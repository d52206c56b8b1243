"""What a person can answer at a review, as values that are stored. What follows from it is review.py's business."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from ..agents.messages import Message

_STORED = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Approve(BaseModel):
    """Let the proposal go on as it is."""

    model_config = _STORED
    kind: Literal["approve"] = "approve"
    by: str = "reviewer"


class Choose(BaseModel):
    """Let the proposal go on with another label."""

    model_config = _STORED
    kind: Literal["choose"] = "choose"
    label: str
    by: str = "reviewer"


class Edit(BaseModel):
    """Let `message` go on in place of the proposal."""

    model_config = _STORED
    kind: Literal["edit"] = "edit"
    message: SerializeAsAny[Message]
    by: str = "reviewer"


class Reject(BaseModel):
    """Turn the proposal down: for one of the review's reason codes, for a reason in own words, or both."""

    model_config = _STORED
    kind: Literal["reject"] = "reject"
    reason: str = ""
    code: str = ""
    by: str = "reviewer"

    @model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if not (self.reason.strip() or self.code):
            raise ValueError("a rejection needs a reason or a code; it teaches nobody anything without")
        return self


Answer: TypeAlias = Annotated[Approve | Choose | Edit | Reject, Field(discriminator="kind")]
