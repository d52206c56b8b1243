"""How often gate rows were used, and what level of significance is left for another use of them.

Whoever tries twenty equal candidates on the same rows will see one of them win. So the k-th use of the same rows is
tested at alpha · 6 / (π² k²), which sums to alpha over every use that there will ever be: whatever the number of tries,
an equal candidate is promoted on these rows with probability alpha at most (a union bound; spending as in Foster and
Stine 2008, "α-investing", without their rewards for discoveries). Rows come and go, so k is 1 and the mean number of
earlier uses of today's rows: fresh rows count as unused, and a set that is half new as half used. That keeps to alpha
where the rows stay the same or are all new; between, it is a rule of thumb.

    COTERIE_HOME/releases/<role>/gate.jsonl    one use a line, oldest first; lines are only ever added

This file knows nothing of what is compared or of how.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field

from ..agents.durable_files import make_folder, write_durably
from ..agents.errors import StorageError
from ..agents.jsonlines import BadLine, read_models
from ..agents.releases import role_folder
from .errors import LedgerDamaged

LEDGER = "gate.jsonl"
_NAME = 12  # hex digits of a row's hash: one clash in a million sets of ten thousand rows, and it would cost little


class Use(BaseModel):
    """One use of gate rows, as the ledger keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    version: Literal[1] = 1
    at: datetime
    live: str  # digest of its release; "": it had none
    candidate: str  # digest
    dataset: str  # digest
    comparison: str  # sha256 hex of the measure and of all that both did
    alpha: float = Field(gt=0, lt=1)  # to be spent over every use
    count: float = Field(ge=1)  # which use of its rows it is
    rows: tuple[str, ...]  # hashes of the rows' ids, so that no text of a person is kept

    @property
    def level(self) -> float:
        """The level at which it was tested."""
        return level(self.alpha, self.count)


def level(alpha: float, count: float) -> float:
    """What the use number `count` (from 1) of the same rows may spend of `alpha`."""
    return alpha * 6 / (math.pi * count) ** 2


def next_level(use: Use, rows: int) -> float:
    """The level of a later use on `rows` rows, of which those of `use` are a part and the others are fresh."""
    share = min(len(use.rows) / rows, 1.0)
    return level(use.alpha, 1 + use.count * share)


def row_names(row_ids: Iterable[str]) -> tuple[str, ...]:
    """How the ledger calls rows, in an order of its own."""
    return tuple(sorted({hashlib.sha256(row.encode()).hexdigest()[:_NAME] for row in row_ids}))


def count_of(rows: Sequence[str], uses: Iterable[Use]) -> float:
    """Which use the next one of `rows` would be: 1, and the mean number of earlier uses of a row."""
    seen = Counter(row for use in uses for row in use.rows)
    return 1 + sum(seen[row] for row in rows) / len(rows)


def uses(role: str) -> tuple[Use, ...]:
    """Every use of gate rows of `role`, oldest first. Blocks.

    Raises:
        LedgerDamaged: a line of the ledger cannot be read.
        CheckpointError: `role` is no role's name.
    """
    return _read(role_folder(role) / LEDGER)


def spend(
    role: str,
    row_ids: Iterable[str],
    *,
    live: str,
    candidate: str,
    dataset: str,
    comparison: str,
    alpha: float,
) -> Use:
    """Writes down that gate rows of `role` are used, before anything is learned from them. Blocks.

    The same comparison at the same alpha is the same test and tells nothing new, so it is not paid for twice.

    Args:
        role: whose rows.
        row_ids: the rows that are used, at least one.
        live: digest of the live release, "" where there is none.
        candidate: digest of the candidate.
        dataset: digest of the data set.
        comparison: sha256 hex of the measure and of all that both did.
        alpha: to be spent over every use of the same rows.

    Raises:
        LedgerDamaged: a line of the ledger cannot be read; nothing was written.
        StorageError: COTERIE_HOME cannot be written.
        CheckpointError: `role` is no role's name.
    """
    folder, rows = role_folder(role), row_names(row_ids)
    with _turn(folder) as earlier:
        for use in earlier:
            if (use.comparison, use.alpha, use.rows) == (comparison, alpha, rows):
                return use
        use = Use(
            at=datetime.now(UTC),
            live=live,
            candidate=candidate,
            dataset=dataset,
            comparison=comparison,
            alpha=alpha,
            count=count_of(rows, earlier),
            rows=rows,
        )
        lines = [one.model_dump_json() for one in (*earlier, use)]
        write_durably(folder / LEDGER, "".join(f"{line}\n" for line in lines).encode())
    return use


@contextmanager
def _turn(folder: Path) -> Iterator[tuple[Use, ...]]:
    try:
        make_folder(folder)
        with FileLock(folder / ".gate-lock", mode=0o600):
            yield _read(folder / LEDGER)
    except OSError as error:
        raise StorageError(folder, error) from error


def _read(path: Path) -> tuple[Use, ...]:
    found: list[Use] = []
    for use in read_models(path, Use) if path.exists() else ():
        if isinstance(use, BadLine):
            raise LedgerDamaged(str(use))
        found.append(use)
    return tuple(found)
