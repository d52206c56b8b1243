"""What can be answered at a review node, as plain data: written into a flow's definition, read by a reviewer's process.

So a reviewer's process needs no code of the flow: types are JSON Schema, which field_faults.py checks. What code alone
can check (a validator that somebody wrote) is checked again by the process that holds the run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from ..agents.loading import load
from ..agents.messages import Message, Rejection
from ..agents.type_forms import members
from .answer_form import FieldFault, JsonSchema, ReviewForm
from .edges import Catch, sources_of, targets_of
from .review import CODES, Review
from .workflow import Flow

CHOICES = 9  # labels that a key can choose
UNTOLD = "(what the flow makes of it)"


def form_of(flow: Flow[Any, Any], review: Review[Any, Any]) -> dict[str, Any]:
    """What `read_form` makes a `ReviewForm` of, as JSON values."""
    gives = [kind for kind in members(review.signature.produces) if kind is not Rejection]
    label = review.label_field
    return {
        "approves_to": review.approves_to,
        "gives": [kind.schema_name for kind in gives],
        "label_field": None if label is None else label.field,
        "labels": [] if label is None else list(label.values)[:CHOICES],
        "codes": dict(review.codes),
        "causes": list(_causes(flow, review.name)),
        "approvals": review.approvals,
        "grace": review.grace,
        "blind": review.blind,
        "checks": review.checks,
        "author_may_decide": review.author_may_decide,
    }


def schemas_of(flow: Flow[Any, Any]) -> dict[str, Any]:
    """The JSON Schema of every message type of `flow`, by its stored name."""
    return {kind.schema_name: _schema(kind) for kind in flow.registry}


def read_form(definition: Mapping[str, Any], task: str, node: str) -> ReviewForm:
    """The form of the review `node`, whose task is `task`, in a stored definition."""
    kept = flow_around(definition, task)["nodes"][node].get("review")
    if kept is None:  # written by a Coterie that kept no forms
        return ReviewForm(approves_to=UNTOLD, types={}, codes=CODES)
    schemas = definition["schemas"]
    return ReviewForm(
        approves_to=kept["approves_to"],
        types={name: schemas[name] for name in kept["gives"]},
        label_field=kept["label_field"],
        labels=tuple(kept["labels"]),
        codes=kept["codes"],
        causes=tuple(kept["causes"]),
        approvals=kept["approvals"],
        grace=kept["grace"],
        blind=kept["blind"],
        checks=kept["checks"],
        author_may_decide=kept["author_may_decide"],
    )


def faults_of(schema: JsonSchema, fields: Mapping[str, Any]) -> list[FieldFault]:
    """What is wrong with `fields` as a message of the type that `schema` describes; nothing: they fit."""
    found: list[FieldFault] = load("orchestration.field_faults").faults_of(schema, dict(fields))
    return found


def flow_around(definition: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """The definition of the innermost flow that `task` stands in; "inner/desk#2" stands in the flow `inner`."""
    *around, _ = task.split("/")
    for part in around:
        if not part.endswith("]"):  # an item of a map stands in the same flow
            definition = definition["nodes"][part.split("#")[0]]["flow"]
    return definition


def _schema(kind: type[Message]) -> dict[str, Any]:
    try:
        return kind.model_json_schema()
    except PydanticInvalidForJsonSchema:  # a type of its own; the process that holds the run checks it alone
        return {"title": kind.schema_name, "type": "object"}


def _causes(flow: Flow[Any, Any], review: str) -> Iterator[str]:
    """What approving sets going, a sentence each: what is next, and effects further down."""
    for name in sorted(_following(flow, review)):
        yield f"{name!r} goes on with it"
    if review in flow.ends:
        yield "the run ends with it"
    for name in sorted(_downstream(flow, review)):
        policy = flow.policies.get(name)
        if policy is not None and policy.effect is not None:
            yield f"{name!r} then acts outside, which nothing can undo"


def _following(flow: Flow[Any, Any], name: str) -> set[str]:
    routes = [edge for edge in flow.edges if name in sources_of(edge) and not isinstance(edge, Catch)]
    return {target for edge in routes for target in targets_of(edge)}


def _downstream(flow: Flow[Any, Any], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = _following(flow, waiting.pop()) - found
        found |= new
        waiting += new
    return found
