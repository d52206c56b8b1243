"""Which learner an agent is: the one place that knows all three kinds."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from ..agents.classifier import DecisionClassifier
from ..agents.dialogue import DialogueManager
from ..agents.retriever import Retriever
from .classifier_learner import ClassifierLearner
from .dialogue_learner import DialogueLearner
from .retriever_learner import RetrieverLearner

Tunable: TypeAlias = DecisionClassifier[Any, Any] | Retriever[Any, Any] | DialogueManager[Any, Any]
AnyLearner: TypeAlias = ClassifierLearner | RetrieverLearner | DialogueLearner


def learner_of(agent: Tunable) -> AnyLearner:
    """The role of `agent` as a learner."""
    if isinstance(agent, DecisionClassifier):
        return ClassifierLearner.of(agent)
    if isinstance(agent, Retriever):
        return RetrieverLearner.of(agent)
    return DialogueLearner.of(agent)


def tunable(nodes: Iterable[object]) -> dict[str, Tunable]:
    """The agents among `nodes` whose roles can be tuned, by role; of several agents with one role, the first."""
    found: dict[str, Tunable] = {}
    for node in nodes:
        if isinstance(node, DecisionClassifier | Retriever | DialogueManager):
            found.setdefault(node.role, node)
    return found
