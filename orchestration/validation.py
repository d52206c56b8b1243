"""Every fault of a graph, each in one plain sentence, and the checked `Flow` where there is none.

Each `_faults_*` function looks for one kind of fault and knows nothing of the others, so that a graph with six faults
reports six. Sentences name the nodes and types involved and what to do.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from inspect import getattr_static
from operator import or_
from typing import Any, get_origin

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from ..agents.agent import Signature
from ..agents.errors import CoterieError
from ..agents.messages import Failure, Message, Registry, Rejection
from ..agents.type_forms import NOTHING, accepts, describe, item_of, members, message_types, parts_of
from .analysis import Forks, Produced, Shape
from .edges import END, START, Catch, Edge, Fork, Gather, Join, Link, sources_of, targets_of
from .errors import WorkflowError
from .nodes import FunctionNode, Policy
from .review import Review
from .workflow import Definition, Flow

RESERVED = frozenset("#[]>")  # they stand between the names in a task's id


def checked(definition: Definition) -> Flow[Any, Any]:
    """The flow that `definition` describes.

    Raises:
        WorkflowError: with every fault found.
    """
    draft = _Draft(definition)
    faults = [*_faults_of_nodes(draft)]
    if not faults:  # signatures can be read, so the rest can be judged
        faults = [fault for check in _CHECKS for fault in check(draft)]
    else:
        faults += [fault for check in _SHAPE_CHECKS for fault in check(draft)]
    if faults:
        raise WorkflowError(definition.name, tuple(dict.fromkeys(faults)))
    return _flow(draft)


@dataclass(frozen=True)
class _Draft:
    """A definition with its shape and its nodes by name."""

    definition: Definition

    @cached_property
    def nodes(self) -> Mapping[str, Any]:
        return {_name(node): node for node in self.definition.nodes}

    @cached_property
    def shape(self) -> Shape:
        definition = self.definition
        return Shape(definition.starts, definition.ends, definition.edges, tuple(self.nodes))

    @property
    def edges(self) -> tuple[Edge, ...]:
        return self.definition.edges

    @property
    def signature(self) -> Signature[Any, Any]:
        return self.definition.signature

    def consumes(self, name: str) -> Any:
        return self.nodes[name].signature.consumes

    def produces(self, name: str) -> tuple[Any, ...]:
        """The union members that `name` answers with, None left out."""
        if name == START:
            return (self.signature.consumes,)
        return tuple(member for member in members(self.nodes[name].signature.produces) if member is not NOTHING)

    def leaving(self, name: str) -> list[Edge]:
        """The edges that an answer of `name` can take."""
        return [edge for edge in self.edges if name in sources_of(edge) and not isinstance(edge, Catch)]

    def unrouted(self, name: str) -> tuple[Any, ...]:
        """The union members of `name` that no `on=` edge takes."""
        taken = [edge.on for edge in self.leaving(name) if isinstance(edge, Link) and edge.on is not None]
        return tuple(member for member in self.produces(name) if not any(accepts(on, member) for on in taken))


def _faults_of_nodes(draft: _Draft) -> Iterator[str]:
    for name, count in Counter(_name(node) for node in draft.definition.nodes).items():
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


def _faults_of_names(draft: _Draft) -> Iterator[str]:
    nested = [name for name, node in draft.nodes.items() if isinstance(node, Flow)]
    for name in (name for name, node in draft.nodes.items() if _is_node(node)):
        if not name or name in (START, END) or not RESERVED.isdisjoint(name):
            yield f"a node cannot be called {name!r}; give it a name without any of {' '.join(sorted(RESERVED))}"
        for flow in nested:
            if name.startswith(f"{flow}/"):
                yield f"{name!r} could be a node inside the flow {flow!r}; rename one of them"


def _faults_of_types(draft: _Draft) -> Iterator[str]:
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
        for parameter, form in node.given.items() if isinstance(node, FunctionNode) else ():
            if not _is_message(form):
                yield f"{name!r} is given {describe(form)} as {parameter!r}, {what}"


def _faults_of_ends(draft: _Draft) -> Iterator[str]:
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
                f"only {describe(_union(answers))}; leave it out of `end(…)`"
            )
        for member in draft.unrouted(name):
            if not accepts(draft.signature.produces, member) and not draft.leaving(name):
                yield (
                    f"end {name}: {name!r} answers with {describe(member)}, "
                    f"but the flow's result is {describe(draft.signature.produces)}"
                )


def _faults_of_reach(draft: _Draft) -> Iterator[str]:
    for name in draft.nodes:
        if draft.definition.starts and name not in draft.shape.reachable:
            yield f"nothing leads to {name!r}; give it an incoming edge or leave it out"


def _faults_of_dead_ends(draft: _Draft) -> Iterator[str]:
    for name in draft.nodes:
        leads_on = draft.leaving(name) or name in draft.definition.ends or name in draft.shape.stands_in
        could_end = not draft.definition.ends and accepts(draft.signature.produces, _union(draft.produces(name)))
        if not leads_on and not could_end and draft.produces(name):
            yield (
                f"{name!r} leads nowhere: nothing takes its {describe(_union(draft.produces(name)))}; "
                f"give it an edge, or name it in `end(…)`"
            )


def _faults_of_cover(draft: _Draft) -> Iterator[str]:
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


def _faults_of_links(draft: _Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Link):
            continue
        answers = draft.produces(edge.source)
        if edge.on is not None:
            if not any(accepts(edge.on, answer) or accepts(answer, edge.on) for answer in answers):
                yield f"{edge}: {edge.source!r} never answers {describe(edge.on)}, only {describe(_union(answers))}"
                continue
            answers = (edge.on,)
        for target in targets_of(edge):
            yield from _faults_of_delivery(draft, str(edge), edge.source, answers, target)
        if edge.exhausted is not None and edge.max_visits is None:
            yield f"{edge}: `exhausted={edge.exhausted}` can never be reached without `max_visits=`"


def _faults_of_delivery(draft: _Draft, edge: str, source: str, answers: Iterable[Any], target: str) -> Iterator[str]:
    takes = draft.consumes(target)
    if len(parts_of(takes)) > 1:
        yield f"{edge}: {target!r} takes {len(parts_of(takes))} messages {describe(takes)}; use `gather((…), {target})`"
        return
    refused = [answer for answer in answers if not accepts(takes, answer)]
    if refused and len(refused) < len(tuple(answers)):
        yield (
            f"{edge}: {source!r} may answer {describe(_union(refused))}, which {target!r} does not take; "
            f"say which answers it gets with `on=`"
        )
    elif refused:
        yield f"{edge}: {source!r} answers with {describe(_union(refused))}, but {target!r} takes {describe(takes)}"


def _faults_of_maps(draft: _Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Fork):
            continue
        items = [item_of(answer) for answer in draft.unrouted(edge.source)]
        if not items or None in items:
            yield (
                f"{edge}: {edge.source!r} answers with {describe(_union(draft.produces(edge.source)))}, "
                f"but a map needs a list; return list[…], or use `edge`"
            )
        else:
            yield from _faults_of_delivery(draft, str(edge), edge.source, items, edge.target)


def _faults_of_joins(draft: _Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Join):
            continue
        if edge.source in draft.shape.reachable and draft.shape.fork_of(edge) is None:
            yield f"{edge}: {edge.source!r} stands in no map, so there is nothing to join; start one with `map`"
        takes = draft.consumes(edge.target)
        if item_of(takes) is None:
            yield f"{edge}: {edge.target!r} takes {describe(takes)}, but a join hands over a list; take list[…]"
        elif not accepts(item_of(takes), answers := _union(draft.unrouted(edge.source))):
            yield f"{edge}: {edge.source!r} answers {describe(answers)}, but {edge.target!r} takes {describe(takes)}"


def _faults_of_gathers(draft: _Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Gather):
            continue
        takes = parts_of(draft.consumes(edge.target))
        if len(edge.sources) < 2:
            yield f"{edge}: a gather needs two sources or more; use `edge`"
            continue
        if repeated := [name for name, count in Counter(edge.sources).items() if count > 1]:
            yield f"{edge}: {_listed(repeated)} is gathered more than once; name each source once"
            continue
        if len(takes) != len(edge.sources):
            yield (
                f"{edge}: {edge.target!r} has {len(takes)} inputs {describe(draft.consumes(edge.target))}, "
                f"but {len(edge.sources)} nodes are gathered; give one node for each"
            )
            continue
        for position, (source, part) in enumerate(zip(edge.sources, takes, strict=True), start=1):
            if not accepts(part, answers := _union(draft.unrouted(source))):
                yield (
                    f"{edge}: input {position} of {edge.target!r} is {describe(part)}, "
                    f"but {source!r} answers with {describe(answers)}"
                )


def _faults_of_repeats(draft: _Draft) -> Iterator[str]:
    for edge, count in Counter(str(edge) for edge in draft.edges).items():
        if count > 1:
            yield f"{edge} is declared {count} times; keep one"
    for name, count in Counter(draft.definition.starts).items():
        if count > 1:
            yield f"start {name} is declared {count} times; keep one"
    gathered = Counter(edge.target for edge in draft.edges if isinstance(edge, Gather))
    for target, count in gathered.items():
        if count > 1:
            yield f"{target!r} is gathered for {count} times; name all its sources in one `gather`"


def _faults_of_handlers(draft: _Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Catch):
            continue
        if not accepts(draft.consumes(edge.target), Failure):
            yield f"{edge}: {edge.target!r} takes {describe(draft.consumes(edge.target))}, but a handler takes Failure"
        place = draft.shape.stands_in.get(edge.target)
        answers = _union(draft.produces(place)) if place is not None else Any
        if not all(accepts(answers, instead) for instead in draft.produces(edge.target)):  # None skips, and is left out
            yield (
                f"{edge}: {edge.target!r} stands in for {place!r}, which answers with {describe(answers)}, "
                f"but answers with {describe(_union(draft.produces(edge.target)))}"
            )


def _faults_of_cycles(draft: _Draft) -> Iterator[str]:
    for cycle in draft.shape.unbounded_cycles:
        around = " -> ".join([*cycle, cycle[0]])
        yield f"the cycle {around} has no bound; put `max_visits=` on the edge that closes it"


def _faults_of_depth(draft: _Draft) -> Iterator[str]:
    for name, (one, other) in draft.shape.conflicts.items():
        yield f"{name!r} is reached both {_inside(one)} and {_inside(other)}; join the items first"
    for name in sorted(draft.definition.ends):
        if forks := draft.shape.forks_around.get(name, ()):
            yield f"{name!r} ends the flow {_inside(forks)}; join the items first"


def _faults_of_given(draft: _Draft) -> Iterator[str]:
    for name, node in draft.nodes.items():
        if not isinstance(node, FunctionNode) or name not in draft.shape.reachable:
            continue
        for wanted in node.given.values():
            if _producer(draft, name, wanted) is not None:
                continue
            makers = [other for other in draft.nodes if any(accepts(wanted, one) for one in draft.produces(other))]
            if makers:
                yield (
                    f"{name!r} is given {describe(wanted)}, but {_listed(makers)}, which produces it, "
                    f"does not always run before {name!r}"
                )
            else:
                yield f"{name!r} is given {describe(wanted)}, but no node before it produces one"


def _faults_of_numbers(draft: _Draft) -> Iterator[str]:
    for edge in draft.edges:
        match edge:
            case Link(max_visits=int(count)) | Fork(limit=int(count)) if count < 1:
                yield f"{edge}: its bound is {count}, but must be at least 1"
            case Join(at_least=count) if count < 0:
                yield f"{edge}: `at_least` is {count}, but must not be negative"
            case Join(within=float() | int() as seconds) if seconds <= 0:
                yield f"{edge}: `within` is {seconds} s, but must be more than 0"
            case _:
                pass


def _faults_of_policies(draft: _Draft) -> Iterator[str]:
    for name, policy in draft.definition.policies.items():
        node = draft.nodes[name]
        if isinstance(node, Flow | Review) and policy != Policy():
            yield f"{name!r} is tried by no policy, because it is a {type(node).__name__.lower()}; leave `policy` out"
        if policy.timeout is not None and policy.timeout <= 0:
            yield f"{name!r}: its `timeout` is {policy.timeout} s, but must be more than 0"
        if policy.limit is not None and policy.limit < 1:
            yield f"{name!r}: its `limit` is {policy.limit}, but must be at least 1"
        for setting, value in (
            ("retries", policy.retries),
            ("backoff", policy.backoff),
            ("backoff_limit", policy.backoff_limit),
        ):
            if value < 0:
                yield f"{name!r}: its `{setting}` is {value}, but must not be negative"


def _faults_of_schemas(draft: _Draft) -> Iterator[str]:
    for schema, kinds in _schemas(draft).items():
        for kind in kinds:
            try:
                kind.model_rebuild()  # messages build their validators late; a type that cannot must show here
            except (PydanticUserError, PydanticUndefinedAnnotation) as error:
                yield f"{schema!r} is no message type that can be checked: {error.message}"
        if len(kinds) > 1:
            yield f"{len(kinds)} message types are called {schema!r}; set `schema_name` on one of them"


_SHAPE_CHECKS = (
    _faults_of_names,
    _faults_of_reach,
    _faults_of_cycles,
    _faults_of_repeats,
    _faults_of_numbers,
    _faults_of_policies,
)
_CHECKS = (
    _faults_of_types,
    _faults_of_ends,
    _faults_of_links,
    _faults_of_cover,
    _faults_of_maps,
    _faults_of_joins,
    _faults_of_gathers,
    _faults_of_dead_ends,
    _faults_of_handlers,
    _faults_of_depth,
    _faults_of_given,
    _faults_of_schemas,
    *_SHAPE_CHECKS,
)


def _flow(draft: _Draft) -> Flow[Any, Any]:
    definition, shape = draft.definition, draft.shape
    routes = {name: tuple(draft.leaving(name)) for name in draft.nodes}
    catches = [edge for edge in draft.edges if isinstance(edge, Catch)]
    return Flow(
        name=definition.name,
        signature=definition.signature,
        nodes=dict(draft.nodes),
        policies=definition.policies,
        edges=definition.edges,
        starts=definition.starts,
        ends=definition.ends,
        given={name: _producers(draft, name, node) for name, node in draft.nodes.items()},
        forks={edge: fork for edge in draft.edges if isinstance(edge, Join) and (fork := shape.fork_of(edge))},
        registry=Registry(kind for kinds in _schemas(draft).values() for kind in kinds),
        graph=shape.graph,
        routes=routes,
        catches={name: tuple(edge for edge in catches if edge.source == name) for name in draft.nodes},
        stands_in=shape.stands_in,
    )


def _producers(draft: _Draft, name: str, node: Any) -> Mapping[str, str]:
    if not isinstance(node, FunctionNode):
        return {}
    found = {parameter: _producer(draft, name, wanted) for parameter, wanted in node.given.items()}
    return {parameter: producer for parameter, producer in found.items() if producer is not None}


def _producer(draft: _Draft, name: str, wanted: Any) -> str | None:
    """The nearest node that always answers with `wanted` before `name` runs."""
    before = draft.shape.always_before
    able = [produced for produced in before[name] if _gives(draft, produced, wanted)]
    if not able:
        return None
    return max(able, key=lambda produced: (len(before.get(produced[0], ())), produced[0]))[0]


def _gives(draft: _Draft, produced: Produced, wanted: Any) -> bool:
    node, member = produced
    answers = draft.produces(node) if member is None else (member,)
    return bool(answers) and all(accepts(wanted, answer) for answer in answers)


def _schemas(draft: _Draft) -> dict[str, list[type[Message]]]:
    forms = [draft.signature.consumes, draft.signature.produces, Failure, Rejection]
    for node in draft.nodes.values():
        forms += [node.signature.consumes, node.signature.produces]
        if isinstance(node, Flow):
            forms += list(node.registry)
    found: dict[str, list[type[Message]]] = {}
    for form in forms:
        for kind in message_types(form):
            if issubclass(kind, Message) and kind not in found.setdefault(kind.schema_name, []):
                found[kind.schema_name].append(kind)
    return found


def _union(forms: Iterable[Any]) -> Any:
    return reduce(or_, forms, NOTHING) if not (known := tuple(forms)) else reduce(or_, known)


def _inside(forks: Forks) -> str:
    return f"inside `{forks[-1]}`" if forks else "outside any map"


def _listed(names: list[str]) -> str:
    return " or ".join(repr(name) for name in names)


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


def _name(node: Any) -> str:
    name = getattr(node, "name", None)
    return name if isinstance(name, str) else repr(node)
