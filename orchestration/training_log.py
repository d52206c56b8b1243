"""The rows that a role learns from, read from a whole log: what it was told and answered, and what people said of it.

Needs none of the flows' code. Works in a transaction that the caller has opened.
"""

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import Connection, select

from .integrity import settle
from .queries import decisions_since, show
from .review_items import Decision
from .schema import runs
from .training_items import TrainingRow
from .training_rows import training_rows


def rows_of_role(connection: Connection, role: str | None = None, flow: str | None = None) -> Iterator[TrainingRow]:
    """Every message that `role` made, in the order of the runs; None: every role.

    Args:
        flow: only runs of this flow.

    Raises:
        LogCorrupt: a run is not as it was written.
    """
    about: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in settle(decisions_since(connection)).standing:
        about[decision.run].append(decision)
    chosen = select(runs.c.id, runs.c.thread).order_by(runs.c.started, runs.c.id)
    if flow is not None:
        chosen = chosen.where(runs.c.flow == flow)
    for run, thread in connection.execute(chosen).all():
        yield from training_rows(run, thread, show(connection, run), about[run], role)
