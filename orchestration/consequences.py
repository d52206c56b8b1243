"""The fact that a command of the scheduler leaves in the log, so that a later reader can check the decision."""

from .events import EffectUnknown, Event, ReviewRequested, RunFailed, RunFinished, TaskStarted
from .state import AskEffect, AskReview, Command, Fail, Finish, RunTask, Task


def consequence(command: Command, run: str, seq: int, at: float) -> Event | None:
    """The fact number `seq` of `run` that follows from `command`; None where it leaves none."""
    match command:
        case RunTask(task=task, attempt=attempt):
            inputs = list(task.message) if isinstance(task.message, tuple) else [task.message]
            return TaskStarted(run, seq, at, task.id, task.node, attempt, inputs, task.given)
        case AskReview(task=task):
            return ReviewRequested(run, seq, at, task.id, task.node, task.message, task.asking)
        case AskEffect(task=task, again=False):
            return EffectUnknown(run, seq, at, task.id, task.node, effect_key(run, task))
        case Finish(message=message):
            return RunFinished(run, seq, at, message)
        case Fail(node=node, error=error):
            return RunFailed(run, seq, at, node, type(error).__name__, str(error))
        case _:
            return None


def effect_key(run: str, task: Task) -> str:
    """The idempotency key of what `task` does outside; the same for each of its attempts."""
    return f"{run}/{task.id}"
