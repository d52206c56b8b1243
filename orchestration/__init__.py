"""Many agents: a typed graph, its runs, their log. Imports agents; loads neither torch nor networkx."""

from ..agents.agent import Context
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
from .run import Run
from .runtime import Resumed, Runtime
from .workflow import Flow, Workflow

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
