"""A workflow's definition, read: its nodes by name, its shape, and what each node takes, answers and is given.

Says nothing about faults; node_faults.py and edge_faults.py look for those.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import Any

from ..agents.agent import Signature
from ..agents.messages import Failure, Message, Rejection
from ..agents.type_forms import NOTHING, accepts, members, message_types
from .analysis import Produced, Shape
from .edges import START, Catch, Edge, Link, sources_of
from .nodes import FunctionNode
from .review import Review
from .workflow import Definition, Flow


@dataclass(frozen=True)
class Draft:
    """A definition with its shape and its nodes by name."""

    definition: Definition

    @cached_property
    def nodes(self) -> Mapping[str, Any]:
        return {name_of(node): node for node in self.definition.nodes}

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


def producers(draft: Draft, name: str, node: Any) -> Mapping[str, str]:
    if not isinstance(node, FunctionNode | Review):
        return {}
    found = {parameter: producer(draft, name, wanted) for parameter, wanted in node.given.items()}
    return {parameter: producer for parameter, producer in found.items() if producer is not None}


def producer(draft: Draft, name: str, wanted: Any) -> str | None:
    """The nearest node that always answers with `wanted` before `name` runs."""
    before = draft.shape.always_before
    able = [produced for produced in before[name] if _gives(draft, produced, wanted)]
    if not able:
        return None
    return max(able, key=lambda produced: (len(before.get(produced[0], ())), produced[0]))[0]


def _gives(draft: Draft, produced: Produced, wanted: Any) -> bool:
    node, member = produced
    answers = draft.produces(node) if member is None else (member,)
    return bool(answers) and all(accepts(wanted, answer) for answer in answers)


def schemas(draft: Draft) -> dict[str, list[type[Message]]]:
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


def union(forms: Iterable[Any]) -> Any:
    return reduce(or_, forms, NOTHING) if not (known := tuple(forms)) else reduce(or_, known)


def name_of(node: Any) -> str:
    name = getattr(node, "name", None)
    return name if isinstance(name, str) else repr(node)


def listed(names: list[str]) -> str:
    return " or ".join(repr(name) for name in names)
