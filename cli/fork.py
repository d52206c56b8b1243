"""`coterie fork`: a run anew from one of its nodes on, with another message or release if wanted."""

from typing import Annotated, Any

import typer

from ..agents.releases import check_role, stored_digests
from ..orchestration.events import TaskFinished
from ..orchestration.queries import show
from ..orchestration.runtime import Runtime
from ..orchestration.workflow import Flow
from .exits import EXIT_CODES, Exit, clear_errors, fail
from .going_on import Taken, see_through
from .logs import DEFAULT_LOG, FlowOption, JsonOption, LogOption, RunArgument, read_log, run_id
from .target import flow_at
from .typed_json import every_flow, pair, value_of
from .who import ByOption, who


def fork(
    run: RunArgument,
    flow: FlowOption,
    before: Annotated[str, typer.Option(help="The node, or the task, that is done anew.")],
    log: LogOption = DEFAULT_LOG,
    message: Annotated[str | None, typer.Option(metavar="JSON", help="What goes into it instead.")] = None,
    release: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=DIGEST", help="The release that answers; empty: zero-shot.")
    ] = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        target, identity = flow_at(flow), run_id(log, run)
        releases = dict(_release(target, one) for one in release or [])
        told = None if message is None else _input(log, target, identity, before, message)

        async def take(runtime: Runtime) -> Taken:
            forked = await runtime.fork(target, identity, before=before, message=told, releases=releases)
            reused = sum(isinstance(fact, TaskFinished) for fact in forked.facts())
            return Taken([forked], told={"forked_from": identity, "before": before, "reused": reused})

        see_through(log, target, take, as_json, who(by))


fork.__doc__ = f"""Do a run anew from one of its nodes on; all that lies before or beside it is taken over.

\b
    coterie fork 3f8b --flow desk.py:flow --before write
    coterie fork 3f8b --flow desk.py:flow --before write --release mood=9a41c2

{EXIT_CODES}
"""


def _input(log: str, flow: Flow[Any, Any], run: str, before: str, body: str) -> Any:
    facts = read_log(log, lambda connection: show(connection, run))
    node = next((fact.node for fact in facts if before in (fact.task, fact.node)), None)
    if node is None:
        fail(f"run {run!r} has no task and no node {before!r}; `coterie show {run}` tells what it has", Exit.BAD_INPUT)
    forms = [one.nodes[node].signature.consumes for one in every_flow(flow) if node in one.nodes]
    if not forms:
        fail(f"the flow has no node {node!r} any more", Exit.BAD_INPUT)
    return value_of("--message", forms, body)


def _release(flow: Flow[Any, Any], told: str) -> tuple[str, str]:
    """The role and the whole digest of the release that begins as was told."""
    role, beginning = pair("--release", told)
    check_role(role)
    nodes = [node for one in every_flow(flow) for node in one.nodes.values()]
    roles = sorted({name for node in nodes if isinstance(name := getattr(node, "role", None), str)})
    if role not in roles:
        fail(f"--release {told!r}: the flow has no role {role!r}; it has {', '.join(roles) or 'none'}", Exit.BAD_INPUT)
    stored = stored_digests(role)
    found = [digest for digest in stored if digest.startswith(beginning)] if beginning else [""]
    if len(found) != 1:
        known = ", ".join(digest[:12] for digest in stored) or "none"
        fail(f"--release {told!r}: {len(found) or 'no'} releases of it begin so; stored are: {known}", Exit.BAD_INPUT)
    return role, found[0]
