"""Many agents: a typed graph, its runs, their log. Imports agents; loads neither torch nor networkx."""

from ..agents.agent import Context
from ..agents.messages import Failure
from .errors import (
    GatherIncomplete,
    JoinIncomplete,
    LoopExhausted,
    NodeDefinitionError,
    NodeTimeout,
    ResultError,
    ReviewAnswerError,
    ReviewRejected,
    RunCancelled,
    RunError,
    RunFailed,
    UndeliverableMessage,
    WorkflowError,
)
from .log import Log, MemoryLog
from .nodes import Given, Node, Policy, node
from .review import Approve, Edit, Reject, Review
from .run import Run
from .runtime import Runtime
from .workflow import Flow, Workflow

__all__ = [
    "Approve",
    "Context",
    "Edit",
    "Failure",
    "Flow",
    "GatherIncomplete",
    "Given",
    "JoinIncomplete",
    "Log",
    "LoopExhausted",
    "MemoryLog",
    "Node",
    "NodeDefinitionError",
    "NodeTimeout",
    "Policy",
    "Reject",
    "ResultError",
    "Review",
    "ReviewAnswerError",
    "ReviewRejected",
    "Run",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "Runtime",
    "UndeliverableMessage",
    "Workflow",
    "WorkflowError",
    "node",
]
