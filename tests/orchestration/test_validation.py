"""Every fault that `build()` knows, matched by its sentence, and the wirings next to each that are no fault."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from coterie.agents import Context, Failure, Message, ScriptedAgent, Signature
from coterie.orchestration import Flow, Given, Review, Workflow, WorkflowError, node


class Question(Message):
    text: str


class Query(Message):
    text: str


class Found(Message):
    text: str


class Draft(Message):
    text: str


class Publish(Message):
    text: str


class Hold(Message):
    text: str


Wire = Callable[[Workflow[Any, Any]], None]


@node
async def plan(question: Question) -> Query:
    return Query(text=question.text)


@node
async def search(query: Query) -> Found:
    return Found(text=query.text)


@node
async def write(found: Found) -> Draft:
    return Draft(text=found.text)


@node
async def publish(draft: Draft) -> Publish:
    return Publish(text=draft.text)


@node
async def straight(question: Question) -> Publish:
    return Publish(text=question.text)


@node
async def judge(question: Question) -> Draft | Hold:
    return Draft(text=question.text)


@node
async def release(hold: Hold) -> Publish:
    return Publish(text=hold.text)


@node
async def split(question: Question) -> list[Query]:
    return [Query(text=question.text)]


@node
async def collect(found: list[Found]) -> Publish:
    return Publish(text=str(len(found)))


@node
async def both(query: Query, draft: Draft) -> Publish:
    return Publish(text=query.text + draft.text)


@node
async def outline(question: Question) -> Draft:
    return Draft(text=question.text)


@node
async def polish(draft: Draft) -> Draft:
    return draft


@node
async def mend(failure: Failure) -> Publish:
    return Publish(text=failure.reason)


def faults(wire: Wire, output: type[Message] = Publish) -> list[str]:
    """The faults of a Question -> Publish workflow that `wire` has wired."""
    workflow: Workflow[Any, Any] = Workflow("desk", Question, output)
    wire(workflow)
    with pytest.raises(WorkflowError) as refused:
        workflow.build()
    return list(refused.value.faults)


def built(wire: Wire) -> Flow[Any, Any]:
    """The flow that `wire` has wired, which has no fault."""
    workflow: Workflow[Any, Any] = Workflow("desk", Question, Publish)
    wire(workflow)
    return workflow.build()


def test_a_right_flow_has_no_fault() -> None:
    """A chain from the flow's input to its output is built into a flow with all its nodes."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, search)
        flow.edge(search, write)
        flow.edge(write, publish)
        flow.end(publish)

    assert list(built(wire).nodes) == ["plan", "search", "write", "publish"]


# Nodes.


def test_something_that_is_no_node_is_refused() -> None:
    """A plain function is named and the sentence says how to make it a node."""

    async def plain(question: Question) -> Publish:
        return Publish(text=question.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plain)  # type: ignore[arg-type]
        flow.end(straight)
        flow.start(straight)

    (fault,) = faults(wire)
    assert "plain at 0x" in fault
    assert fault.endswith("is no node; decorate the function with `@node`, or pass an agent, a review or a flow")


def test_an_object_that_cannot_be_run_is_no_node() -> None:
    """A name and a signature are not enough: an agent has a `handle`, too."""

    @dataclass
    class Inert:
        name: str
        signature: Signature[Question, Publish]

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(Inert("inert", Signature(Question, Publish)))
        flow.end(straight)
        flow.start(straight)

    (fault,) = faults(wire)
    assert "is no node" in fault


def test_two_nodes_of_one_name_are_refused() -> None:
    """Different nodes with the same name are counted."""
    one = ScriptedAgent[Question, Draft]("mood", lambda question: Draft(text=question.text))
    other = ScriptedAgent[Draft, Publish]("mood", lambda draft: Publish(text=draft.text))

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(one)
        flow.edge(one, other)
        flow.end(other)

    assert "2 different nodes are called 'mood'; give each its own `name=`" in faults(wire)


@pytest.mark.parametrize("name", ["", "(start)", "(end)", "a#2", "a[1]", "a>b"])
def test_a_name_that_a_task_id_could_not_hold_is_refused(name: str) -> None:
    """Names that would make two tasks look alike are refused."""
    strange = ScriptedAgent[Question, Publish](name, lambda question: Publish(text=question.text))

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(strange)
        flow.end(strange)

    assert f"a node cannot be called {name!r}; give it a name without any of # > [ ]" in faults(wire)


def test_a_name_that_looks_like_a_node_of_a_nested_flow_is_refused() -> None:
    """`inner/search` beside a nested flow `inner` would share its tasks' ids."""
    inner: Workflow[Question, Query] = Workflow("inner", Question, Query)
    inner.start(plan)
    inner.end(plan)
    nested = inner.build()
    role = ScriptedAgent[Query, Publish]("inner/search", lambda query: Publish(text=query.text))

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(nested)
        flow.edge(nested, role)
        flow.end(role)

    assert faults(wire) == ["'inner/search' could be a node inside the flow 'inner'; rename one of them"]


def test_a_node_without_annotations_is_refused() -> None:
    """The parameter without an annotation is named, and so is a missing return annotation."""

    @node
    async def bare(question) -> Publish:  # type: ignore[no-untyped-def]
        return Publish(text="")

    @node
    async def mute(question: Question):  # type: ignore[no-untyped-def]
        return Publish(text="")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(bare, mute)
        flow.end(bare, mute)

    assert faults(wire) == [
        "node 'bare' needs an annotation for parameter 'question'",
        "node 'mute' needs a return annotation",
    ]


def test_an_agent_without_its_types_is_refused() -> None:
    """An agent made without brackets cannot be wired; the sentence says how to write them."""
    agent: ScriptedAgent[Any, Any] = ScriptedAgent("mood", [])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(agent)
        flow.end(agent)

    assert faults(wire) == [
        "'mood': ScriptedAgent was made without its types; write ScriptedAgent[Input, Output](…)",
    ]


def test_what_an_agent_says_about_itself_is_reported() -> None:
    """The sentences of an agent's `faults()` are faults of the graph."""

    @dataclass
    class Picky(ScriptedAgent[Question, Publish]):
        def faults(self) -> list[str]:
            return ["it holds no passages; name some in `passages=`"]

    agent = Picky("finder", [])

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(agent)
        flow.end(agent)

    assert faults(wire) == ["'finder': it holds no passages; name some in `passages=`"]


def test_a_keyword_that_is_neither_given_nor_context_is_refused() -> None:
    """Keyword-only parameters are Given[…] or Context and nothing else."""

    @node
    async def odd(question: Question, *, asked: Question) -> Publish:
        return Publish(text="")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(odd)
        flow.end(odd)

    assert faults(wire) == [
        "node 'odd' has the keyword-only parameter 'asked', which is neither Given[…] nor Context",
    ]


@pytest.mark.parametrize("wrong", ["takes", "answers", "given"])
def test_only_messages_travel(wrong: str) -> None:
    """A node whose input, answer or given value is no message is refused."""

    @node
    async def takes(question: Question, number: int) -> Publish:
        return Publish(text="")

    @node
    async def answers(question: Question) -> str | Publish:
        return ""

    @node
    async def given(question: Question, *, name: Given[str]) -> Publish:
        return Publish(text="")

    told = {
        "takes": (takes, "'takes' takes int, "),
        "answers": (answers, "'answers' answers with str, "),
        "given": (given, "'given' is given str as 'name', "),
    }
    chosen, sentence = told[wrong]

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(chosen)
        flow.end(chosen)

    assert f"{sentence}which is no message; only Message types and list[…] of them can travel" in faults(wire)


def test_a_review_of_a_list_is_refused() -> None:
    """A person is shown one message at a time."""
    desk = Review[list[Query], Publish]("desk")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.edge(split, desk)
        flow.end(desk)

    assert faults(wire) == ["'desk' takes list[Query], but a person is shown one message; put them in one"]


def test_two_message_types_of_one_schema_name_are_refused() -> None:
    """Stored rows name types by schema name, so it has to be unique in a flow."""
    twin = type("Draft", (Message,), {"__annotations__": {"words": int}, "__module__": __name__})
    first = ScriptedAgent[Question, Draft]("first", [])
    second = ScriptedAgent[Draft, twin]("second", [])  # type: ignore[valid-type]
    third = ScriptedAgent[twin, Publish]("third", [])  # type: ignore[valid-type]

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(first)
        flow.edge(first, second)
        flow.edge(second, third)
        flow.end(third)

    assert faults(wire) == ["2 message types are called 'Draft'; set `schema_name` on one of them"]


# Starts, ends and reach.


def test_a_flow_without_start_and_end_is_refused() -> None:
    """Both are asked for, and nothing else is said about an empty graph."""
    assert faults(lambda flow: None) == [
        "nothing starts the flow; name its first nodes in `start(…)`",
        "nothing ends the flow; name the nodes whose answer is the result in `end(…)`",
    ]


def test_a_start_of_the_wrong_type_is_refused() -> None:
    """A first node has to take the flow's input."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(publish)
        flow.end(publish)

    assert faults(wire) == ["start publish: the flow is given Question, but 'publish' takes Draft"]


def test_an_end_of_the_wrong_type_is_refused() -> None:
    """An end has to answer with the flow's output."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.end(plan)

    assert faults(wire) == ["end plan: 'plan' answers with Query, but the flow's result is Publish"]


def test_an_end_that_can_never_end_is_refused() -> None:
    """A node with edges is no end when none of its answers is the flow's output."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, search)
        flow.edge(search, write)
        flow.edge(write, publish)
        flow.end(publish, plan)

    assert faults(wire) == ["end plan: 'plan' never answers Publish, only Query; leave it out of `end(…)`"]


def test_an_end_of_a_union_may_hand_on_the_other_members() -> None:
    """A router can end the flow with one member and go on with the other."""

    @node
    async def router(question: Question) -> Publish | Hold:
        return Publish(text=question.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(router)
        flow.edge(router, release, on=Hold)
        flow.end(router, release)

    assert built(wire).ends == {"router", "release"}


def test_a_node_that_nothing_leads_to_is_refused() -> None:
    """An unreachable node is named, and its own edges cause no further faults."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(straight)
        flow.edge(write, publish)
        flow.end(straight, publish)

    assert faults(wire) == [
        "nothing leads to 'write'; give it an incoming edge or leave it out",
        "nothing leads to 'publish'; give it an incoming edge or leave it out",
    ]


def test_a_dead_end_is_refused() -> None:
    """A node whose answer nothing takes is named with what it answers."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(straight, plan)
        flow.end(straight)

    assert faults(wire) == ["'plan' leads nowhere: nothing takes its Query; give it an edge, or name it in `end(…)`"]


def test_a_node_that_answers_none_may_be_a_dead_end() -> None:
    """A side effect needs no edge: its answer is None."""

    @node
    async def record(question: Question) -> None:
        return None

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(straight, record)
        flow.end(straight)

    assert set(built(wire).nodes) == {"straight", "record"}


# Edges.


def test_an_edge_of_the_wrong_type_is_refused() -> None:
    """Both nodes and both types are named."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, publish)
        flow.end(publish)

    assert faults(wire) == ["edge plan -> publish: 'plan' answers with Query, but 'publish' takes Draft"]


def test_an_edge_of_a_union_needs_on() -> None:
    """An edge without `on=` gets every member, and the target has to take them all."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, publish)
        flow.end(publish)

    assert faults(wire) == [
        "edge judge -> publish: 'judge' may answer Hold, which 'publish' does not take; "
        "say which answers it gets with `on=`"
    ]


def test_a_union_member_without_an_edge_is_refused() -> None:
    """The member is named, and so is the edge to add."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, publish, on=Draft)
        flow.end(publish)

    assert faults(wire) == ["'judge' may answer Hold, but no edge takes it; add edge(judge, …, on=Hold)"]


def test_a_branch_to_the_wrong_node_is_refused() -> None:
    """The type named in `on=` has to be what the target takes."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, publish, on=Draft)
        flow.edge(judge, write, on=Hold)
        flow.edge(write, publish)
        flow.end(publish)

    assert faults(wire) == ["edge judge -> write on Hold: 'judge' answers with Hold, but 'write' takes Found"]


def test_a_branch_that_is_never_answered_is_refused() -> None:
    """`on=` has to name something that the source can answer."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, publish, on=Draft)
        flow.edge(judge, release, on=Hold)
        flow.edge(judge, write, on=Found)
        flow.edge(write, publish)
        flow.end(publish, release)

    assert faults(wire) == ["edge judge -> write on Found: 'judge' never answers Found, only Draft | Hold"]


def test_an_edge_to_a_node_of_several_inputs_is_refused() -> None:
    """One message cannot fill two parameters; the sentence names `gather`."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, both)
        flow.end(both)

    assert faults(wire) == ["edge plan -> both: 'both' takes 2 messages (Query, Draft); use `gather((…), both)`"]


def test_repeated_edges_are_refused() -> None:
    """The same edge, start or gather twice would run its target twice."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan, plan, outline)
        flow.edge(plan, search)
        flow.edge(plan, search)
        flow.edge(search, write)
        flow.edge(write, publish)
        flow.gather((plan, outline), both)
        flow.gather((plan, write), both)
        flow.end(publish, both)

    assert faults(wire) == [
        "edge plan -> search is declared 2 times; keep one",
        "start plan is declared 2 times; keep one",
        "'both' is gathered for 2 times; name all its sources in one `gather`",
    ]


# Gather.


def test_a_gather_of_the_wrong_count_is_refused() -> None:
    """One source for each parameter, no fewer and no more."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan, outline, straight)
        flow.gather((plan, outline, straight), both)
        flow.end(both)

    assert faults(wire) == [
        "gather (plan, outline, straight) -> both: 'both' has 2 inputs (Query, Draft), "
        "but 3 nodes are gathered; give one node for each"
    ]


def test_a_gather_in_the_wrong_order_is_refused() -> None:
    """Each position that does not match is a fault, with both types."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan, outline)
        flow.gather((outline, plan), both)
        flow.end(both)

    assert faults(wire) == [
        "gather (outline, plan) -> both: input 1 of 'both' is Query, but 'outline' answers with Draft",
        "gather (outline, plan) -> both: input 2 of 'both' is Draft, but 'plan' answers with Query",
    ]


def test_a_gather_of_the_wrong_type_is_refused() -> None:
    """The input by its position, its type and what comes instead."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, search)
        flow.gather((plan, search), both)
        flow.end(both)

    assert faults(wire) == [
        "gather (plan, search) -> both: input 2 of 'both' is Draft, but 'search' answers with Found"
    ]


def test_a_gather_of_one_node_twice_is_refused() -> None:
    """Each source gives one input, so it can stand in a gather once."""

    @node
    async def pair(one: Query, other: Query) -> Publish:
        return Publish(text=one.text + other.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.gather((plan, plan), pair)
        flow.end(pair)

    assert faults(wire) == ["gather (plan, plan) -> pair: 'plan' is gathered more than once; name each source once"]


def test_a_gather_of_a_single_node_is_refused() -> None:
    """One source is an edge."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.gather((plan,), search)  # type: ignore[call-overload]
        flow.edge(search, write)
        flow.edge(write, publish)
        flow.end(publish)

    assert faults(wire) == ["gather (plan) -> search: a gather needs two sources or more; use `edge`"]


# Map and join.


def mapped(flow: Workflow[Any, Any]) -> None:
    """A right map over queries."""
    flow.start(split)
    flow.map(split, search)
    flow.join(search, collect)
    flow.end(collect)


def test_a_map_and_its_join_are_right() -> None:
    """A join is tied to the map that it closes."""
    flow = built(mapped)
    assert [(str(join), str(fork)) for join, fork in flow.forks.items()] == [
        ("join search -> collect", "map split -> search")
    ]


def test_a_map_over_no_list_is_refused() -> None:
    """A map needs a node that answers with a list."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.map(plan, search)  # type: ignore[arg-type]
        flow.join(search, collect)
        flow.end(collect)

    assert faults(wire) == [
        "map plan -> search: 'plan' answers with Query, but a map needs a list; return list[…], or use `edge`"
    ]


def test_a_map_of_the_wrong_items_is_refused() -> None:
    """The items have to be what the target takes."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, polish)  # type: ignore[misc]
        flow.edge(polish, write)
        flow.join(write, collect)
        flow.end(collect)

    assert "map split -> polish: 'split' answers with Query, but 'polish' takes Draft" in faults(wire)


def test_a_join_without_its_map_is_refused() -> None:
    """A join closes the innermost map; outside any map there is none."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, search)
        flow.join(search, collect)
        flow.end(collect)

    assert faults(wire) == [
        "join search -> collect: 'search' stands in no map, so there is nothing to join; start one with `map`"
    ]


def test_a_join_into_no_list_is_refused() -> None:
    """A join hands a list over."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, search)
        flow.join(search, write)  # type: ignore[misc]
        flow.edge(write, publish)
        flow.end(publish)

    assert faults(wire) == [
        "join search -> write: 'write' takes Found, but a join hands over a list; take list[…]",
    ]


def test_a_join_of_the_wrong_items_is_refused() -> None:
    """What the items answer has to be what the list holds."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, search)
        flow.edge(search, write)
        flow.join(write, collect)
        flow.end(collect)

    assert faults(wire) == ["join write -> collect: 'write' answers Draft, but 'collect' takes list[Found]"]


def test_a_node_inside_and_outside_a_map_is_refused() -> None:
    """A node stands at one depth; the map is named by its edge."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split, plan)
        flow.edge(plan, search)
        flow.map(split, search)
        flow.join(search, collect)
        flow.end(collect)

    assert "'search' is reached both inside `map split -> search` and outside any map; join the items first" in faults(
        wire
    )


def test_a_node_inside_two_maps_is_refused() -> None:
    """Two maps of one source are told apart by their targets."""

    @node
    async def look(query: Query) -> Found:
        return Found(text=query.text)

    @node
    async def note(found: Found) -> None:
        return None

    def wire(flow: Workflow[Any, Any]) -> None:
        mapped(flow)
        flow.map(split, look)
        flow.edge(look, note)
        flow.edge(search, note)

    assert faults(wire) == [
        "'note' is reached both inside `map split -> search` and inside `map split -> look`; join the items first"
    ]


def test_an_end_inside_a_map_is_refused() -> None:
    """Each item would end the flow."""

    @node
    async def item(query: Query) -> Publish:
        return Publish(text=query.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, item)
        flow.end(item)

    assert faults(wire) == ["'item' ends the flow inside `map split -> item`; join the items first"]


def test_a_map_without_a_join_is_allowed() -> None:
    """Items whose last node answers None need no join."""

    @node
    async def record(query: Query) -> None:
        return None

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split, straight)
        flow.map(split, record)
        flow.end(straight)

    assert built(wire).forks == {}


# Cycles and bounds.


def test_a_cycle_without_a_bound_is_refused() -> None:
    """The cycle is told from its first declared node on."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, polish)
        flow.edge(polish, publish)
        flow.end(publish)

    assert faults(wire) == [
        "the cycle polish -> polish has no bound; put `max_visits=` on the edge that closes it",
    ]


def test_each_knot_of_cycles_is_one_fault() -> None:
    """Two separate cycles are two faults, in the order of declaration."""

    @node
    async def check(draft: Draft) -> Draft:
        return draft

    @node
    async def tidy(draft: Draft) -> Draft:
        return draft

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, check)
        flow.edge(check, polish)
        flow.edge(check, tidy)
        flow.edge(tidy, tidy)
        flow.edge(tidy, publish)
        flow.end(publish)

    assert faults(wire) == [
        "the cycle polish -> check -> polish has no bound; put `max_visits=` on the edge that closes it",
        "the cycle tidy -> tidy has no bound; put `max_visits=` on the edge that closes it",
    ]


def test_a_bounded_cycle_is_allowed() -> None:
    """One bounded edge in each cycle is enough, with a node to go on from when it is used up."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, polish, when=lambda draft: len(draft.text) < 9, max_visits=3, exhausted=publish)
        flow.edge(polish, publish, when=lambda draft: len(draft.text) >= 9)
        flow.end(publish)

    assert "polish" in built(wire).nodes


def test_a_cycle_through_an_exhausted_node_is_refused() -> None:
    """The bound does not count the way to the exhausted node, which may be taken for ever."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, publish, max_visits=1, exhausted=polish)
        flow.end(publish)

    assert faults(wire) == [
        "the cycle polish -> polish has no bound; put `max_visits=` on the edge that closes it",
    ]


def test_a_stand_in_inside_a_bounded_cycle_is_allowed() -> None:
    """A handler without edges takes its node's edges, and their bounds with them."""

    @node
    async def spare(failure: Failure) -> Draft:
        return Draft(text=failure.reason)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, polish, max_visits=2, exhausted=publish)
        flow.on_error(polish, spare)
        flow.end(publish)

    assert built(wire).stands_in == {"spare": "polish"}


def test_bad_bounds_are_refused() -> None:
    """Numbers of edges that make no sense are named with what they must be."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split, outline)
        flow.map(split, search, limit=0)
        flow.join(search, collect, at_least=-1, within=0)
        flow.edge(outline, publish, max_visits=0)
        flow.end(collect, publish)

    assert faults(wire) == [
        "map split -> search: its bound is 0, but must be at least 1",
        "join search -> collect: `at_least` is -1, but must not be negative",
        "edge outline -> publish: its bound is 0, but must be at least 1",
    ]


def test_a_join_within_no_time_is_refused() -> None:
    """`within` is more than nothing."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, search)
        flow.join(search, collect, within=0)
        flow.end(collect)

    assert faults(wire) == ["join search -> collect: `within` is 0 s, but must be more than 0"]


def test_exhausted_without_a_bound_is_refused() -> None:
    """What can never be used up never leads to its exhausted node."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, publish, exhausted=polish)
        flow.edge(polish, publish)
        flow.end(publish)

    assert faults(wire) == [
        "edge outline -> publish: `exhausted=polish` can never be reached without `max_visits=`",
    ]


def test_bad_policies_are_refused() -> None:
    """Numbers of a node's policy that make no sense are named with what they must be."""

    @node(timeout=0, retries=-1, limit=0)
    async def hasty(question: Question) -> Publish:
        return Publish(text="")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(hasty)
        flow.end(hasty)

    assert faults(wire) == [
        "'hasty': its `timeout` is 0 s, but must be more than 0",
        "'hasty': its `limit` is 0, but must be at least 1",
        "'hasty': its `retries` is -1, but must not be negative",
    ]


def test_a_policy_of_a_review_or_a_flow_is_refused() -> None:
    """Reviews and nested flows are not tried, so a policy for them would silently do nothing."""
    inner: Workflow[Question, Hold] = Workflow("inner", Question, Hold)
    asks = ScriptedAgent[Question, Hold]("asks", [])
    inner.start(asks)
    inner.end(asks)
    nested, desk = inner.build(), Review[Hold, Publish]("desk")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(nested)
        flow.edge(nested, desk)
        flow.end(desk)
        flow.policy(nested, retries=1)
        flow.policy(desk, timeout=3600)

    assert faults(wire) == [
        "'inner' is tried by no policy, because it is a flow; leave `policy` out",
        "'desk' is tried by no policy, because it is a review; leave `policy` out",
    ]


# Handlers of errors.


def test_a_handler_that_does_not_take_a_failure_is_refused() -> None:
    """What a handler is told is a Failure."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, publish)
        flow.on_error(outline, polish)  # type: ignore[arg-type]
        flow.edge(polish, publish)
        flow.end(publish)

    assert faults(wire) == ["on_error outline -> polish: 'polish' takes Draft, but a handler takes Failure"]


def test_a_stand_in_of_the_wrong_type_is_refused() -> None:
    """A handler without edges answers in the place of its node, so with the same type."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, publish)
        flow.on_error(outline, mend)
        flow.end(publish)

    assert faults(wire) == [
        "on_error outline -> mend: 'mend' stands in for 'outline', which answers with Draft, but answers with Publish"
    ]


def test_a_handler_with_an_end_of_its_own_does_not_stand_in() -> None:
    """A handler that is named in `end` gives the result itself."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, publish)
        flow.on_error(outline, mend)
        flow.end(publish, mend)

    assert built(wire).stands_in == {}


def test_a_handler_may_have_a_handler() -> None:
    """The second handler stands in for the node itself when neither has edges."""

    @node
    async def spare(failure: Failure) -> Draft:
        return Draft(text=failure.reason)

    @node
    async def last(failure: Failure) -> Draft:
        return Draft(text="nothing")

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, publish)
        flow.on_error(outline, spare)
        flow.on_error(spare, last)
        flow.end(publish)

    assert built(wire).stands_in == {"spare": "outline", "last": "outline"}


def test_a_handler_of_two_nodes_without_edges_is_a_dead_end() -> None:
    """A handler of two nodes stands in for neither, so its answer needs an edge."""

    @node
    async def spare(failure: Failure) -> Draft:
        return Draft(text=failure.reason)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, publish)
        flow.on_error(outline, spare)
        flow.on_error(polish, spare)
        flow.end(publish)

    assert faults(wire) == ["'spare' leads nowhere: nothing takes its Draft; give it an edge, or name it in `end(…)`"]


def test_an_error_loop_needs_a_bound() -> None:
    """A handler that leads back to its node is a cycle."""

    @node
    async def again(failure: Failure) -> Draft:
        return Draft(text=failure.reason)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, publish)
        flow.on_error(polish, again)
        flow.edge(again, polish)
        flow.end(publish)

    assert faults(wire) == [
        "the cycle polish -> again -> polish has no bound; put `max_visits=` on the edge that closes it"
    ]


# Given.


@node
async def quoting(draft: Draft, *, asked: Given[Question], ctx: Context) -> Publish:
    return Publish(text=asked.text + draft.text)


@node
async def citing(draft: Draft, *, held: Given[Hold]) -> Publish:
    return Publish(text=held.text + draft.text)


def test_the_input_of_the_flow_is_always_given() -> None:
    """What starts the flow dominates every node."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, quoting)
        flow.end(quoting)

    assert built(wire).given["quoting"] == {"asked": "(start)"}


def test_given_something_that_nobody_makes_is_refused() -> None:
    """The type is named."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, citing)
        flow.end(citing)

    assert faults(wire) == ["'citing' is given Hold, but no node before it produces one"]


def test_given_what_one_branch_makes_is_refused_after_the_branches_met() -> None:
    """A producer on one of two ways does not always run before."""

    @node
    async def rewrite(hold: Hold) -> Draft:
        return Draft(text=hold.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, citing, on=Draft)
        flow.edge(judge, rewrite, on=Hold)
        flow.edge(rewrite, citing)
        flow.end(citing)

    assert faults(wire) == [
        "'citing' is given Hold, but 'judge', which produces it, does not always run before 'citing'"
    ]


def test_given_what_a_branch_took_is_right_inside_the_branch() -> None:
    """On the way that `on=Hold` took, there is always a Hold."""

    @node
    async def rewrite(hold: Hold) -> Draft:
        return Draft(text=hold.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, rewrite, on=Hold)
        flow.edge(rewrite, citing)
        flow.edge(judge, publish, on=Draft)
        flow.end(citing, publish)

    assert built(wire).given["citing"] == {"held": "judge"}


def test_given_is_right_on_the_way_to_an_exhausted_node() -> None:
    """An edge with `on=` hands the same member to its exhausted node."""

    @node
    async def rewrite(hold: Hold) -> Question:
        return Question(text=hold.text)

    @node
    async def surrender(hold: Hold, *, held: Given[Hold]) -> Publish:
        return Publish(text=held.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(judge)
        flow.edge(judge, publish, on=Draft)
        flow.edge(judge, rewrite, on=Hold, max_visits=2, exhausted=surrender)
        flow.edge(rewrite, judge)
        flow.end(publish, surrender)

    assert built(wire).given["surrender"] == {"held": "judge"}


def test_given_what_a_gather_waited_for_is_right() -> None:
    """A gather needs all its sources, so what any of them ran after is always there."""

    @node
    async def brief(query: Query, draft: Draft, *, found: Given[Found]) -> Publish:
        return Publish(text=found.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(plan)
        flow.edge(plan, search)
        flow.edge(search, write)
        flow.gather((plan, write), brief)
        flow.end(brief)

    assert built(wire).given["brief"] == {"found": "search"}


def test_given_what_a_sibling_makes_is_refused() -> None:
    """A sibling of a fan-out may come later."""

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline, asks)
        flow.edge(outline, citing)
        flow.edge(asks, release)
        flow.end(citing, release)

    asks = ScriptedAgent[Question, Hold]("asks", [])
    assert faults(wire) == [
        "'citing' is given Hold, but 'asks', which produces it, does not always run before 'citing'"
    ]


def test_given_what_the_items_of_a_join_made_is_refused() -> None:
    """There may be no item at all, and there may be many."""

    @node
    async def tally(found: list[Found], *, one: Given[Found]) -> Publish:
        return Publish(text=one.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, search)
        flow.join(search, tally)
        flow.end(tally)

    assert faults(wire) == [
        "'tally' is given Found, but 'search', which produces it, does not always run before 'tally'"
    ]


def test_given_what_came_before_the_map_is_right_after_the_join() -> None:
    """The map's source always ran before its join."""

    @node
    async def tally(found: list[Found], *, asked: Given[Question]) -> Publish:
        return Publish(text=asked.text)

    @node
    async def look(query: Query, *, asked: Given[Question]) -> Found:
        return Found(text=asked.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(split)
        flow.map(split, look)
        flow.join(look, tally)
        flow.end(tally)

    assert built(wire).given["tally"] == {"asked": "(start)"}


def test_given_what_the_failed_node_makes_is_refused_in_its_handler() -> None:
    """A handler runs because its node has no answer."""

    @node
    async def explain(failure: Failure, *, draft: Given[Draft]) -> Publish:
        return Publish(text=draft.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, publish)
        flow.on_error(outline, explain)
        flow.end(publish, explain)

    assert faults(wire) == [
        "'explain' is given Draft, but 'outline', which produces it, does not always run before 'explain'"
    ]


def test_the_nearest_producer_is_given() -> None:
    """Where several nodes that always came before make the type, the last of them gives it."""

    @node
    async def compare(draft: Draft, *, base: Given[Draft]) -> Publish:
        return Publish(text=base.text)

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline)
        flow.edge(outline, polish)
        flow.edge(polish, compare)
        flow.end(compare)

    assert built(wire).given["compare"] == {"base": "polish"}


# All at once.


def test_a_graph_with_exactly_six_faults_reports_six() -> None:
    """No fault hides another and none is told twice."""

    @node
    async def lonely(query: Query) -> None:
        return None

    def wire(flow: Workflow[Any, Any]) -> None:
        flow.start(outline, publish)
        flow.edge(outline, polish)
        flow.edge(polish, polish)
        flow.edge(polish, citing)
        flow.start(plan)
        flow.edge(plan, write)
        flow.edge(write, publish)
        flow.edge(outline, publish, max_visits=0)
        flow.policy(lonely, retries=1)
        flow.end(citing, publish)

    assert faults(wire) == [
        "start publish: the flow is given Question, but 'publish' takes Draft",
        "edge plan -> write: 'plan' answers with Query, but 'write' takes Found",
        "'citing' is given Hold, but no node before it produces one",
        "nothing leads to 'lonely'; give it an incoming edge or leave it out",
        "the cycle polish -> polish has no bound; put `max_visits=` on the edge that closes it",
        "edge outline -> publish: its bound is 0, but must be at least 1",
    ]


def test_one_fault_is_counted_in_the_singular() -> None:
    """The error's own text is readable alone."""

    workflow: Workflow[Question, Publish] = Workflow("desk", Question, Publish)
    workflow.start(straight)
    with pytest.raises(WorkflowError, match=r"^workflow 'desk' has 1 fault:\n  - nothing ends the flow; name"):
        workflow.build()


def test_a_message_type_that_cannot_be_checked_is_a_fault() -> None:
    """Its validators are built late, but before anything runs."""

    class Odd(Message):
        text: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    @node
    async def odd(told: Odd) -> Odd:
        return told

    workflow = Workflow("odd", Odd, Odd)
    workflow.start(odd)
    workflow.end(odd)
    with pytest.raises(WorkflowError, match=r"'Odd' is no message type that can be checked: .*Nowhere"):
        workflow.build()
