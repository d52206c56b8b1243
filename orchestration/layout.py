"""Where the nodes of a drawn flow stand: columns from left to right, and rows that keep edges short.

Knows a directed graph and nothing of flows, runs or pixels.
"""

from collections.abc import Iterable, Mapping

import networkx as nx

ROUNDS = 8  # of moving each node towards its neighbours


def layered(graph: "nx.MultiDiGraph[str]") -> Mapping[str, tuple[int, float]]:
    """Column and row of every node: the layered drawing of Sugiyama, Tagawa and Toda (1981).

    Columns follow the longest path from a source, with edges that close a cycle left out; rows are ordered by the mean
    row of the neighbours and centred, so a row may be a fraction.
    """
    forward = _without_cycles(graph)
    column = {name: depth for depth, names in enumerate(nx.topological_generations(forward)) for name in names}
    columns = [sorted(name for name in column if column[name] == depth) for depth in range(max(column.values()) + 1)]
    for turn in range(ROUNDS):
        order = {name: row for names in columns for row, name in enumerate(names)}
        neighbours = forward.predecessors if turn % 2 == 0 else forward.successors
        for names in columns if turn % 2 == 0 else reversed(columns):
            names.sort(key=lambda name: (_mean((order[one] for one in neighbours(name)), order[name]), name))
            order.update({name: row for row, name in enumerate(names)})
    tallest = max(len(names) for names in columns)
    return {
        name: (depth, row + (tallest - len(names)) / 2)
        for depth, names in enumerate(columns)
        for row, name in enumerate(names)
    }


def _without_cycles(graph: "nx.MultiDiGraph[str]") -> "nx.DiGraph[str]":
    """The graph without the edges that lead back to a node on the way to them."""
    forward: nx.DiGraph[str] = nx.DiGraph(graph)
    while not nx.is_directed_acyclic_graph(forward):
        forward.remove_edge(*list(nx.find_cycle(forward))[-1][:2])
    return forward


def _mean(values: Iterable[int], otherwise: float) -> float:
    known = list(values)
    return sum(known) / len(known) if known else otherwise
