"""The README is true: its code runs, its diagram is what the command prints, its tree is what is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coterie.agents.checkpoints import home

ROOT = Path(__file__).parent.parent
HOME = home()  # the user's own: while tests run, COTERIE_HOME is another folder
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_it_is_short() -> None:
    """Nobody has to scroll for long."""
    assert README.count("\n") <= 150


@pytest.mark.skipif(not (HOME / "bases" / "minilm-l6").exists(), reason="needs `coterie models fetch`")
@pytest.mark.timeout(120)
def test_its_python_runs(tmp_path: Path) -> None:
    """The first flow of the README, word for word, gives the answer that a reader expects."""
    script = tmp_path / "first_flow.py"
    script.write_text(blocks("python")[0], encoding="utf-8")
    environment = os.environ | {"COTERIE_HOME": str(HOME)}
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, env=environment)
    assert run.stdout == "refund: I was charged twice, please pay me back.\n", run.stderr


def test_its_diagram_is_what_the_command_prints() -> None:
    """The finance desk's diagram is the one that `coterie graph --mermaid` draws now."""
    command = [sys.executable, "-m", "coterie.cli", "graph", "examples/finance_desk.py:flow", "--mermaid"]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert blocks("mermaid") == [drawn.strip() + "\n"]


def test_its_tree_is_what_is_there() -> None:
    """Every folder that the README lists exists, and no folder of ours is missing from it."""
    listed = set(re.findall(r"^([a-z]+)/ ", README, flags=re.MULTILINE))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {line.partition("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    assert listed == there
