"""Every fault of a graph, each in one plain sentence, and the checked `Flow` where there is none.

Each `faults_of_*` function looks for one kind of fault and knows nothing of the others, so that a graph with six faults
reports six. Sentences name the nodes and types involved and what to do.
"""

from typing import Any

from ..agents.registry import Registry
from .draft import Draft, producers, schemas
from .edge_faults import (
    faults_of_gathers,
    faults_of_joins,
    faults_of_links,
    faults_of_maps,
    faults_of_numbers,
    faults_of_repeats,
)
from .edges import Catch, Join
from .errors import WorkflowError
from .node_faults import (
    faults_of_cover,
    faults_of_cycles,
    faults_of_dead_ends,
    faults_of_deadlines,
    faults_of_depth,
    faults_of_ends,
    faults_of_given,
    faults_of_handlers,
    faults_of_names,
    faults_of_nodes,
    faults_of_policies,
    faults_of_reach,
    faults_of_schemas,
    faults_of_types,
)
from .workflow import Definition, Flow

_SHAPE_CHECKS = (
    faults_of_names,
    faults_of_reach,
    faults_of_cycles,
    faults_of_deadlines,
    faults_of_repeats,
    faults_of_numbers,
    faults_of_policies,
)
_CHECKS = (
    faults_of_types,
    faults_of_ends,
    faults_of_links,
    faults_of_cover,
    faults_of_maps,
    faults_of_joins,
    faults_of_gathers,
    faults_of_dead_ends,
    faults_of_handlers,
    faults_of_depth,
    faults_of_given,
    faults_of_schemas,
    *_SHAPE_CHECKS,
)


def checked(definition: Definition) -> Flow[Any, Any]:
    """The flow that `definition` describes.

    Raises:
        WorkflowError: with every fault found.
    """
    draft = Draft(definition)
    faults = [*faults_of_nodes(draft)]
    if not faults:  # signatures can be read, so the rest can be judged
        faults = [fault for check in _CHECKS for fault in check(draft)]
    else:
        faults += [fault for check in _SHAPE_CHECKS for fault in check(draft)]
    if faults:
        raise WorkflowError(definition.name, tuple(dict.fromkeys(faults)))
    return _flow(draft)


def _flow(draft: Draft) -> Flow[Any, Any]:
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
        given={name: producers(draft, name, node) for name, node in draft.nodes.items()},
        forks={edge: fork for edge in draft.edges if isinstance(edge, Join) and (fork := shape.fork_of(edge))},
        registry=Registry(kind for kinds in schemas(draft).values() for kind in kinds),
        graph=shape.graph,
        routes=routes,
        catches={name: tuple(edge for edge in catches if edge.source == name) for name in draft.nodes},
        stands_in=shape.stands_in,
    )
