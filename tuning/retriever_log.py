"""What a retriever learns from the log: passages that people marked as right or wrong, kept, added or took out.

Marks outweigh the rest. Without any, an edited answer tells which passages were kept and which were not, an approval
that all are right (`APPROVED`), a rejection that all are wrong: hard negatives. A query to which nothing right is known
has no `relevant` passage; it can teach only beside others. This file opens no log and searches nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..agents.errors import MessageError
from ..agents.messages import Message
from ..agents.prompting import passages_in
from ..agents.rendering import text_of
from ..agents.retriever import Retriever
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
from .rows import RetrieverRow


def retriever_log(agent: Retriever[Any, Any], rows: Iterable[TrainingRow]) -> Dataset[RetrieverRow]:
    """What `agent` can learn from the log's rows, the earliest first; those of other roles are left out.

    Passages are those that were shown, under the ids of the agent's index; of one that has changed since, the text that
    was shown first.
    """
    told, made = MessageTypes(agent.signature.consumes), MessageTypes(agent.signature.produces)
    found: list[RetrieverRow] = []
    bad: list[BadRow] = []
    passages: dict[str, str] = {}
    for row in reviewed(rows, agent.role):
        try:
            verdict = verdict_of(row, made)
            shown = _passages(made.message(row.output.type, row.output.version, row.output.fields))
            asked = told_message(row, told)
        except MessageError as error:
            bad.append(BadRow(source_of(row).where, str(error)))
            continue
        known = shown | _passages(None if verdict is None else verdict.message)
        learned = _row(row, text_of(asked), verdict, shown)
        if learned is not None:
            found.append(learned)
            passages |= {name: text for name, text in known.items() if name not in passages}
    return Dataset(agent.role, "retriever", placed(found), tuple(bad), passages=passages)


def _row(row: TrainingRow, query: str, verdict: Verdict | None, shown: Mapping[str, str]) -> RetrieverRow | None:
    """What is learned from one answer; None: nothing."""
    right, wrong, weight = _marked(row, shown), _marked(row, shown, right=False), 1.0
    if not right and not wrong and verdict is not None:
        kept = _passages(verdict.message)
        right, wrong = list(kept), [name for name in shown if name not in kept]
        weight = APPROVED if verdict.kind == "approved" or kept == shown else 1.0
    if not (right or wrong) or not query.strip():
        return None
    return RetrieverRow(
        id=identity_of(row),
        query=query,
        relevant=tuple(right),
        split="train",
        source=source_of(row),
        rejected=tuple(wrong),
        weight=weight,
    )


def _marked(row: TrainingRow, shown: Mapping[str, str], *, right: bool = True) -> list[str]:
    """The passages of the answer whose latest mark is this one."""
    marks = {one.passage: one.kind for one in row.feedback if one.kind in ("right", "wrong")}
    return [name for name in shown if marks.get(name) == ("right" if right else "wrong")]


def _passages(message: Message | None) -> dict[str, str]:
    """The texts of a message's passages, by id, in order."""
    return {one.id: one.text for one in passages_in(message) if one.text.strip()}
