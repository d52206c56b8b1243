"""What orchestration costs: Coterie beside bare anyio and its peers on the same no-op work, in one run.

    python benchmarks/orchestration.py            # the table, and benchmarks/results/orchestration.{json,md}
    python benchmarks/orchestration.py --quick    # the same in half a minute, nothing written

Each candidate is a file in rivals/ and lives in its own process; rounds go through all of them in turn, so that a
machine that slows down slows all of them. Peers get an environment of their own, made on first use.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "rivals"))
from work import NODES  # noqa: E402 - a file beside the candidates, which run it too

RESULTS = HERE / "results"
BARE, OURS = "bare anyio", "Coterie"
CANDIDATES = {
    BARE: "bare_anyio",
    OURS: "coterie_flow",
    "Burr": "burr_machine",
    "pydantic-graph": "pydantic_graph_steps",
    "AutoGen core": "autogen_agents",
    "Agent Framework": "agent_framework_workflow",
    "LangGraph": "langgraph_graph",
}
WORKLOADS = {
    "chain": "chain of 10 nodes",
    "fan_out": "fan-out to 64 and join",
    "concurrent": "500 concurrent runs of 5 nodes",
}
REPEATS = {"chain": 100, "fan_out": 30, "concurrent": 500}
BOUND = 1.5  # times bare anyio that we promise to stay within
IMPORT_BOUND = 150  # milliseconds that importing coterie.orchestration may take

Figures = dict[str, dict[str, list[float]]]  # workload -> candidate -> microseconds a node, one for each round


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds through all candidates; the median counts.")] = 9,
    quick: Annotated[bool, typer.Option("--quick", help="Three short rounds; writes nothing.")] = False,
    rivals: Annotated[
        Path | None, typer.Option(help="Python of an environment with the peers; made if left out.")
    ] = None,
) -> None:
    """Measure orchestration overhead, in microseconds a node, beside bare anyio and peers."""
    console = Console()
    peers = rivals or environment(console)
    figures: Figures = {workload: {name: [] for name in CANDIDATES} for workload in WORKLOADS}
    with workers(peers) as asked:
        for number in range(3 if quick else rounds):
            console.print(f"round {number + 1}", style="dim")
            for workload, by_candidate in figures.items():
                repeats = REPEATS[workload] // 5 if quick and workload != "concurrent" else REPEATS[workload]
                for name, process in asked.items():
                    seconds = measured(process, workload, repeats)
                    if seconds is not None:
                        by_candidate[name].append(seconds / (repeats * NODES[workload]) * 1e6)
    imports = [import_milliseconds() for _ in range(3 if quick else 7)]
    console.print(table(figures))
    console.print(verdict(figures, imports))
    if not quick:
        write(figures, imports, peers)


def environment(console: Console) -> Path:
    """The interpreter of the peers' own environment."""
    folder = HERE.parent / ".venv-bench"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        console.print("making an environment for the peers (a minute or two, once)")
        venv.create(folder, with_pip=True, clear=True)
        requirements = HERE / "rivals-requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", requirements, "rich", "typer"], check=True)
        (folder / "complete").touch()
    return python


@contextmanager
def workers(peers: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A living process for each candidate."""
    quiet = os.environ | {
        "LANGSMITH_TRACING": "false",
        "BURR_TELEMETRY_ENABLED": "false",
        "HAMILTON_TELEMETRY_ENABLED": "false",
    }
    started = {}
    for name, module in CANDIDATES.items():
        python = sys.executable if name in (BARE, OURS) else str(peers)
        command = [python, "-W", "ignore", str(HERE / "rivals" / "worker.py"), module]
        started[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)
    try:
        yield started
    finally:
        for process in started.values():
            process.communicate()


def measured(process: subprocess.Popen[str], workload: str, repeats: int) -> float | None:
    """Seconds that the candidate took; None where it does not do this work."""
    assert process.stdin is not None  # noqa: S101 - opened above
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(json.dumps({"workload": workload, "repeats": repeats}) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"{process.args!r} ended; see what it said above")
    seconds: float | None = json.loads(answer)["seconds"]
    return seconds


def import_milliseconds() -> float:
    """How long `import coterie.orchestration` takes in a fresh process."""
    code = "import time; t = time.perf_counter(); import coterie.orchestration; print(time.perf_counter() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code], text=True)) * 1e3


def rows(figures: Figures) -> Iterator[tuple[str, list[str]]]:
    for name in CANDIDATES:
        cells = []
        for by_candidate in figures.values():
            found = by_candidate[name]
            if not found:
                cells.append("-")
                continue
            ratio = statistics.median(found) / statistics.median(by_candidate[BARE])
            cells.append(f"{statistics.median(found):.0f} ({min(found):.0f}-{max(found):.0f}), {ratio:.2f} x")
        yield name, cells


def table(figures: Figures) -> Table:
    drawn = Table(title="microseconds a node: median (min-max), and times bare anyio")
    drawn.add_column("candidate")
    for title in WORKLOADS.values():
        drawn.add_column(title, justify="right")
    for name, cells in rows(figures):
        drawn.add_row(name, *cells, style="bold" if name == OURS else "")
    return drawn


def verdict(figures: Figures, imports: list[float]) -> str:
    """Where we keep our promises and where we lose, in plain words."""
    said = []
    for workload, by_candidate in figures.items():
        medians = {name: statistics.median(found) for name, found in by_candidate.items() if found}
        ratio = medians[OURS] / medians[BARE]
        ahead = [name for name, median in medians.items() if name not in (BARE, OURS) and median < medians[OURS]]
        kept = "within" if ratio <= BOUND else "NOT within"
        lost = f"; {', '.join(ahead)} faster than we are" if ahead else "; ahead of every peer"
        said.append(f"{WORKLOADS[workload]}: {ratio:.2f} x bare anyio, {kept} {BOUND} x{lost}")
    median = statistics.median(imports)
    kept = "within" if median <= IMPORT_BOUND else "NOT within"
    said.append(f"import coterie.orchestration: {median:.0f} ms in a fresh process, {kept} {IMPORT_BOUND} ms")
    return "\n".join(said)


def write(figures: Figures, imports: list[float], peers: Path) -> None:
    RESULTS.mkdir(exist_ok=True)
    machine = facts(peers)
    data: dict[str, Any] = {"machine": machine, "microseconds a node": figures, "import milliseconds": imports}
    (RESULTS / "orchestration.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Orchestration overhead",
        "",
        "Microseconds a node: median (minimum-maximum) over rounds that go through all candidates in turn, and times",
        "bare anyio. `-`: the candidate has no such thing within one run.",
        "",
        f"| candidate | {' | '.join(WORKLOADS.values())} |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows(figures)),
        "",
        *(f"- {line}" for line in verdict(figures, imports).splitlines()),
        "",
        "; ".join(f"{name} {value}" for name, value in machine.items()),
    ]
    (RESULTS / "orchestration.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def facts(peers: Path) -> dict[str, str]:
    """What was measured on what."""
    listed = subprocess.check_output([peers, "-m", "pip", "list", "--format=json"], text=True)
    wanted = {line.partition("==")[0] for line in (HERE / "rivals-requirements.txt").read_text().split()}
    found = {row["name"]: row["version"] for row in json.loads(listed) if row["name"] in wanted}
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "anyio": version("anyio"),
        "pydantic": version("pydantic"),
        **found,
    }


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


if __name__ == "__main__":
    typer.run(main)
