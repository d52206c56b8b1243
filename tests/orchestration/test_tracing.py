"""Spans of runs: their names, their tree, their errors, and nothing that a message says unless it is asked for."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coterie.agents import Message, ScriptedAgent
from coterie.orchestration import Approve, Flow, Review, Runtime, Workflow, node
from coterie.orchestration.tracing import spans

pytestmark = pytest.mark.anyio


class Text(Message):
    text: str


@node(retries=1, backoff=0.0)
async def shaky(told: Text) -> Text:
    if told.text == "secret" and not TRIED:
        TRIED.append(told.text)
        raise LookupError("a secret reason")
    if told.text == "broken":
        raise ValueError("a secret reason")
    return told


TRIED: list[str] = []


def desk() -> Flow[Text, Text]:
    mood = ScriptedAgent[Text, Text]("mood", lambda told: told)
    person = Review[Text, Text]("person")
    flow = Workflow("desk", Text, Text)
    flow.start(mood)
    flow.edge(mood, shaky)
    flow.edge(shaky, person)
    flow.end(person)
    return flow.build()


async def traced(text: str, **settings: Any) -> Sequence[ReadableSpan]:
    """The spans of one run."""
    TRIED.clear()
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = spans(provider.get_tracer("test"), **settings)
    async with Runtime(observers=[observer]) as runtime:
        run = await runtime.start(desk(), Text(text=text), thread="client-7")
        await run.wait_settled()
        if run.pending:
            await run.answer("person", Approve())
        await run.wait_settled()
        while not any(span.name.startswith("invoke_workflow") for span in exporter.get_finished_spans()):
            await anyio.sleep(0.001)
    return exporter.get_finished_spans()


async def test_a_run_is_a_tree_of_spans() -> None:
    """The workflow with each attempt of each node in it, in the names of the GenAI conventions."""
    found = await traced("secret")
    assert [span.name for span in found] == [
        "invoke_agent mood",
        "execute_node shaky",
        "execute_node shaky",
        "review person",
        "invoke_workflow desk",
    ]
    whole = found[-1]
    assert whole.context is not None
    assert all(span.parent is not None and span.parent.span_id == whole.context.span_id for span in found[:-1])
    assert whole.attributes is not None
    assert whole.attributes["gen_ai.operation.name"] == "invoke_workflow"
    assert whole.attributes["gen_ai.conversation.id"] == "client-7"
    assert [span.attributes["coterie.attempt"] for span in found[1:3] if span.attributes] == [1, 2]
    assert found[3].attributes is not None
    assert found[3].attributes["coterie.review.answer"] == "approve"
    assert all(span.start_time <= span.end_time for span in found if span.start_time and span.end_time)


async def test_nothing_that_a_message_says_is_recorded() -> None:
    """Neither texts nor the reasons of errors, which may quote them."""
    found = [*await traced("secret"), *await traced("broken")]
    assert "secret" not in " ".join(span.to_json() for span in found)


async def test_texts_are_recorded_where_they_are_asked_for() -> None:
    """Inputs and outputs, as JSON."""
    found = await traced("secret", bodies=True)
    agent = found[0].attributes or {}
    assert agent["gen_ai.input.messages"] == '[{"text":"secret"}]'
    assert agent["gen_ai.output.messages"] == '[{"text":"secret"}]'


async def test_a_failure_is_an_error_of_its_span_and_of_the_whole() -> None:
    """With the error's class as its type."""
    found = await traced("broken")
    failed = [(span.name, (span.attributes or {}).get("error.type")) for span in found if not span.status.is_ok]
    assert failed[-1] == ("invoke_workflow desk", "RunFailed")
    assert ("execute_node shaky", "ValueError") in failed
