"""Drawings of flows: mermaid, tree, page."""

from collections.abc import Sequence
from html.parser import HTMLParser

import pytest
from rich.console import Console

from coterie.agents import Failure, Message, ScriptedAgent
from coterie.orchestration import Approve, Flow, Review, RunFailed, Runtime, Workflow, node
from coterie.orchestration.drawing import facts, mermaid, tree
from coterie.orchestration.events import Event
from coterie.orchestration.page import CUT, page

HOSTILE = '</pre><script>alert(1)</script> \x1b[31m\u202e "#<b>'


class Question(Message):
    text: str


class Draft(Message):
    text: str


class Again(Message):
    text: str


@node
async def plan(question: Question) -> list[Question]:
    return [question, question]


@node
async def unite(drafts: list[Draft]) -> Draft:
    return drafts[0]


@node
async def check(draft: Draft) -> Draft | Again:
    return draft


@node
async def improve(again: Again) -> Draft:
    return Draft(text=again.text)


@node
async def sorry(failure: Failure) -> Draft:
    return Draft(text=failure.reason)


def desk(script: Sequence[Draft | Exception]) -> Flow[Question, Draft]:
    """A flow with everything that can be drawn: map, join, branch, loop, handler, agent, person."""
    writer = ScriptedAgent[Question, Draft]("writer", script)
    person = Review[Draft, Draft]("person")
    workflow = Workflow('desk "<#1>"', Question, Draft)
    workflow.start(plan)
    workflow.map(plan, writer, limit=2)
    workflow.join(writer, unite, at_least=1)
    workflow.edge(unite, check)
    workflow.edge(check, improve, on=Again)
    workflow.edge(improve, check, max_visits=3)
    workflow.edge(check, person, on=Draft)
    workflow.on_error(unite, sorry, catch=ValueError)
    workflow.end(person)
    return workflow.build()


async def waiting_and_finished(flow: Flow[Question, Draft]) -> tuple[Sequence[Event], Sequence[Event]]:
    async with Runtime() as runtime:
        run = await runtime.start(flow, Question(text=HOSTILE))
        await run.wait_settled()
        waiting = list(run.facts())
        await run.answer("person", Approve())
        await run.result()
        return waiting, list(run.facts())


class Reader(HTMLParser):
    """What a browser would see: tags, references to elsewhere, visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_mermaid_has_every_node_and_edge_in_a_stable_order() -> None:
    """A branch says its type, a loop its bound, a map its limit, an error is dashed."""
    flow = desk([])
    drawn = mermaid(flow)
    assert drawn == mermaid(desk([]))
    assert all(f'"{name}"' in drawn for name in flow.nodes)
    for label in (
        '|"Again"|',
        '|"≤ 3 times"|',
        '|"map, 2 at a time"|',
        '|"join, at least 1"|',
        '-.->|"on ValueError"|',
    ):
        assert label in drawn


def test_mermaid_cannot_be_broken_by_a_name() -> None:
    """Quotes and angle brackets in names become entities."""

    @node(name='a"<b')
    async def odd(question: Question) -> Question:
        return question

    workflow = Workflow("odd", Question, Question)
    workflow.start(odd)
    workflow.end(odd)
    assert 'n0["a#quot;#lt;b"]' in mermaid(workflow.build())


def test_the_tree_names_every_node_with_its_types() -> None:
    """And fits a terminal of 80 columns."""
    flow = desk([])
    printer = Console(width=80)
    with printer.capture() as captured:
        printer.print(tree(flow))
    assert all(name in captured.get() for name in flow.nodes)
    assert "Draft → Draft | Again" in captured.get()


def test_facts_are_plain_json() -> None:
    """Nodes with their types, edges with what they say."""
    told = facts(desk([]))
    assert told["nodes"][1] == {"name": "writer", "kind": "ScriptedAgent", "takes": "Question", "answers": ["Draft"]}
    assert {"from": ["improve"], "to": "check", "kind": "link", "says": "≤ 3 times"} in told["edges"]


@pytest.mark.anyio
async def test_the_page_of_a_run_shows_every_task_and_needs_nothing_else() -> None:
    """No script, no reference but to its own parts; hostile text is inert and visible."""
    flow = desk([Draft(text=HOSTILE), Draft(text="x" * (CUT * 2))])
    waiting, finished = await waiting_and_finished(flow)
    seen = Reader(page(flow, finished))
    assert "script" not in seen.tags
    assert all(reference.startswith("#") for reference in seen.references)
    assert all(task in seen.text for task in ("plan", "plan[0]/writer", "plan[1]/writer", "unite", "check", "person"))
    assert "</pre><script>alert(1)</script> \\u001b[31m⟨202E⟩" in seen.text
    assert "characters in all" in seen.text
    assert "Result ✓" in seen.text
    assert "it waits for a person at person" in Reader(page(flow, waiting)).text


@pytest.mark.anyio
async def test_the_page_of_a_failed_run_says_where_and_why() -> None:
    """The task's error, escaped, and no result."""
    flow = desk([OSError("disk <on> fire"), Draft(text="late")])
    async with Runtime() as runtime:
        run = await runtime.start(flow, Question(text="x"))
        with pytest.raises(RunFailed):
            await run.result()
        seen = Reader(page(flow, run.facts()))
    assert "Failed ✗" in seen.text
    assert "OSError: disk <on> fire" in seen.text


def test_the_page_of_a_flow_alone_draws_its_graph() -> None:
    """Every node is there before anything has run."""
    flow = desk([])
    seen = Reader(page(flow))
    assert all(name in seen.text for name in flow.nodes)
    assert "Timeline" not in seen.text
