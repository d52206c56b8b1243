"""The review benchmark measures on a log like those that runtimes make, and says plainly what was kept."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_its_log_is_sound(tmp_path: Path) -> None:
    """Runs that were written in bulk have the hashes and digests of runs that were run."""
    place = tmp_path / "desk.db"
    code = "import pathlib, sys; import pending; pending.build(pathlib.Path(sys.argv[1]), 120)"
    subprocess.run([sys.executable, "-c", code, place], check=True, cwd=BENCHMARKS)
    verify = [sys.executable, "-m", "coterie.cli", "verify", "--log", place]
    checked = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert checked.stdout.startswith("sound: 120 runs")


def test_it_measures_keys_lists_and_openings(tmp_path: Path) -> None:
    """Once through, on a small log; the figures are written as they are shown."""
    command = [sys.executable, BENCHMARKS / "review.py", "--count", "150", "--keys", "42", "--repeats", "1"]
    run = subprocess.run(
        [*command, "--decisions", "5", "--results", tmp_path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "review.json").read_text(encoding="utf-8"))["milliseconds"]
    assert {"any key", "key a", "any filter", "coterie review, first page", "desk.items, all"} <= found.keys()
    assert "within 50" in (tmp_path / "review.md").read_text(encoding="utf-8")
