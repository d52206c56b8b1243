"""The loop, closed and unattended: a desk asks, a scripted reviewer corrects, the role learns, the desk errs less.

    python benchmarks/learning.py DATA/headlines/train.jsonl

200 headlines go through the mood role of the finance desk, and every answer to a person; the reviewer approves what is
right and chooses the right label where it is not. The role learns from that log alone; the gate decides; the same
running desk then asks about 200 other headlines. Required: at least 40 % fewer corrections. Prints a table and writes
it, with a plot, to benchmarks/results/learning.*.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
import typer
from corrections import asking, decide, ended, label_of
from matplotlib.figure import Figure
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from finance_desk import flow as desk_flow  # an example is found beside its program
from finance_flow import NewsLine

from coterie.agents.jsonlines import BadLine, read_objects
from coterie.cli.tuning_view import TuningView, show_learned, told_learned
from coterie.orchestration import Runtime
from coterie.tuning.learner_of import tunable
from coterie.tuning.learning import Learned
from coterie.tuning.log_learning import Told, learn_from_log
from coterie.tuning.recipes import Recipe

ROUND = 200  # headlines
REQUIRED = 0.4  # share of corrections that must be saved
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Round:
    """What the reviewer did in one round."""

    headlines: int
    corrected: int
    seconds: float


def main(
    file: Annotated[Path, typer.Argument(help="JSON lines with text and score, -1 to 1.")],
    recipe: Annotated[str, typer.Option(help="fast, balanced or best.")] = "fast",
    count: Annotated[int, typer.Option(help="Headlines of a round.")] = ROUND,
    write: Annotated[bool, typer.Option(help="Whether to keep the results.")] = True,
) -> None:
    """Measure how many corrections the role needs before and after it has learned."""
    console = Console()
    right = headlines(file, 2 * count)
    halves = dict(islice(right.items(), count)), dict(islice(right.items(), count, None))
    before, learned, after = anyio.run(loop, halves, Recipe.preset(recipe), console)  # type: ignore[arg-type]
    publish(before, learned, after, recipe, write, console)


def headlines(path: Path, limit: int) -> dict[str, str]:
    """The first `limit` different headlines, each with its right label."""
    found: dict[str, str] = {}
    for row in read_objects(path, needed=("text", "score")):
        if isinstance(row, BadLine):
            raise SystemExit(str(row))
        if len(found) < limit:
            found.setdefault(str(row["text"]), label_of(float(str(row["score"]))))
    return found


async def loop(
    halves: tuple[Mapping[str, str], Mapping[str, str]], recipe: Recipe, console: Console
) -> tuple[Round, Told, Round]:
    """One round, learning, and another round in the same running desk."""
    with tempfile.TemporaryDirectory(prefix="coterie-") as folder:
        place = Path(folder, "desk.db")
        async with Runtime(log=place) as runtime:
            before = await reviewed(runtime, place, halves[0])
            agents = tunable([desk_flow.nodes["mood"]])
            with TuningView(console) as view:
                learned = [one async for one in learn_from_log(
                    runtime.log, agents, recipe, runtime.engine, listen=view.take)]  # fmt: skip
            after = await reviewed(runtime, place, halves[1])
    return before, learned[0], after


async def reviewed(runtime: Runtime, place: Path, right: Mapping[str, str]) -> Round:
    """Every headline through the role and past the reviewer."""
    began = time.perf_counter()
    flow = asking(desk_flow.nodes["mood"])
    runs = [await runtime.start(flow, NewsLine(text=text)) for text in right]
    for run in runs:
        await run.wait_settled()
    told, _ = await anyio.to_thread.run_sync(decide, place, right)
    await ended(runs)
    corrected = sum(times for act, times in told.items() if "->" in act)
    return Round(len(right), corrected, time.perf_counter() - began)


def publish(before: Round, learned: Told, after: Round, recipe: str, write: bool, console: Console) -> None:
    """Print and keep what came of it."""
    saved = 1 - after.corrected / before.corrected
    lines = [
        f"# The loop closed: {before.headlines} headlines, learning ({recipe}), {after.headlines} others",
        "",
        "| round | headlines | corrected | seconds |",
        "|---|---|---|---|",
        f"| untuned | {before.headlines} | {before.corrected} | {before.seconds:.1f} |",
        f"| after learning | {after.headlines} | {after.corrected} | {after.seconds:.1f} |",
        "",
        f"{saved:.0%} fewer corrections ({'at least' if saved >= REQUIRED else 'NOT'} the required {REQUIRED:.0%}).",
    ]
    told: dict[str, Any] = {"before": before.corrected, "after": after.corrected, "saved": saved, "recipe": recipe}
    if isinstance(learned, Learned):
        show_learned(console, learned)
        told |= told_learned(learned)
        lines += ["", f"The gate: {learned.verdict}", "", f"{learned.seconds:.1f} seconds from rows to verdict."]
    else:
        lines += ["", f"Nothing was learned: {learned.reason}"]
    text = "\n".join(lines) + "\n"
    console.print(text, markup=False, highlight=False)
    if write:
        RESULTS.mkdir(exist_ok=True)
        RESULTS.joinpath("learning.md").write_text(text, encoding="utf-8")
        RESULTS.joinpath("learning.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        plot(before, after).savefig(RESULTS / "learning.png", dpi=120)


def plot(before: Round, after: Round) -> Figure:
    """Corrections needed, before and after."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    shares = [100 * one.corrected / one.headlines for one in (before, after)]
    bars = axes.bar(["untuned", "after learning"], shares, color=["#b0b7c3", "#2f6f4f"], width=0.55)
    axes.bar_label(bars, [f"{share:.0f} %" for share in shares], padding=3)
    axes.set_ylabel("answers a person corrected, %")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    typer.run(main)
