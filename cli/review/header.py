"""The first rows of every page: which flow, which item, how urgent it is, how many are left, and who has it."""

from .page import Line, Piece, cut, joined, line
from .state import State
from .values import budget, minutes, share

FILTERS = ("flow", "node", "role", "thread", "text")


def title(state: State, now: float) -> Line:
    """Which flow, which item, how many are left, and who has it."""
    item = state.item
    if item is None:
        return joined([line(Piece("review", "strong")), line(budget(state.budget)), line(f"you are {state.by}")])
    found = [
        line(Piece("review ", "strong"), Piece(f"{cut(item.flow, 60, '?')}/{cut(item.node, 60, '?')}", "strong")),
        line(f"item {state.number}, {budget(state.budget)}"),
        line(f"claimed by {item.claimed_by}" if item.claimed_by else f"claimed by you ({state.by})"),
        line(f"asked {minutes(now - item.asked)} ago"),
    ]
    if not state.hidden:  # both may follow from the proposal
        doubt = "" if item.doubt is None else f", doubt {share(item.doubt)}"
        found.append(line(f"risk {item.risk:g}{doubt}"))
    if item.deadline is not None:
        late = item.deadline < now
        found.append(line(Piece("deadline is over" if late else f"due in {minutes(item.deadline - now)}", "bad")))
    if item.place in state.marked:
        found.append(line(Piece("marked", "note")))
    if state.marked:
        found.append(line(f"{len(state.marked)} marked"))
    wanted = [f"{name} {getattr(state.wanted, name)!r}" for name in FILTERS if getattr(state.wanted, name) is not None]
    if wanted:
        found.append(line(Piece(f"only {', '.join(wanted)}", "note")))
    return joined(found)
