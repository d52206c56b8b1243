"""A flow, and a run of it with all its data, as one HTML page that needs no network and no script.

What is drawn comes from the flow and from facts; this file computes nothing about runs beyond durations.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

from ..agents.messages import Message
from ..agents.type_forms import describe
from .drawing import arrows, kind_of
from .edges import START
from .events import (
    Event,
    ReviewAnswered,
    ReviewRequested,
    RunFailed,
    RunFinished,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from .layout import layered
from .page_style import STYLE
from .workflow import Flow

CUT = 4_000  # characters of a text that are shown
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 118, 44, 46, 30, 20  # pixels
BOW = 58  # pixels that an arrow keeps off the nodes that it passes
SIGNS = {"done": "✓", "failed": "✗", "waiting": "…", "running": "▸", "": ""}


Spots: TypeAlias = dict[str, tuple[int, int]]  # node -> left and top of its box, in pixels


@dataclass
class TaskRecord:
    """What happened to one task."""

    id: str
    node: str
    began: float  # seconds since the epoch
    ended: float | None = None
    state: str = "running"
    attempts: int = 0
    inputs: list[Any] = field(default_factory=list)
    given: dict[str, Message] = field(default_factory=dict)
    output: Any = None
    errors: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.ended or self.began) - self.began


def page(flow: Flow[Any, Any], events: Sequence[Event] = ()) -> str:
    """The page: the graph and, where there are events of a run, its timeline, messages and result."""
    tasks = records(events)
    title = escape(flow.name)
    heading = f"<h1>{title}</h1><p class=types>{_text(describe(flow.signature.consumes))} → " + (
        f"{_text(describe(flow.signature.produces))}</p>"
    )
    parts = [heading, _graph(flow, tasks)]
    if events:
        parts += [_outcome(events), _timeline(tasks, events[0].at), "<h2>Messages</h2>"]
        parts += [_task(number, task) for number, task in enumerate(tasks)]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def records(events: Iterable[Event]) -> list[TaskRecord]:
    """One record for each task of a run, in the order in which they began."""
    tasks: dict[str, TaskRecord] = {}
    for event in events:
        match event:
            case TaskStarted(task=task, node=node, at=at):
                record = tasks.setdefault(task, TaskRecord(task, node, at))
                record.attempts, record.state = event.attempt, "running"
                record.inputs, record.given = list(event.inputs), dict(event.given)
            case ReviewRequested(task=task, node=node, at=at, message=message):
                tasks[task] = TaskRecord(task, node, at, state="waiting", inputs=[message])
            case ReviewAnswered(task=task, answer=answer):
                tasks[task].errors.append(f"{answer.kind} by {answer.by}")
            case TaskFinished(task=task, at=at, output=output):
                tasks[task].ended, tasks[task].state, tasks[task].output = at, "done", output
            case TaskFailed(task=task, at=at):
                again = "" if event.retry_in is None else f" (tried again after {event.retry_in:.2f} s)"
                tasks[task].ended, tasks[task].state = at, "failed"
                tasks[task].errors.append(f"attempt {event.attempt}: {event.error}: {event.reason}{again}")
            case _:
                pass
    return list(tasks.values())


def _graph(flow: Flow[Any, Any], tasks: Sequence[TaskRecord]) -> str:
    places = layered(flow.graph)
    spots = {name: (_x(column), _y(row)) for name, (column, row) in places.items()}
    width = max(x for x, _ in spots.values()) + WIDTH + MARGIN
    height = max(y for _, y in spots.values()) + HEIGHT + BOW
    lines = [_arrow(spots, source, target, dashed) for source, target, _, dashed in arrows(flow)]
    labels = [_label(spots, source, target, label) for source, target, label, _ in arrows(flow)]
    boxes = [_box(flow, name, spot, [task for task in tasks if task.node == name]) for name, spot in spots.items()]
    return (
        f'<div class=scroll><svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="graph of the flow"><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>'
        f"{''.join(lines)}{''.join(boxes)}{''.join(labels)}</svg></div>"
    )


def _box(flow: Flow[Any, Any], name: str, spot: tuple[int, int], tasks: Sequence[TaskRecord]) -> str:
    x, y = spot
    node = flow.nodes.get(name)
    kind = "end" if node is None else kind_of(node)
    shape = "agent" if kind not in ("end", "function", "person", "flow") else kind
    states = {task.state for task in tasks}
    state = next((one for one in ("failed", "waiting", "running", "done") if one in states), "")
    below = kind if node is not None and not tasks else _summary(tasks)
    if node is None:
        below = describe(flow.signature.consumes if name == START else flow.signature.produces)
    rounding = {"end": 22, "agent": 14, "function": 4, "person": 14, "flow": 0}[shape]
    said = f"{name} {SIGNS[state]}" if state else name
    return (
        f'<g class="node {shape} {state}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="{rounding}"/>'
        f'<text x="{x + WIDTH / 2}" y="{y + 18}">{_text(said, 20)}</text>'
        f'<text class="small" x="{x + WIDTH / 2}" y="{y + 34}">{_text(below, 24)}</text></g>'
    )


def _summary(tasks: Sequence[TaskRecord]) -> str:
    if not tasks:
        return ""
    count = f"{len(tasks)} tasks, " if len(tasks) > 1 else ""
    return f"{count}{sum(task.seconds for task in tasks):.2f} s"


def _arrow(spots: Spots, source: str, target: str, dashed: bool) -> str:
    (x1, y1), (x2, y2) = spots[source], spots[target]
    start, end = (x1 + WIDTH, y1 + HEIGHT // 2), (x2, y2 + HEIGHT // 2)
    bend = max(GAP_X * 0.6, (x2 - x1 - WIDTH) * 0.4)
    lift = BOW if _passes_over(spots, source, target) else 0
    if x2 <= x1:  # back to an earlier column: below the nodes
        start, end = (x1 + WIDTH // 2, y1 + HEIGHT), (x2 + WIDTH // 2, y2 + HEIGHT)
        low = max(y1, y2) + HEIGHT + BOW
        curve = f"M{start[0]} {start[1]} C{start[0]} {low} {end[0]} {low} {end[0]} {end[1]}"
    else:
        curve = (
            f"M{start[0]} {start[1]} C{start[0] + bend} {start[1] - lift} {end[0] - bend} {end[1] - lift} "
            f"{end[0]} {end[1]}"
        )
    return f'<path class="edge{" dashed" if dashed else ""}" d="{curve}" marker-end="url(#tip)"/>'


def _label(spots: Spots, source: str, target: str, label: str) -> str:
    if not label:
        return ""
    (x1, y1), (x2, y2) = spots[source], spots[target]
    x, y = (x1 + x2 + WIDTH) / 2, (y1 + y2 + HEIGHT) / 2 - 5
    if x2 <= x1:
        y = max(y1, y2) + HEIGHT + BOW * 0.75
    elif _passes_over(spots, source, target):
        y -= BOW * 0.75
    elif y1 == y2:
        y = y1 - 5.0  # above both nodes, where a long label has room
    return f'<text class="label" x="{x}" y="{y:.0f}">{_text(label, 24)}</text>'


def _passes_over(spots: Spots, source: str, target: str) -> bool:
    """Whether a straight arrow would cross the nodes of a column in between."""
    (x1, y1), (x2, y2) = spots[source], spots[target]
    return x2 - x1 > WIDTH + GAP_X and abs(y1 - y2) < HEIGHT


def _outcome(events: Sequence[Event]) -> str:
    last, seconds = events[-1], events[-1].at - events[0].at
    began = f"<p class=types>run {_text(events[0].run)}, {seconds:.2f} s</p>"
    match last:
        case RunFinished(message=message):
            return f"<h2>Result ✓</h2>{began}{_json(message)}"
        case RunFailed(node=node, error=error, reason=reason):
            return f"<h2>Failed ✗</h2>{began}<p class=error>{_text(node)}: {_text(error)}: {_text(reason)}</p>"
        case _:
            waiting = [task.id for task in records(events) if task.state == "waiting"]
            why = f"it waits for a person at {', '.join(waiting)}" if waiting else "it has not ended"
            return f"<h2>No result yet …</h2>{began}<p>{_text(why)}</p>"


def _timeline(tasks: Sequence[TaskRecord], began: float) -> str:
    whole = max([task.ended or task.began for task in tasks], default=began) - began or 1.0
    rows = []
    for number, task in enumerate(tasks):
        left, share = (task.began - began) / whole * 100, task.seconds / whole * 100
        retried = f", {task.attempts} attempts" if task.attempts > 1 else ""
        rows.append(
            f'<a class=row href="#task-{number}"><span class=name>{_text(task.id, 48)}</span><span class=track>'
            f'<span class="bar {task.state}" style="left:{left:.2f}%;width:{max(share, 0.4):.2f}%"></span></span>'
            f"<span class=time>{task.seconds:.3f} s{retried} {SIGNS[task.state]}</span></a>"
        )
    return f"<h2>Timeline</h2><div class=timeline>{''.join(rows)}</div>"


def _task(number: int, task: TaskRecord) -> str:
    errors = "".join(f"<p class=error>{_text(error)}</p>" for error in task.errors)
    given = "".join(f"<h4>given {_text(name)}</h4>{_json(value)}" for name, value in task.given.items())
    taken = "".join(f"<h4>took</h4>{_json(value)}" for value in task.inputs)
    answered = f"<h4>answered</h4>{_json(task.output)}" if task.state == "done" else ""
    return (
        f'<details id="task-{number}" class="{task.state}"><summary>{SIGNS[task.state]} <b>{_text(task.id)}</b> '
        f"<span class=types>{task.seconds:.3f} s</span></summary>{errors}{taken}{given}{answered}</details>"
    )


def _json(value: Any) -> str:
    messages = value if isinstance(value, list) else [value]
    return "".join(f"{_origin(one)}<pre>{_text(_pretty(one))}</pre>" for one in messages) or "<pre>[]</pre>"


def _pretty(value: Any) -> str:
    if not isinstance(value, Message):
        return "nothing" if value is None else str(value)
    body = json.dumps(value.model_dump(mode="json"), ensure_ascii=False, indent=2)
    return f"{type(value).__name__} {body}"


def _origin(value: Any) -> str:
    origin = value.origin if isinstance(value, Message) else None
    if origin is None:
        return ""
    sure = ", ".join(f"{label} {share:.0%}" for label, share in origin.alternatives)
    kind = "calibrated" if origin.calibrated else "not calibrated"
    said = f"by {origin.role}, weights {origin.weights[:12]}" + (f": {sure} ({kind})" if sure else "")
    return f"<p class=types>{_text(said)}</p>"


def _text(text: str, most: int = CUT) -> str:
    """`text` for the page: escaped, hidden characters made visible, cut to `most` characters with a note."""
    shown = "".join(_visible(text[:most]))
    note = "…" if most < CUT else f" … ({len(text):,} characters in all)"
    return escape(shown) + (note if len(text) > most else "")


def _visible(text: str) -> Iterator[str]:
    for character in text:
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") and character != "\n"
        yield f"⟨{ord(character):X}⟩" if hidden else character


def _x(column: int) -> int:
    return MARGIN + column * (WIDTH + GAP_X)


def _y(row: float) -> int:
    return BOW + round(row * (HEIGHT + GAP_Y))
