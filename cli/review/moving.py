"""Keys that only look: other views, the cursor, parts of long texts, the filter, the end. They store nothing."""

import shlex
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from ...agents.errors import CoterieError
from ...orchestration.review_items import QueueFilter
from .sitting import Handler, Sitting
from .state import Question, State, View

STEP = 8  # rows
LATEST = 50  # decisions in the history
NAMES = ("flow", "node", "role", "thread")


def _view(view: View) -> Handler:
    return lambda sitting, state, key: state.at(view)


def history(sitting: Sitting, state: State, key: str) -> State:
    return replace(state.at("history"), history=tuple(islice(sitting.desk.decisions(), LATEST)))


def back(sitting: Sitting, state: State, key: str) -> State:
    """Out of a view; a draft that was not stored is given up."""
    if state.view == "diff":
        return state.at("form")
    if state.view == "form" and state.draft is not None and state.draft.step is not None:
        return replace(state.at("lineage"), draft=None).says("the amendment is given up; nothing was stored")
    said = "the edit is given up; nothing was stored" if state.view == "form" else ""
    return replace(state.at("item" if state.case is not None else "done"), draft=None, batch=()).says(said)


def down(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, scroll=state.scroll + STEP)


def up(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, scroll=state.scroll - STEP)


def next_entry(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, cursor=(state.cursor + 1) % state.size, part=0, scroll=0)


def previous_entry(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, cursor=(state.cursor - 1) % state.size, part=0, scroll=0)


def next_part(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, part=min(state.part + 1, state.parts - 1), scroll=0)


def previous_part(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, part=max(state.part - 1, 0), scroll=0)


def ask_filter(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, question=Question("filter", "only (words, flow: node: role: thread:)", _told(state.wanted)))


def told_filter(sitting: Sitting, state: State, text: str) -> State:
    """Go to the first item that the filter lets through."""
    wanted = read_filter(text)
    if state.item is not None:
        sitting.desk.release_claim(state.item)
    budget = sitting.desk.budget(wanted)
    words = f"items that fit: {budget.left:,}" if text.strip() else "all items again"
    number = state.number - (state.item is not None)
    return sitting.advance(replace(state, wanted=wanted, ahead=None, number=number, budget=budget), words, "note")


def read_filter(text: str) -> QueueFilter:
    """The filter that `text` says: "node:desk thread:'client 7' refund"."""
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that does not end
        words = text.split()
    named = {name: rest for word in words for name, colon, rest in [word.partition(":")] if name in NAMES and rest}
    others = [word for word in words if not (word.partition(":")[0] in NAMES and word.partition(":")[2])]
    return QueueFilter(
        flow=named.get("flow"),
        node=named.get("node"),
        role=named.get("role"),
        thread=named.get("thread"),
        text=" ".join(others) or None,
    )


def _told(wanted: QueueFilter) -> str:
    named = [f"{name}:{shlex.quote(getattr(wanted, name))}" for name in NAMES if getattr(wanted, name) is not None]
    return " ".join([*named, *([wanted.text] if wanted.text else [])])


def again(sitting: Sitting, state: State, key: str) -> State:
    """Look whether anything has come."""
    return sitting.advance(state, "looked again", "note")


def skipped(sitting: Sitting, state: State, key: str) -> State:
    return sitting.advance(replace(state, passed=frozenset()), "the skipped ones are back", "note")


def leave(sitting: Sitting, state: State, key: str) -> State:
    """Give back what was claimed and not decided; what somebody else has decided meanwhile needs it no more."""
    shown = [state.item.place] if state.item is not None else []
    for place in {*shown, *state.marked}:
        with suppress(CoterieError):
            sitting.desk.release_claim(sitting.desk.item(*place))
    return replace(state, ended=True)


HANDLERS: dict[str, Handler] = {
    "lineage": _view("lineage"), "proof": _view("proof"), "why": _view("why"), "keys": _view("keys"),
    "reject": _view("reject"), "history": history, "back": back, "down": down, "up": up, "next": next_entry,
    "previous": previous_entry, "next-part": next_part, "previous-part": previous_part, "filter": ask_filter,
    "again": again, "skipped": skipped, "quit": leave,
}  # fmt: skip
