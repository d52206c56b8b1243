"""JSON that a person types in place of a message, checked against the types that a flow's node takes or gives."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..agents.type_forms import describe
from ..orchestration.workflow import Flow
from .exits import Exit, fail


def pair(option: str, told: str) -> tuple[str, str]:
    """NAME and VALUE of "NAME=VALUE"; else the command ends."""
    name, equals, value = told.partition("=")
    if not equals or not name:
        fail(f"{option} {told!r} is no NAME=VALUE", Exit.USAGE)
    return name, value


def every_flow(flow: Flow[Any, Any]) -> Iterator[Flow[Any, Any]]:
    """`flow` and those that are nodes in it, at any depth."""
    yield flow
    for node in flow.nodes.values():
        if isinstance(node, Flow):
            yield from every_flow(node)


def value_of(option: str, forms: list[Any], body: str) -> Any:
    """What `body` says, as the first of the type forms that it fits; else the command ends."""
    values: list[Any] = []
    faults: list[str] = []
    for form in forms:
        try:
            values.append(TypeAdapter(form).validate_json(body, strict=False))
        except ValidationError as error:
            faults += [_fault(one) for one in error.errors(include_url=False)]
    if not values:
        names = " or ".join(dict.fromkeys(describe(form) for form in forms))
        listed = [f"  {one}" for one in dict.fromkeys(faults)]
        fail("\n".join([f"{option}: this is no {names}:", *listed]), Exit.BAD_INPUT)
    return values[0]


def _fault(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc'])) or 'the whole'}: {error['msg']}"
