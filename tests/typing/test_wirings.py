"""What `build()` refuses is red in the editor before: mypy and pyright agree on every line of the two files here."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RIGHT, WRONG = HERE / "right_wirings.py", HERE / "wrong_wirings.py"
MARK = "# error: both"

pytestmark = pytest.mark.timeout(300)  # seconds; a checker without a cache reads all that we depend on

Found = set[tuple[str, int]]  # file name and line of each error


def expected() -> Found:
    lines = WRONG.read_text(encoding="utf-8").splitlines()
    return {(WRONG.name, number) for number, line in enumerate(lines, start=1) if MARK in line}


def checked(checker: str, *arguments: str) -> str:
    """What `checker` writes about both files, asked as `python -m` so that it sees what this interpreter sees."""
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed; it comes with the `lint` extra")
    command = [sys.executable, "-m", checker, *arguments, str(RIGHT), str(WRONG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
    if done.returncode not in (0, 1):
        pytest.skip(f"{checker} cannot run here: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


@pytest.fixture(scope="module")
def found_by_mypy(request: pytest.FixtureRequest) -> Found:
    cache = request.config.cache
    assert cache is not None
    output = checked(
        "mypy",
        *("--strict", "--config-file=", "--no-error-summary", "--hide-error-context", "--no-pretty"),
        f"--cache-dir={cache.mkdir('mypy')}",
    )
    errors = re.findall(r"^(?:.*[/\\])?(\w+\.py):(\d+): error:", output, flags=re.MULTILINE)
    return {(name, int(line)) for name, line in errors}


@pytest.fixture(scope="module")
def found_by_pyright() -> Found:
    output = checked("pyright", "--outputjson", f"--pythonpath={sys.executable}")
    if not output.lstrip().startswith("{"):
        pytest.skip(f"pyright cannot run here: {output.strip()[-300:]}")
    errors = [one for one in json.loads(output)["generalDiagnostics"] if one["severity"] == "error"]
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in errors}


def test_mypy_finds_every_wrong_line_and_no_right_one(found_by_mypy: Found) -> None:
    """Under `--strict`."""
    assert found_by_mypy == expected()


def test_pyright_finds_every_wrong_line_and_no_right_one(found_by_pyright: Found) -> None:
    """With its own defaults."""
    assert found_by_pyright == expected()
