"""Faults of nodes, of what leads to and from them, and of what they are given; one function for each kind."""

from collections import Counter
from collections.abc import Iterator
from inspect import getattr_static
from typing import Any, get_origin

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from ..agents.errors import CoterieError
from ..agents.messages import Failure, Message
from ..agents.type_forms import accepts, describe, item_of, members, parts_of
from .analysis import Forks
from .draft import Draft, listed, name_of, producer, schemas, union
from .edges import END, START, Catch, Link
from .errors import ReviewOverdue
from .nodes import FunctionNode, Policy
from .review import Review
from .workflow import Flow

RESERVED = frozenset("#[]>")  # they stand between the names in a task's id


def faults_of_nodes(draft: Draft) -> Iterator[str]:
    for name, count in Counter(name_of(node) for node in draft.definition.nodes).items():
        if count > 1:
            yield f"{count} different nodes are called {name!r}; give each its own `name=`"
    for node in draft.definition.nodes:
        if not _is_node(node):
            yield f"{node!r} is no node; decorate the function with `@node`, or pass an agent, a review or a flow"
            continue
        try:
            node.signature  # noqa: B018 - reading it resolves the types
        except CoterieError as error:
            yield _by_name(node.name, str(error))
            continue
        yield from (_by_name(node.name, fault) for fault in getattr(node, "faults", list)())


def faults_of_names(draft: Draft) -> Iterator[str]:
    nested = [name for name, node in draft.nodes.items() if isinstance(node, Flow)]
    for name in (name for name, node in draft.nodes.items() if _is_node(node)):
        if not name or name in (START, END) or not RESERVED.isdisjoint(name):
            yield f"a node cannot be called {name!r}; give it a name without any of {' '.join(sorted(RESERVED))}"
        for flow in nested:
            if name.startswith(f"{flow}/"):
                yield f"{name!r} could be a node inside the flow {flow!r}; rename one of them"


def faults_of_types(draft: Draft) -> Iterator[str]:
    what = "which is no message; only Message types and list[…] of them can travel"
    for name, node in draft.nodes.items():
        for form in parts_of(draft.consumes(name)):
            if form is not Any and not _is_message(form):
                yield f"{name!r} takes {describe(form)}, {what}"
        for form in draft.produces(name):
            if not _is_message(form):
                yield f"{name!r} answers with {describe(form)}, {what}"
        if isinstance(node, Review) and item_of(draft.consumes(name)) is not None:
            yield f"{name!r} takes {describe(draft.consumes(name))}, but a person is shown one message; put them in one"
        for parameter, form in node.given.items() if isinstance(node, FunctionNode | Review) else ():
            if not _is_message(form):
                yield f"{name!r} is given {describe(form)} as {parameter!r}, {what}"


def faults_of_ends(draft: Draft) -> Iterator[str]:
    definition = draft.definition
    if not definition.starts:
        yield "nothing starts the flow; name its first nodes in `start(…)`"
    if not definition.ends:
        yield "nothing ends the flow; name the nodes whose answer is the result in `end(…)`"
    for name in definition.starts:
        if not accepts(draft.consumes(name), draft.signature.consumes):
            yield (
                f"start {name}: the flow is given {describe(draft.signature.consumes)}, "
                f"but {name!r} takes {describe(draft.consumes(name))}"
            )
    for name in sorted(definition.ends):
        answers = draft.produces(name)
        if draft.leaving(name) and not any(accepts(draft.signature.produces, member) for member in answers):
            yield (
                f"end {name}: {name!r} never answers {describe(draft.signature.produces)}, "
                f"only {describe(union(answers))}; leave it out of `end(…)`"
            )
        for member in draft.unrouted(name):
            if not accepts(draft.signature.produces, member) and not draft.leaving(name):
                yield (
                    f"end {name}: {name!r} answers with {describe(member)}, "
                    f"but the flow's result is {describe(draft.signature.produces)}"
                )


def faults_of_reach(draft: Draft) -> Iterator[str]:
    for name in draft.nodes:
        if draft.definition.starts and name not in draft.shape.reachable:
            yield f"nothing leads to {name!r}; give it an incoming edge or leave it out"


def faults_of_dead_ends(draft: Draft) -> Iterator[str]:
    for name in draft.nodes:
        leads_on = draft.leaving(name) or name in draft.definition.ends or name in draft.shape.stands_in
        could_end = not draft.definition.ends and accepts(draft.signature.produces, union(draft.produces(name)))
        if not leads_on and not could_end and draft.produces(name):
            yield (
                f"{name!r} leads nowhere: nothing takes its {describe(union(draft.produces(name)))}; "
                f"give it an edge, or name it in `end(…)`"
            )


def faults_of_cover(draft: Draft) -> Iterator[str]:
    for name in draft.nodes:
        leaving = draft.leaving(name)
        if not leaving or any(not isinstance(edge, Link) or edge.on is None for edge in leaving):
            continue
        for member in draft.unrouted(name):
            if not (name in draft.definition.ends and accepts(draft.signature.produces, member)):
                yield (
                    f"{name!r} may answer {describe(member)}, but no edge takes it; "
                    f"add edge({name}, …, on={describe(member)})"
                )


def faults_of_handlers(draft: Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Catch):
            continue
        if not accepts(draft.consumes(edge.target), Failure):
            yield f"{edge}: {edge.target!r} takes {describe(draft.consumes(edge.target))}, but a handler takes Failure"
        place = draft.shape.stands_in.get(edge.target)
        answers = union(draft.produces(place)) if place is not None else Any
        if not all(accepts(answers, instead) for instead in draft.produces(edge.target)):  # None skips, and is left out
            yield (
                f"{edge}: {edge.target!r} stands in for {place!r}, which answers with {describe(answers)}, "
                f"but answers with {describe(union(draft.produces(edge.target)))}"
            )


def faults_of_cycles(draft: Draft) -> Iterator[str]:
    for cycle in draft.shape.unbounded_cycles:
        around = " -> ".join([*cycle, cycle[0]])
        yield f"the cycle {around} has no bound; put `max_visits=` on the edge that closes it"


def faults_of_depth(draft: Draft) -> Iterator[str]:
    for name, (one, other) in draft.shape.conflicts.items():
        yield f"{name!r} is reached both {_inside(one)} and {_inside(other)}; join the items first"
    for name in sorted(draft.definition.ends):
        if forks := draft.shape.forks_around.get(name, ()):
            yield f"{name!r} ends the flow {_inside(forks)}; join the items first"


def faults_of_given(draft: Draft) -> Iterator[str]:
    for name, node in draft.nodes.items():
        if not isinstance(node, FunctionNode | Review) or name not in draft.shape.reachable:
            continue
        for wanted in node.given.values():
            if producer(draft, name, wanted) is not None:
                continue
            makers = [other for other in draft.nodes if any(accepts(wanted, one) for one in draft.produces(other))]
            if makers:
                yield (
                    f"{name!r} is given {describe(wanted)}, but {listed(makers)}, which produces it, "
                    f"does not always run before {name!r}"
                )
            else:
                yield f"{name!r} is given {describe(wanted)}, but no node before it produces one"


def faults_of_deadlines(draft: Draft) -> Iterator[str]:
    for name, node in draft.nodes.items():
        if not isinstance(node, Review) or node.deadline is None:
            continue
        catches = [edge for edge in draft.edges if isinstance(edge, Catch) and edge.source == name]
        if not any(issubclass(ReviewOverdue, edge.error) for edge in catches):
            yield (
                f"{name!r} has a deadline, but nothing says what follows when it is over; "
                f"add on_error({name}, …, catch=ReviewOverdue)"
            )


def faults_of_policies(draft: Draft) -> Iterator[str]:
    for name, policy in draft.definition.policies.items():
        node = draft.nodes[name]
        if isinstance(node, Flow | Review) and policy != Policy():
            yield f"{name!r} is tried by no policy, because it is a {type(node).__name__.lower()}; leave `policy` out"
        if policy.timeout is not None and policy.timeout <= 0:
            yield f"{name!r}: its `timeout` is {policy.timeout} s, but must be more than 0"
        if policy.effect not in (None, "pure", "idempotent", "ask"):
            yield f"{name!r}: its `effect` is {policy.effect!r}, but must be 'pure', 'idempotent' or 'ask'"
        if policy.effect == "ask" and policy.retries:
            yield f"{name!r} has an effect that must not be repeated unasked; leave `retries` out"
        if policy.limit is not None and policy.limit < 1:
            yield f"{name!r}: its `limit` is {policy.limit}, but must be at least 1"
        for setting, value in (
            ("retries", policy.retries),
            ("backoff", policy.backoff),
            ("backoff_limit", policy.backoff_limit),
        ):
            if value < 0:
                yield f"{name!r}: its `{setting}` is {value}, but must not be negative"


def faults_of_schemas(draft: Draft) -> Iterator[str]:
    for schema, kinds in schemas(draft).items():
        for kind in kinds:
            try:
                kind.model_rebuild()  # messages build their validators late; a type that cannot must show here
            except (PydanticUserError, PydanticUndefinedAnnotation) as error:
                yield f"{schema!r} is no message type that can be checked: {error.message}"
        if len(kinds) > 1:
            yield f"{len(kinds)} message types are called {schema!r}; set `schema_name` on one of them"


def _inside(forks: Forks) -> str:
    return f"inside `{forks[-1]}`" if forks else "outside any map"


def _by_name(name: str, fault: str) -> str:
    return fault if repr(name) in fault else f"{name!r}: {fault}"


def _is_node(node: Any) -> bool:
    """Whether it has a name, a signature (which is not read, as that may raise) and something to run."""
    runs = isinstance(node, FunctionNode | Review | Flow) or callable(getattr(node, "handle", None))
    return runs and isinstance(getattr(node, "name", None), str) and getattr_static(node, "signature", None) is not None


def _is_message(form: Any) -> bool:
    """Whether `form` is a message type, a list of one, or a union of such."""
    return all(
        isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, Message)
        for member in members(form)
        for kind in members(member if item_of(member) is None else item_of(member))
    )
