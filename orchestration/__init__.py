"""Many agents: a typed graph, its runs, their log. Imports agents; loads neither torch nor networkx.

What works on runs is imported when it is first named: whoever draws a flow or reads a log needs none of it.
"""

from typing import TYPE_CHECKING, Any

from ..agents.agent import Context
from ..agents.loading import HeavyModule, load
from ..agents.messages import Failure
from .asking import Rule
from .errors import (
    GatherIncomplete,
    JoinIncomplete,
    KeyTaken,
    LogCorrupt,
    LogError,
    LogUnavailable,
    LoopExhausted,
    NodeDefinitionError,
    NodeTimeout,
    NoSuchRun,
    ResultError,
    ResumeRefused,
    ReviewAnswerError,
    ReviewOverdue,
    ReviewRejected,
    RunCancelled,
    RunError,
    RunFailed,
    RunHeldElsewhere,
    StaleLease,
    TaskGivenUp,
    UndeliverableMessage,
    WorkflowError,
)
from .log import Log, MemoryLog
from .nodes import Given, Node, Policy, node
from .replay import Replayed, replay
from .review import Review
from .review_answers import Approve, Choose, Edit, Reject
from .workflow import Flow, Workflow

if TYPE_CHECKING:
    from .run import Run
    from .runtime import Resumed, Runtime

__all__ = [
    "Approve",
    "Choose",
    "Context",
    "Edit",
    "Failure",
    "Flow",
    "GatherIncomplete",
    "Given",
    "JoinIncomplete",
    "KeyTaken",
    "Log",
    "LogCorrupt",
    "LogError",
    "LogUnavailable",
    "LoopExhausted",
    "MemoryLog",
    "NoSuchRun",
    "Node",
    "NodeDefinitionError",
    "NodeTimeout",
    "Policy",
    "Reject",
    "Replayed",
    "ResultError",
    "ResumeRefused",
    "Resumed",
    "Review",
    "ReviewAnswerError",
    "ReviewOverdue",
    "ReviewRejected",
    "Rule",
    "Run",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunHeldElsewhere",
    "Runtime",
    "StaleLease",
    "TaskGivenUp",
    "UndeliverableMessage",
    "Workflow",
    "WorkflowError",
    "node",
    "replay",
]

_WHEN_NAMED: dict[str, HeavyModule] = {
    "Resumed": "orchestration.runtime",
    "Run": "orchestration.run",
    "Runtime": "orchestration.runtime",
}


def __getattr__(name: str) -> Any:
    if name not in _WHEN_NAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(load(_WHEN_NAMED[name]), name)
    return found
