"""What a flow is made of, as plain data: kept with each run, so that a later program can be compared with it.

Conditions (`when=`) and the code of functions cannot be compared; a replay of the run shows if they decide differently.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json

from ..agents.type_forms import describe
from .edges import Edge, Fork, Join, Link
from .nodes import FunctionNode
from .review import Review
from .review_form import form_of, schemas_of
from .workflow import Flow


def definition_of(flow: Flow[Any, Any]) -> dict[str, Any]:
    """Nodes, edges and message types of `flow`, and of the flows inside it, and what people can answer in it.

    A reviewer's process reads it, so that it needs none of the flow's code.
    """
    return {**_graph(flow), "schemas": schemas_of(flow)}


def _graph(flow: Flow[Any, Any]) -> dict[str, Any]:
    return {
        "flow": flow.name,
        "takes": _stored(flow.signature.consumes),
        "gives": _stored(flow.signature.produces),
        "nodes": {name: _node(flow, name) for name in flow.nodes},
        "edges": sorted(_edge(edge) for edge in flow.edges),
        "starts": sorted(flow.starts),
        "ends": sorted(flow.ends),
        "types": {kind.schema_name: kind.schema_version for kind in flow.registry},
    }


def digest_of(definition: Mapping[str, Any]) -> str:
    """Sha256, in hex."""
    return hashlib.sha256(to_json(definition)).hexdigest()


def changes(old: Mapping[str, Any], new: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """What a run that began under `old` cannot find in `new`, a sentence each. What was added is no such change."""
    for name, node in old["nodes"].items():
        yield from _changes_of_node(f"{within}{name}", node, new["nodes"].get(name))
    for edge in old["edges"]:
        if edge not in new["edges"]:
            yield f"{edge}{f' in {within}' if within else ''} is gone or was changed"
    for what in ("starts", "ends"):
        gone = [name for name in old[what] if name not in new[what] and name in new["nodes"]]
        yield from (f"node {within + name!r} is none of the {what} any more" for name in gone)
    for name, version in old["types"].items():
        if new["types"].get(name, version) < version:
            yield f"message type {name!r} is at version {new['types'][name]}, but was at {version}"


def _changes_of_node(place: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        yield f"node {place!r} is gone"
        return
    for what in ("takes", "gives", "is"):
        if new[what] != old[what]:
            yield f"node {place!r} {what} {new[what]}, but {what} {old[what]} when the run began"
    if "flow" in old and "flow" in new:
        yield from changes(old["flow"], new["flow"], f"{place}/")


def _node(flow: Flow[Any, Any], name: str) -> dict[str, Any]:
    node = flow.nodes[name]
    inner = {"flow": _graph(node)} if isinstance(node, Flow) else {}
    effect = flow.policies[name].effect if name in flow.policies else None
    return {
        "is": "a function" if isinstance(node, FunctionNode) else f"a {type(node).__name__}",
        "takes": _stored(node.signature.consumes),
        "gives": _stored(node.signature.produces),
        **({"effect": effect} if effect else {}),
        **({"review": form_of(flow, node)} if isinstance(node, Review) else {}),
        **inner,
    }


def _stored(form: Any) -> str:
    """`form` in the names that rows have, which stay when a class is renamed."""
    return describe(form, lambda kind: getattr(kind, "schema_name", kind.__name__))


def _edge(edge: Edge) -> str:
    told = edge.told(_stored) if isinstance(edge, Link) else str(edge)
    match edge:
        case Link(max_visits=visits, exhausted=exhausted) if visits is not None:
            return f"{told}, at most {visits} times, then {exhausted or 'the run fails'}"
        case Link(when=when) if when is not None:
            return f"{told} on a condition"
        case Join(at_least=least, within=within):
            return f"{told}, at least {least}" + (f" within {within} s" if within is not None else "")
        case Fork():
            return str(edge)
        case _:
            return told
