"""What a role learns from the log: the messages that it made, as people said they should have been.

    of                    a classifier                   a retriever                  a dialogue manager
    approved              its labels, weight APPROVED    its passages, the same       its answer, the same
    amended, chosen or    the right labels, and that     passages kept: right,        the right answer, and what it
    edited                the others were wrong          taken out: wrong             said instead as rejected
    rejected              "not this label"               its passages as wrong        nothing
    a passage marked      nothing                        right or wrong               nothing

After "Principled fine-tuning from user edits" (arXiv 2601.19055). The text is the one that the agent puts to its model
when it serves. A message of which nobody said anything is no row; one that does not fit its type any more is a bad row.
Threads are those of the log, else each run is one. This file opens no log and knows no flow.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from ..agents.classifier import DecisionClassifier
from ..agents.dialogue import DialogueManager
from ..agents.inference import Inference
from ..agents.retriever import Retriever
from ..orchestration.training_items import TrainingRow
from .classifier_log import classifier_log
from .datasets import AnyDataset
from .dialogue_log import dialogue_log
from .retriever_log import retriever_log

TunableAgent: TypeAlias = DecisionClassifier[Any, Any] | Retriever[Any, Any] | DialogueManager[Any, Any]


async def read_log(agent: TunableAgent, rows: Iterable[TrainingRow], engine: Inference) -> AnyDataset:
    """What `agent` can learn from the log's rows (`await runtime.log.training_rows()`), the earliest first.

    Raises:
        OutputTypeError: the agent's types cannot be answered with.
    """
    if isinstance(agent, DecisionClassifier):
        return classifier_log(agent, rows)
    if isinstance(agent, Retriever):
        return retriever_log(agent, rows)
    return await dialogue_log(agent, rows, engine)
