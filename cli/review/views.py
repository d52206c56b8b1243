"""The page of each view besides an item's own: upstream messages, passages, reasons, edits, batches, the end."""

from collections.abc import Iterator

from ...orchestration.review_items import Decision, EvidenceItem, LineageStep
from .blocks import (
    alternative_lines,
    earlier_lines,
    field_lines,
    item_blocks,
    passage_line,
    proposal_blocks,
    quoted,
    risk_line,
    rule_line,
)
from .form import describe, word_diff
from .header import title
from .keymap import field_choices, keys_of
from .page import PART, Block, KeyHint, Line, Page, Piece, cut, joined, line, lines, part
from .state import Draft, State
from .values import HIDDEN, clock, confidence, is_confidence, share, shown, spoken, told, trust

INPUT = "(input)"  # the task of what a run began with
SAMPLES = 3  # of a batch that are shown with all their fields
SAMPLE = 160  # characters of each of their texts
SUMMARY = 60  # characters of what is not selected
STORED = "What you do is stored before the next key is read: closing the terminal loses nothing."


def page_of(state: State, now: float) -> Page:
    """All that is shown in `state` at `now`, seconds since the epoch."""
    blocks = tuple(_blocks(state))
    keys = tuple(key for key in keys_of(state) if key.footer)
    return Page(title(state, now), blocks, line(Piece(state.notice.text, state.notice.tone)), keys)


def _blocks(state: State) -> Iterator[Block]:
    match state.view:
        case "item" if state.case is not None:
            yield from item_blocks(state, state.case)
        case "lineage" | "proof":
            yield from _entries(state)
        case "why":
            yield from _why(state)
        case "history":
            yield from _history(state)
        case "keys":
            yield from _keys(state)
        case "reject" if state.case is not None:
            yield Block("REJECT", lines(["why? one key stores it, esc goes back"], "note"))
            yield from proposal_blocks(state, state.case)
        case "batch":
            yield from _batch(state)
        case "form" | "diff" if state.draft is not None:
            yield from _draft(state, state.draft)
        case _:
            yield from _done(state)


def _entries(state: State) -> Iterator[Block]:
    count = len(state.entries)
    for number, entry in enumerate(state.entries, 1):
        chosen = number - 1 == state.cursor
        label = f"{'> ' if chosen else ''}{number} of {count}"
        match entry:
            case LineageStep():
                yield Block(label, tuple(_step(state, entry, chosen=chosen)), selected=chosen)
            case EvidenceItem():
                yield Block(label, tuple(_passage(state, entry, chosen=chosen)), selected=chosen)
    if state.hidden and state.view == "lineage":
        yield Block("OTHERS", (line(Piece(HIDDEN, "note")),))


def _step(state: State, step: LineageStep, *, chosen: bool) -> Iterator[Line]:
    yield joined([line(Piece(step.message.type, "strong")), *map(line, _made(step))])
    for amended in step.amended:
        why = f": {amended.why}" if amended.why else ""
        yield line(Piece(f"amended by {amended.by}, {clock(amended.at)}{why}", "note"))
        if chosen:
            yield from word_diff(amended.before, amended.after)
    if not chosen:
        summary = ", ".join(f"{name}: {_short(spoken(value))}" for name, value in step.message.fields.items())
        yield line(Piece(_short(summary, 2 * SUMMARY), "dim"))
        return
    yield from _part_line(state)
    yield from field_lines({name: part(spoken(value), state.part) for name, value in step.message.fields.items()}, PART)


def _made(step: LineageStep) -> Iterator[str]:
    """Who made a message, and where."""
    if step.task == INPUT:
        yield "what the run began with"
        return
    yield f"made by {step.role}" if step.role else f"made by the node {step.task}"
    if step.role and step.role != step.task:
        yield f"at {step.task}"
    if step.index is not None:
        yield f"number {step.index + 1} of its list"


def _short(text: str, most: int = SUMMARY) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()} ..."


def _passage(state: State, passage: EvidenceItem, *, chosen: bool) -> Iterator[Line]:
    yield passage_line(passage, hidden=state.hidden)
    if chosen:
        yield from _part_line(state)
        yield quoted(passage, part(passage.text, state.part), state.part * PART, hidden=state.hidden)
    else:
        yield line(Piece(_short(passage.text), "dim"))


def _part_line(state: State) -> Iterator[Line]:
    if state.parts > 1:
        yield line(Piece(f"part {state.part + 1} of {state.parts} of the text", "note"))


def _why(state: State) -> Iterator[Block]:
    case = state.case
    if case is None:
        return
    item = case.item
    yield Block("WHY", (*lines(item.why, "note"), risk_line(item)))
    sure = confidence(item)
    said = "no model said how sure it is" if sure is None else f"{share(sure)} sure, {trust(case)}"
    decided = [line(f"{case.frequency.right} of {case.frequency.of} such were right")] if case.frequency else []
    yield Block("TRUST", (joined([line(said), *decided]),))
    fields = field_lines(item.proposal.fields, PART, "E")
    yield Block("PROPOSED", (line(Piece(item.proposal.type, "strong")), *fields))
    if item.proposal.origin:
        made = [f"role {item.proposal.origin.get('role')}", f"weights {str(item.proposal.origin.get('weights'))[:12]}"]
        yield Block("MADE BY", (joined([line(one) for one in made]), *alternative_lines(item)))
    yield Block("RULES", tuple(map(rule_line, item.rules)) or lines(["no rule says anything"]))
    yield Block("ALIKE", earlier_lines(case) or lines(["nothing similar was decided yet"]))
    where = [f"task {item.task} of run {item.run}", f"thread {item.thread}" if item.thread else "in no conversation"]
    yield Block("WHERE", (joined(lines([*where, f"digest {item.proposal.digest[:12]}"])),))


def _history(state: State) -> Iterator[Block]:
    found = tuple(map(_decision_line, state.history))
    yield Block("DECISIONS", found or lines(["nothing was decided yet"]))


def _decision_line(decision: Decision) -> Line:
    where = Piece(f"{decision.task} of run {decision.run[:12]}", "dim")
    return joined([line(f"{decision.seq} {told(decision)}"), line(f"by {decision.by}, {clock(decision.at)}"), (where,)])


def _keys(state: State) -> Iterator[Block]:
    item = state.at("done" if state.item is None else "item")
    for name, shown_keys in (("ITEM", keys_of(item)), ("LISTS", keys_of(state.at("lineage")))):
        yield Block(name, (joined([_key_line(one) for one in shown_keys]),))
    yield Block("NOTE", lines(["Enter alone never approves.", STORED]))


def _key_line(key: KeyHint) -> Line:
    refusal = (Piece(f" (not now: {key.refusal})", "dim"),) if key.refusal else ()
    return (Piece(key.key, "key"), Piece(f" {key.words}"), *refusal)


def _batch(state: State) -> Iterator[Block]:
    count = len(state.batch)
    yield Block(
        "BATCH", lines([f"{count} items propose the same and read almost the same; one u takes all back"], "note")
    )
    for number, item in enumerate(state.batch):
        chosen = number == state.cursor
        head = line(f"{item.task} of run {item.run[:12]}")
        about = [line(Piece(_short(item.about, SAMPLE), "model"))] if item.about else []
        told = {name: value for name, value in item.proposal.fields.items() if not is_confidence(item, value)}
        fields = {name: _short(spoken(value), SAMPLE) for name, value in told.items()}
        body = (*about, *field_lines(fields)) if number < SAMPLES or chosen else ()
        yield Block(f"{'> ' if chosen else ''}{number + 1} of {count}", (head, *body), selected=chosen)


def _draft(state: State, draft: Draft) -> Iterator[Block]:
    yield Block("EDIT", (joined([line(Piece(draft.title, "strong")), line(f"type {draft.type}")]),))
    if draft.faults:
        refused = [line(Piece(f"{fault.field} ", "strong"), Piece(fault.problem, "bad")) for fault in draft.faults]
        yield Block("REFUSED", (*refused, line("nothing was stored")))
    if state.view == "diff":
        yield Block("CHANGED", tuple(word_diff(draft.before, draft.values)))
        if draft.step is not None:
            yield Block("BECAUSE", lines([draft.why or "no reason was given"]))
        return
    for number, name in enumerate(draft.fields):
        chosen = number == state.cursor
        found: list[Line] = [line(Piece(describe(name, draft.schema), "dim"))]
        if chosen and field_choices(state):
            values = [line(Piece(str(key), "key"), f" {shown(one)}") for key, one in enumerate(field_choices(state), 1)]
            found.append(joined(values))
        value = cut(shown(draft.values[name]), 600, "E") if name in draft.values else None
        found.append(line(Piece("left out", "dim")) if value is None else line(Piece(value, "model")))
        yield Block(f"{'> ' if chosen else ''}{name}", tuple(found), selected=chosen)


def _done(state: State) -> Iterator[Block]:
    acts = ", ".join(f"{times} {act}" for act, times in sorted(state.done.items())) or "nothing yet"
    left = f"{state.budget.left:,} still wait" if state.budget.left else "no item waits for you"
    yield Block("DONE", lines([f"in this sitting: {acts}", left]))
    if state.passed:
        yield Block("SKIPPED", lines([f"{len(state.passed)} in this sitting: s brings them back"]))
    yield Block("LATER", lines(["come back by the same command; what you did is stored"]))
