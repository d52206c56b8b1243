"""The orchestration benchmark measures right answers, and says plainly who wins."""

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
    """benchmarks/orchestration.py, which is a script."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("orchestration_benchmark", BENCHMARKS / "orchestration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where its dataclass looks for it
    spec.loader.exec_module(module)
    return module


def made_up(benchmark: ModuleType, **medians: float) -> dict[str, dict[str, list[float]]]:
    """Three equal rounds of everybody; what is not named takes 100 microseconds."""
    by_candidate = {name: [medians.get(module, 100.0)] * 3 for name, module in benchmark.CANDIDATES.items()}
    return dict.fromkeys(benchmark.WORKLOADS, by_candidate)


@pytest.mark.parametrize("candidate", ["bare_anyio", "coterie_flow", "plain_await"])
def test_candidates_give_right_answers(candidate: str) -> None:
    """A worker checks every answer and would end, not report seconds, if one were wrong."""
    asked = [
        json.dumps({"workload": workload, "repeats": 2, "times": 1}) for workload in ("chain", "fan_out", "concurrent")
    ]
    command = [sys.executable, str(BENCHMARKS / "rivals" / "worker.py"), candidate]
    run = subprocess.run(command, input="\n".join(asked), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert [list(json.loads(line)) for line in run.stdout.splitlines()] == [["seconds"]] * 3


def test_a_wrong_answer_ends_the_measurement(benchmark: ModuleType) -> None:
    """A candidate that skips a node is found out."""
    work = importlib.import_module("rivals.work")
    with pytest.raises(AssertionError, match="found 9, expected 10"):
        work.check(9, 10)


def test_the_verdict_names_who_is_faster(benchmark: ModuleType) -> None:
    """Where a peer beats us, or bare anyio by more than the bound, the verdict says so."""
    lost = benchmark.verdict(made_up(benchmark, bare_anyio=20, coterie_flow=50, burr_machine=40), [151.0])
    assert "chain of 10 nodes: 2.50 x bare anyio (2.50-2.50 round by round), NOT within 1.5 x" in lost
    assert "SLOWER than Burr, Burr being faster in 3 of 3 rounds" in lost
    assert "151 ms in a fresh process, NOT within 150 ms" in lost


def test_the_verdict_says_what_was_kept(benchmark: ModuleType) -> None:
    """Where nobody is faster, nothing is qualified."""
    kept = benchmark.verdict(made_up(benchmark, bare_anyio=40, coterie_flow=50, plain_await=5), [100.0])
    assert "1.25 x bare anyio (1.25-1.25 round by round), within 1.5 x; faster than every peer; 10 x" in kept
    assert "NOT" not in kept
    assert "SLOWER" not in kept
