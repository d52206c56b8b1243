"""review.md is true: its code runs, and its pictures are what a sitting looks like now."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "review.md").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path: Path) -> None:
    """Word for word, with what it prints; of a hundred times five, the lot falls on it besides."""
    (script,) = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line != "it was drawn by lot, as 5% of all are"]
    assert lines == [
        "the model is 60% sure, which is less than 70%",
        "the rule 'gain' objects: a one-off gain is no good news",
        "neutral",
    ], done.stderr


@pytest.mark.timeout(120)
def test_its_pictures_are_what_the_screen_shows() -> None:
    """`make screens` would change nothing; each picture stands in the text, or beside it."""
    made = subprocess.run(
        [sys.executable, "-c", "import json, review_screens; print(json.dumps(review_screens.pictures()))"],
        cwd=DOCS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    kept = {path.stem.removeprefix("review-"): path.read_text(encoding="utf-8") for path in DOCS.glob("review-*.svg")}
    assert json.loads(made.stdout) == kept
    assert set(re.findall(r"\((review-\w+\.svg)\)", TEXT)) <= {f"review-{name}.svg" for name in kept}
