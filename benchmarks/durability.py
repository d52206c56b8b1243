"""What a durable step costs: Coterie's log beside LangGraph's SQLite saver and the disk alone, in one run.

    python benchmarks/durability.py            # the table, and benchmarks/results/durability.{json,md}
    python benchmarks/durability.py --quick    # the same in half a minute, nothing written

Candidates live in processes of their own and take turns, as in orchestration.py. Then Coterie alone: how many bytes the
log grows by at each step of a long run, and how much a process grows by over many runs.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestration import HERE, UNTRACED, environment, measured, processor, versions

OURS, SYNC, DEFAULT, DISK = "Coterie", "LangGraph, sync", "LangGraph, default", "the disk alone"
CANDIDATES = {
    OURS: "coterie_durable",
    SYNC: "langgraph_sqlite",
    DEFAULT: "langgraph_sqlite_default",
    DISK: "plain_sqlite",
}
NO_PEERS = (OURS, DISK)
WORKLOADS = {"chain": "chain of 10 nodes", "concurrent": "100 concurrent runs of 10 nodes"}
NODES = 10
BOUNDS = {"chain": 350, "concurrent": 150}  # microseconds a node that we promise
TIMES_FASTER = 4  # than LangGraph, sync, in the chain
Figures = dict[str, dict[str, list[float]]]  # workload -> candidate -> microseconds a node, one for each round

GROWTH = """
import json, sys, anyio, os
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from coterie_flow import Token, once, LONG_CHAIN
from coterie.agents import Message
from coterie.orchestration import Runtime, Workflow, node
import resource, tempfile

@node
async def again(token: Token) -> Token:
    return Token(text=token.text, count=token.count + 1)

@node
async def done(token: Token) -> Token:
    return token

loop = Workflow("loop", Token, Token)
loop.start(again)
loop.edge(again, again, when=lambda token: token.count < 1000, max_visits=2000, exhausted=done)
loop.edge(again, done, when=lambda token: token.count >= 1000)
loop.end(done)
LOOP = loop.build()

def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def bytes_of(place):
    import sqlite3
    rows = sqlite3.connect(place).execute(
        "SELECT seq, length(body) + length(hash) + length(kind) + length(task) + length(node) FROM facts ORDER BY seq"
    ).fetchall()
    messages = sqlite3.connect(place).execute("SELECT avg(length(body) + length(digest)) FROM messages").fetchone()[0]
    steps = [size for seq, size in rows if size]
    chunk = lambda a, b: sum(steps[2 * a : 2 * b]) / (b - a) + messages
    return chunk(5, 25), chunk(980, 1000)

async def main():
    folder = Path(tempfile.mkdtemp(prefix="durable-"))
    async with Runtime(log=folder / "long.db") as runtime:
        run = await runtime.start(LOOP, Token(text="x", count=0))
        await run.result()
    early, late = bytes_of(folder / "long.db")
    many = int(sys.argv[2])
    async with Runtime(log=folder / "many.db") as runtime:
        for _ in range(many // 10):
            await once(runtime, LONG_CHAIN, 10)
        before = memory()
        for _ in range(many):
            await once(runtime, LONG_CHAIN, 10)
        after = memory()
    found = {"bytes at step 10": early, "bytes at step 1000": late, "MiB grown": after - before, "runs": many}
    print(json.dumps(found))

anyio.run(main)
"""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count; the median wins.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Three short rounds; written only with --results.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Folder for durability.json and .md.", show_default="benchmarks/results")
    ] = None,
    python: Annotated[
        Path, typer.Option(help="Python that has Coterie.", show_default="the one that runs this", exists=True)
    ] = Path(sys.executable),
    rivals: Annotated[
        Path | None,
        typer.Option(help="Python that has the peers.", show_default=".venv-bench, made when missing", exists=True),
    ] = None,
) -> None:
    """Measure what a durable step costs, in microseconds a node."""
    console = Console()
    peers = rivals or environment(console)
    repeats = {"chain": 20, "concurrent": 100} if quick else {"chain": 100, "concurrent": 100}
    figures = measure(console, python, peers, 3 if quick else rounds, repeats)
    growth = grown(python, 1000 if quick else 10_000)
    console.print(table(figures))
    console.print(verdict(figures, growth), soft_wrap=True)
    if results or not quick:
        write(results or HERE / "results", figures, growth, machine(python, peers))


def measure(console: Console, python: Path, peers: Path, rounds: int, repeats: dict[str, int]) -> Figures:
    """Rounds through all candidates, every other one backwards; the first warms up."""
    figures: Figures = {workload: {name: [] for name in CANDIDATES} for workload in WORKLOADS}
    with workers(python, peers) as asked:
        for number in range(rounds + 1):
            console.print(f"round {number} of {rounds}" if number else "warming up", style="dim")
            for workload, by_candidate in figures.items():
                for name in reversed(CANDIDATES) if number % 2 else CANDIDATES:
                    seconds = measured(name, asked[name], workload, repeats[workload], 1)
                    if number:
                        by_candidate[name].append(seconds / (repeats[workload] * NODES) * 1e6)
    return figures


@contextmanager
def workers(python: Path, peers: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    started: dict[str, subprocess.Popen[str]] = {}
    try:
        for name, module in CANDIDATES.items():
            chosen = python if name in NO_PEERS else peers
            command: list[str | Path] = [chosen, "-W", "ignore", HERE / "rivals" / "worker.py", module]
            pipe, quiet = subprocess.PIPE, os.environ | UNTRACED
            started[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=quiet)
        yield started
    finally:
        for process in started.values():
            process.communicate()


def grown(python: Path, runs: int) -> dict[str, float]:
    """Bytes a step early and late in a long run, and how many MiB a process grows by over `runs` runs."""
    said = subprocess.check_output([python, "-c", GROWTH, HERE / "rivals", str(runs)], text=True)
    found: dict[str, float] = json.loads(said)
    return found


def table(figures: Figures) -> Table:
    drawn = Table(title="microseconds a node: median; below, least-most")
    drawn.add_column("candidate")
    for title in WORKLOADS.values():
        drawn.add_column(title, justify="right")
    for name in CANDIDATES:
        cells = [by_candidate[name] for by_candidate in figures.values()]
        drawn.add_row(name, *(said(found) for found in cells), style="bold" if name == OURS else "")
    return drawn


def said(found: list[float]) -> str:
    return f"{statistics.median(found):.0f}\n{min(found):.0f}-{max(found):.0f}"


def verdict(figures: Figures, growth: dict[str, float]) -> str:
    """Where we keep our promises and where we do not, in plain words."""
    lines = []
    for workload, by_candidate in figures.items():
        ours, sync = statistics.median(by_candidate[OURS]), statistics.median(by_candidate[SYNC])
        disk = statistics.median(by_candidate[DISK])
        kept = "within" if ours <= BOUNDS[workload] else "NOT within"
        lines.append(
            f"{WORKLOADS[workload]}: {ours:.0f} us a node, {kept} {BOUNDS[workload]}; "
            f"{sync / ours:.1f} times as fast as LangGraph sync; {ours / disk:.1f} times the disk alone"
        )
    early, late = growth["bytes at step 10"], growth["bytes at step 1000"]
    lines.append(f"bytes a step: {early:.0f} around step 10, {late:.0f} around step 1,000 ({late / early - 1:+.1%})")
    lines.append(f"{growth['runs']:,.0f} runs grow the process by {growth['MiB grown']:.1f} MiB")
    return "\n".join(lines)


def machine(python: Path, peers: Path) -> dict[str, str]:
    ours = versions(python, ["anyio", "pydantic", "sqlalchemy"])
    theirs = versions(peers, ["langgraph", "langgraph-checkpoint-sqlite"])
    return {"processor": processor(), "cores": str(os.cpu_count()), **ours, **theirs}


def write(folder: Path, figures: Figures, growth: dict[str, float], facts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {"machine": facts, "microseconds a node": figures, "growth": growth}
    (folder / "durability.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# What a durable step costs",
        "",
        "Microseconds a node: median (least-most) over rounds that go through all candidates in turn.",
        "",
        f"| candidate | {' | '.join(WORKLOADS.values())} |",
        "|---|---|---|",
        *(
            f"| {name} | {' | '.join(said(by[name]).replace(chr(10), ' (') + ')' for by in figures.values())} |"
            for name in CANDIDATES
        ),
        "",
        *(f"- {line}" for line in verdict(figures, growth).splitlines()),
        "",
        "; ".join(f"{name} {value}" for name, value in facts.items()),
    ]
    (folder / "durability.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
