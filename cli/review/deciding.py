"""Keys that decide: approve, another label, reject, skip, take back, and several items at once."""

from dataclasses import replace

from ...orchestration.review_answers import Approve, Choose, Reject
from ...orchestration.review_items import Decision, Item
from .desk import Answer
from .keymap import code_keys
from .sitting import Handler, Sitting, counted, short
from .state import Question, State
from .values import label_of

PAST = {"approve": "approved", "choose": "relabelled", "edit": "edited", "reject": "rejected", "check": "checked",
        "skip": "skipped", "amend": "amended", "mark": "marked a passage"}  # fmt: skip


def answer(sitting: Sitting, state: State, given: Answer, act: str) -> State:
    """Store an answer to the item that is shown, and go on to the next."""
    item = _item(state)
    stored = sitting.desk.answer(item, given, seconds=sitting.seconds(state), blind=item.blind, first=state.first)
    new = () if item.check else (stored,)  # what was only a check changes nothing that could be taken back
    marked = tuple(place for place in state.marked if place != item.place)
    kept = replace(state, marked=marked, undoable=(*new, *state.undoable))
    return sitting.advance(counted(kept, act), f"{act} {short(item.place)}{_grace(item)}")


def approve(sitting: Sitting, state: State, key: str) -> State:
    return answer(sitting, state, Approve(by=state.by), "approved")


def choose(sitting: Sitting, state: State, key: str) -> State:
    """Another label; of a blind item the first choice only shows the proposal."""
    item = _item(state)
    number = int(key)
    if number > len(item.form.labels):
        return state.says(f"there are {len(item.form.labels)} labels, so {key} chooses none", "bad")
    label = item.form.labels[number - 1]
    if state.hidden:
        same = label == label_of(item)
        seen = "the proposal is the same" if same else "the proposal differs"
        return replace(state, first=label, scroll=0).says(f"you chose {label}; {seen}. Now decide: a, {key}, e or x")
    if state.view == "batch":
        return _answer_batch(sitting, state, Choose(label=label, by=state.by), f"relabelled {label}")
    return answer(sitting, state, Choose(label=label, by=state.by), "relabelled")


def code(sitting: Sitting, state: State, key: str) -> State:
    """Reject for the reason that the key stands for."""
    chosen = code_keys(state)[key]
    return answer(sitting, state, Reject(code=chosen, reason=_item(state).form.codes[chosen], by=state.by), "rejected")


def own_words(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, question=Question("reason", "reject, because"))


def told_reason(sitting: Sitting, state: State, text: str) -> State:
    """Reject for a reason in the reviewer's own words."""
    if not text.strip():
        return state.says("a rejection needs a reason; nothing was stored", "bad")
    return answer(sitting, state, Reject(code="", reason=text.strip(), by=state.by), "rejected")


def skip(sitting: Sitting, state: State, key: str) -> State:
    item = _item(state)
    stored = sitting.desk.skip(item, sitting.seconds(state))
    kept = replace(state, passed=state.passed | {item.place}, marked=_without(state, item))
    kept = replace(kept, undoable=(stored, *state.undoable))
    return sitting.advance(counted(kept, "skipped"), f"skipped {short(item.place)}", "note")


def undo(sitting: Sitting, state: State, key: str) -> State:
    """Take back what was decided last, and show it again."""
    taken = sitting.desk.undo()
    if not taken:
        return state.says("there is nothing to take back", "bad")
    first = taken[0]
    for one in taken:
        state = counted(state, PAST.get(one.act, one.act), -1)
    left = tuple(one for one in state.undoable if one not in taken)
    state = replace(state, passed=state.passed - {(one.run, one.task) for one in taken}, undoable=left)
    notice = f"taken back: {_acts(taken)}"
    if first.act in ("amend", "mark"):
        return sitting.reloaded(state).says(notice)
    number = max(1, state.number - 1)
    return sitting.show(replace(state, number=number), sitting.desk.item(first.run, first.task)).says(notice)


def mark(sitting: Sitting, state: State, key: str) -> State:
    """Keep the item for a batch and go on; or keep it no more."""
    item = _item(state)
    if item.place in state.marked:
        return replace(state, marked=_without(state, item)).says("no longer marked")
    kept = replace(state, marked=(*state.marked, item.place))
    return sitting.advance(kept, f"marked {short(item.place)} for a batch", "note")


def batch(sitting: Sitting, state: State, key: str) -> State:
    """Show what can be answered together with the item: what is marked of it, or all that is almost the same."""
    item = _item(state)
    alike = [one for one in sitting.desk.batch_of(item) if not one.blind or one.place == item.place]
    wanted = {item.place, *state.marked}
    chosen = [one for one in alike if not state.marked or one.place in wanted]
    left = len(wanted) - len(chosen) if state.marked else 0
    if len(chosen) < 2:
        marked = " among the marked ones" if state.marked else ""
        return state.says(f"nothing else{marked} proposes the same in almost the same words: decide it alone", "bad")
    note = f"{left} marked ones are not alike enough and are left out" if left else "look at the samples first"
    return replace(state.at("batch"), batch=tuple(chosen)).says(note)


def batch_approve(sitting: Sitting, state: State, key: str) -> State:
    return _answer_batch(sitting, state, Approve(by=state.by), "approved")


def take_out(sitting: Sitting, state: State, key: str) -> State:
    """Decide the selected item of the batch another time."""
    out = state.batch[state.cursor]
    rest = tuple(one for one in state.batch if one is not out)
    return replace(state, batch=rest, cursor=min(state.cursor, len(rest) - 1)).says(f"{short(out.place)} is left out")


def _answer_batch(sitting: Sitting, state: State, given: Answer, words: str) -> State:
    items = state.batch
    stored = sitting.desk.answer_batch(items, given, seconds=sitting.seconds(state))
    done = {one.place for one in items}
    marked = tuple(place for place in state.marked if place not in done)
    undoable = (*reversed(stored), *state.undoable)
    kept = replace(state, marked=marked, passed=state.passed - done, undoable=undoable)
    kept = counted(kept, words.split(maxsplit=1)[0], len(items))
    return sitting.advance(kept, f"{words}: {len(items)} at once{_grace(items[0])}")


def _item(state: State) -> Item:
    if state.item is None:
        raise RuntimeError("no item is shown")
    return state.item


def _without(state: State, item: Item) -> tuple[tuple[str, str], ...]:
    return tuple(place for place in state.marked if place != item.place)


def _grace(item: Item) -> str:
    return f"; u takes it back for {item.form.grace:g} s" if item.form.grace > 0 else ""


def _acts(taken: list[Decision]) -> str:
    first = taken[0]
    more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
    return f"{first.act} {short((first.run, first.task))}{more}"


HANDLERS: dict[str, Handler] = {
    "approve": approve, "choose": choose, "code": code, "own-words": own_words, "skip": skip, "undo": undo,
    "mark": mark, "batch": batch, "batch-approve": batch_approve, "take-out": take_out,
}  # fmt: skip
