"""`coterie graph`: draws a flow, or lists the faults that keep it from being built."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..agents.loading import load
from ..orchestration.drawing import facts, mermaid, tree
from .exits import EXIT_CODES, clear_errors
from .logs import write_page
from .target import flow_at


def graph(
    target: Annotated[str, typer.Argument(metavar="MODULE:FLOW", help="As in examples/finance_desk.py:flow.")],
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a mermaid flowchart.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page that needs no network.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print nodes and edges as JSON.")] = False,
) -> None:
    with clear_errors():
        flow = flow_at(target)
        if html is not None:
            write_page(html, load("orchestration.page").page(flow))
        if as_json:
            typer.echo(json.dumps(facts(flow), ensure_ascii=False, indent=2))
        elif as_mermaid:
            typer.echo(mermaid(flow))
        elif html is None:
            Console().print(tree(flow))


graph.__doc__ = f"""Draw a flow: as a tree, as mermaid, or as a page.

    coterie graph examples/finance_desk.py:flow --mermaid

A workflow with faults is not drawn; every fault is listed. {EXIT_CODES}
"""
