"""Why a person is asked about a proposal: a rule that objects, a model that is unsure, roles that differ, or a lot.

Everything here follows from the proposal alone, so that a resumed run asks about the same things. This file knows
nothing of graphs, queues and terminals.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..agents.messages import Calibrated, Message, Passage
from .lots import drawn

CASE = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Rule:
    """What a person would say against or for a proposal, as a function of it.

        Rule("profit-up", "profit that rises is good news", lambda mood: None if … else mood.label == "positive")

    `agrees` gives True or False, or None where the rule says nothing to the proposal.
    """

    name: str
    sentence: str  # shown beside its verdict
    agrees: Callable[[Any], bool | None]


class RuleVerdict(NamedTuple):
    """What one rule says to a proposal."""

    name: str
    sentence: str
    agrees: bool


class Asking(NamedTuple):
    """Why a person is asked, and how urgent it is."""

    why: tuple[str, ...]  # a sentence each
    rules: tuple[RuleVerdict, ...] = ()
    risk: float = 1.0  # what a wrong answer costs, in the flow's own unit
    doubt: float | None = None  # 1 less the model's probability of being right; None: no model said
    disagrees: bool = False  # two roles, or a model and a rule, say different things
    label: str | None = None  # that is proposed
    deadline: float | None = None  # seconds that an answer may take
    case: str = ""  # what the proposal is about, in words: what the node that made it was told


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """When a person is asked. With none of them set, always."""

    always: bool = True
    ask_below: float | None = None  # a model's probability, 0 to 1
    audit: float | None = None  # share of all proposals, 0 to 1
    rules: tuple[Rule, ...] = ()


def reasons(
    gates: Gates, proposal: Message, verdicts: tuple[RuleVerdict, ...], differing: str | None, lot: str
) -> Iterator[str]:
    """Why a person is asked about `proposal`, a sentence each; nothing: it goes on unseen.

    Args:
        verdicts: of the rules, on the proposal.
        differing: what another role says, where it says something else.
        lot: what is drawn for; the same text always draws the same.
    """
    sure = confidence_of(proposal)
    if gates.ask_below is not None and sure is not None and sure < gates.ask_below:
        yield f"the model is {sure:.0%} sure, which is less than {gates.ask_below:.0%}"
    yield from (f"the rule {one.name!r} objects: {one.sentence}" for one in verdicts if not one.agrees)
    if differing is not None:
        yield differing
    if gates.audit is not None and drawn("audit", lot, share=gates.audit):
        yield f"it was drawn by lot, as {gates.audit:.0%} of all are"


def verdicts_of(rules: tuple[Rule, ...], proposal: Message) -> tuple[RuleVerdict, ...]:
    """What the rules that say anything to `proposal` say."""
    found = ((rule, rule.agrees(proposal)) for rule in rules)
    return tuple(RuleVerdict(rule.name, rule.sentence, bool(agrees)) for rule, agrees in found if agrees is not None)


def confidence_of(message: Message) -> float | None:
    """The probability, 0 to 1, that the model gave what it decided; None: no model said."""
    own = [
        getattr(message, name)
        for name, field in type(message).model_fields.items()
        if any(isinstance(mark, Calibrated) for mark in field.metadata)
    ]
    if own:
        return float(min(own))
    ranked = message.origin.alternatives if message.origin is not None else ()
    return ranked[0][1] if ranked else None


def words_in(told: Any) -> str:
    """The beginning of what a node was told, as one text; without passages, which many cases share."""
    return " ".join(_words(told))[:CASE]


def _words(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif isinstance(told, Message):
        if not isinstance(told, Passage):
            yield from _words(told.__dict__)
    elif isinstance(told, Mapping | list | tuple):
        for one in told.values() if isinstance(told, Mapping) else told:
            yield from _words(one)


def role_of(message: Message) -> str:
    """Who made `message`, for people."""
    return "a node" if message.origin is None else message.origin.role


def fields_of(message: Message) -> Mapping[str, Any]:
    """The fields of `message`, by name."""
    return {name: getattr(message, name) for name in type(message).model_fields}
