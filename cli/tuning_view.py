"""How a tuning looks: what it is doing and how far it is, then before, after and the verdict."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ..tuning.learners import Step
from ..tuning.learning import Learned
from .text import safe

FLIPS = 5  # rows that got worse which are shown
STYLES = {"promote": "green", "keep live": "yellow", "not enough evidence": "yellow"}


class TuningView:
    """A bar for what is being done; off a terminal, a line each time that something else begins."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None
        self._doing = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def take(self, step: Step) -> None:
        """Show `step`; may be called from any thread."""
        if step.doing != self._doing or self._bar is None:
            self._doing = step.doing
            self._bar = self._progress.add_task(safe(step.doing), total=step.total or None, detail="")
            if not self._console.is_terminal:
                self._console.print(step.doing, markup=False, highlight=False)
        self._progress.update(self._bar, completed=step.done, total=step.total or None, detail=safe(step.detail))


def show_learned(console: Console, learned: Learned) -> None:
    """The rungs, before and after, the verdict with its reasons, and the rows that got worse."""
    rungs = Table("rung", "validation", "seconds", "trained", "", title="Ladder", title_justify="left")
    for rung in learned.rungs:
        trained = f"{rung.trainable:,}" if rung.trainable else ""
        mark = "kept" if rung.kept else ""
        rungs.add_row(rung.name, f"{rung.validation:.4f}", f"{rung.seconds:.1f}", trained, f"{mark} {safe(rung.note)}")
    console.print(rungs)
    live = learned.live[:12] or "untuned"
    console.print(
        f"{learned.measure} on rows that neither saw: {learned.before:.4f} ({live}) -> "
        f"{learned.after:.4f} ({learned.release.digest[:12]})",
        highlight=False,
    )
    style = STYLES[learned.verdict.decision]
    console.print(Text(safe(learned.verdict.headline), style=f"bold {style}"))
    for check in learned.verdict.checks:
        console.print(f"  {check.state:8} {safe(check.found)}", markup=False, highlight=False)
    worse = [flip for flip in learned.verdict.flips if flip.change < 0]
    if worse:
        console.print(f"{len(worse):,} rows got worse, the worst first:", highlight=False)
    for flip in worse[:FLIPS]:
        console.print(
            f"  {safe(flip.row_id)}: {safe(flip.live)} -> {safe(flip.candidate)}", markup=False, highlight=False
        )
    console.print(_what_now(learned), markup=False, highlight=False)


def told_learned(learned: Learned) -> dict[str, Any]:
    """The same as JSON values."""
    verdict = learned.verdict
    return {
        "role": learned.role,
        "candidate": learned.release.digest,
        "live": learned.live,
        "measure": learned.measure,
        "before": learned.before,
        "after": learned.after,
        "rungs": [
            {
                "name": rung.name,
                "validation": rung.validation,
                "seconds": rung.seconds,
                "trainable": rung.trainable,
                "kept": rung.kept,
                "note": rung.note,
            }
            for rung in learned.rungs
        ],
        "verdict": verdict.decision,
        "more_reviews": verdict.more_reviews,
        "checks": [{"name": one.name, "state": one.state, "found": one.found} for one in verdict.checks],
        "flips": [
            {"row": one.row_id, "change": one.change, "live": one.live, "candidate": one.candidate}
            for one in verdict.flips
        ],
        "promoted": learned.promoted,
        "seconds": learned.seconds,
    }


def _what_now(learned: Learned) -> str:
    digest = learned.release.digest[:12]
    if learned.promoted:
        return f"{learned.role} is served by {digest} from now on; go back with `coterie rollback {learned.role}`"
    by_hand = f"`coterie promote {learned.role} {digest}`"
    return f"{learned.role} is served as before; the candidate is kept, and {by_hand} puts it to work all the same"
