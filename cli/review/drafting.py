"""Keys that edit: the proposal or a message upstream, field by field or in an editor, compared before it is stored."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...orchestration.review_form import faults_of
from ...orchestration.review_items import EditFields, EvidenceItem, LineageStep
from .deciding import answer
from .form import MISSING, Unreadable, document, read_document, text_of, value_of
from .keymap import field_choices
from .sitting import Handler, Sitting, counted
from .state import Draft, Question, State


def edit(sitting: Sitting, state: State, key: str) -> State:
    """The form of the proposal."""
    if state.item is None:
        return state
    form, proposal = state.item.form, state.item.proposal
    kind = form.approves_to if form.approves_to in form.types else next(iter(form.types))
    before = _known(proposal.fields, form.types[str(kind)])
    draft = Draft("an answer in place of the proposal", form.types, str(kind), before, before)
    return replace(state.at("form"), draft=draft)


def edit_in_editor(sitting: Sitting, state: State, key: str) -> State:
    return all_in_editor(sitting, edit(sitting, state, key), key)


def amend(sitting: Sitting, state: State, key: str) -> State:
    """The form of the selected message."""
    step = state.selected
    if not isinstance(step, LineageStep):
        return state
    fields = step.amended[-1].after if step.amended else step.message.fields
    title = f"amend {step.message.type} of {step.task}"
    draft = Draft(title, {step.message.type: step.schema}, step.message.type, fields, fields, step)
    return replace(state.at("form"), draft=draft)


def amend_in_editor(sitting: Sitting, state: State, key: str) -> State:
    return all_in_editor(sitting, amend(sitting, state, key), key)


def all_in_editor(sitting: Sitting, state: State, key: str) -> State:
    draft = _draft(state)
    return replace(state, question=Question("editor", f"{draft.type} as JSON", document(draft.values)))


def field(sitting: Sitting, state: State, key: str) -> State:
    """Ask for the text of the selected field."""
    draft, name = _draft(state), _field(state)
    return replace(state, question=Question("field", name, text_of(draft.values.get(name, MISSING))))


def told_field(sitting: Sitting, state: State, text: str) -> State:
    """The text of the selected field."""
    draft, name = _draft(state), _field(state)
    try:
        return _with(state, name, value_of(text, name, draft.schema))
    except Unreadable as error:
        return state.says(str(error), "bad")


def told_editor(sitting: Sitting, state: State, text: str) -> State:
    """All fields at once; they are checked and compared with what was."""
    try:
        found = read_document(text)
    except Unreadable as error:
        return state.says(str(error), "bad")
    return compare(sitting, replace(state, draft=replace(_draft(state), values=found)), "")


def choose_value(sitting: Sitting, state: State, key: str) -> State:
    """One of the values that the selected field may have."""
    listed = field_choices(state)
    if int(key) > len(listed):
        return state.says(f"there are {len(listed)} values, so {key} chooses none", "bad")
    return _with(state, _field(state), listed[int(key) - 1])


def leave_out(sitting: Sitting, state: State, key: str) -> State:
    draft, name = _draft(state), _field(state)
    rest = {one: value for one, value in draft.values.items() if one != name}
    return replace(state, draft=replace(draft, values=rest, faults=())).says(f"{name} is left out")


def next_type(sitting: Sitting, state: State, key: str) -> State:
    """The next type that the review may send on, with the fields that it shares with the proposal."""
    draft = _draft(state)
    names = list(draft.types)
    kind = names[(names.index(draft.type) + 1) % len(names)]
    every = {**(state.item.proposal.fields if state.item is not None else {}), **draft.values}
    values = _known(every, draft.types[kind])
    return replace(state, cursor=0, draft=replace(draft, type=kind, before=values, values=values, faults=()))


def compare(sitting: Sitting, state: State, key: str) -> State:
    """What the edit changes, or why it is refused."""
    draft, item = _draft(state), state.item
    if draft.step is None and item is not None:
        faults = tuple(sitting.desk.check(item, draft.values, draft.type))
        idle = draft.type == item.form.approves_to and draft.values == draft.before
    else:
        faults = tuple(faults_of(draft.schema, draft.values))
        idle = draft.values == draft.before
    checked = replace(state, draft=replace(draft, faults=faults))
    if faults:
        named = ", ".join(dict.fromkeys(fault.field for fault in faults))
        return replace(checked, view="form").says(f"refused because of {named}; nothing was stored", "bad")
    if idle:
        return replace(checked, view="form").says("nothing is changed yet", "bad")
    return replace(checked.at("diff"), draft=checked.draft)


def commit(sitting: Sitting, state: State, key: str) -> State:
    """Store the edit, and where it is one upstream come back to it."""
    draft = _draft(state)
    if draft.step is None:
        return answer(sitting, state, EditFields(draft.type, dict(draft.values), by=state.by), "edited")
    if not draft.why:
        return amend_why(sitting, state, key)
    sitting.desk.amend(draft.step, dict(draft.values), draft.why)
    again = sitting.reloaded(replace(counted(state, "amended").at("lineage"), draft=None))
    places = [(one.run, one.task, one.index) if isinstance(one, LineageStep) else None for one in again.entries]
    place = (draft.step.run, draft.step.task, draft.step.index)
    cursor = places.index(place) if place in places else 0
    return replace(again, cursor=cursor).says(f"amended {draft.type} of {draft.step.task}", "good")


def amend_why(sitting: Sitting, state: State, key: str) -> State:
    return replace(state, question=Question("why", "amended, because", _draft(state).why))


def told_why(sitting: Sitting, state: State, text: str) -> State:
    if not text.strip():
        return state.says("an amendment needs a reason; nothing was stored", "bad")
    return replace(state, draft=replace(_draft(state), why=text.strip())).says("y stores it")


def back_to_form(sitting: Sitting, state: State, key: str) -> State:
    return state.at("form")


def right(sitting: Sitting, state: State, key: str) -> State:
    return _mark(sitting, state, right=True)


def wrong(sitting: Sitting, state: State, key: str) -> State:
    return _mark(sitting, state, right=False)


def _mark(sitting: Sitting, state: State, *, right: bool) -> State:
    passage = state.selected
    word = "right" if right else "wrong"
    if not isinstance(passage, EvidenceItem):
        return state
    if passage.marked is right:
        return state.says(f"it is marked {word} already")
    sitting.desk.mark(passage, right)
    return sitting.reloaded(counted(state, "marked a passage")).says(f"marked {passage.id} {word}", "good")


def _draft(state: State) -> Draft:
    if state.draft is None:
        raise RuntimeError("nothing is being edited")
    return state.draft


def _field(state: State) -> str:
    names = _draft(state).fields
    return names[min(state.cursor, len(names) - 1)]


def _with(state: State, name: str, value: Any) -> State:
    draft = _draft(state)
    return replace(state, draft=replace(draft, values={**draft.values, name: value}, faults=())).says(f"{name} is set")


def _known(fields: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields that the type has; all of them where its schema does not say."""
    names = schema.get("properties")
    return dict(fields) if names is None else {name: value for name, value in fields.items() if name in names}


HANDLERS: dict[str, Handler] = {
    "edit": edit, "editor": edit_in_editor, "amend": amend, "amend-editor": amend_in_editor, "field": field,
    "all-in-editor": all_in_editor, "leave-out": leave_out, "type": next_type, "compare": compare, "commit": commit,
    "amend-why": amend_why, "form": back_to_form, "right": right, "wrong": wrong,
}  # fmt: skip
