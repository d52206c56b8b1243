"""Composing a graph: `Workflow` collects nodes and edges, `build()` checks them all and makes an immutable `Flow`.

A `Flow` is itself a node, so flows nest. This file checks nothing (validation.py) and runs nothing (runtime.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ..agents.agent import In, Out, Signature
from ..agents.loading import load
from ..agents.messages import Failure, Message
from ..agents.registry import Registry
from .edges import Catch, Edge, Fork, Gather, Join, Link
from .nodes import A, B, C, D, E, Effect, FunctionNode, Node, Policy, Z

if TYPE_CHECKING:
    import networkx as nx

FlowIn = TypeVar("FlowIn", bound=Message)
FlowOut = TypeVar("FlowOut", bound=Message)


@dataclass(frozen=True, eq=False)
class Flow(Generic[In, Out]):
    """A checked, immutable graph. It serves any number of runs at once and can stand in another graph as a node."""

    name: str
    signature: Signature[In, Out]
    nodes: Mapping[str, Node[Any, Any]]
    policies: Mapping[str, Policy]
    edges: tuple[Edge, ...]
    starts: tuple[str, ...]
    ends: frozenset[str]
    given: Mapping[str, Mapping[str, str]]  # node -> parameter -> the node that produces what it is given
    forks: Mapping[Join, Fork]  # each join's own fork
    registry: Registry = field(repr=False)
    graph: "nx.MultiDiGraph[str]" = field(repr=False)
    routes: Mapping[str, tuple[Edge, ...]] = field(repr=False)  # node -> the edges that its answers can take
    catches: Mapping[str, tuple[Catch, ...]] = field(repr=False)
    stands_in: Mapping[str, str] = field(repr=False)  # handler without edges -> the node whose place it takes

    def run_sync(self, message: In) -> Out:
        """Run the flow once, to its result, for scripts without an event loop of their own.

        Raises:
            RunError: the run failed, or waits for a person.
        """
        result: Out = load("orchestration.runtime").run_sync(self, message)
        return result


@dataclass(eq=False)
class Workflow(Generic[FlowIn, FlowOut]):
    """A graph in the making.

    workflow = Workflow("finance-desk", Question, Publish)
    workflow.start(plan)
    workflow.edge(plan, search)
    workflow.end(search)
    flow = workflow.build()
    """

    name: str
    input: type[FlowIn]
    output: type[FlowOut]
    _nodes: list[Node[Any, Any]] = field(default_factory=list, init=False, repr=False)
    _policies: dict[str, Policy] = field(default_factory=dict, init=False, repr=False)
    _edges: list[Edge] = field(default_factory=list, init=False, repr=False)
    _starts: list[str] = field(default_factory=list, init=False, repr=False)
    _ends: list[str] = field(default_factory=list, init=False, repr=False)

    def start(self, *nodes: Node[FlowIn, Any]) -> None:
        """Every node named here gets the run's input."""
        self._starts += [self._named(node) for node in nodes]

    def end(self, *nodes: Node[Any, FlowOut]) -> None:
        """An answer of one of these nodes that is of the flow's output type is the run's result."""
        self._ends += [self._named(node) for node in nodes]

    @overload
    def edge(
        self,
        source: Node[Any, Z],
        target: Node[Z, Any],
        *,
        when: Callable[[Z], bool] | None = None,
        max_visits: int | None = None,
        exhausted: Node[Z, Any] | None = None,
    ) -> None: ...
    @overload
    def edge(
        self,
        source: Node[Any, Any],
        target: Node[Z, Any],
        *,
        on: type[Z],
        when: Callable[[Z], bool] | None = None,
        max_visits: int | None = None,
        exhausted: Node[Z, Any] | None = None,
    ) -> None: ...
    def edge(
        self,
        source: Node[Any, Any],
        target: Node[Any, Any],
        *,
        on: type | None = None,
        when: Callable[[Any], bool] | None = None,
        max_visits: int | None = None,
        exhausted: Node[Any, Any] | None = None,
    ) -> None:
        """What `source` answers goes to `target`.

        edge(plan, search)                                          # every answer
        edge(risk, desk, on=NeedsReview)                            # one member of a union
        edge(draft, check, when=lambda draft: draft.words > 50)     # a condition
        edge(check, draft, max_visits=3, exhausted=give_up)         # closes a cycle, at most three times
        """
        spare = None if exhausted is None else self._named(exhausted)
        self._edges.append(Link(self._named(source), self._named(target), on, when, max_visits, spare))

    def map(self, source: Node[Any, list[Z]], target: Node[Z, Any], *, limit: int | None = None) -> None:
        """One task of `target` for each item that `source` answers with, `limit` of them at the same time."""
        self._edges.append(Fork(self._named(source), self._named(target), limit))

    def join(
        self, source: Node[Any, Z], target: Node[list[Z], Any], *, at_least: int = 0, within: float | None = None
    ) -> None:
        """The answers of `source` for all items of a map go to `target` as one list, in item order.

        It fires when no task of the map is open any more, so an item that was routed elsewhere, or skipped on error,
        cannot hang it. With fewer than `at_least` items the run fails. `within` seconds after the map began, what is
        still open is cancelled and the join goes on with what has come.
        """
        self._edges.append(Join(self._named(source), self._named(target), at_least, within))

    @overload
    def gather(self, sources: tuple[Node[Any, A], Node[Any, B]], target: Node[tuple[A, B], Any]) -> None: ...
    @overload
    def gather(
        self, sources: tuple[Node[Any, A], Node[Any, B], Node[Any, C]], target: Node[tuple[A, B, C], Any]
    ) -> None: ...
    @overload
    def gather(
        self,
        sources: tuple[Node[Any, A], Node[Any, B], Node[Any, C], Node[Any, D]],
        target: Node[tuple[A, B, C, D], Any],
    ) -> None: ...
    @overload
    def gather(
        self,
        sources: tuple[Node[Any, A], Node[Any, B], Node[Any, C], Node[Any, D], Node[Any, E]],
        target: Node[tuple[A, B, C, D, E], Any],
    ) -> None: ...
    def gather(self, sources: tuple[Node[Any, Any], ...], target: Node[Any, Any]) -> None:
        """One answer of each source goes to `target` together, in the order of its parameters."""
        self._edges.append(Gather(tuple(self._named(source) for source in sources), self._named(target)))

    def on_error(
        self, node: Node[Any, Any], handler: Node[Failure, Any], *, catch: type[Exception] = Exception
    ) -> None:
        """When `node` fails with `catch` and no retry is left, `handler` is told in a `Failure`.

        A handler without edges of its own stands in: its answer goes where the node's would have gone. A handler that
        answers None skips the failed task.
        """
        self._edges.append(Catch(self._named(node), self._named(handler), catch))

    def policy(
        self,
        node: Node[Any, Any],
        *,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        backoff_limit: float = 30.0,
        limit: int | None = None,
        effect: Effect | None = None,
    ) -> None:
        """How `node` is tried in this workflow; in place of what `@node(…)` says. The settings are `Policy`'s."""
        self._policies[self._named(node)] = Policy(
            timeout=timeout, retries=retries, backoff=backoff, backoff_limit=backoff_limit, limit=limit, effect=effect
        )

    def build(self) -> Flow[FlowIn, FlowOut]:
        """The graph, checked.

        Raises:
            WorkflowError: lists every fault of the graph, a sentence each.
        """
        flow: Flow[FlowIn, FlowOut] = load("orchestration.validation").checked(
            Definition(
                name=self.name,
                signature=Signature(self.input, self.output),
                nodes=tuple(self._nodes),
                policies={_name_of(node): _policy_of(node) for node in self._nodes} | self._policies,
                edges=tuple(self._edges),
                starts=tuple(self._starts),
                ends=frozenset(self._ends),
            )
        )
        return flow

    def _named(self, node: Node[Any, Any]) -> str:
        if all(node is not known for known in self._nodes):
            self._nodes.append(node)
        return _name_of(node)


@dataclass(frozen=True)
class Definition:
    """What a `Workflow` has collected, unchecked."""

    name: str
    signature: Signature[Any, Any]
    nodes: tuple[Any, ...]  # as passed in; some may be no nodes at all
    policies: Mapping[str, Policy]
    edges: tuple[Edge, ...]
    starts: tuple[str, ...]
    ends: frozenset[str]


def _name_of(node: Any) -> str:
    """The node's name; a value that is no node is named by what it looks like, and refused at build."""
    name = getattr(node, "name", None)
    return name if isinstance(name, str) else repr(node)


def _policy_of(node: Any) -> Policy:
    return node.policy if isinstance(node, FunctionNode) else Policy()
