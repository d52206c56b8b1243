"""OpenTelemetry spans of runs, with the names of the GenAI conventions. Needs `pip install 'coterie[tracing]'`.

    from coterie.orchestration.tracing import spans
    async with Runtime(observers=[spans()]) as runtime: ...

A run is a span `invoke_workflow <flow>`; an agent's attempt in it is `invoke_agent <node>`, a function's
`execute_node <node>`, a person's decision `review <node>`. Texts of messages are left out unless they are asked for.
Names: https://opentelemetry.io/docs/specs/semconv/gen-ai/. Spans are made from the facts of a run and from nothing
else, beside the run, so no step waits for them.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from pydantic_core import to_json

from ..agents.messages import Message
from .events import (
    TERMINAL,
    Event,
    ReviewAnswered,
    ReviewRequested,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    TokenDelta,
)
from .nodes import FunctionNode
from .run import Run


def spans(tracer: Tracer | None = None, *, bodies: bool = False) -> Callable[[Run[Any]], Coroutine[Any, Any, None]]:
    """An observer for `Runtime(observers=…)`.

    Args:
        tracer: makes the spans; None: the one of the program's tracer provider.
        bodies: also record what messages say, which may be personal.
    """
    chosen = tracer if tracer is not None else trace.get_tracer("coterie")

    async def follow(run: Run[Any]) -> None:
        traced = _TracedRun(run, chosen, bodies)
        try:
            async for event in run.events():
                traced.take(event)
        finally:
            traced.close()

    return follow


class _TracedRun:
    """The open spans of one run."""

    def __init__(self, run: Run[Any], tracer: Tracer, bodies: bool) -> None:
        self._run, self._tracer, self._bodies = run, tracer, bodies
        self._whole: Span | None = None
        self._tasks: dict[str, Span] = {}
        self._latest = 0  # nanoseconds since the epoch

    def take(self, event: Event | TokenDelta) -> None:
        if isinstance(event, TokenDelta):
            return
        self._latest = int(event.at * 1e9)
        match event:
            case RunStarted(message=message):
                self._whole = self._begin(f"invoke_workflow {event.flow}", self._of_run(event), [message])
            case TaskStarted(task=task, node=node, attempt=attempt, inputs=inputs):
                operation = self._operation(node)
                attributes = {**self._of_task(task, node, operation), "coterie.attempt": attempt}
                self._tasks[task] = self._begin(f"{operation} {node}", attributes, inputs)
            case ReviewRequested(task=task, node=node, message=message):
                self._tasks[task] = self._begin(f"review {node}", self._of_task(task, node, "review"), [message])
            case ReviewAnswered(task=task, answer=answer) if task in self._tasks:
                self._tasks[task].set_attribute("coterie.review.answer", answer.kind)
            case TaskFinished(task=task, output=output) if task in self._tasks:
                self._finish(self._tasks.pop(task), output)
            case TaskFailed(task=task, error=error, reason=reason) if task in self._tasks:
                self._fail(self._tasks.pop(task), error, reason)
            case RunResumed():
                self._drop_tasks()
            case _ if isinstance(event, TERMINAL):
                self._end(event)
            case _:
                pass

    def close(self) -> None:
        """The run is not followed any more."""
        self._drop_tasks()
        if self._whole is not None:
            self._whole.end(self._latest)
            self._whole = None

    def _begin(self, name: str, attributes: dict[str, Any], told: Iterable[Any]) -> Span:
        parent = None if self._whole is None else trace.set_span_in_context(self._whole)
        span = self._tracer.start_span(name, parent, SpanKind.INTERNAL, attributes, start_time=self._latest)
        if self._bodies:
            span.set_attribute("gen_ai.input.messages", _json(list(told)))
        return span

    def _finish(self, span: Span, output: Any) -> None:
        origin = output.origin if isinstance(output, Message) else None
        if origin is not None:
            span.set_attributes({"coterie.role": origin.role, "coterie.weights": origin.weights})
        if self._bodies:
            span.set_attribute("gen_ai.output.messages", _json([output]))
        span.end(self._latest)

    def _fail(self, span: Span, error: str, reason: str) -> None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR, reason if self._bodies else error))
        span.end(self._latest)

    def _end(self, event: Event) -> None:
        self._drop_tasks()
        span, self._whole = self._whole, None
        if span is None:
            return
        if isinstance(event, RunFinished):
            self._finish(span, event.message)
        elif isinstance(event, RunFailed):
            self._fail(span, event.error, event.reason)
        else:
            self._fail(span, "cancelled", "cancelled")

    def _drop_tasks(self) -> None:
        for span in self._tasks.values():
            span.end(self._latest)
        self._tasks.clear()

    def _operation(self, node: str) -> str:
        return "execute_node" if isinstance(self._run.flow.nodes.get(node), FunctionNode) else "invoke_agent"

    def _of_run(self, event: RunStarted) -> dict[str, Any]:
        attributes = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": event.flow,
            "coterie.run.id": event.run,
        }
        return attributes if event.thread is None else {**attributes, "gen_ai.conversation.id": event.thread}

    def _of_task(self, task: str, node: str, operation: str) -> dict[str, Any]:
        attributes = {"coterie.run.id": self._run.id, "coterie.task.id": task, "gen_ai.operation.name": operation}
        return {**attributes, "gen_ai.agent.name": node} if operation == "invoke_agent" else attributes


def _json(messages: list[Any]) -> str:
    plain = [one.model_dump(mode="json") if isinstance(one, Message) else one for one in messages]
    return to_json(plain, fallback=lambda one: one.model_dump(mode="json")).decode()
