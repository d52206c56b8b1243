"""Asking a person at the terminal about one review: approve, edit or reject. Enter alone never approves.

Reads the keyboard in a thread that a cancel abandons, so that Ctrl-C is clean. Knows nothing of queues of reviews.
"""

from typing import Any

import anyio
import anyio.to_thread
from pydantic import ValidationError
from pydantic_core import from_json
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from ..agents.messages import Message, Rejection
from ..agents.type_forms import members
from ..orchestration.errors import ReviewAnswerError
from ..orchestration.events import ReviewRequested
from ..orchestration.review import Review
from ..orchestration.review_answers import Answer, Approve, Edit, Reject
from ..orchestration.run import Run
from .text import safe

KEYS = "a approve   e edit   r reject   s leave it waiting"


async def ask_person(console: Console, run: Run[Any], request: ReviewRequested) -> Answer | None:
    """What the person answers; None leaves the review waiting."""
    review = run.reviewer(request.task)
    console.print(_panel(run, request))
    while True:
        key = await _read(console, f"{KEYS} > ")
        match key.strip().lower() if key is not None else "s":
            case "a":
                try:
                    review.approved(request.message)
                except ReviewAnswerError as error:
                    console.print(Text(str(error), style="red"))
                    continue
                return Approve()
            case "e":
                edited = await _edit(console, review, request.message)
                if edited is not None:
                    return Edit(message=edited)
            case "r":
                reason = await _read(console, "why? > ")
                if reason and reason.strip():
                    return Reject(reason=reason.strip())
                console.print("a rejection needs a reason")
            case "s":
                return None
            case _:
                console.print(f"press one of: {KEYS}")


def _panel(run: Run[Any], request: ReviewRequested) -> Panel:
    fields = [
        Text.assemble((f"{name}: ", "bold"), safe(str(getattr(request.message, name))))
        for name in type(request.message).model_fields
    ]
    origin = request.message.origin
    if origin is not None:
        sure = ", ".join(f"{safe(label)} {share:.0%}" for label, share in origin.alternatives[:3])
        kind = "" if origin.calibrated else " (not calibrated yet)"
        fields.append(Text(f"proposed by {origin.role}: {sure}{kind}", style="dim"))
    title = Text(f"{run.flow.name} · {request.task} · {type(request.message).__name__}")
    return Panel(Group(*fields), title=title, border_style="yellow")


async def _edit(console: Console, review: Review[Any, Any], proposal: Message) -> Message | None:
    """The proposal with fields changed one by one; None where the person gave up."""
    kind = next(kind for kind in members(review.signature.produces) if kind is not Rejection)
    values: dict[str, Any] = {}
    console.print(f"{kind.__name__}: Enter keeps a value, JSON or plain text replaces it")
    for name in kind.model_fields:
        kept = getattr(proposal, name, None)
        typed = await _read(console, f"{name} [{safe(str(kept), 200)}] > ")
        if typed is None:
            return None
        values[name] = kept if not typed.strip() else _value(typed)
    try:
        message: Message = kind(**values)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            console.print(Text(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", style="red"))
        return None
    return message


def _value(typed: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return from_json(typed)
    except ValueError:
        return typed


async def _read(console: Console, prompt: str) -> str | None:
    """A line from the keyboard; None at its end."""
    try:
        return await anyio.to_thread.run_sync(lambda: console.input(Text(prompt)), abandon_on_cancel=True)
    except EOFError:
        return None
