"""Whether reviews can be trusted: which items are shown blind or again, and how well and how fast people decide.

A blind item asks for an own choice before the proposal is shown; an item with a known answer is shown again and looks
like any other. Both tell a reader from somebody who only nods. Pure functions over decisions: this file knows no
database, no queue and no clock, and what it draws by lot comes from hashes, so that an item that is opened again is
shown as it was before.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any, TypeAlias

from .lots import lot as draw
from .review_items import Act, Decision

Place: TypeAlias = tuple[str, str]
"""The run and the task of an item."""

ANSWERS: tuple[Act, ...] = ("approve", "choose", "edit", "reject")
NOTHING_TO_UNDO: tuple[Act, ...] = ("undo", "refused", "grant")
BLIND_SHARE = 0.05
STREAK = 15  # quick approvals in a row, after which an item is shown blind
QUICK = 3.0  # seconds
QUICK_PART = 1 / 3  # of the reviewer's own median


@dataclass(frozen=True, slots=True)
class Settled:
    """Decisions by what became of them, each in the order of their numbers."""

    standing: tuple[Decision, ...]  # also skips, amendments, marks and checks
    undone: tuple[Decision, ...]
    refused: tuple[Decision, ...]  # answers that did not fit their type after all


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one decision says of a proposal."""

    seq: int  # of the decision
    at: float  # seconds since the epoch, UTC
    by: str
    act: Act  # one of `ANSWERS`, or "check"
    place: Place
    batch: str | None
    seconds: float | None  # that it took; None: not measured
    blind: bool
    first: str | None  # the choice made before the proposal was shown
    proposed: str | None  # the label that the model gave
    label: str | None  # the label that was decided
    known: str | None  # the right label, for a check
    digest: str | None  # of the proposal

    @property
    def keeps(self) -> bool:
        """Whether the proposal was let stand."""
        return self.label == self.proposed if self.act in ("choose", "check") else self.act == "approve"

    @property
    def said(self) -> str:
        """The category that two people are compared in: the label, or where there is none what was done."""
        label = self.label if self.act != "approve" or self.label is not None else self.proposed
        return f"({self.act})" if label is None or self.act == "reject" else label


@dataclass(frozen=True, slots=True)
class Catch:
    """Of proposals that were wrong, how many a reviewer did not let pass."""

    wrong: int
    caught: int


def settle(decisions: Iterable[Decision]) -> Settled:
    """What stands of `decisions`, in whatever order they come.

    An undo takes back the decisions that `body["undoes"]` names by number, or the latest of the same person at the
    same task; a refusal takes back the latest answer there.
    """
    standing: dict[int, Decision] = {}
    at_place: defaultdict[Place, list[Decision]] = defaultdict(list)
    undone: list[Decision] = []
    refused: list[Decision] = []
    for one in sorted(decisions, key=lambda decision: decision.seq):
        place = one.run, one.task
        if one.act == "undo":
            found = list(_taken_back(one, standing, at_place[place]))
            undone += found
        elif one.act == "refused":
            found = [old for old in at_place[place] if old.seq in standing and old.act in ANSWERS][-1:]
            refused += found
        else:
            found = []
            standing[one.seq] = one
            at_place[place].append(one)
        for old in found:
            del standing[old.seq]
    by_number = sorted(undone, key=lambda decision: decision.seq)
    return Settled(tuple(standing.values()), tuple(by_number), tuple(refused))


def _taken_back(undo: Decision, standing: dict[int, Decision], here: Sequence[Decision]) -> Iterator[Decision]:
    named = undo.body.get("undoes")
    if named is None:
        own = [old for old in here if old.seq in standing and old.by == undo.by and old.act not in NOTHING_TO_UNDO]
        yield from own[-1:]
        return
    for seq in dict.fromkeys(named if isinstance(named, list | tuple) else (named,)):
        if seq in standing and standing[seq].act not in NOTHING_TO_UNDO:
            yield standing[seq]


def judgement(decision: Decision) -> Judgement:
    """What `decision`, an answer or a check, says."""
    body = decision.body
    seconds = body.get("seconds")
    return Judgement(
        seq=decision.seq,
        at=decision.at,
        by=decision.by,
        act=decision.act,
        place=(decision.run, decision.task),
        batch=decision.batch,
        seconds=float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None,
        blind=bool(body.get("blind")),
        first=_text(body.get("first")),
        proposed=_text(body.get("proposed")),
        label=_text(body.get("label")),
        known=_text(body.get("known")),
        digest=_text(body.get("digest")),
    )


def answers(decisions: Iterable[Decision]) -> list[Judgement]:
    """The answers among `decisions`, in the order of their numbers."""
    found = (judgement(one) for one in decisions if one.act in ANSWERS)
    return sorted(found, key=lambda answer: answer.seq)


def shown_blind(run: str, task: str, by: str, own: Iterable[Decision], share: float = BLIND_SHARE) -> bool:
    """Whether `by` chooses at this item before the proposal is shown: by lot, or after a streak of quick approvals.

    `own` are decisions of `by`, undos with them, back to at least the latest `STREAK` approvals; more of them make the
    median better.
    """
    if drawn("blind", run, task, by, share):
        return True
    given = answers(settle(own).standing)
    return quick_streak(given, quick_limit(given)) >= STREAK


def shown_again(
    run: str, task: str, by: str, known: Iterable[Place], seen: Collection[Place], share: float = 0.0
) -> Place | None:
    """The item with a known answer that `by` is shown before this one; None: none is.

    `seen` are those not to be shown, because `by` decided them or was checked by them already. Which one is drawn stays
    the same when others come or go (rendezvous hashing: Thaler and Ravishankar, 1998).
    """
    if not drawn("check", run, task, by, share):
        return None
    left = [place for place in known if place not in seen and place != (run, task)]
    return min(left, key=lambda place: draw("again", run, task, by, *place), default=None)


def drawn(lot: str, run: str, task: str, by: str, share: float) -> bool:
    """Whether the item is one of the `share` (0 to 1) that a lot falls on; always the same for the same item."""
    return draw(lot, run, task, by) < share


def quick_limit(given: Sequence[Judgement]) -> float:
    """Seconds under which an answer is a quick one for whoever gave these: `QUICK`, or a third of their median.

    The greater of the two, for the median of somebody who always nods is short, too.
    """
    usual = pace(given)
    return QUICK if usual is None else max(QUICK, usual * QUICK_PART)


def quick_streak(given: Sequence[Judgement], limit: float) -> int:
    """How many approvals, up to the latest of `given`, each took less than `limit` seconds; a blind item ends it.

    A batch is one approval. Skipping neither ends a streak nor adds to it, else a blind item could be got around.
    """
    count = 0
    for _, together in groupby(reversed(given), key=lambda one: one.batch or one.seq):
        acts = list(together)
        times = [one.seconds for one in acts if one.seconds is not None]
        if not times or sum(times) >= limit or any(one.act != "approve" or one.blind for one in acts):
            break
        count += 1
    return count


def pace(given: Iterable[Judgement]) -> float | None:
    """The median of the seconds that answers took; None: none was measured."""
    times = [one.seconds for one in given if one.seconds is not None]
    return median(times) if times else None


def first_agrees(one: Judgement) -> bool | None:
    """Whether the choice made before the proposal was shown is the model's; None: there was none."""
    if not one.blind or one.first is None or one.proposed is None:
        return None
    return one.first == one.proposed


def last_words(given: Iterable[Judgement], by: str) -> list[tuple[Judgement, Judgement]]:
    """For each item that `by` and somebody else answered: the last answer of `by`, and the last of anybody else.

    The second is the decision that counted, unless `by` had the last word, which would only agree with itself.
    """
    own: dict[Place, Judgement] = {}
    others: dict[Place, Judgement] = {}
    for one in sorted(given, key=lambda answer: answer.seq):
        (own if one.by == by else others)[one.place] = one
    return [(answer, others[place]) for place, answer in own.items() if place in others]


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """How much two people agree beyond chance, -1 to 1 (Cohen, "A coefficient of agreement for nominal scales", 1960).

    None: there are no pairs, or both said one and the same thing throughout, so that chance alone explains it.
    """
    of = len(pairs)
    one, other = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(count * other[label] for label, count in one.items())  # in units of 1 / of²
    if of * of == by_chance:
        return None
    agreed = sum(first == second for first, second in pairs)
    return (agreed * of - by_chance) / (of * of - by_chance)


def known_answers(checks: Iterable[Judgement]) -> Catch:
    """Of items whose known answer is not the model's, how many were changed."""
    wrong = [one for one in checks if one.act == "check" and one.known != one.proposed]
    return Catch(len(wrong), sum(not one.keeps for one in wrong))


def later_decisions(given: Sequence[Judgement], by: str, amended: Iterable[Decision] = ()) -> Catch:
    """Of proposals that somebody else changed or amended after `by` had answered, how many `by` had changed, too.

    What `by` alone found wrong does not count: nobody else has said that it was.
    """
    latest: dict[tuple[str, str | None], int] = {}  # of what was amended by somebody else
    for one in amended:
        if one.by != by:
            latest[one.run, _text(one.body.get("digest"))] = one.seq
    overruled = {own.place for own, other in last_words(given, by) if other.seq > own.seq and not other.keeps}
    own = {one.place: one for one in given if one.by == by}
    wrong = [
        one
        for place, one in own.items()
        if place in overruled or (one.digest is not None and latest.get((place[0], one.digest), 0) > one.seq)
    ]
    return Catch(len(wrong), sum(not one.keeps for one in wrong))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
