"""What orchestration costs: Coterie beside bare anyio and its peers on the same no-op work, in one run.

    python benchmarks/orchestration.py            # the table, and benchmarks/results/orchestration.{json,md}
    python benchmarks/orchestration.py --quick    # the same in half a minute, nothing written

Each candidate is a file in rivals/ and lives in its own process; rounds go through all of them in turn, so that a
machine that slows down slows all of them. Peers get an environment of their own, made on first use. What is compared,
and what is not, is in README.md.
"""

import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rivals.work import NODES, RUNS

HERE = Path(__file__).parent
BARE, OURS, FLOOR = "bare anyio", "Coterie", "plain await"
CANDIDATES = {
    BARE: "bare_anyio",
    OURS: "coterie_flow",
    "Burr": "burr_machine",
    "pydantic-graph": "pydantic_graph_steps",
    "AutoGen core": "autogen_agents",
    "Agent Framework": "agent_framework_workflow",
    "LangGraph": "langgraph_graph",
    FLOOR: "plain_await",
}
NO_PEERS = (BARE, OURS, FLOOR)  # these run in our own environment
WORKLOADS = {
    "chain": "chain of 10 nodes",
    "fan_out": "fan-out to 64 and join",
    "concurrent": f"{RUNS} concurrent runs of 5 nodes",
}
# About 10,000 nodes a round, which hold several full garbage collections: in shorter rounds, whether one falls into a
# round or not decides the figure. The second number is how many times the first many repeats are done.
REPEATS = {"chain": (1000, 1), "fan_out": (150, 1), "concurrent": (RUNS, 4)}
QUICK = {"chain": (200, 1), "fan_out": (30, 1), "concurrent": (RUNS, 1)}
BOUND = 1.5  # times bare anyio that we promise to stay within
IMPORT_BOUND = 150  # milliseconds that importing coterie.orchestration may take
UNTRACED = {  # switches off what peers would trace unasked
    "AUTOGEN_DISABLE_RUNTIME_TRACING": "true",
    "ENABLE_INSTRUMENTATION": "false",  # Agent Framework
    "LANGSMITH_TRACING": "false",
}

Figures = dict[str, dict[str, list[float]]]  # workload -> candidate -> microseconds a node, one for each round


@dataclass(frozen=True, slots=True)
class Cell:
    """What one candidate took for one workload, in microseconds a node."""

    median: float
    least: float
    most: float
    ratio: float  # of the medians, to bare anyio

    @property
    def spread(self) -> str:
        return f"{self.least:.0f}-{self.most:.0f}"

    def __str__(self) -> str:
        return f"{self.median:.0f} ({self.spread}), {self.ratio:.2f} x"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds through all candidates that count; the median wins.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Three short rounds; written only with --results.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Folder for orchestration.json and .md.", show_default="benchmarks/results")
    ] = None,
    python: Annotated[
        Path, typer.Option(help="Python that has Coterie.", show_default="the one that runs this", exists=True)
    ] = Path(sys.executable),
    rivals: Annotated[
        Path | None,
        typer.Option(help="Python that has the peers.", show_default=".venv-bench, made when missing", exists=True),
    ] = None,
) -> None:
    """Measure what orchestration costs, in microseconds a node: Coterie beside bare anyio and its peers.

    Every candidate does the same work: nodes that return a new, validated message. Answers are checked.
    """
    console = Console()
    peers = rivals or environment(console)
    machine = facts(python, peers)
    figures = measure(console, python, peers, 3 if quick else rounds, QUICK if quick else REPEATS)
    imports = [import_milliseconds(python) for _ in range(3 if quick else 7)]
    console.print(table(figures))
    console.print(verdict(figures, imports), soft_wrap=True)
    if results or not quick:
        write(results or HERE / "results", figures, imports, machine)


def environment(console: Console) -> Path:
    """The interpreter of the peers' own environment; made anew when the pinned versions are other ones."""
    folder = HERE.parent / ".venv-bench"
    python, complete = folder / "bin" / "python", folder / "complete"
    requirements = HERE / "rivals-requirements.txt"
    pinned = requirements.read_text(encoding="utf-8")
    if not complete.exists() or complete.read_text(encoding="utf-8") != pinned:
        console.print("making an environment for the peers (a minute or two, once)")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", requirements], check=True)
        complete.write_text(pinned, encoding="utf-8")
    return python


def measure(console: Console, python: Path, peers: Path, rounds: int, repeats: dict[str, tuple[int, int]]) -> Figures:
    """Rounds through all candidates, every other one backwards. A first round warms up and is not counted."""
    figures: Figures = {workload: {name: [] for name in CANDIDATES} for workload in WORKLOADS}
    with workers(python, peers) as asked:
        for number in range(rounds + 1):
            console.print(f"round {number} of {rounds}" if number else "warming up", style="dim")
            for workload, by_candidate in figures.items():
                many, times = repeats[workload]
                for name in reversed(CANDIDATES) if number % 2 else CANDIDATES:
                    seconds = measured(name, asked[name], workload, many, times)
                    if number:
                        by_candidate[name].append(seconds / (many * times * NODES[workload]) * 1e6)
    return figures


@contextmanager
def workers(python: Path, peers: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A living process for each candidate."""
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


def measured(name: str, process: subprocess.Popen[str], workload: str, many: int, times: int) -> float:
    """Seconds that the candidate took."""
    assert process.stdin is not None  # noqa: S101 - opened above
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):  # it ended; its empty answer says so
        process.stdin.write(json.dumps({"workload": workload, "repeats": many, "times": times}) + "\n")
        process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"{name} ended at {workload!r} instead of answering; its own error is above")
    seconds: float = json.loads(answer)["seconds"]
    return seconds


def import_milliseconds(python: Path) -> float:
    """How long `import coterie.orchestration` takes in a fresh process."""
    code = "import time; t = time.perf_counter(); import coterie.orchestration; print(time.perf_counter() - t)"
    return float(subprocess.check_output([python, "-c", code], text=True)) * 1e3


def cells(by_candidate: dict[str, list[float]]) -> dict[str, Cell]:
    bare = statistics.median(by_candidate[BARE])
    return {
        name: Cell(statistics.median(found), min(found), max(found), statistics.median(found) / bare)
        for name, found in by_candidate.items()
    }


def table(figures: Figures) -> Table:
    """A row for each candidate, narrow enough for 80 columns."""
    drawn = Table(title="microseconds a node: median, times bare anyio; below, least-most")
    drawn.add_column("candidate")
    for title in WORKLOADS.values():
        drawn.add_column(title, justify="right")
    columns = [cells(by_candidate) for by_candidate in figures.values()]
    for name in CANDIDATES:
        found = [column[name] for column in columns]
        style = "bold" if name == OURS else "dim" if name == FLOOR else ""
        drawn.add_row(name, *(f"{cell.median:.0f}  {cell.ratio:.2f} x\n{cell.spread}" for cell in found), style=style)
    return drawn


def verdict(figures: Figures, imports: list[float]) -> str:
    """Where we keep our promises and where we lose, in plain words."""
    said = []
    for workload, by_candidate in figures.items():
        found = cells(by_candidate)
        ours = found[OURS]
        kept = "within" if ours.ratio <= BOUND else "NOT within"
        apart = [ours / bare for ours, bare in zip(by_candidate[OURS], by_candidate[BARE], strict=True)]
        said.append(
            f"{WORKLOADS[workload]}: {ours.ratio:.2f} x bare anyio ({min(apart):.2f}-{max(apart):.2f} round by round), "
            f"{kept} {BOUND} x; {beside_peers(by_candidate)}; {ours.median / found[FLOOR].median:.0f} x a plain await"
        )
    median = statistics.median(imports)
    kept = "within" if median <= IMPORT_BOUND else "NOT within"
    said.append(f"import coterie.orchestration: {median:.0f} ms in a fresh process, {kept} {IMPORT_BOUND} ms")
    return "\n".join(said)


def beside_peers(by_candidate: dict[str, list[float]]) -> str:
    """Who is faster than we are: by the median, or in some of the rounds."""
    found = cells(by_candidate)
    ahead = [name for name, cell in found.items() if name not in NO_PEERS and cell.median < found[OURS].median]
    said = f"SLOWER than {', '.join(ahead)}" if ahead else "faster than every peer"
    for name in found:
        pairs = list(zip(by_candidate[name], by_candidate[OURS], strict=True))
        lost = sum(theirs < ours for theirs, ours in pairs)
        if lost and name not in NO_PEERS:
            said += f", {name} being faster in {lost} of {len(pairs)} rounds"
    return said


def write(folder: Path, figures: Figures, imports: list[float], machine: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {"machine": machine, "microseconds a node": figures, "import milliseconds": imports}
    (folder / "orchestration.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    columns = [cells(by_candidate) for by_candidate in figures.values()]
    lines = [
        "# Orchestration overhead",
        "",
        "Microseconds a node: median (least-most) over rounds that go through all candidates in turn, and times bare",
        "anyio. `plain await` orchestrates nothing; it is the floor. What is compared: [README.md](../README.md).",
        "",
        f"| candidate | {' | '.join(WORKLOADS.values())} |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(str(column[name]) for column in columns)} |" for name in CANDIDATES),
        "",
        *(f"- {line}" for line in verdict(figures, imports).splitlines()),
        "",
        "; ".join(f"{name} {value}" for name, value in machine.items()),
    ]
    (folder / "orchestration.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def facts(python: Path, peers: Path) -> dict[str, str]:
    """What is measured on what."""
    pinned = [line.partition("==")[0] for line in (HERE / "rivals-requirements.txt").read_text().split()]
    ours, theirs = versions(python, ["anyio", "pydantic"]), versions(peers, ["pydantic", *pinned])
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        **ours,
        **{f"peers' {name}" if name in ours else name: version for name, version in theirs.items()},
    }


def versions(python: Path, packages: list[str]) -> dict[str, str]:
    """The versions of Python and of `packages` in an environment."""
    code = (
        "import importlib.metadata, json, platform, sys; "
        "found = {name: importlib.metadata.version(name) for name in sys.argv[1:]}; "
        "print(json.dumps({'python': platform.python_version(), **found}))"
    )
    try:
        said = subprocess.check_output([python, "-c", code, *packages], text=True)
    except subprocess.CalledProcessError as error:
        wanted = ", ".join(packages)
        raise SystemExit(f"{python} does not have all of {wanted}; its own error is above") from error
    found: dict[str, str] = json.loads(said)
    return found


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else "unknown"


if __name__ == "__main__":
    typer.run(main)
