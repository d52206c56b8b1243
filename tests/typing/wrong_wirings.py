"""Wirings that are wrong: each marked line is an error in every type checker. Checked by test_wirings.py, never run."""

from coterie.agents import Failure, Message, ScriptedAgent
from coterie.orchestration import Review, Runtime, Workflow, node


class Question(Message):
    text: str


class Query(Message):
    text: str


class Evidence(Message):
    text: str


class Publish(Message):
    text: str


class Hold(Message):
    text: str


search = ScriptedAgent[Query, Evidence]("search", [])
risk = ScriptedAgent[Evidence, Publish | Hold]("risk", [])
desk = Review[Hold, Publish]("desk")


@node
async def plan(asked: Question) -> Query:
    return Query(text=asked.text)


@node
async def publish(ready: Publish) -> Publish:
    return ready


@node
async def both(query: Query, found: Evidence) -> Publish:
    return Publish(text=query.text + found.text)


@node
async def lines(asked: Question) -> list[Query]:
    return []


@node
async def combine(found: list[Evidence]) -> Publish:
    return Publish(text="")


@node
async def check(found: Evidence) -> Query | Publish:
    return Publish(text=found.text)


@node
async def mend(failure: Failure) -> Evidence:
    return Evidence(text=failure.reason)


def wrong(workflow: Workflow[Question, Publish]) -> None:
    workflow.start(search)  # error: both (a start that does not take the flow's input)
    workflow.start(plan, search)  # error: both (the second of two)
    workflow.end(plan)  # error: both (an end that does not answer with the flow's output)
    workflow.edge(plan, publish)  # error: both (the wrong type)
    workflow.edge(plan, plan)  # error: both (the wrong type, from a node to itself)
    workflow.edge(risk, publish)  # error: both (a union without `on=`)
    workflow.edge(risk, desk, on=Publish)  # error: both (the wrong branch)
    workflow.edge(risk, publish, on=Hold)  # error: both (the wrong branch, the other way)
    workflow.edge(plan, both)  # error: both (one message for two inputs)
    workflow.edge(lines, search)  # error: both (a list without a map)
    workflow.gather((search, plan), both)  # error: both (the wrong order)
    workflow.gather((plan, plan), both)  # error: both (the wrong type in the second place)
    workflow.gather((plan, search, plan), both)  # error: both (an input too many)
    workflow.gather((plan,), both)  # error: both (a missing input)
    workflow.map(plan, search)  # error: both (a map over no list)
    workflow.map(lines, publish)  # error: both (a map to a node that does not take the items)
    workflow.join(search, publish)  # error: both (a join into no list)
    workflow.join(plan, combine)  # error: both (a join into a list of something else)
    workflow.edge(check, search, on=Query, max_visits=3, exhausted=publish)  # error: both (the wrong `exhausted`)
    workflow.edge(plan, search, when=lambda query: query.nothing)  # error: both (a condition on a missing field)
    workflow.on_error(search, publish)  # error: both (a handler that takes no Failure)
    workflow.on_error(search, mend, catch=ValueError("no"))  # error: both (an instance, not a class)
    workflow.start(check.function)  # error: both (a function without `@node`)


async def wrong_use(workflow: Workflow[Question, Publish]) -> None:
    flow = workflow.build()
    flow.run_sync(Query(text=""))  # error: both (an input of the wrong type)
    async with Runtime() as runtime:
        await runtime.start(flow, Query(text=""))  # error: both (an input of the wrong type)
        run = await runtime.start(flow, Question(text=""))
        result: Query = await run.result()  # error: both (a result of the wrong type)
        assert result


@node(timeouts=2)  # error: both (a setting that does not exist)
async def unset(asked: Question) -> Query:
    return Query(text=asked.text)


@node  # error: both (a function that is not async)
def waits_not(asked: Question) -> Query:
    return Query(text=asked.text)


Question(text=1)  # error: both (a field of the wrong type)
Question(words="")  # error: both (a field that does not exist)
