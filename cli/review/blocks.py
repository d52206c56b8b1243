"""The page of an item: why it is asked, the case, the proposal, what speaks for and against it, what approving causes.

While a blind item waits for the reviewer's own choice, nothing is on it that would give the proposal away.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ...orchestration.asking import RuleVerdict
from ...orchestration.review_items import Case, EvidenceItem, Item
from .page import Block, Line, Piece, cut, joined, line, lines
from .state import State
from .values import (
    HIDDEN,
    alternatives,
    clock,
    confidence,
    is_confidence,
    label_of,
    share,
    spoken,
    trust,
)

FIELD = 280  # characters of a field on an item's page
QUOTE = 180  # characters of a passage on an item's page
PASSAGES = 2  # on an item's page


def item_blocks(state: State, case: Case) -> Iterator[Block]:
    """The blocks of one item."""
    item = case.item
    if item.notes:
        yield Block("NOTE", lines(item.notes, "bad"))
    if not state.hidden:
        yield from _asked(item)
    yield from _case(case, hidden=state.hidden)
    if state.hidden:
        yield Block("PROPOSED", (line(Piece(HIDDEN, "note")),))
    else:
        yield from proposal_blocks(state, case)
    if item.form.labels:
        yield Block("CHOICES", (_choices(item),))
    yield from _approving(item)
    yield from _proof(case, hidden=state.hidden)
    if not state.hidden:
        yield from _alike(case)


def field_lines(fields: Mapping[str, Any], most: int = FIELD, where: str = "l") -> tuple[Line, ...]:
    """A line for each field."""
    return tuple(
        line(Piece(f"{name}: ", "dim"), Piece(cut(spoken(value), most, where), "model"))
        for name, value in fields.items()
    )


def quoted(passage: EvidenceItem, text: str, start: int, *, hidden: bool) -> Line:
    """`text`, which begins at `start` in the passage, with what the proposal says, too, in brackets."""
    pieces: list[Piece] = []
    at = 0
    for begin, end in [] if hidden else sorted(passage.spans):
        first, last = max(begin - start, at), min(end - start, len(text))
        if first < last:
            pieces += [Piece(text[at:first], "model"), Piece(f"[{text[first:last]}]", "shared")]
            at = last
    return (*pieces, Piece(text[at:], "model"))


def passage_line(passage: EvidenceItem, *, hidden: bool) -> Line:
    """Where a passage is from, and how much it bears on the proposal."""
    found = [line(Piece(cut(passage.id, 60, "p"), "strong"), f" from {cut(passage.source, 80, 'p')}")]
    if not hidden:
        cited = Piece("cited", "good") if passage.cited else Piece("not cited", "dim")
        found += [(cited,), line(f"overlap {share(passage.overlap)}")]
    found.append(line(f"score {passage.score:.2f}"))
    if passage.marked is not None:
        found.append((Piece("marked right", "good") if passage.marked else Piece("marked wrong", "bad"),))
    return joined(found)


def rule_line(rule: RuleVerdict) -> Line:
    """A rule's word, and its reason."""
    said = f" {rule.name}: {rule.sentence}"
    if rule.agrees:
        return line(Piece("✓ ", "good", symbol=True), Piece("agrees", "good"), said)
    return line(Piece("✗ ", "bad", symbol=True), Piece("objects", "bad"), said)


def _case(case: Case, *, hidden: bool) -> Iterator[Block]:
    if not case.lineage:
        return
    first = case.lineage[-1]
    itself = first.message.digest == case.item.proposal.digest
    if itself and not hidden:
        yield Block("CASE", lines(["the run began with the proposal itself"], "dim"))
        return
    kept_back = case.item.form.label_field if itself else None
    found = list(field_lines({name: value for name, value in first.message.fields.items() if name != kept_back}))
    if len(case.lineage) > 1 and not hidden:
        count = len(case.lineage) - 1
        found.append(line(Piece(f"{count} more message{'s' * (count > 1)} led from it to the proposal: l", "dim")))
    yield Block("CASE", tuple(found))


def proposal_blocks(state: State, case: Case) -> Iterator[Block]:
    """What is proposed, how sure it is, and what would have come next."""
    item = case.item
    label, sure = label_of(item), confidence(item)
    said = line("no model said how sure it is") if sure is None else line(f"{share(sure)} sure, {trust(case)}")
    head = [line(Piece(cut(label, 60, "w"), "strong"))] if label is not None else []
    found = [joined([*head, said])]
    if state.first is not None:
        same = state.first == label
        found.append(line(Piece(f"you chose {state.first}, which {'is the same' if same else 'differs'}", "note")))
    rest = {
        name: value
        for name, value in item.proposal.fields.items()
        if name != item.form.label_field and not is_confidence(item, value)
    }
    yield Block("PROPOSED", (*found, *field_lines(rest, where="E or w")))
    if case.runner_up is not None:
        yield Block("RUNNER-UP", (line(f"{cut(case.runner_up[0], 60, 'w')}, {share(case.runner_up[1])}"),))


def _choices(item: Item) -> Line:
    return joined(
        [line(Piece(str(number), "key"), f" {cut(label, 60, 'e')}") for number, label in enumerate(item.form.labels, 1)]
    )


def _asked(item: Item) -> Iterator[Block]:
    """Why it is asked; a rule that objects is told once, among the rules."""
    objects = [rule for rule in item.rules if not rule.agrees]
    why = [one for one in item.why if not any(repr(rule.name) in one and rule.sentence in one for rule in objects)]
    if why:
        yield Block("WHY", lines(why, "note"))
    if item.rules:
        yield Block("RULES", tuple(map(rule_line, sorted(item.rules, key=lambda rule: rule.agrees))))


def _proof(case: Case, *, hidden: bool) -> Iterator[Block]:
    found: list[Line] = []
    for passage in case.evidence[:PASSAGES]:
        start = _start(passage, hidden=hidden)
        found.append(passage_line(passage, hidden=hidden))
        text = passage.text[start : start + QUOTE]
        cuts = Piece("... ", "dim") if start else Piece("")
        after = Piece(" ...", "dim") if start + QUOTE < len(passage.text) else Piece("")
        found.append((cuts, *quoted(passage, text, start, hidden=hidden), after))
    if len(case.evidence) > PASSAGES or any(len(one.text) > QUOTE for one in case.evidence):
        found.append(line(Piece(f"all {len(case.evidence)} passages in full: p", "dim")))
    if found:
        yield Block("PROOF", tuple(found))


def _start(passage: EvidenceItem, *, hidden: bool) -> int:
    """Where to begin a quote, so that it has what is shared first."""
    begins = [] if hidden else [begin for begin, _ in passage.spans]
    return max(0, min(begins) - QUOTE // 3) if begins and min(begins) > QUOTE // 2 else 0


def _alike(case: Case) -> Iterator[Block]:
    found: list[Line] = []
    if case.earlier:
        counts = Counter((one.act, one.label) for one in case.earlier)
        most = ", ".join(
            f"{times} {act} {cut(label, 40, 'w')}".rstrip() for (act, label), times in counts.most_common(4)
        )
        found.append(line(f"decided before: {most} (at most {share(case.earlier[0].similarity)} alike)"))
    if case.item.alike_open > 1:
        found.append(line(f"{case.item.alike_open - 1} more like it wait and come next"))
    if found:
        yield Block("ALIKE", tuple(found))


def _approving(item: Item) -> Iterator[Block]:
    form = item.form
    found = [*form.causes] if form.approves_to is not None else ["it cannot be approved as it is: edit it"]
    if form.approvals > 1:
        agreed = f"{', '.join(item.approved_by)} did" if item.approved_by else "nobody did yet"
        found.append(f"{form.approvals} people must approve, {agreed}")
    if form.grace > 0:
        found.append(f"you can take it back (u) for {form.grace:g} s")
    yield Block("IF APPROVED", (joined(lines(found)),))


def risk_line(item: Item) -> Line:
    """The order of the queue, in figures."""
    doubt = "unknown" if item.doubt is None else share(item.doubt)
    times = "never skipped" if not item.skipped else f"skipped {item.skipped} time{'s' * (item.skipped > 1)}"
    return joined([line(f"risk {item.risk:g}"), line(f"doubt {doubt}"), line(times)])


def alternative_lines(item: Item) -> tuple[Line, ...]:
    """What the model would have said, and how likely it found each."""
    return tuple(line(f"{cut(label, 80, 'E')} ", share(chance)) for label, chance in alternatives(item.proposal.origin))


def earlier_lines(case: Case) -> tuple[Line, ...]:
    """Similar decisions, the most similar first."""
    return tuple(
        joined([line(f"{one.act} {one.label}".rstrip()), line(f"alike {share(one.similarity)}"),
                line(f"by {one.by}, {clock(one.at)}"), line(Piece(f"run {one.run[:12]}", "dim"))])
        for one in case.earlier
    )  # fmt: skip
