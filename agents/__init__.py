"""One agent: a message in, a message out. Knows nothing of graphs, logs and terminals; loads no torch when imported.

The three agents that wrap models are imported when they are first named, so that a flow of plain functions starts fast.
"""

from typing import TYPE_CHECKING, Any

from .agent import Agent, Context, Exchange, Host, ScriptedAgent, Signature
from .errors import CoterieError
from .hosting import LocalHost
from .loading import HeavyModule, load
from .messages import Confidence, Failure, Message, Origin, Passage, Rejection
from .registry import Registry, StoredMessage, migrate

if TYPE_CHECKING:
    from .classifier import DecisionClassifier
    from .dialogue import DialogueManager
    from .retriever import Retriever

__all__ = [
    "Agent",
    "Confidence",
    "Context",
    "CoterieError",
    "DecisionClassifier",
    "DialogueManager",
    "Exchange",
    "Failure",
    "Host",
    "LocalHost",
    "Message",
    "Origin",
    "Passage",
    "Registry",
    "Rejection",
    "Retriever",
    "ScriptedAgent",
    "Signature",
    "StoredMessage",
    "migrate",
]

_WHEN_NAMED: dict[str, HeavyModule] = {
    "DecisionClassifier": "agents.classifier",
    "DialogueManager": "agents.dialogue",
    "Retriever": "agents.retriever",
}


def __getattr__(name: str) -> Any:
    if name not in _WHEN_NAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(load(_WHEN_NAMED[name]), name)
    return found
