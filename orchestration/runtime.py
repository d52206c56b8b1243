"""`Runtime`: owns the task group, the log and the models for as long as its block lasts, and starts runs in it."""

import uuid
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.abc import TaskGroup

from ..agents.agent import In, Out, Resource
from ..agents.hosting import LocalHost
from ..agents.lazy_engine import LazyEngine
from ..agents.messages import Message
from ..agents.type_forms import describe, is_instance
from .errors import RunError, UndeliverableMessage
from .log import Log, MemoryLog
from .run import Run
from .workflow import Flow

if TYPE_CHECKING:
    from ..agents.inference import Inference


class Runtime:
    """Where flows run.

        async with Runtime() as runtime:
            run = await runtime.start(flow, Question(text="…"))
            note = await run.result()

    Leaving the block stops every run that has not ended.

    Args:
        log: where facts are kept; None: in memory.
        engine: the models; None: an engine is opened when an agent first asks for one.
        device: "cpu", "cuda", …; None: chosen by a probe. Only used when `engine` is None.
        limit: tasks of one run at work at the same time; None: no limit.
        seed: makes sampling and jitter repeatable; the same seed gives the same answers.
    """

    def __init__(
        self,
        *,
        log: Log | None = None,
        engine: "Inference | None" = None,
        device: str | None = None,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        self.log: Log = log if log is not None else MemoryLog()
        self._lazy = LazyEngine(device)  # opens nothing until asked
        self.host = LocalHost(engine if engine is not None else self._lazy)
        self._limit = limit
        self._seed = seed
        self._keyed: dict[str, Run[Any]] = {}  # runs that were started with an idempotency key
        self._starting: dict[tuple[str, str], anyio.Lock] = {}  # one start at a time for a flow and a key
        self._limiters: dict[object, anyio.CapacityLimiter] = {}
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await self._lazy.__aenter__()
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._group is not None:
            group, self._group = self._group, None
            group.cancel_scope.cancel()
            # The block's own error is not handed to the group, which would wrap it in an ExceptionGroup.
            await group.__aexit__(None, None, None)
        await self._lazy.__aexit__(kind, error, trace)

    @property
    def engine(self) -> "Inference":
        """The models, for calling an agent or an index by hand."""
        return self.host.engine

    async def resource(self, key: Hashable, create: Callable[[], Awaitable[Resource]]) -> Resource:
        """The runtime's resource under `key`, created once; see `Host`."""
        return await self.host.resource(key, create)

    async def start(
        self, flow: Flow[In, Out], message: In, *, thread: str | None = None, key: str | None = None
    ) -> Run[Out]:
        """Start a run of `flow`. It is in the log when this returns.

        Args:
            thread: the conversation that the run belongs to; its agents see earlier turns of it.
            key: an idempotency key; starting the same flow again with it gives the same run.

        Raises:
            UndeliverableMessage: the flow does not take this type of message.
        """
        if self._group is None:
            raise RunError("the runtime is not open; use `async with Runtime() as runtime`")
        if not isinstance(message, Message) or not is_instance(message, flow.signature.consumes):
            raise UndeliverableMessage("(start)", type(message).__name__, describe(flow.signature.consumes))
        if key is None:
            return await self._begin(self._group, flow, message, thread, None)
        async with self._starting.setdefault((flow.name, key), anyio.Lock()):
            known = self.log.find(flow.name, key)
            if known is None or known not in self._keyed:
                run = await self._begin(self._group, flow, message, thread, key)
                known, self._keyed[run.id] = run.id, run
            return self._keyed[known]

    async def _begin(
        self, group: TaskGroup, flow: Flow[In, Out], message: Message, thread: str | None, key: str | None
    ) -> Run[Out]:
        run: Run[Out] = Run(self, flow, uuid.uuid4().hex[:12], seed=self._seed, limit=self._limit)
        commands = await run.begin(message, thread=thread, key=key)
        group.start_soon(run.serve, commands, name=run.id)
        return run

    def limiter(self, node: object, limit: int) -> anyio.CapacityLimiter:
        """The limiter that all runs share for `node`."""
        return self._limiters.setdefault(node, anyio.CapacityLimiter(limit))


def run_sync(flow: Flow[In, Out], message: In) -> Out:
    """Run `flow` once, to its result, in an event loop of its own.

    Raises:
        RunError: the run failed, or waits for a person.
    """

    async def once() -> Out:
        async with Runtime() as runtime:
            run = await runtime.start(flow, message)
            await run.wait_settled()
            if not run.ended:
                waiting = ", ".join(review.task for review in run.pending)
                raise RunError(f"flow {flow.name!r} waits for a person at {waiting}; use Runtime and `run.answer`")
            return await run.result()

    return anyio.run(once)
