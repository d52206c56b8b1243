"""The durability benchmark measures right answers, and says plainly what was kept and what was not."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/durability.py, which is a script."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("durability_benchmark", BENCHMARKS / "durability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("candidate", ["coterie_durable", "plain_sqlite"])
def test_candidates_give_right_answers(candidate: str) -> None:
    """A worker checks every answer and would end, not report seconds, if one were wrong."""
    asked = [json.dumps({"workload": workload, "repeats": 2, "times": 1}) for workload in ("chain", "concurrent")]
    command = [sys.executable, str(BENCHMARKS / "rivals" / "worker.py"), candidate]
    run = subprocess.run(command, input="\n".join(asked), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert [list(json.loads(line)) for line in run.stdout.splitlines()] == [["seconds"]] * 2


def test_the_verdict_says_what_was_kept_and_what_was_not(benchmark: ModuleType) -> None:
    """Beside the rival, the disk alone, and our own bounds."""
    figures = {
        "chain": {
            "Coterie": [400.0],
            "LangGraph, sync": [1800.0],
            "LangGraph, default": [1.0],
            "the disk alone": [200.0],
        },
        "concurrent": {"Coterie": [100.0], "LangGraph, sync": [1500.0], "the disk alone": [200.0]},
    }
    growth = {"bytes at step 10": 100.0, "bytes at step 1000": 102.0, "MiB grown": 1.5, "runs": 10_000.0}
    said = benchmark.verdict(figures, growth)
    assert "chain of 10 nodes: 400 us a node, NOT within 350; 4.5 times as fast as LangGraph sync" in said
    assert "100 us a node, within 150; 15.0 times as fast" in said
    assert "100 around step 10, 102 around step 1,000 (+2.0%)" in said
    assert "10,000 runs grow the process by 1.5 MiB" in said


def test_a_step_costs_the_same_bytes_early_and_late(benchmark: ModuleType) -> None:
    """Measured on a real log, as the benchmark does it."""
    growth = benchmark.grown(Path(sys.executable), 20)
    assert growth["bytes at step 1000"] < 1.05 * growth["bytes at step 10"]
