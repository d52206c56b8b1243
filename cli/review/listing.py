"""What waits, as a table of one row each, cut to the terminal's width; a blind item's proposal is kept back."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ...orchestration.review_items import Item
from ..text import safe
from .values import HIDDEN, confidence, label_of, share, spoken

WIDE = 100  # columns from which runs and tasks are named in full
RUN = 6  # characters of a run's id on narrower terminals
LABEL = 24  # columns at most
LONG = 200  # characters of a field
WHY, CASE = 2, 3  # how they share the rest


def waiting_table(items: Sequence[Item], width: int) -> Table:
    """The items in the order in which they should be decided."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=width, header_style="bold")
    wide = width >= WIDE
    table.add_column("run", no_wrap=True)
    if wide:
        table.add_column("task", no_wrap=True, overflow="ellipsis", max_width=LABEL)
    table.add_column("proposed", no_wrap=True, overflow="ellipsis", max_width=LABEL)
    table.add_column("sure", no_wrap=True, justify="right")
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=WHY)
    table.add_column("case", no_wrap=True, overflow="ellipsis", ratio=CASE)
    for item in items:
        run = [item.run, item.task] if wide else [item.run[:RUN]]
        table.add_row(*(Text(safe(one, 400)) for one in [*run, *_told(item)]))
    return table


def _told(item: Item) -> tuple[str, str, str, str]:
    """What is proposed, how sure the model is, why a person is asked, and what it is about."""
    if item.blind and item.form.labels:
        return HIDDEN.partition(" ")[0], "", "", item.about
    about = item.about or ", ".join(spoken(value)[:LONG] for value in item.proposal.fields.values())
    sure = confidence(item)
    label = label_of(item) or item.proposal.type
    why = sorted(item.why, key=lambda one: "% sure" in one)  # what the column before it does not say comes first
    return label, "-" if sure is None else share(sure), "; ".join(why), about
