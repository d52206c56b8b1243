"""What a dialogue manager learns from the log: answers as people wanted them, in the form that its model writes.

Turns are those that the agent would put to its model now, earlier turns of the thread included; only the answer is
learned. A correction is learned and preferred to what was said; an approval counts less (`APPROVED`); what was rejected
without a better answer is never learned. This file opens no log and generates nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ..agents.agent import Exchange
from ..agents.dialogue import DialogueManager
from ..agents.errors import ContextOverflow, MessageError
from ..agents.inference import ChatTurn, Inference
from ..agents.messages import Message
from ..agents.prompting import passages_in
from ..agents.reply_text import read_reply, write_reply
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
from .rows import DialogueRow


async def dialogue_log(
    agent: DialogueManager[Any, Any], rows: Iterable[TrainingRow], engine: Inference
) -> Dataset[DialogueRow]:
    """What `agent` can learn from the log's rows, the earliest first; those of other roles are left out.

    `engine` counts tokens, as it does when the agent serves, so that the same is cut.
    """
    told, made = MessageTypes(agent.signature.consumes), MessageTypes(agent.signature.produces)
    all_rows = [row for row in rows if row.role == agent.role]
    found: list[DialogueRow] = []
    bad: list[BadRow] = []
    for row in reviewed(all_rows, agent.role):
        try:
            verdict = verdict_of(row, made)
            if verdict is not None and verdict.message is not None:
                asked = told_message(row, told)
                history = _history(row, all_rows, told, made)
                found.append(await _row(agent, row, asked, history, verdict, made, engine))
        except (MessageError, ContextOverflow, ValueError) as error:
            bad.append(BadRow(source_of(row).where, str(error)))
    return Dataset(agent.role, "dialogue", placed(found), tuple(bad))


async def _row(
    agent: DialogueManager[Any, Any],
    row: TrainingRow,
    asked: Message,
    history: Sequence[Exchange],
    verdict: Verdict,
    made: MessageTypes,
    engine: Inference,
) -> DialogueRow:
    produces = agent.signature.produces
    prompt = await agent.prompt(asked, history, engine)
    shown = list(passages_in(asked))[: prompt.shown]
    assert verdict.message is not None  # noqa: S101 -- as the caller made sure
    right = write_reply(produces, verdict.message, shown)
    read_reply(produces, right, shown)  # what a type refuses could never have been written
    said = None
    if verdict.kind == "corrected":
        said = write_reply(produces, made.message(row.output.type, row.output.version, row.output.fields), shown)
    return DialogueRow(
        id=identity_of(row),
        turns=(*prompt.turns, ChatTurn("assistant", right)),
        supervised=(*(False for _ in prompt.turns), True),
        split="train",
        source=source_of(row),
        rejected=None if said == right else said,
        weight=APPROVED if verdict.kind == "approved" else 1.0,
    )


def _history(row: TrainingRow, rows: Sequence[TrainingRow], told: MessageTypes, made: MessageTypes) -> list[Exchange]:
    """What the role was told and answered in earlier runs of the thread, oldest first, as far as it still fits."""
    found = []
    for other in rows:
        if row.thread is not None and other.thread == row.thread and other.run != row.run and other.at < row.at:
            try:
                answered = made.message(other.output.type, other.output.version, other.output.fields)
                found.append((other.at, Exchange(told_message(other, told), answered)))
            except MessageError:  # of types that the role had then; it would not be shown now either
                continue
    return [exchange for _, exchange in sorted(found, key=lambda one: one[0])]
