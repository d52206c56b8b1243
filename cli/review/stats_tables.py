"""Reviewers' work as tables for a terminal; where one is too wide for the screen, as lines that say the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ...orchestration.review_tables import (
    FieldStats,
    MarkStats,
    NodeStats,
    Rate,
    ReviewerStats,
    ReviewStats,
    Spread,
    Tally,
)
from ..runs import length
from ..text import safe

DAYS = 14  # the latest that are listed
CHANGES = 3  # of labels, listed for a field
NAME = 32  # characters of a name
NONE = "-"
OFTEN = "most often"
FOLDED = 24  # characters that a folded column has at least
INDENT = 2
DONE = ("approved", "chosen", "edited", "rejected", "skipped")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before it is drawn."""

    title: str
    columns: tuple[str, ...]
    names: int  # the first columns, which name what a row is about; figures follow
    rows: tuple[tuple[str, ...], ...]


def parts(found: ReviewStats, width: int) -> Iterator[RenderableType]:
    """What is printed, from the top; nothing is wider than `width` characters."""
    yield Text(_summary(found))
    if not found.reviewers and not found.fields and not found.marks:
        return
    yield Text(_pace(found))
    for sheet in sheets(found):
        if sheet.rows:
            yield Group(Text(), Text(sheet.title, style="bold"), drawn(sheet, width))


def sheets(found: ReviewStats) -> Iterator[Sheet]:
    """Every table, with what it shows as text."""
    columns = (
        "by", "decided", "/hour", "median", "p90", "agrees", "blind", "kappa", "caught", "known", "undone",
    )  # fmt: skip
    title = "by reviewer (agrees and blind: with the model, seen or not; kappa: with other people)"
    yield Sheet(title, columns, 1, tuple(_reviewer(row) for row in found.reviewers))
    yield Sheet("by review and role", ("review", "role", "items", *DONE), 2, tuple(map(_node, found.nodes)))
    yield Sheet("corrected", ("role", "field", "times", OFTEN), 2, tuple(map(_field, found.fields)))
    yield Sheet("passages marked", ("role", "right", "wrong"), 1, tuple(map(_mark, found.marks)))
    days = tuple((str(day.day), f"{day.done.decided:,}", *_counts(day.done)) for day in found.days[-DAYS:])
    left_out = "" if len(found.days) <= DAYS else f" (the latest {DAYS} of {len(found.days)}; --json has all)"
    yield Sheet(f"by day{left_out}", ("day", "decided", *DONE), 1, days)


def drawn(sheet: Sheet, width: int) -> RenderableType:
    """The table, or lines where it does not fit into `width`."""
    widths = [max(map(cell_len, column)) for column in zip(sheet.columns, *sheet.rows, strict=True)]
    if sheet.columns[-1] == OFTEN:
        widths[-1] = min(widths[-1], max(FOLDED, width - sum(widths[:-1]) - len(widths) + 1))
    if sum(widths) + len(widths) - 1 > width:
        return Group(*(_lines(sheet, row, width) for row in sheet.rows))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for number, (name, wide) in enumerate(zip(sheet.columns, widths, strict=True)):
        left = number < sheet.names or name == OFTEN
        table.add_column(name, justify="left" if left else "right", width=wide, no_wrap=name != OFTEN, overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(Text, row))
    return table


def _lines(sheet: Sheet, row: Sequence[str], width: int) -> RenderableType:
    """The name, and below it the figures, which stay whole as long as one of them fits into a line."""
    figures = zip(sheet.columns[sheet.names :], row[sheet.names :], strict=True)
    lines = [""]
    for part in (f"{column} {value}" for column, value in figures):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if cell_len(joined) <= width - INDENT:
            lines[-1] = joined
        else:
            lines.append(part)
    told = (Padding(Text(line, overflow="fold"), (0, 0, 0, INDENT)) for line in lines if line)
    return Group(Text(" / ".join(row[: sheet.names]), overflow="fold"), *told)


def _summary(found: ReviewStats) -> str:
    if found.since is None or found.until is None:
        return f"nothing was decided{f', {found.undone:,} undone' if found.undone else ''}"
    counts = {
        "skipped": found.done.skipped,
        "undone": found.undone,
        "amended": found.amended,
        "known items": found.checks,
        "refused by the flow": found.refused,
    }
    told = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
    first, last = _day(found.since), _day(found.until)
    return f"{found.done.decided:,} decided{told}; {first if first == last else f'{first} to {last}'}"


def _pace(found: ReviewStats) -> str:
    return (
        f"an answer takes {_of_nine(found.seconds)}, and comes {_of_nine(found.waited)} after the question"
        if found.done.decided
        else "no answers yet"
    )


def _of_nine(spread: Spread) -> str:
    if spread.median is None or spread.p90 is None:
        return "an unknown time"
    return f"{_time(spread.median)} (nine of ten within {_time(spread.p90)})"


def _reviewer(row: ReviewerStats) -> tuple[str, ...]:
    return (
        _name(row.by),
        f"{row.decided:,}",
        NONE if row.per_hour is None else f"{row.per_hour:,.0f}",
        _time(row.seconds.median),
        _time(row.seconds.p90),
        NONE if row.agreement.share is None else _share(row.agreement.share),
        _of(row.blind_agreement),
        NONE if row.kappa is None else f"{round(row.kappa, 2) + 0:.2f}",
        _of(row.caught),
        _of(row.checks),
        f"{row.undone:,}",
    )


def _node(row: NodeStats) -> tuple[str, ...]:
    items = row.done.decided + row.done.skipped
    return (_name(f"{row.flow}/{row.node}"), _name(row.role), f"{items:,}", *map(_share, row.shares.values()))


def _field(row: FieldStats) -> tuple[str, ...]:
    often = ", ".join(
        f"{safe(one.before, NAME)} -> {safe(one.after, NAME)} {one.count:,}" for one in row.labels[:CHANGES]
    )
    return _name(row.role), _name(row.field), f"{row.count:,}", often or NONE


def _mark(row: MarkStats) -> tuple[str, ...]:
    return _name(row.role), f"{row.right:,}", f"{row.wrong:,}"


def _counts(done: Tally) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in (done.approved, done.chosen, done.edited, done.rejected, done.skipped))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds:.1f} s" if seconds < 10 else length(seconds)


def _share(value: float) -> str:
    return f"{value:.0%}"


def _of(rate: Rate) -> str:
    """A share of few cases is told with their number."""
    return f"{rate.hits:,}/{rate.of:,}" if rate.of else NONE


def _name(text: str) -> str:
    return safe(text, NAME) or NONE


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d")
