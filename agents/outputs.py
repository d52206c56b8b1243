"""An output type decides what its classifier must be, and how predictions become a message of that type.

    Publish | NeedsReview                 one class for each member, which is built from the input's fields
    Literal, Enum or bool field           classes; several such fields are several heads
    list[Literal]                         any number of labels
    Annotated[float, Field(ge=, le=)]     a number between the two
    Confidence                            filled in with the probability that the decision is right
    a field that the input has as well    copied from there
    … | Rejection                         the answer where the model is too unsure

This file knows nothing of models, text or files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .decisions import (
    Classes,
    Decision,
    MultiLabel,
    Prediction,
    Regression,
    Routing,
    best,
    probability_of,
)
from .errors import OutputTypeError
from .messages import Message, Origin, Rejection
from .output_types import OutputReading, copied_fields, is_confidence, read_output

DIGITS = 6  # decimals of every number that is shown: enough to compare, too few to tell machines apart
OWN_CONFIDENCE = "_confidence"  # `topic_confidence` is that of the field `topic`; any other, of the whole decision


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """How to answer a message of type `consumes` with one of `kinds`, or with Rejection."""

    consumes: type[Message]
    kinds: tuple[type[Message], ...]
    heads: tuple[Decision, ...]
    rejects: bool  # whether Rejection is among the answers
    abstain_below: float | None = None  # probability, 0 to 1

    def build(self, predictions: Sequence[Prediction], message: Message, origin: Origin) -> Message:
        """The answer to `message`, given one prediction for each head, in their order.

        Raises:
            pydantic.ValidationError: a validator of the output type refuses what was decided.
        """
        answer = self._answer(predictions, message)
        confidence = self.confidence(predictions)
        if self.abstain_below is None or confidence is None or confidence >= self.abstain_below:
            return answer.made_by(origin)
        return Rejection(
            by=origin.role,
            reason=f"{self.summary(predictions)} has probability {confidence:.2f}, below {self.abstain_below:g}",
            proposal=answer.model_dump(mode="json"),
        ).made_by(origin)

    def confidence(self, predictions: Sequence[Prediction]) -> float | None:
        """The probability that all is right, heads taken as independent; None where no head has one."""
        known = [one for one in map(probability_of, self.heads, predictions) if one is not None]
        return round(math.prod(known), DIGITS) if known else None

    def alternatives(self, predictions: Sequence[Prediction]) -> tuple[tuple[str, float], ...]:
        """Every label with its probability, likeliest first; with several heads, each label after its field."""
        ranked = [
            (f"{head.field}: {label}" if len(self.heads) > 1 else label, round(probability, DIGITS))
            for head, prediction in zip(self.heads, predictions, strict=True)
            if not isinstance(head, Regression)
            for label, probability in zip(head.labels, prediction, strict=True)
        ]
        return tuple(sorted(ranked, key=lambda pair: -pair[1]))

    def summary(self, predictions: Sequence[Prediction]) -> str:
        """What is decided, in a few words."""
        return ", ".join(_summary(head, prediction) for head, prediction in zip(self.heads, predictions, strict=True))

    def _answer(self, predictions: Sequence[Prediction], message: Message) -> Message:
        kind = self.kinds[0]
        values: dict[str, Any] = {}
        for head, prediction in zip(self.heads, predictions, strict=True):
            if isinstance(head, Routing):
                kind = head.members[best(prediction)]
            else:
                values[head.field] = _value(head, prediction)
        values |= {name: getattr(message, name) for name in copied_fields(self.consumes, kind)}
        return kind(**values, **self._confidences(kind, predictions))

    def _confidences(self, kind: type[Message], predictions: Sequence[Prediction]) -> dict[str, float | None]:
        whole = self.confidence(predictions)
        own = {
            head.field + OWN_CONFIDENCE: round(one, DIGITS)
            for head, prediction in zip(self.heads, predictions, strict=True)
            if (one := probability_of(head, prediction)) is not None
        }
        return {name: own.get(name, whole) for name, info in kind.model_fields.items() if is_confidence(info)}


def plan_output(consumes: Any, produces: Any, abstain_below: float | None = None) -> OutputPlan:
    """How a classifier answers a message of type `consumes` with one of the form `produces`.

    plan_output(Question, Mood)
    plan_output(Note, Publish | NeedsReview)
    plan_output(Question, Mood | Rejection, abstain_below=0.6)

    Raises:
        OutputTypeError: it cannot; the text lists every reason.
    """
    reading = read_output(consumes, produces)
    faults = [*reading.faults, *_faults_of_abstaining(reading, abstain_below)]
    if faults:
        raise OutputTypeError("; ".join(faults))
    return OutputPlan(consumes, reading.kinds, reading.heads, reading.rejects, abstain_below)


def output_faults(consumes: Any, produces: Any, abstain_below: float | None = None) -> list[str]:
    """Why `plan_output` would refuse, a sentence for each reason; empty where it would not."""
    reading = read_output(consumes, produces)
    return [*reading.faults, *_faults_of_abstaining(reading, abstain_below)]


def _faults_of_abstaining(reading: OutputReading, abstain_below: float | None) -> list[str]:
    if abstain_below is None or not reading.kinds:
        return []
    names = " | ".join(getattr(kind, "__name__", repr(kind)) for kind in reading.kinds)
    if not reading.rejects:
        return [f"abstain_below={abstain_below:g} needs Rejection among the answers; write `{names} | Rejection`"]
    if reading.heads and all(isinstance(head, Regression) for head in reading.heads):
        return [f"abstain_below={abstain_below:g} has no effect on {names}: a bounded float has no probability"]
    return []


def _value(head: Classes | MultiLabel | Regression, prediction: Prediction) -> Any:
    if isinstance(head, Classes):
        return head.values[best(prediction)]
    if isinstance(head, MultiLabel):
        return [head.values[index] for index in head.chosen(prediction)]
    return head.clamp(round(prediction[0], DIGITS))


def _summary(head: Decision, prediction: Prediction) -> str:
    if isinstance(head, Routing):
        return head.labels[best(prediction)]
    if isinstance(head, Classes):
        return f"{head.field} {head.labels[best(prediction)]!r}"
    if isinstance(head, MultiLabel):
        return f"{head.field} [{', '.join(head.labels[index] for index in head.chosen(prediction))}]"
    return f"{head.field} {head.clamp(round(prediction[0], DIGITS)):g}"
