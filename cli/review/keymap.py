"""Which keys do what in each view, and why one cannot be pressed now. The footer and the session read the same list."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...orchestration.review_items import EvidenceItem, LineageStep
from .form import choices
from .page import KeyHint
from .state import State

QUIT = KeyHint("q", "save and quit", "quit", others=("c-c",))
BACK = KeyHint("esc", "back", "back", others=("escape", "backspace", "c-h"))
KEYS = KeyHint("?", "all keys", "keys")
SCROLL = KeyHint("space", "further down", "down", others=("pagedown", " "), footer=False)
SCROLL_UP = KeyHint("-", "further up", "up", others=("pageup",), footer=False)
PROPOSAL_HIDDEN = "the proposal is hidden until you have chosen: press the number of your choice"


def keys_of(state: State) -> tuple[KeyHint, ...]:
    """Every key of the view, in the order of the footer."""
    match state.view:
        case "item":
            return (*_item(state), SCROLL, SCROLL_UP)
        case "lineage" | "proof":
            return (*_list(state), BACK, KEYS, QUIT, SCROLL, *_views(state))
        case "reject":
            return (*_codes(state), BACK, QUIT)
        case "batch":
            return (*_batch(state), BACK, KEYS, QUIT, SCROLL, SCROLL_UP)
        case "form":
            return (*_form(state), BACK, QUIT, SCROLL)
        case "diff":
            return (*_diff(state), BACK, QUIT, SCROLL, SCROLL_UP)
        case "done":
            return (*_done(state), KEYS, QUIT)
        case "why" | "history" | "keys":
            here = () if state.view == "keys" else (KEYS,)
            return (*_undo(state), BACK, *here, QUIT, SCROLL, SCROLL_UP, *_views(state))


def _item(state: State) -> Iterator[KeyHint]:
    item, case = state.item, state.case
    if item is None or case is None:
        return
    hidden = PROPOSAL_HIDDEN if state.hidden else ""
    form = item.form
    yield KeyHint("a", "approve", "approve", hidden or _no_approval(state))
    yield KeyHint("e", "edit", "edit", hidden or ("" if form.types else "this review sends on no message"))
    yield KeyHint("E", "edit in $EDITOR", "editor", hidden or ("" if form.types else "this review sends on no message"))
    choice = f"1-{len(form.labels)}" if form.labels else "1-9"
    none = "" if form.labels else "the proposal has no field with labels: use e"
    yield KeyHint(choice, "choose" if state.hidden else "other label", "choose", none)
    yield KeyHint("x", "reject", "reject", hidden)
    yield KeyHint("s", "skip", "skip")
    yield from _undo(state)
    yield KeyHint("m", "unmark" if item.place in state.marked else "mark", "mark", hidden)
    yield KeyHint("b", "batch", "batch", hidden)
    yield KeyHint("/", "filter", "filter")
    yield from _views(state)
    yield KEYS
    yield QUIT


def _views(state: State) -> Iterator[KeyHint]:
    """The views of an item; from one of them the others need no way back, and are not shown in the footer."""
    if state.case is None:
        return
    hidden = PROPOSAL_HIDDEN if state.hidden else ""
    nothing = "" if state.case.lineage else "nothing is upstream of the proposal"
    for hint in (
        KeyHint("l", "lineage", "lineage", nothing),
        KeyHint("p", "proof", "proof", "" if state.case.evidence else "no passages came with it"),
        KeyHint("w", "why", "why", hidden),
        KeyHint("h", "history", "history"),
    ):
        if hint.act != state.view:
            yield replace(hint, footer=state.view == "item")


def _no_approval(state: State) -> str:
    item = state.item
    if item is None or item.form.approves_to is None:
        return "it cannot be approved as it is: edit it (e)"
    if state.by in item.approved_by:
        return f"you have approved it; it needs {item.form.approvals} people"
    return ""


def _undo(state: State) -> Iterator[KeyHint]:
    acts = len({one.batch or one.seq for one in state.undoable})
    words = f"undo ({acts})" if acts else "undo"
    yield KeyHint("u", words, "undo")  # where there is nothing to take back, the log says why


def _moves(state: State) -> Iterator[KeyHint]:
    alone = "" if state.size > 1 else "there is nothing else to go to"
    yield KeyHint("j", "next", "next", alone, others=("down",))
    yield KeyHint("k", "one before", "previous", alone, others=("up",))


def _list(state: State) -> Iterator[KeyHint]:
    yield from _moves(state)
    one = "" if state.parts > 1 else "the whole text is shown"
    yield KeyHint(">", "next part", "next-part", one, footer=state.parts > 1)
    yield KeyHint("<", "part before", "previous-part", one, footer=state.parts > 1)
    chosen = state.selected
    blind = PROPOSAL_HIDDEN if state.hidden else ""
    passage = "" if isinstance(chosen, EvidenceItem) else "select a passage (j, k) to mark it"
    if state.view == "lineage":
        step = "" if isinstance(chosen, LineageStep) else "select a message (j, k) to amend it; + and - mark a passage"
        yield KeyHint("e", "amend", "amend", blind or step)
        yield KeyHint("E", "amend in $EDITOR", "amend-editor", blind or step)
    yield KeyHint("+", "right", "right", blind or passage)
    yield KeyHint("-", "wrong", "wrong", blind or passage)
    yield from _undo(state)
    yield KeyHint("pageup", "further up", "up", footer=False)


def _codes(state: State) -> Iterator[KeyHint]:
    for key, code in code_keys(state).items():
        sentence = state.item.form.codes[code] if state.item is not None else ""
        yield KeyHint(key, f"{code}: {sentence}" if code != key else sentence, f"code {code}")
    yield KeyHint("t", "in your own words", "own-words", footer=True)


def code_keys(state: State) -> dict[str, str]:
    """Key -> reject code: its only letter, its first where that is free, else a number."""
    keys: dict[str, str] = {}
    codes = tuple(state.item.form.codes) if state.item is not None else ()
    taken = {"t", "q"}
    for number, code in enumerate(codes, 1):
        wished = [code[:1].lower(), str(number), *"abcdefghijklmnoprsuvwxyz"]
        key = next(one for one in wished if one.isalnum() and one.isascii() and one not in taken)
        taken.add(key)
        keys[key] = code
    return keys


def _batch(state: State) -> Iterator[KeyHint]:
    alone = "" if len(state.batch) > 1 else "only this item is left in the batch: go back and decide it alone"
    item = state.item
    labels = item.form.labels if item is not None else ()
    yield KeyHint("y", f"approve all {len(state.batch)}", "batch-approve", alone or _no_approval(state))
    none = "" if labels else "the proposals have no field with labels"
    yield KeyHint(f"1-{len(labels)}" if labels else "1-9", "this label for all", "choose", alone or none)
    yield from _moves(state)
    yield KeyHint("m", "take the selected one out", "take-out", alone)


def _form(state: State) -> Iterator[KeyHint]:
    draft = state.draft
    yield KeyHint("y", "check and compare", "compare")
    yield KeyHint("enter", "change the field", "field", others=("c-m", "c-j"))
    choices = len(field_choices(state))
    none = "" if choices else "the selected field has no list of values: press enter and write"
    yield KeyHint(f"1-{choices}" if choices else "1-9", "choose its value", "choose", none, footer=not none)
    yield KeyHint("d", "leave the field out", "leave-out")
    yield from _moves(state)
    many = "" if draft is not None and len(draft.types) > 1 else "there is one type only"
    yield KeyHint("t", "another type", "type", many, footer=not many)
    yield KeyHint("E", "all in $EDITOR", "all-in-editor")
    yield SCROLL_UP


def field_choices(state: State) -> tuple[Any, ...]:
    """The values that the selected field of the form may have, where they are listed."""
    draft = state.draft
    if draft is None or state.cursor >= len(draft.fields):
        return ()
    return choices(draft.fields[state.cursor], draft.schema)[:9]


def _diff(state: State) -> Iterator[KeyHint]:
    draft = state.draft
    if draft is not None and draft.step is not None:
        yield KeyHint("y", "store the amendment", "commit")
        yield KeyHint("w", "say why", "amend-why")
    else:
        yield KeyHint("y", "send it on", "commit")
    yield KeyHint("e", "change it further", "form")


def _done(state: State) -> Iterator[KeyHint]:
    yield KeyHint("r", "look again", "again")
    yield KeyHint("s", "bring the skipped ones back", "skipped", "" if state.passed else "you skipped none")
    yield from _undo(state)
    yield KeyHint("/", "filter", "filter")
    yield KeyHint("h", "history", "history")
