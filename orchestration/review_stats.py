"""What reviewers' work amounts to: how much, how fast, how well they agree, and which roles they corrected.

A pure function from decisions to tables. Rests on these keys in a decision's `body`, none of which must be there:
`flow`, `node`, `role` (that made the proposal), `asked` (seconds since the epoch), `seconds` (that it took; in a batch
each row has its part), `blind`, `first`, `proposed`, `label`, `known`, `digest` (of the proposal, or of what was
amended), `field` (that `label` is of), `before` and `after` (of an amendment), `right` (of a mark), `undoes`.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from .integrity import (
    ANSWERS,
    Catch,
    Judgement,
    Settled,
    answers,
    cohens_kappa,
    first_agrees,
    judgement,
    known_answers,
    last_words,
    later_decisions,
    settle,
)
from .review_items import Act, Decision
from .review_tables import (
    Band,
    DayStats,
    FieldStats,
    LabelChange,
    MarkStats,
    NodeStats,
    Rate,
    ReviewerStats,
    ReviewStats,
    Spread,
    Tally,
)

BANDS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)  # seconds
LABEL_LENGTH = 40  # characters that a text has at most to be taken for a label
COUNTED: tuple[Act, ...] = (*ANSWERS, "skip")


def review_stats(
    decisions: Iterable[Decision],
    *,
    since: float | None = None,
    by: str | None = None,
    flow: str | None = None,
    zone: tzinfo | None = UTC,
) -> ReviewStats:
    """What `decisions`, in whatever order, amount to; days are those of `zone` (None: of this machine).

    `since` (seconds since the epoch, UTC), `by` and `flow` choose what is counted. Give all decisions nevertheless:
    what others said of the same items, earlier or later, is what a person's agreement is measured by.
    """
    everything = settle(decisions)

    def wanted(one: Decision) -> bool:
        return (
            (since is None or one.at >= since)
            and (by is None or one.by == by)
            and (flow is None or one.body.get("flow") == flow)
        )

    standing, undone, refused = (
        tuple(filter(wanted, some)) for some in (everything.standing, everything.undone, everything.refused)
    )
    found = Settled(standing, undone, refused)
    given = answers(standing)
    people = {one.by for one in (*standing, *undone) if one.act in (*COUNTED, "check")}
    in_all = answers(everything.standing)
    amended = [one for one in everything.standing if one.act == "amend"]
    rows = [_reviewer(name, found, in_all, amended) for name in people]
    return ReviewStats(
        done=_tally(standing),
        undone=len(undone),
        refused=len(refused),
        amended=sum(one.act == "amend" for one in standing),
        checks=sum(one.act == "check" for one in standing),
        since=min((one.at for one in standing), default=None),
        until=max((one.at for one in standing), default=None),
        seconds=_spread(_times(given)),
        waited=_spread([_waited(one) for one in standing if one.act in ANSWERS and "asked" in one.body]),
        reviewers=tuple(sorted(rows, key=lambda row: (-row.decided, row.by))),
        nodes=_nodes(standing),
        fields=_fields(standing),
        marks=_marks(standing),
        bands=_bands(_times(given)),
        days=_days(standing, zone),
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` (0 to 1) of `values` lie under, by linear interpolation; None: there are none."""
    if not values:
        return None
    ordered = sorted(values)
    below, part = divmod(share * (len(ordered) - 1), 1)
    low, high = ordered[int(below)], ordered[min(int(below) + 1, len(ordered) - 1)]
    return min(high, low + (high - low) * part)


def node_of(task: str) -> str:
    """The node that a task stands at: "desk" for "inner/desk#2"."""
    return task.rsplit("/", 1)[-1].split("#")[0].split("[")[0]


def _reviewer(name: str, found: Settled, in_all: Sequence[Judgement], amended: Sequence[Decision]) -> ReviewerStats:
    """The row of `name`: their decisions of `found`, measured by what others said in all."""
    own = [one for one in found.standing if one.by == name]
    given = answers(own)
    counted = {one.seq for one in given}
    in_view = [one for one in in_all if one.by != name or one.seq in counted]
    checks = [judgement(one) for one in own if one.act == "check"]
    firsts = [agrees for one in given if (agrees := first_agrees(one)) is not None]
    pairs = [(mine.said, theirs.said) for mine, theirs in last_words(in_view, name)]
    later = later_decisions(in_view, name, amended)
    known = known_answers(checks)
    done = _tally(own)
    return ReviewerStats(
        by=name,
        decided=done.decided,
        skipped=done.skipped,
        undone=sum(one.by == name for one in found.undone),
        per_hour=_per_hour(own),
        seconds=_spread(_times(given)),
        agreement=_rate(sum(one.keeps for one in given), len(given)),
        blind_agreement=_rate(sum(firsts), len(firsts)),
        shared=len(pairs),
        kappa=cohens_kappa(pairs),
        caught=_caught(later, known),
        checks=_rate(sum(one.label == one.known for one in checks), len(checks)),
    )


def _caught(later: Catch, known: Catch) -> Rate:
    return _rate(later.caught + known.caught, later.wrong + known.wrong)


def _per_hour(own: Sequence[Decision]) -> float | None:
    """Answers in an hour; the time that skipped and known items took counts, that of answers without one does not."""
    spent = [(one.act, judgement(one).seconds) for one in own if one.act in (*COUNTED, "check")]
    total = sum(seconds for _, seconds in spent if seconds is not None)
    timed = sum(act in ANSWERS for act, seconds in spent if seconds is not None)
    return 3600 * timed / total if total else None


def _nodes(standing: Iterable[Decision]) -> tuple[NodeStats, ...]:
    groups: defaultdict[tuple[str, str, str], list[Decision]] = defaultdict(list)
    for one in standing:
        if one.act in COUNTED:
            node = _word(one.body.get("node")) or node_of(one.task)
            groups[_word(one.body.get("flow")), node, _word(one.body.get("role"))].append(one)
    rows = []
    for (flow, node, role), some in sorted(groups.items(), key=lambda group: group[0]):
        done = _tally(some)
        counts = zip(COUNTED, (done.approved, done.chosen, done.edited, done.rejected, done.skipped), strict=True)
        rows.append(NodeStats(flow, node, role, done, {act: count / len(some) for act, count in counts}))
    return tuple(rows)


def _fields(standing: Iterable[Decision]) -> tuple[FieldStats, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    labels: defaultdict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in standing:
        role = _word(one.body.get("role"))
        for field, before, after in _corrections(one):
            counts[role, field] += 1
            if (change := _labels(before, after)) is not None:
                labels[role, field][change] += 1
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return tuple(FieldStats(role, field, count, _changes(labels[role, field])) for (role, field), count in rows)


def _corrections(one: Decision) -> list[tuple[str, Any, Any]]:
    """Field, before and after, of what `one` corrects."""
    if one.act == "choose":
        said = judgement(one)
        return [] if said.keeps else [(_word(one.body.get("field")) or "label", said.proposed, said.label)]
    if one.act != "amend":
        return []
    before, after = one.body.get("before") or {}, one.body.get("after") or {}
    names = dict.fromkeys((*before, *after))
    return [
        (name, before.get(name), after.get(name))
        for name in names
        if (name in before, before.get(name)) != (name in after, after.get(name))
    ]


def _labels(before: Any, after: Any) -> tuple[str, str] | None:
    """Both as texts, where they may be labels."""
    if not all(isinstance(value, str | bool) for value in (before, after)):
        return None
    one, other = (str(value).lower() if isinstance(value, bool) else value for value in (before, after))
    short = all(len(text) <= LABEL_LENGTH and "\n" not in text for text in (one, other))
    return (one, other) if short else None


def _changes(counted: Counter[tuple[str, str]]) -> tuple[LabelChange, ...]:
    rows = sorted(counted.items(), key=lambda row: (-row[1], row[0]))
    return tuple(LabelChange(before, after, count) for (before, after), count in rows)


def _marks(standing: Iterable[Decision]) -> tuple[MarkStats, ...]:
    counts: Counter[tuple[str, bool]] = Counter(
        (_word(one.body.get("role")), bool(one.body.get("right"))) for one in standing if one.act == "mark"
    )
    return tuple(
        MarkStats(role, counts[role, True], counts[role, False]) for role in sorted({role for role, _ in counts})
    )


def _bands(times: Iterable[float]) -> tuple[Band, ...]:
    counts = Counter(bisect_left(BANDS, seconds) for seconds in times)
    return tuple(Band(up_to, counts[number]) for number, up_to in enumerate((*BANDS, None)))


def _days(standing: Iterable[Decision], zone: tzinfo | None) -> tuple[DayStats, ...]:
    days: defaultdict[date, list[Decision]] = defaultdict(list)
    for one in standing:
        if one.act in COUNTED:
            days[datetime.fromtimestamp(one.at, zone).date()].append(one)
    return tuple(DayStats(day, _tally(some)) for day, some in sorted(days.items()))


def _tally(some: Iterable[Decision]) -> Tally:
    counts = Counter(one.act for one in some)
    return Tally(*(counts[act] for act in COUNTED))


def _waited(one: Decision) -> float:
    return max(0.0, one.at - float(one.body["asked"]))


def _times(given: Iterable[Judgement]) -> list[float]:
    return [one.seconds for one in given if one.seconds is not None]


def _spread(times: Sequence[float]) -> Spread:
    return Spread(len(times), quantile(times, 0.5), quantile(times, 0.9))


def _rate(hits: int, of: int) -> Rate:
    return Rate(hits, of, hits / of if of else None)


def _word(value: Any) -> str:
    return "" if value is None else str(value)
