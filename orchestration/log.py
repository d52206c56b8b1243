"""Where the facts of runs are kept, behind one interface, and the log in memory.

A log knows facts and runs; it knows nothing of graphs, schedulers and models.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, TypeAlias

from ..agents.agent import Exchange
from ..agents.errors import NotDurable
from ..agents.messages import Message
from ..agents.registry import Registry
from .answer_form import ReviewForm
from .authors import check_author
from .errors import KeyTaken, NoSuchRun, StaleLease
from .events import TERMINAL, Event, RunStarted, TaskFinished, TaskStarted
from .review_answers import Answer, Reject

if TYPE_CHECKING:
    from .training_items import TrainingRow

Right: TypeAlias = Literal["start", "operate", "decide", "look"]
"""What a person may do: start runs; resume, retry and prune them, and name people; decide; look at what was decided."""

Transaction: TypeAlias = Callable[[Any], object]
"""What a node does in the log's own database: it is given an open SQLAlchemy connection, in the log's thread."""


class Lease(NamedTuple):
    """The right to write one run. A commit under an older `fence` than the run's own is refused."""

    run: str
    fence: int


class Decided(NamedTuple):
    """What people have answered to a review, and its run has not taken yet."""

    run: str
    task: str
    decision: int  # its number
    by: str
    act: str  # approve, choose, edit or reject
    body: Mapping[str, Any]  # what the act says, as JSON values
    release: float  # when it may be taken, in seconds since the epoch; until then it can be taken back


class Log(Protocol):
    """Keeps the facts of runs. What `commit` has returned for is kept; nothing else is promised to be."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives the process."""
        ...

    async def check(self) -> None:
        """Look at every row before anything is run from the log.

        Raises:
            LogCorrupt: naming the first that is not as it was written.
        """
        ...

    async def begin(self, events: Sequence[Event], registry: Registry, definition: Mapping[str, Any]) -> Lease:
        """Keep the first events of a run, from its `RunStarted` on, all or none of them.

        Args:
            registry: the message types of the run's flow.
            definition: what the flow is made of; its digest is in `RunStarted`.

        Raises:
            KeyTaken: the flow has a run with the same idempotency key.
        """
        ...

    async def commit(self, lease: Lease, events: Sequence[Event], alone: bool = False) -> None:
        """Append `events`, which follow each other without gaps, all or none of them.

        Calls for one run may overlap; their events are kept in the order of the calls.

        Args:
            alone: nothing else of the run is at work, so waiting for others to share the commit would be in vain.

        Raises:
            StaleLease: another process has taken the run over; nothing was kept.
        """
        ...

    async def transact(
        self, lease: Lease, actions: Sequence[Transaction], follow: Callable[[], Sequence[Event]]
    ) -> None:
        """Do `actions` and append what `follow` then gives, all or none of it.

        `follow` is called on the event loop once the actions have been done, and not at all when one raised.

        Raises:
            NotDurable: the log has no database.
            Exception: what an action raised; nothing was kept.
        """
        ...

    async def allow(self, by: str, right: Right) -> None:
        """Returns where `by` has `right` in this log; while it names nobody, everybody has.

        Raises:
            NotAllowed: they have not.
        """
        ...

    async def decided(self, runs: Sequence[str]) -> Sequence[Decided]:
        """What people have answered to reviews of `runs` at their desks, and was not taken yet."""
        ...

    async def refuse(self, decided: Decided, problem: str) -> None:
        """Ask again: the answer does not fit its type after all, and people are told why."""
        ...

    async def answer(self, run: str, task: str, answer: Answer, form: ReviewForm) -> int | None:
        """Keep an answer that a program gives: its number, 0 where answers have none, None if others must give it, too.

        Raises:
            ReviewTaken: somebody was first, or has it open.
            NotAllowed: whoever answers may not decide.
        """
        ...

    def taking(self, decided: Decided) -> Transaction | None:
        """What makes an answer final; it raises `ReviewTaken` where it was taken back meanwhile. None: nothing does."""
        ...

    def expiring(self, run: str, task: str) -> Transaction | None:
        """What ends the time for an answer; it raises `ReviewTaken` where there is one. None: nothing does."""
        ...

    async def claim(self, run: str, registry: Registry) -> Lease:
        """The right to write `run`, for a process that takes it up.

        Raises:
            NoSuchRun: the log does not have it.
            RunHeldElsewhere: a living process has it.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease back, so that another process may take the run up."""
        ...

    async def read(self, run: str, registry: Registry) -> Sequence[Event]:
        """Every event of `run`, in order, each checked against the hashes that it was kept with.

        Raises:
            NoSuchRun: the log does not have it.
            LogCorrupt: a row was changed, is missing or was added.
            MessageError: a message does not fit the types of `registry`.
        """
        ...

    async def definition(self, digest: str) -> Mapping[str, Any]:
        """What a flow was made of when a run of it began."""
        ...

    async def find(self, flow: str, key: str) -> str | None:
        """The run of `flow` that was started with the idempotency key `key`."""
        ...

    async def unfinished(self, flow: str) -> Sequence[str]:
        """The runs of `flow` that have not ended, oldest first."""
        ...

    async def exchanges(self, thread: str, node: str, registry: Registry, but_run: str) -> Sequence[Exchange]:
        """What `node` was told and answered in the other runs of `thread`, oldest first."""
        ...

    async def training_rows(self, role: str | None = None, flow: str | None = None) -> "Sequence[TrainingRow]":
        """What `role` was told and answered in the runs of `flow`, and what people said of it; None: of all.

        Raises:
            NotDurable: the log keeps too little to learn from.
            LogCorrupt: a run is not as it was written.
        """
        ...


class MemoryLog:
    """A log that lives as long as the process.

    Args:
        keep: ended runs that are remembered, the latest ones; runs of a thread and runs with a key always are.
    """

    durable = False

    def __init__(self, keep: int = 32) -> None:
        self._keep = keep
        self._events: dict[str, list[Event]] = {}
        self._fences: dict[str, int] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._threads: dict[str, list[str]] = {}
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._ended: deque[str] = deque()
        self._votes: dict[tuple[str, str], dict[str, Answer]] = {}  # by review: what each person has answered

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def check(self) -> None:
        return

    async def begin(self, events: Sequence[Event], registry: Registry, definition: Mapping[str, Any]) -> Lease:
        started = events[0]
        assert isinstance(started, RunStarted)  # noqa: S101 - the protocol says so
        if started.key is not None:
            known = self._keys.setdefault((started.flow, started.key), started.run)
            if known != started.run:
                raise KeyTaken(started.flow, started.key, known)
        if started.thread is not None:
            self._threads.setdefault(started.thread, []).append(started.run)
        self._definitions[started.definition] = definition
        lease = Lease(started.run, 1)
        self._events[started.run], self._fences[started.run] = [], 1
        await self.commit(lease, events)
        return lease

    async def commit(self, lease: Lease, events: Sequence[Event], alone: bool = False) -> None:
        if lease.fence != self._fences[lease.run]:
            raise StaleLease(lease.run)
        self._events[lease.run].extend(events)
        if isinstance(events[-1], TERMINAL):
            self._forget_all_but_the_latest(lease.run)

    async def transact(
        self, lease: Lease, actions: Sequence[Transaction], follow: Callable[[], Sequence[Event]]
    ) -> None:
        raise NotDurable("the log in memory has no database for ctx.transaction; use Runtime(log='desk.db')")

    async def allow(self, by: str, right: Right) -> None:
        return

    async def decided(self, runs: Sequence[str]) -> Sequence[Decided]:
        return ()

    async def refuse(self, decided: Decided, problem: str) -> None:
        return

    async def answer(self, run: str, task: str, answer: Answer, form: ReviewForm) -> int | None:
        started = self._events[run][0]
        check_author(started.by if isinstance(started, RunStarted) else None, answer.by, form.author_may_decide)
        others = self._votes.setdefault((run, task), {})
        others[answer.by] = answer.model_copy(update={"by": ""})
        agreeing = sum(other == others[answer.by] for other in others.values())
        return 0 if isinstance(answer, Reject) or agreeing >= form.approvals else None

    def taking(self, decided: Decided) -> Transaction | None:
        return None

    def expiring(self, run: str, task: str) -> Transaction | None:
        return None

    async def claim(self, run: str, registry: Registry) -> Lease:
        self._known(run)
        self._fences[run] += 1
        return Lease(run, self._fences[run])

    async def release(self, lease: Lease) -> None:
        return

    async def read(self, run: str, registry: Registry) -> Sequence[Event]:
        return list(self._known(run))

    async def definition(self, digest: str) -> Mapping[str, Any]:
        return self._definitions[digest]

    async def find(self, flow: str, key: str) -> str | None:
        return self._keys.get((flow, key))

    async def unfinished(self, flow: str) -> Sequence[str]:
        return [
            run
            for run, events in self._events.items()
            if not isinstance(events[-1], TERMINAL) and isinstance(events[0], RunStarted) and events[0].flow == flow
        ]

    async def exchanges(self, thread: str, node: str, registry: Registry, but_run: str) -> Sequence[Exchange]:
        runs = [run for run in self._threads.get(thread, ()) if run != but_run]
        return [exchange for run in runs for exchange in exchanges(self._events[run], node)]

    async def training_rows(self, role: str | None = None, flow: str | None = None) -> "Sequence[TrainingRow]":
        raise NotDurable("the log in memory keeps too little to learn from; use Runtime(log='desk.db')")

    def _known(self, run: str) -> list[Event]:
        if run not in self._events:
            raise NoSuchRun(run)
        return self._events[run]

    def _forget_all_but_the_latest(self, ended: str) -> None:
        started = self._events[ended][0]
        if isinstance(started, RunStarted) and started.key is None and started.thread is None:
            self._ended.append(ended)
        while len(self._ended) > self._keep:
            forgotten = self._ended.popleft()
            del self._events[forgotten], self._fences[forgotten]
        if self._votes:
            self._votes = {place: votes for place, votes in self._votes.items() if place[0] in self._events}


def exchanges(events: Sequence[Event], node: str) -> list[Exchange]:
    """What `node` was told and answered in a run, in order."""
    found: list[Exchange] = []
    told: dict[str, Message] = {}
    for event in events:
        if isinstance(event, TaskStarted) and event.node == node and isinstance(event.inputs[0], Message):
            told[event.task] = event.inputs[0]
        elif isinstance(event, TaskFinished) and event.task in told and isinstance(event.output, Message):
            found.append(Exchange(told[event.task], event.output))
    return found
