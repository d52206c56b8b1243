"""What a classifier learns from the log: labels that people gave, and labels that they said are wrong.

A correction is worth more than an approval (`APPROVED`). A rejection tells of a single head that its label is wrong, as
in Ishida et al. 2017, "Learning from Complementary Labels"; of several it cannot tell which, so nothing is learned.
This file opens no log and loads no model.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ..agents.classifier import DecisionClassifier
from ..agents.decisions import Decision, MultiLabel, Regression, Routing, label_of
from ..agents.errors import MessageError
from ..agents.messages import Message
from ..agents.outputs import OutputPlan
from ..agents.releases import StoredHead
from ..agents.rendering import feature_names, features_of, text_of
from ..orchestration.training_items import TrainingRow
from .datasets import BadRow, Dataset
from .feedback import (
    APPROVED,
    MessageTypes,
    Verdict,
    identity_of,
    placed,
    reviewed,
    source_of,
    told_message,
    verdict_of,
)
from .rows import ClassifierRow, Target


def classifier_log(agent: DecisionClassifier[Any, Any], rows: Iterable[TrainingRow]) -> Dataset[ClassifierRow]:
    """What `agent` can learn from the log's rows, the earliest first; those of other roles are left out.

    Raises:
        OutputTypeError: the agent's types make no classifier.
    """
    plan = agent.plan
    told, made = MessageTypes(plan.consumes), MessageTypes(agent.signature.produces)
    found: list[ClassifierRow] = []
    bad: list[BadRow] = []
    for row in reviewed(rows, agent.role):
        try:
            learned = _row(plan, row, told_message(row, told), verdict_of(row, made), _said(plan, row, made))
        except MessageError as error:
            bad.append(BadRow(source_of(row).where, str(error)))
        else:
            found += [] if learned is None else [learned]
    heads = tuple(StoredHead.of(decision) for decision in plan.heads)
    names = feature_names(plan.consumes)
    return Dataset(agent.role, "classifier", placed(found), tuple(bad), heads=heads, features=names)


def _said(plan: OutputPlan, row: TrainingRow, made: MessageTypes) -> tuple[Target, ...]:
    """What the role itself decided; nothing where it declined."""
    output = row.output
    if output.type not in {kind.schema_name for kind in plan.kinds}:
        return (None,) * len(plan.heads)
    return _targets(plan, made.message(output.type, output.version, output.fields))


def _row(
    plan: OutputPlan, row: TrainingRow, told: Message, verdict: Verdict | None, said: tuple[Target, ...]
) -> ClassifierRow | None:
    """What is learned from one message; None: nothing."""
    if verdict is None:
        return None
    right = (None,) * len(said) if verdict.message is None else _targets(plan, verdict.message)
    wrong = tuple(_excluded(head, one, other) for head, one, other in zip(plan.heads, said, right, strict=True))
    if verdict.kind == "rejected":
        wrong = _rejected(plan.heads, said)
        right = tuple(_only_other(head, labels) for head, labels in zip(plan.heads, wrong, strict=True))
    elif _is_rewritten(plan, told, verdict.message):
        return None
    if all(target is None for target in right) and not any(wrong):
        return None
    gold = verdict.kind == "rejected" or verdict.explicit or right != said
    values = dict(features_of(told))
    return ClassifierRow(
        id=identity_of(row),
        text=text_of(told),
        targets=right,
        split="train",
        source=source_of(row),
        excluded=wrong if any(wrong) else (),
        features=tuple(values[name] for name in feature_names(plan.consumes)),
        weight=1.0 if gold else APPROVED,
    )


def _targets(plan: OutputPlan, message: Message) -> tuple[Target, ...]:
    return tuple(_target(head, message) for head in plan.heads)


def _target(head: Decision, message: Message) -> Target:
    """What `head` would have to answer for `message` to come out; None where it is of another type."""
    if isinstance(head, Routing):
        return next((kind.__name__ for kind in head.members if type(message) is kind), None)
    if head.field not in type(message).model_fields:
        return None
    value = getattr(message, head.field)
    if isinstance(head, Regression):
        return float(value)
    if isinstance(head, MultiLabel):
        return frozenset(map(label_of, value))
    return label_of(value)


def _excluded(head: Decision, said: Target, right: Target) -> frozenset[str]:
    """The label that was said in place of the right one."""
    wrong = isinstance(said, str) and isinstance(right, str) and said != right and said in head.labels
    return frozenset({said}) if wrong and isinstance(said, str) else frozenset()


def _rejected(heads: Sequence[Decision], said: Sequence[Target]) -> tuple[frozenset[str], ...]:
    """What a rejection says is wrong: of a single head with labels, the label that was said."""
    only = said[0] if len(said) == 1 else None
    return (frozenset({only}),) if isinstance(only, str) else (frozenset(),) * len(heads)


def _only_other(head: Decision, wrong: frozenset[str]) -> Target:
    """The one label that is left, where all others are wrong."""
    left = [label for label in head.labels if label not in wrong]
    return left[0] if wrong and len(left) == 1 else None


def _is_rewritten(plan: OutputPlan, told: Message, right: Message | None) -> bool:
    """Whether a person changed what is only copied, so that nobody said where the message as it was should go."""
    if right is None or not any(isinstance(head, Routing) for head in plan.heads):
        return False
    shared = [name for name in type(right).model_fields if name in type(told).model_fields]
    return any(getattr(right, name) != getattr(told, name) for name in shared)
