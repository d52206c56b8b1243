"""The ledger of uses: what is left, and that no use is lost."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents.errors import CheckpointError
from coterie.tuning.errors import LedgerDamaged
from coterie.tuning.spending import Use, level, next_level, row_names, spend, uses

ROWS = [f"row {number}" for number in range(40)]


def spent(role: str, rows: list[str], comparison: str, alpha: float = 0.05) -> Use:
    """A use of `rows`."""
    return spend(role, rows, live="a" * 64, candidate="b" * 64, dataset="d" * 64, comparison=comparison, alpha=alpha)


def test_all_uses_together_spend_alpha() -> None:
    """The levels of a hundred thousand uses sum to alpha, less what is left."""
    assert math.fsum(level(0.05, count) for count in range(1, 100_001)) == pytest.approx(0.05, rel=1e-4)


def test_fresh_rows_count_as_unused() -> None:
    """k is 1 for fresh rows, 2 for rows used once, and between for some of each."""
    assert spent("spend/a", ROWS[:20], "1").count == 1
    assert spent("spend/a", ROWS[:20], "2").count == 2
    assert spent("spend/a", ROWS[20:], "3").count == 1
    assert spent("spend/a", ROWS, "4").count == 2.5
    assert spent("spend/b", ROWS, "4").count == 1
    assert len(uses("spend/a")) == 4


def test_the_same_comparison_is_paid_for_once() -> None:
    """Unless it is asked at another alpha."""
    first = spent("spend/c", ROWS, "1")
    assert spent("spend/c", ROWS[::-1], "1") == first
    assert spent("spend/c", ROWS, "1", alpha=0.1).count == 2


@given(st.integers(40, 100_000))
def test_a_later_level_is_what_the_ledger_would_give(rows: int) -> None:
    """For a set that holds the rows of this use and fresh ones; it never falls with more rows."""
    use = Use(at="2026-01-01T00:00:00Z", live="", candidate="", dataset="", comparison="", alpha=0.05, count=3,
              rows=row_names(ROWS))  # fmt: skip
    assert next_level(use, rows) == pytest.approx(level(0.05, 1 + 3 * 40 / rows))
    assert next_level(use, rows) <= next_level(use, rows + 1)


def test_a_damaged_ledger_is_not_read_as_an_empty_one(coterie_home: Path) -> None:
    """Or whoever breaks it would get a fresh alpha; it is left as it is."""
    spent("spend/d", ROWS, "1")
    ledger = coterie_home / "releases/spend/d/gate.jsonl"
    ledger.write_text(ledger.read_text() + '{"version": 1}\n')
    before = ledger.read_bytes()
    with pytest.raises(LedgerDamaged, match=r"gate.jsonl, line 2: 'at' is missing.*retire its gate rows"):
        spent("spend/d", ROWS, "2")
    assert ledger.read_bytes() == before


def test_no_text_of_a_row_is_kept(coterie_home: Path) -> None:
    """Ids may hold names of people."""
    spent("spend/e", ["thread of Ada Lovelace"], "1")
    assert "Ada" not in (coterie_home / "releases/spend/e/gate.jsonl").read_text()


def test_a_role_cannot_lead_out_of_the_folder() -> None:
    """As everywhere else."""
    with pytest.raises(CheckpointError, match="is no name of a role"):
        spent("../elsewhere", ROWS, "1")


def test_uses_of_processes_at_once_all_count() -> None:
    """They take turns at a lock."""
    program = (
        "import sys; from coterie.tuning.spending import spend; "
        "[spend('spend/f', ['r'], live='', candidate='', dataset='', comparison=f'{sys.argv[1]} {n}', alpha=0.05) "
        "for n in range(5)]"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(number)]) for number in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert sorted(use.count for use in uses("spend/f")) == list(range(1, 16))
