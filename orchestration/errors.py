"""Every error that a graph or a run raises. It extends the tree of ``agents/errors.py``:

CoterieError
├── NodeDefinitionError (TypeError)   a function cannot be a node
├── WorkflowError (ValueError)        a graph cannot be built; lists every fault
├── LogError                          the log cannot do what it is asked
│   ├── NoSuchRun (LookupError)
│   ├── AmbiguousRun (LookupError)    several runs begin as what was given
│   ├── KeyTaken                      the flow has a run with this idempotency key
│   ├── RunHeldElsewhere              a living process has the run
│   ├── StaleLease                    another process has taken the run over
│   ├── NoSuchReview (LookupError)    nothing waits for a person there
│   ├── ReviewTaken                   somebody else was first, or has it open
│   ├── NothingToUndo                 what was decided has been taken into its run
│   ├── NotAllowed (PermissionError)  the person has no role that allows it
│   ├── LogCorrupt                    a row was changed, is missing or was added
│   ├── LogUnavailable (OSError)      the database cannot be opened, or a commit failed
│   └── ResumeRefused                 the program has changed in a way that the run cannot go on with
└── RunError (RuntimeError)           a run could not go on
    ├── RunFailed                     a task failed and nothing caught it
    ├── RunCancelled
    ├── UndeliverableMessage (TypeError)
    ├── GatherIncomplete
    ├── JoinIncomplete
    ├── LoopExhausted
    ├── ResultError                   no result, or more than one
    ├── ReviewRejected                a person turned the proposal down and no edge takes that
    ├── ReviewAnswerError (ValueError)
    ├── ReviewOverdue (TimeoutError)  nobody answered within the review's `deadline`
    ├── NodeTimeout (TimeoutError)
    └── TaskGivenUp                   the process ended in each of its attempts
"""

from collections.abc import Sequence

from ..agents.errors import CoterieError


class NodeDefinitionError(CoterieError, TypeError):
    """A function cannot be a node."""


class WorkflowError(CoterieError, ValueError):
    """A graph cannot be built. `faults` holds one sentence for each thing that is wrong."""

    def __init__(self, workflow: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"workflow {workflow!r} has {count}:", *(f"  - {fault}" for fault in faults)]))


class RunError(CoterieError, RuntimeError):
    """A run could not go on."""


class RunFailed(RunError):
    """A task failed and nothing caught it; the error itself is the `__cause__`."""

    def __init__(self, run: str, node: str, reason: str) -> None:
        self.node = node
        super().__init__(f"run {run!r} failed at node {node!r}: {reason}")


class RunCancelled(RunError):
    """Somebody cancelled the run before it had a result."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} was cancelled before it had a result")


class UndeliverableMessage(RunError, TypeError):
    """A node answered with something that its edges cannot take."""

    def __init__(self, node: str, found: str, candidates: str) -> None:
        super().__init__(f"node {node!r} answered with {found}, but only {candidates} can go on from there")


class GatherIncomplete(RunError):
    """Some inputs of a gather came and the others cannot come any more."""

    def __init__(self, node: str, present: Sequence[str], missing: Sequence[str]) -> None:
        super().__init__(
            f"node {node!r} gathers from {len(present) + len(missing)} nodes, but nothing came from "
            f"{', '.join(missing)}; the branch was not taken or gave nothing"
        )


class JoinIncomplete(RunError):
    """A join had fewer items than it asks for when no more could come."""

    def __init__(self, node: str, found: int, at_least: int) -> None:
        super().__init__(f"node {node!r} joins at least {at_least} items, but only {found} came")


class LoopExhausted(RunError):
    """A loop's edge was used up and it has no `exhausted=` node."""

    def __init__(self, source: str, target: str, visits: int) -> None:
        super().__init__(
            f"the edge {source} -> {target} was taken {visits} times, its `max_visits`; "
            f"name a node in `exhausted=` to go on from there"
        )


class ResultError(RunError):
    """A flow came to rest without a result, or with more than one."""


class ReviewRejected(RunError):
    """A person turned a proposal down, and the review's output type holds no `Rejection`."""

    def __init__(self, node: str, by: str, reason: str) -> None:
        super().__init__(f"{by} rejected the proposal at {node!r}: {reason}")


class ReviewAnswerError(RunError, ValueError):
    """An answer to a review cannot be taken; nothing was changed."""


class ReviewOverdue(RunError, TimeoutError):
    """Nobody answered a review within its `deadline`."""

    def __init__(self, node: str, seconds: float) -> None:
        super().__init__(f"nobody answered at {node!r} within {seconds:g} s")


class NodeTimeout(RunError, TimeoutError):
    """One attempt of a task took longer than its node's `timeout`."""

    def __init__(self, node: str, seconds: float) -> None:
        super().__init__(f"node {node!r} did not answer within {seconds:g} s")


class TaskGivenUp(RunError):
    """The process ended during each attempt of a task, so it is not tried again unless somebody asks for it."""

    def __init__(self, node: str, crashes: int) -> None:
        super().__init__(f"the process ended in each of {crashes} attempts at node {node!r}; it is not tried again")


class LogError(CoterieError):
    """The log cannot do what it is asked."""


class NoSuchRun(LogError, LookupError):
    """The log does not have this run."""

    def __init__(self, run: str) -> None:
        super().__init__(f"the log has no run {run!r}; `coterie runs` lists what it has")


class AmbiguousRun(LogError, LookupError):
    """Several runs have ids that begin alike."""

    def __init__(self, beginning: str, found: Sequence[str]) -> None:
        super().__init__(f"the ids of several runs begin with {beginning!r}: {', '.join(found)}; write more of it")


class KeyTaken(LogError):
    """The flow has a run with this idempotency key: `run`."""

    def __init__(self, flow: str, key: str, run: str) -> None:
        self.run = run
        super().__init__(f"flow {flow!r} has been started with the key {key!r} already; it is run {run!r}")


class RunHeldElsewhere(LogError):
    """A living process is at work on the run."""

    def __init__(self, run: str, worker: str) -> None:
        super().__init__(f"run {run!r} is held by {worker}, which is alive; end that process, or wait until it is done")


class StaleLease(LogError):
    """Another process has taken the run over, so this one may not write it any more."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} was taken over by another process; what this one did last was not kept")


class NoSuchReview(LogError, LookupError):
    """Nothing waits for a person there."""

    def __init__(self, run: str, task: str, became: str = "there is no such review") -> None:
        super().__init__(f"no review waits at {task!r} of run {run!r}: {became}")


class ReviewTaken(LogError):
    """Somebody else has answered a review first, or has it open; what was just given is not stored."""

    def __init__(self, run: str, task: str, what: str) -> None:
        super().__init__(f"{task!r} of run {run!r} {what}; your answer was not stored")


class NothingToUndo(LogError):
    """What was decided cannot be taken back."""


class NotAllowed(LogError, PermissionError):
    """A person has no role that allows what they ask for; see `coterie review people`."""

    def __init__(self, by: str, right: str, held: Sequence[str], able: Sequence[str], why: str = "") -> None:
        roles = f"is {' and '.join(held)}" if held else "has no role"
        told = why or f"that takes {' or '.join(able)}; an operator can grant it: coterie review people --grant"
        super().__init__(f"{by!r} {roles} here and may not {right}: {told}")


class LogCorrupt(LogError):
    """A row of the log was changed, is missing or was added."""

    def __init__(self, place: str, problem: str) -> None:
        self.place = place
        super().__init__(f"{place}: {problem}; the log is not as it was written, so nothing is run from it")


class LogUnavailable(LogError, OSError):
    """The log's database cannot be opened, or did not take a commit."""


class ResumeRefused(LogError):
    """The program has changed in ways that the run cannot go on with; `changes` has a sentence for each."""

    def __init__(self, run: str, changes: Sequence[str]) -> None:
        self.changes = tuple(changes)
        listed = "\n".join(f"  - {change}" for change in changes)
        super().__init__(f"run {run!r} cannot go on under the program as it is now:\n{listed}")
