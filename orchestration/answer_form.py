"""What can be answered at a review, as plain values. Has a file of its own because a log needs no more of reviews."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

JsonSchema: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReviewForm:
    """What can be answered at one review node; the same for all its items."""

    approves_to: str | None  # the type of message that approving makes; None: it cannot be approved, only edited
    types: Mapping[str, JsonSchema]  # what an edit may send on, by the name of its type
    label_field: str | None = None  # the field that the keys 1 to 9 choose
    labels: tuple[str, ...] = ()  # its values, in the order of the schema
    codes: Mapping[str, str] = field(default_factory=dict)  # why something is rejected: code -> sentence
    causes: tuple[str, ...] = ()  # what approving causes, a sentence each
    approvals: int = 1  # people who must agree
    grace: float = 10.0  # seconds in which a decision can be taken back, unless three more are made before
    blind: float = 0.05  # share of items that are decided before the proposal is shown
    checks: float = 0.0  # share of items before which one with a known answer is shown again
    author_may_decide: bool = True  # whether whoever started the run may


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field."""

    field: str
    problem: str  # what was found and what is expected
