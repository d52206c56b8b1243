"""What a graph's shape implies: who always runs before whom, and inside which maps each node stands.

Works on names and edges alone and reports no faults; validation.py turns what it finds into sentences.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import networkx as nx

from .edges import END, START, Catch, Edge, Fork, Gather, Join, Link, sources_of, targets_of

Produced: TypeAlias = tuple[str, Any]  # a node and the union member that a branch took, or None for its whole answer
Forks: TypeAlias = tuple[Fork, ...]  # the maps around a node, outermost first


@dataclass(frozen=True)
class Shape:
    """A graph by names. Built from edges; every derived fact is computed once, when asked."""

    starts: Sequence[str]
    ends: frozenset[str]
    edges: Sequence[Edge]
    nodes: Sequence[str]
    _conflicts: dict[str, tuple[Forks, Forks]] = field(default_factory=dict, init=False)

    @cached_property
    def graph(self) -> "nx.MultiDiGraph[str]":
        """The nodes and edges with `(start)` and `(end)`; each edge carries its facts under the key "edge"."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        graph.add_nodes_from([START, *self.nodes, END])
        graph.add_edges_from((START, name) for name in self.starts)
        for edge in self.edges:
            for source in sources_of(edge):
                for target in targets_of(edge):
                    graph.add_edge(source, target, edge=edge)
        graph.add_edges_from((name, END) for name in self.nodes if name in self.ends)
        for handler, node in self.stands_in.items():
            ways = [*graph.out_edges(node, data="edge")]
            graph.add_edges_from((handler, end, {"edge": edge}) for _, end, edge in ways if not isinstance(edge, Catch))
        return graph

    @cached_property
    def stands_in(self) -> Mapping[str, str]:
        """Handler without edges of its own -> the one node whose place it takes; that node may be a handler, too."""
        leads = (edge for edge in self.edges if not isinstance(edge, Catch))
        leaving = {source for edge in leads for source in sources_of(edge)} | self.ends
        caught: dict[str, set[str]] = {}
        for edge in self.edges:
            if isinstance(edge, Catch) and edge.target not in leaving:
                caught.setdefault(edge.target, set()).add(edge.source)
        places = {handler: min(nodes) for handler, nodes in caught.items() if len(nodes) == 1}
        for handler, place in places.items():
            seen = {handler}
            while place in places and place not in seen:
                seen.add(place)
                place = places[place]
            places[handler] = place
        return places

    @cached_property
    def reachable(self) -> frozenset[str]:
        """The nodes that the run's input can lead to."""
        return frozenset(nx.descendants(self.graph, START)) - {END}

    @cached_property
    def unbounded_cycles(self) -> list[list[str]]:
        """One cycle without a bounded edge from each knot of them, as the nodes in order."""
        rest = nx.DiGraph(
            (source, target)
            for source, target, edge in self._facts
            if not (isinstance(edge, Link) and edge.max_visits is not None and target == edge.target)
        )
        order = {name: position for position, name in enumerate(rest)}
        knots = sorted(nx.strongly_connected_components(rest), key=lambda knot: min(order[name] for name in knot))
        # Each knot is copied in the order of declaration, so that its cycle is always told from the same node on.
        copies = [nx.DiGraph(edge for edge in rest.edges if knot.issuperset(edge)) for knot in knots]
        return [[edge[0] for edge in nx.find_cycle(knot)] for knot in copies if knot.number_of_edges()]

    @property
    def _facts(self) -> Iterable[tuple[str, str, Edge | None]]:
        facts: Iterable[tuple[str, str, Edge | None]] = self.graph.edges(data="edge")
        return facts

    @cached_property
    def forks_around(self) -> Mapping[str, Forks]:
        """For each reachable node, the maps that it stands inside; the first path found decides, others are checked."""
        found: dict[str, Forks] = {}
        waiting: list[tuple[str, Forks]] = [(name, ()) for name in self.starts]
        while waiting:
            name, forks = waiting.pop(0)
            if name in found:
                if found[name] != forks:
                    self._conflicts.setdefault(name, (found[name], forks))
                continue
            found[name] = forks
            for edge in self.edges:
                if name in sources_of(edge):
                    waiting += [(target, _after(edge, forks)) for target in targets_of(edge)]
        return found

    @property
    def conflicts(self) -> Mapping[str, tuple[Forks, Forks]]:
        """Nodes that are reached inside two different sets of maps, with both."""
        self.forks_around  # noqa: B018 - the conflicts are found on the way
        return self._conflicts

    def fork_of(self, join: Join) -> Fork | None:
        """The map that `join` closes; None where its source stands in no map."""
        forks = self.forks_around.get(join.source, ())
        return forks[-1] if forks else None

    @cached_property
    def always_before(self) -> Mapping[str, frozenset[Produced]]:
        """For each reachable node, the answers that exist whenever it runs: dominators, where a gather needs all.

        The iterative data-flow algorithm for dominators (Allen & Cocke, 1972), with a gather's sources united instead
        of intersected, because it waits for every one of them.
        """
        branches = {(edge.source, edge.on) for edge in self.edges if isinstance(edge, Link)}
        everything = frozenset(branches | {(name, None) for name in [START, *self.nodes]})
        before: dict[str, frozenset[Produced]] = dict.fromkeys(self.reachable, everything)
        changed = True
        while changed:
            changed = False
            for name in before:
                ways = [
                    self._before_edge(edge, before)
                    for edge in self.edges
                    if name in targets_of(edge) and not before.keys().isdisjoint(sources_of(edge))
                ]
                ways += [frozenset({(START, None)})] if name in self.starts else []
                now = frozenset.intersection(*ways) if ways else frozenset()
                changed |= now != before[name]
                before[name] = now
        return before

    def _before_edge(self, edge: Edge, before: Mapping[str, frozenset[Produced]]) -> frozenset[Produced]:
        def through(name: str) -> frozenset[Produced]:
            return before.get(name, frozenset()) | {(name, None)}

        match edge:
            case Gather(sources=sources):
                return frozenset().union(*(through(source) for source in sources))
            case Catch(source=source):
                return before.get(source, frozenset())
            case Join() as join:
                fork = self.fork_of(join)
                return through(fork.source) if fork else through(join.source)
            case Link(source=source, on=on):
                return through(source) | ({(source, on)} if on is not None else set())
            case Fork(source=source):
                return through(source)


def _after(edge: Edge, forks: Forks) -> Forks:
    if isinstance(edge, Fork):
        return (*forks, edge)
    return forks[:-1] if isinstance(edge, Join) else forks
