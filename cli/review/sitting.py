"""What every act of a sitting shares: the desk, the clock, and the way to the next item."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from ...orchestration.review_items import Case, Decision, Item
from .desk import Desk
from .page import Tone
from .state import Place, State


@dataclass(frozen=True, slots=True)
class Sitting:
    """A desk and a clock (seconds since the epoch)."""

    desk: Desk
    clock: Callable[[], float]

    def advance(self, state: State, notice: str, tone: Tone = "good") -> State:
        """The next item that was neither skipped nor marked; then the marked ones; then the end."""
        item = self.desk.next(state.wanted, skip={*state.passed, *state.marked})
        if item is None and state.marked:
            item = self.desk.item(*state.marked[0])
            notice = f"{notice}; only marked ones are left: b answers them together"
        if item is None:
            blank = replace(state, view="done", case=None, ahead=None, first=None, draft=None, question=None, batch=())
            budget = self.desk.budget(state.wanted)
            return replace(blank, budget=budget, cursor=0, scroll=0).says(notice, tone)
        return self.show(replace(state, number=state.number + 1), item).says(notice, tone)

    def show(self, state: State, item: Item) -> State:
        """The page of `item`, from its beginning."""
        return replace(
            state.at("item"),
            case=self.case(state, item),
            ahead=None,
            first=None,
            draft=None,
            question=None,
            batch=(),
            began=self.clock(),
        )

    def case(self, state: State, item: Item) -> Case:
        """What surrounds `item`: prepared already, or read now."""
        if state.ahead is not None and state.ahead.item.place == item.place:
            return replace(state.ahead, item=item)
        return self.desk.case(item)

    def reloaded(self, state: State) -> State:
        """The same view, with the case read anew."""
        if state.item is None:
            return state
        return replace(state, case=self.desk.case(self.desk.item(*state.item.place)), undoable=self.undoable())

    def undoable(self) -> tuple[Decision, ...]:
        return tuple(self.desk.waiting_release())

    def seconds(self, state: State) -> float:
        """How long the item has been shown."""
        return max(0.0, self.clock() - state.began)


Handler: TypeAlias = Callable[[Sitting, State, str], State]


def counted(state: State, act: str, times: int = 1) -> State:
    """The state with an act done `times` more often in this sitting, and the budget as it will be."""
    done = {**state.done, act: max(0, state.done.get(act, 0) + times)}
    done = {name: count for name, count in done.items() if count}
    answered = 0 if act in ("skipped", "amended", "marked a passage") else times
    left = max(0, state.budget.left - answered)
    seconds = state.budget.seconds * left / state.budget.left if state.budget.left else 0.0
    return replace(state, done=done, budget=replace(state.budget, left=left, seconds=seconds))


def short(place: Place) -> str:
    """A task and its run, for a notice."""
    run, task = place
    return f"{task} of run {run[:12]}"
