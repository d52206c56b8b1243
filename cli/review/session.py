"""One sitting of a reviewer: a state and a key make another state, and acts on a desk. Knows no terminal.

Each act is stored by the desk before `press` returns, so ending the process between two keys loses nothing. What the
desk refuses becomes a notice; nothing is stored then.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from ...agents.errors import CoterieError
from ...orchestration.review_items import QueueFilter
from . import deciding, drafting, moving
from .desk import Desk
from .keymap import keys_of
from .sitting import Handler, Sitting
from .state import State

HANDLERS: dict[str, Handler] = {**deciding.HANDLERS, **drafting.HANDLERS, **moving.HANDLERS}
TOLD: dict[str, Handler] = {
    "filter": moving.told_filter, "reason": deciding.told_reason, "field": drafting.told_field,
    "why": drafting.told_why, "editor": drafting.told_editor,
}  # fmt: skip
RARELY = 50  # times as long as counting takes, until it is done again
ONCE = ("approve", "choose", "code", "skip", "commit", "own-words")  # what ends an item


class Session:
    """Keys in, states out.

    session = Session(desk, "anna")
    state = session.open(QueueFilter())
    state = session.press(state, "a")
    """

    def __init__(self, desk: Desk, by: str, clock: Callable[[], float] = time.time) -> None:
        self._by = by
        self._sitting = Sitting(desk, clock)
        self._budget_of: QueueFilter | None = None  # which budget was counted,
        self._count_again = 0.0  # and until when it is not counted again, on the monotonic clock

    def open(self, wanted: QueueFilter) -> State:
        """The first item, or the end where nothing waits."""
        budget = self._sitting.desk.budget(wanted)
        state = State(self._by, wanted, budget=budget, number=0, undoable=self._sitting.undoable())
        return self._sitting.advance(state, "")

    def press(self, state: State, key: str) -> State:
        """What becomes of `state` when `key` is pressed."""
        hint = next((one for one in keys_of(state) if key in one.keys), None)
        if hint is None:
            able = " ".join(one.key for one in keys_of(state) if not one.refusal)
            return state.says(f"{_named(key)} does nothing here; you can press {able}", "bad")
        if hint.refusal:
            return state.says(f"{hint.key}: not now, {hint.refusal}", "bad")
        act = hint.act.split()[0]
        handler = drafting.choose_value if (act, state.view) == ("choose", "form") else HANDLERS[act]
        quiet = state.says("")
        return self._tried(state, lambda: handler(self._sitting, quiet, key), ends=act in ONCE)

    def told(self, state: State, text: str | None) -> State:
        """What becomes of `state` when its question is answered; None: the reviewer gave up."""
        question = state.question
        if question is None:
            return state
        quiet = replace(state, question=None).says("")
        if text is None:
            return quiet.says("left as it was")
        handler = TOLD[question.name]
        return self._tried(quiet, lambda: handler(self._sitting, quiet, text), ends=question.name == "reason")

    def prepare(self, state: State) -> State:
        """Hold the item on, and read ahead what the next key will need: the budget, and what probably comes next."""
        desk = self._sitting.desk
        if state.item is not None:
            desk.keep_claim(state.item)
        fresh = replace(self._counted(state), undoable=self._sitting.undoable())
        if fresh.ahead is not None or fresh.item is None:
            return fresh
        item = desk.ahead(fresh.item, state.wanted, skip={*state.passed, *state.marked})
        return fresh if item is None else replace(fresh, ahead=desk.case(item))

    def _counted(self, state: State) -> State:
        """The budget as it is now. Where counting takes long, it is done rarely: a key that is pressed waits for it."""
        began = monotonic()
        if self._budget_of == state.wanted and began < self._count_again:
            return state
        fresh = replace(state, budget=self._sitting.desk.budget(state.wanted))
        self._budget_of, self._count_again = state.wanted, began + (monotonic() - began) * RARELY
        return fresh

    def _tried(self, state: State, act: Callable[[], State], *, ends: bool) -> State:
        """What `act` makes, or why it was refused; an item that is no longer there gives way to the next."""
        try:
            return act()
        except CoterieError as error:
            refused = state.says(str(error), "bad")
        if not ends or state.item is None:
            return refused
        try:
            self._sitting.desk.item(*state.item.place)
        except CoterieError:
            return self._sitting.advance(state, refused.notice.text, "bad")
        return refused


def _named(key: str) -> str:
    return {"c-m": "Enter", "c-j": "Enter", "enter": "Enter", "escape": "esc", " ": "space"}.get(key, key)
