"""Reviewers' work as one picture of four parts. Needs matplotlib; reached through `load`, so that nothing else does.

Draws with a figure of its own and no global state, so it needs no screen and leaves no setting behind.
"""

import warnings
from datetime import date
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from ...orchestration.review_tables import Band, ReviewerStats, ReviewStats, Spread
from ..runs import length
from ..text import safe

INCHES, DOTS = (12.0, 8.0), 100  # 1200 x 800 pixels
ROWS = 8  # reviewers, or fields, in one part
NAME = 20  # characters
LABEL = 12
TICKS = 8  # days that are named
COLOURS = {  # told apart without red and green, too (Okabe and Ito, "Color universal design", 2008)
    "approved": "#0072B2",
    "chosen": "#E69F00",
    "edited": "#009E73",
    "rejected": "#D55E00",
    "skipped": "#BBBBBB",
}
MEASURES = {"with the model": "#0072B2", "with the model, blind": "#56B4E9", "wrong caught": "#D55E00",
            "kappa with others": "#000000"}  # fmt: skip
MARKERS = ("o", "s", "^", "D")


def draw(found: ReviewStats, path: Path) -> None:
    """Write the picture into `path`, as PNG.

    Raises:
        OSError: it cannot be written.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # a name in letters the font lacks
        picture(found).savefig(path, format="png")


def picture(found: ReviewStats) -> Figure:
    """The figure, 1200 x 800 pixels."""
    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    (days, times), (agreement, corrections) = figure.subplots(2, 2)
    _days(days, found)
    _times(times, found.bands, found.seconds)
    _agreement(agreement, found.reviewers)
    _corrections(corrections, found)
    figure.suptitle(f"Reviews: {found.done.decided:,} decided, {found.done.skipped:,} skipped, {found.undone:,} undone")
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a name may hold dollar signs
    return figure


def _days(axes: Axes, found: ReviewStats) -> None:
    axes.set_title("decisions a day")
    if not found.days:
        _nothing(axes)
        return
    places = [one.day.toordinal() for one in found.days]
    below = [0] * len(places)
    for name, colour in COLOURS.items():
        counts = [getattr(one.done, name) for one in found.days]
        if any(counts):
            axes.bar(places, counts, bottom=below, width=0.8, color=colour, label=name)
            below = [low + count for low, count in zip(below, counts, strict=True)]
    _day_axis(axes, found.days[0].day, found.days[-1].day)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, max(below) * 1.3)  # room for the legend
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="upper left", handlelength=1, columnspacing=1)


def _day_axis(axes: Axes, first: date, last: date) -> None:
    low, high = first.toordinal(), last.toordinal()
    spare = max(0.7, 3 - (high - low) / 2)  # a single day is no block
    axes.set_xlim(low - spare, high + spare)
    ticks = range(low, high + 1, (high - low) // TICKS + 1)
    axes.set_xticks(ticks, [date.fromordinal(tick).strftime("%m-%d") for tick in ticks])
    axes.set_xlabel(str(first.year) if first.year == last.year else f"{first} to {last}")


def _times(axes: Axes, bands: tuple[Band, ...], seconds: Spread) -> None:
    axes.set_title("time for an answer")
    if seconds.median is None or seconds.p90 is None:
        _nothing(axes)
        return
    axes.bar(range(len(bands)), [band.count for band in bands], width=0.9, color=COLOURS["approved"])
    axes.set_xticks(range(len(bands)), [_band(bands, number) for number in range(len(bands))], fontsize=9)
    axes.set_xlabel("at most, seconds")
    axes.set_ylabel("answers")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    told = f"median {length(seconds.median)}\nnine of ten within {length(seconds.p90)}"
    axes.text(0.98, 0.96, told, ha="right", va="top", transform=axes.transAxes)
    axes.set_ylim(0, max(band.count for band in bands) * 1.3)  # room for the text


def _band(bands: tuple[Band, ...], number: int) -> str:
    limit = bands[number].up_to
    return f">{bands[number - 1].up_to:g}" if limit is None else f"{limit:g}"


def _agreement(axes: Axes, reviewers: tuple[ReviewerStats, ...]) -> None:
    some = reviewers[:ROWS]
    axes.set_title(f"agreement by reviewer{_rest(len(reviewers))}")
    values = [
        (row.agreement.share, row.blind_agreement.share, row.caught.share, row.kappa) for row in some
    ]  # in the order of `MEASURES`
    if not any(value is not None for row in values for value in row):
        _nothing(axes)
        return
    for number, (name, colour) in enumerate(MEASURES.items()):
        known = [(row[number], place) for place, row in enumerate(values) if row[number] is not None]
        offset = 0.18 * (number - 1.5)  # equal values stay apart
        axes.scatter([value or 0.0 for value, _ in known], [place + offset for _, place in known],
                     color=colour, marker=MARKERS[number], s=40, label=name, zorder=3)  # fmt: skip
    least = min(0.0, *(row[3] or 0.0 for row in values))
    axes.set_xlim(least - 0.04, 1.04)
    axes.set_ylim(len(some) - 0.5, -0.5)
    axes.set_yticks(range(len(some)), [f"{_name(row.by)}\n{row.decided:,} decided" for row in some], fontsize=9)
    axes.grid(axis="x", color="#DDDDDD")
    axes.legend(frameon=False, fontsize=9, ncols=4, loc="upper center", bbox_to_anchor=(0.45, -0.08), handletextpad=0.1,
                columnspacing=1)  # fmt: skip


def _corrections(axes: Axes, found: ReviewStats) -> None:
    some = found.fields[:ROWS]
    axes.set_title(f"corrected, by role and field{_rest(len(found.fields))}")
    if not some:
        _nothing(axes)
        return
    bars = axes.barh(range(len(some)), [one.count for one in some], height=0.7, color=COLOURS["chosen"])
    often = [
        f"{one.count:,}"
        + (f"  {_name(one.labels[0].before, LABEL)} -> {_name(one.labels[0].after, LABEL)}" if one.labels else "")
        for one in some
    ]
    axes.bar_label(bars, often, padding=4, fontsize=9)
    axes.set_xlim(0, some[0].count * 2.2)  # room for the labels
    axes.set_ylim(max(len(some), 3) - 0.5, -0.5)
    axes.set_yticks(range(len(some)), [f"{_name(one.role)}\n{_name(one.field)}" for one in some], fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axes.transAxes, color="#666666")
    axes.set_xticks([])
    axes.set_yticks([])


def _rest(count: int) -> str:
    return f" (the first {ROWS} of {count:,})" if count > ROWS else ""


def _name(text: str, most: int = NAME) -> str:
    return safe(text, most) or "-"
