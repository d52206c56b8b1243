"""Drawings of a flow as text: mermaid for documents, a rich tree for terminals. The HTML page is page.py.

This file knows nothing of runs.
"""

from collections.abc import Iterator
from typing import Any

from rich.text import Text
from rich.tree import Tree

from ..agents.type_forms import describe, members
from .edges import END, START, Catch, Edge, Fork, Gather, Join, Link, sources_of
from .nodes import FunctionNode
from .review import Review
from .workflow import Flow


def mermaid(flow: Flow[Any, Any]) -> str:
    """The flow as a mermaid flowchart: functions are boxes, agents hexagons, people diamonds, flows double boxes."""
    ids = {name: f"n{number}" for number, name in enumerate(flow.nodes)} | {START: "start", END: "end_"}
    lines = ["flowchart LR", f'    start(["{_quoted(describe(flow.signature.consumes))}"])']
    lines += [f"    {ids[name]}{_shape(node, _quoted(name))}" for name, node in flow.nodes.items()]
    lines.append(f'    end_(["{_quoted(describe(flow.signature.produces))}"])')
    for source, target, label, on_error in arrows(flow):
        arrow = "-.->" if on_error else "-->"
        lines.append(f"    {ids[source]} {arrow}{_said(label)} {ids[target]}")
    return "\n".join(lines)


def tree(flow: Flow[Any, Any]) -> Tree:
    """The flow as a tree: each node once with what it takes and answers, and below it where its answers go."""
    root = Tree(Text.assemble((flow.name, "bold"), f"  {_types(flow)}"), guide_style="dim")
    for name, node in flow.nodes.items():
        kind = kind_of(node)
        branch = root.add(Text.assemble((name, "bold cyan"), (f"  {kind}", "dim"), f"  {_types(node)}"))
        if name in flow.starts:
            branch.add(Text(f"from {START}", style="dim"))
        for source, target, label, _ in arrows(flow):
            if source == name:
                branch.add(Text.assemble("→ ", (target, "green"), (f"  {label}" if label else "", "yellow")))
    return root


def facts(flow: Flow[Any, Any]) -> dict[str, Any]:
    """The flow as plain JSON: nodes with their types and edges with their conditions."""
    return {
        "name": flow.name,
        "input": describe(flow.signature.consumes),
        "output": describe(flow.signature.produces),
        "nodes": [
            {
                "name": name,
                "kind": kind_of(node),
                "takes": describe(node.signature.consumes),
                "answers": [describe(member) for member in members(node.signature.produces)],
            }
            for name, node in flow.nodes.items()
        ],
        "edges": [
            {
                "from": list(sources_of(edge)),
                "to": edge.target,
                "kind": type(edge).__name__.lower(),
                "says": _label(edge),
            }
            for edge in flow.edges
        ],
        "starts": list(flow.starts),
        "ends": sorted(flow.ends),
    }


def arrows(flow: Flow[Any, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Every arrow of the drawing: from, to, what it says, and whether it is taken on an error only."""
    for name in flow.starts:
        yield START, name, "", False
    for edge in flow.edges:
        for source in sources_of(edge):
            yield source, edge.target, _label(edge), isinstance(edge, Catch)
        if isinstance(edge, Link) and edge.exhausted is not None:
            yield edge.source, edge.exhausted, "exhausted", False
    for name in sorted(flow.ends):
        yield name, END, "", False


def _label(edge: Edge) -> str:
    match edge:
        case Link(on=on, when=when, max_visits=visits):
            said = [describe(on) if on else "", _condition(when) if when else "", f"≤ {visits} times" if visits else ""]
            return ", ".join(part for part in said if part)
        case Fork(limit=limit):
            return "map" + (f", {limit} at a time" if limit else "")
        case Join(at_least=fewest, within=seconds):
            said = ["join", f"at least {fewest}" if fewest else "", f"within {seconds:g} s" if seconds else ""]
            return ", ".join(part for part in said if part)
        case Gather():
            return ""
        case Catch(error=error):
            return f"on {error.__name__}"


def _condition(when: Any) -> str:
    name = getattr(when, "__name__", "")
    return f"when {name.replace('_', ' ')}" if name and name != "<lambda>" else "when …"


def kind_of(node: Any) -> str:
    """What sort of node it is: function, person, flow, or the agent's class."""
    if isinstance(node, FunctionNode):
        return "function"
    if isinstance(node, Review):
        return "person"
    return "flow" if isinstance(node, Flow) else type(node).__name__


def _shape(node: Any, name: str) -> str:
    shapes = {"function": f'["{name}"]', "person": f'{{"{name}"}}', "flow": f'[["{name}"]]'}
    return shapes.get(kind_of(node), f'{{{{"{name}"}}}}')


def _said(label: str) -> str:
    return f'|"{_quoted(label)}"|' if label else ""


def _types(node: Any) -> str:
    return f"{describe(node.signature.consumes)} → {describe(node.signature.produces)}"


def _quoted(text: str) -> str:
    """`text` inside mermaid's double quotes: its own quotes, hashes and angle brackets as entities."""
    for character, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return " ".join(text.split())
