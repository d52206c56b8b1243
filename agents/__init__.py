"""One agent: a message in, a message out. Knows nothing of graphs, logs and terminals; loads no torch when imported."""

from .agent import Agent, Context, Exchange, Host, ScriptedAgent, Signature
from .classifier import DecisionClassifier
from .dialogue import DialogueManager
from .errors import CoterieError
from .hosting import LocalHost
from .messages import Confidence, Failure, Message, Origin, Passage, Registry, Rejection
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
]
