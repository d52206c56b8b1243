"""`coterie review apply`: decisions from JSON lines, and what became of each."""

import sys
from collections import Counter
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from ...orchestration.review_items import QueueFilter
from ..exits import Exit, clear_errors, fail
from ..logs import FlowName, GroupLogOption
from ..who import ByOption, who
from .exchange import applied, read_decisions
from .json_lines import line_of
from .opening import open_desk


class Applied(IntEnum):
    """How `coterie review apply` ends; where several are true, the highest."""

    DONE = 0
    LEFT = 3
    CONFLICT = 4


def apply_decisions(
    context: typer.Context,
    decisions: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, one decision each; - for the input.")],
    log: GroupLogOption = None,
    flow: FlowName = None,
    by: ByOption = None,
) -> None:
    """Store decisions, and print what became of each. Ends with 0: all is done, 3: items are left, 4: a conflict.

    \b
        {"run": "...", "task": "desk", "act": "approve"}
        {"run": "...", "task": "desk", "act": "choose", "label": "neutral"}
        {"run": "...", "task": "desk", "act": "edit", "type": "Mood", "fields": {"label": "neutral"}}
        {"run": "...", "task": "desk", "act": "reject", "code": "other", "reason": "it is about another company"}
        {"run": "...", "task": "desk", "act": "skip"}
    """
    outcomes: Counter[str] = Counter()
    with clear_errors(), open_desk(log or context.obj, by, flow) as desk:
        given = read_decisions(_read(decisions))
        for outcome in applied(desk, who(by), given):
            outcomes[outcome["outcome"]] += 1
            typer.echo(line_of(outcome))
        left = desk.budget(QueueFilter(flow=flow)).left
    typer.echo(f"{outcomes['stored']} stored, {outcomes['refused']} refused, "
               f"{outcomes['conflict']} in conflict, {left:,} left", err=True)  # fmt: skip
    if outcomes["conflict"]:
        raise typer.Exit(Applied.CONFLICT)
    raise typer.Exit(Applied.LEFT if left or outcomes["refused"] else Applied.DONE)


def _read(source: Path) -> list[str]:
    try:
        if str(source) == "-":
            return sys.stdin.read().splitlines()
        return source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {str(source)!r}: {error}", Exit.BAD_INPUT)
